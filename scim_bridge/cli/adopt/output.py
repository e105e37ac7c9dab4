"""What `adopt` prints, row by row: there may be as many pairs as people."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from scim_bridge.cli.output import shown
from scim_bridge.cli.paragraphs import paragraph
from scim_bridge.delivery.adopting import Found
from scim_bridge.domain.pairing import By, Pair

BY = {By.number: "by number", By.email: "by e-mail", By.phone: "by phone", By.decision: "as decided"}


def json_pieces(found: Found) -> Iterator[str]:
    """The answer for machines, piece by piece."""
    yield '{"pairs": ['
    comma = "\n"
    for pair in found.pairs():
        row = {"employee_number": pair.employee_number, "user_name": pair.user_name, "by": pair.proposal.by.value}
        yield comma + json.dumps(row, ensure_ascii=False)
        comma = ",\n"
    yield '],\n"disputed": ['
    comma = "\n"
    for user_name, pairs in _by_user(found):
        numbers = [pair.employee_number for pair in pairs]
        yield comma + json.dumps({"user_name": user_name, "employee_numbers": numbers}, ensure_ascii=False)
        comma = ",\n"
    yield f'],\n"linked": {found.linked}}}\n'


def text_pieces(found: Found, company: str, *, apply: bool, output: Path | None) -> Iterator[str]:
    """The same for people, and what to do next.

    :param company: What the commands that are named are followed by, to be about this company.
    """
    exact = disputed = 0
    for pair in found.pairs():
        exact += 1
        yield f"  = employee {shown(pair.employee_number)}  {shown(pair.user_name)}  ({BY[pair.proposal.by]})\n"
    for user_name, pairs in _by_user(found):
        disputed += 1
        yield f"  ? {shown(user_name)}\n"
        for pair in pairs:
            text = f"employee {shown(pair.employee_number)}: {pair.proposal.why}"
            yield "\n".join(paragraph(text, first="      ", indent="        ")) + "\n"
    yield f"{exact} {'pair' if exact == 1 else 'pairs'}, {disputed} disputed; {found.linked} linked.\n"
    for sentence in _next_steps(found, company, exact, disputed, apply, output):
        yield f"{sentence}\n"


def _next_steps(
    found: Found, company: str, exact: int, disputed: int, apply: bool, output: Path | None
) -> Iterator[str]:
    if found.shown == 0:
        yield "Ditio shows no employee at all. If there ought to be some, see `scim-bridge doctor`."
    if exact and not apply:
        yield f"To link these pairs: scim-bridge adopt --apply{company}"
    if disputed:
        file = "FILE.csv" if output is None else str(output)
        if output is None:
            yield f"To see both sides of what is disputed: scim-bridge adopt --output FILE.csv{company}"
        yield f"Write link or skip in its column decision, then: scim-bridge adopt --apply --decisions {file}{company}"
    elif apply:
        yield f"What differs is shown by: scim-bridge reconcile{company}"


def _by_user(found: Found) -> Iterator[tuple[str, list[Pair]]]:
    for _, group in groupby(found.disputed(), key=lambda pair: pair.person_id):
        pairs = list(group)
        yield pairs[0].user_name, pairs
