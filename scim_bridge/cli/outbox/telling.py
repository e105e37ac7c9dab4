"""What `outbox list` prints for people: who waits, since when, what it means and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from scim_bridge.cli.named_commands import about_tenant
from scim_bridge.cli.paragraphs import instant, print_paragraph
from scim_bridge.domain.delivery_state import SHOULD_BE_INACTIVE, Reason, State
from scim_bridge.domain.explanations import explained

MOST_NAMED = 5
"""How many are named who wait for the same reason; in a pause it may be the whole company."""

Row = Mapping[str, Any]
"""A row as the JSON has it."""


def tell(rows: Sequence[Row], tenant: str, *, names_all: bool) -> None:
    """Each in lines that fit into a mail; of many who wait for the same the first, and how many there are."""
    for number, group in enumerate(_groups(rows, names_all=names_all)):
        if number:
            click.echo("")
        if len(group) == 1:
            _tell_one(group[0], tenant)
        else:
            _tell_many(group, tenant)


def _groups(rows: Sequence[Row], *, names_all: bool) -> Iterator[Sequence[Row]]:
    """Those who wait for the same reason, where they are many; everybody else by himself. In the order of the rows."""
    by_reason: dict[object, list[Row]] = {}
    for row in rows:
        by_reason.setdefault(_reason(row), []).append(row)
    told: set[object] = set()
    for row in rows:
        group = by_reason[_reason(row)]
        if names_all or len(group) <= MOST_NAMED:
            yield [row]
        elif _reason(row) not in told:
            told.add(_reason(row))
            yield group


def _reason(row: Row) -> object:
    """Leavers who are still active in Ditio are a group of their own, before all others (rule L6)."""
    return row["state"], row["reason"], str(row["detail"]).startswith(SHOULD_BE_INACTIVE)


def _tell_one(row: Row, tenant: str) -> None:
    print_paragraph(_who(row), indent="  ")
    reason = f", {row['reason']}" if row["reason"] else ""
    print_paragraph(f"{row['state']}{reason}, {_since(row)}", first="  ", indent="  ")
    _tell_detail(row["detail"], tenant)
    _explain(row, tenant)


def _tell_many(group: Sequence[Row], tenant: str) -> None:
    first, details = group[0], {row["detail"] for row in group}
    reason = f", {first['reason']}" if first["reason"] else ""
    print_paragraph(f"{len(group)} people: {first['state']}{reason}", indent="  ")
    if len(details) == 1:
        _tell_detail(first["detail"], tenant)
    _explain(first, tenant)
    for row in group[:MOST_NAMED]:
        print_paragraph(f"{_who(row)}, {_since(row)}", first="  - ", indent="    ")
        if len(details) > 1:
            _tell_detail(row["detail"], tenant, indent="    ")
    left = len(group) - MOST_NAMED
    print_paragraph(about_tenant(tenant, f"and {left} more: `outbox list --all`"), first="  - ", indent="    ")


def _who(row: Row) -> str:
    employee = f", employee {row['employee_number']}" if row["employee_number"] else ""
    return f"{row['user_name'] or 'a deleted user'}{employee}"


def _since(row: Row) -> str:
    tries = f", {row['attempts']} failed {'try' if row['attempts'] == 1 else 'tries'}" if row["attempts"] else ""
    return f"since {instant(row['since'])}{tries}"


def _tell_detail(detail: object, tenant: str, *, indent: str = "  ") -> None:
    if detail:
        print_paragraph(about_tenant(tenant, str(detail)), first=f"{indent}Detail: ", indent=f"{indent}  ")


def _explain(row: Row, tenant: str) -> None:
    explanation = explained(State(row["state"]), Reason(row["reason"]) if row["reason"] else None)
    if explanation is not None:
        print_paragraph(explanation.meaning, first="  Meaning: ", indent="    ")
        print_paragraph(about_tenant(tenant, explanation.cure), first="  Cure: ", indent="    ")
