"""`scim-bridge adopt`: on the first day, link employees that are already in Ditio to users."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any, NoReturn

import click

from scim_bridge.adopt.run import BY, SIDES, Dispute, Found
from scim_bridge.bootstrap import build
from scim_bridge.certificates import workbook
from scim_bridge.certificates.files import encoding_of, first_lines, folded, plain
from scim_bridge.cli.context import Options, note, operator
from scim_bridge.cli.output import (
    AS_TEXT,
    Format,
    bars,
    csv_lines,
    excel_option,
    format_option,
    is_formula,
    log_as,
    paragraph,
    private_file,
    shown,
    tenant_option,
)
from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, Author
from scim_bridge.domain.drift import By, Decision, Misfit, Pair
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import Unusable, value_of
from scim_bridge.errors import BridgeError
from scim_bridge.operator.commands import of_tenant
from scim_bridge.scim.mapping import Rules
from scim_bridge.storage.asked import LINK
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.pairs import kept_pairs
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import document_of, user_names
from scim_bridge.tenant import build_rules, desired_of


def json_pieces(found: Found) -> Iterator[str]:
    """Yield the answer as JSON, piece by piece."""
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
    """Yield the answer as text, and what to do next.

    :param company: What follows each command in the text, so that it concerns this company.
    """
    exact = disputed = created = 0
    for pair in found.pairs():
        exact += 1
        yield f"  = employee {shown(pair.employee_number)}  {shown(pair.user_name)}  ({BY[pair.proposal.by]})\n"
        if pair.proposal.by is By.decision and (renumbered := found.renumbered(pair)):
            yield "\n".join(paragraph(renumbered, first="      ", indent="        ")) + "\n"
    for _, group in groupby(found.disputes(), key=lambda each: each.pair.person_id):
        disputes = list(group)
        disputed += 1
        yield f"  ? {shown(disputes[0].pair.user_name)}\n"
        for each in disputes:
            text = f"employee {shown(each.pair.employee_number)}: {each.why}"
            yield "\n".join(paragraph(text, first="      ", indent="        ")) + "\n"
    for newcomer in sorted(found.newcomers(), key=lambda each: each.employee_number):
        created += 1
        if created == 1:
            yield "Not in Ditio yet: `outbox resume` creates these employees.\n"
        text = f"employee {newcomer.employee_number}  {newcomer.user_name}  ({newcomer.name})"
        yield "\n".join(paragraph(text, first="  + ", indent="      ")) + "\n"
    counted = f", {created} to be created" if created else ""
    yield f"{exact} {'pair' if exact == 1 else 'pairs'}, {disputed} disputed{counted}; {found.linked} linked.\n"
    for sentence in _next_steps(found, company, exact, disputed, apply, output):
        yield f"{sentence}\n"


def _next_steps(
    found: Found, company: str, exact: int, disputed: int, apply: bool, output: Path | None
) -> Iterator[str]:
    if found.shown == 0:
        yield "Ditio shows no employees. If there should be some, run `scim-bridge doctor`."
    if exact and not apply:
        yield f"To link these pairs: scim-bridge adopt --apply{company}"
    if disputed:
        file = "FILE.csv" if output is None else str(output)
        if output is None:
            yield f"To see both sides of the disputed pairs: scim-bridge adopt --output FILE.csv{company}"
        yield f"Write link or skip in its column decision, then: scim-bridge adopt --apply --decisions {file}{company}"
    elif apply:
        yield f"To see what differs: scim-bridge reconcile{company}"


def _by_user(found: Found) -> Iterator[tuple[str, list[Pair]]]:
    for _, group in groupby(found.disputed(), key=lambda pair: pair.person_id):
        pairs = list(group)
        yield pairs[0].user_name, pairs


WHAT_TO_WRITE = (
    "write `scim-bridge adopt [--apply] [--decisions FILE.csv]`, or `scim-bridge adopt --accept EMPLOYEE_NUMBER "
    "USER_NAME`"
)


class WrongUsage(click.UsageError):
    """Wrong usage, with the exit code of this command."""

    exit_code = 1


class WrongUsageFails(click.Command):
    """A command that exits with 1 on wrong usage, found by click or by the command itself."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Parse the command line."""
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except click.UsageError as error:
            wrong(error.format_message(), error.ctx)


def wrong(message: str, ctx: click.Context | None = None) -> NoReturn:
    """Reject wrong usage, and say what to write instead. :raises WrongUsage: always."""
    raise WrongUsage(f"{message.rstrip('.')}: {WHAT_TO_WRITE}", ctx or click.get_current_context(silent=True))


def accept_employee(
    options: Options, database: Database, tenant: str, rules: Rules, number: str, user_name: str
) -> str:
    """Record a one-time permission, and make a stored person due. Return the result as text.

    :raises BridgeError: the permission would have no effect; nothing was recorded.
    """
    usable, name = _number(number, rules), user_name.strip()
    if not name:
        wrong("the user name is empty")

    def work(s: Session) -> str:
        person_id, said = _accept(s, usable, name, rules)
        note(options, s, AuditEvent(Action.accepted, "employee", usable, person_id))
        return said

    return database.transact(tenant, work)


def _number(text: str, rules: Rules) -> EmployeeNumber:
    value = value_of(Field.employee_number, text, rules.phone_region, rules.zone)
    if isinstance(value, Unusable) or not value:
        why = value.why if isinstance(value, Unusable) else "it is empty"
        wrong(f"the employee number is not valid: {why}")
    return EmployeeNumber(str(value))


def _accept(s: Session, number: EmployeeNumber, user_name: str, rules: Rules) -> tuple[PersonId | None, str]:
    """Record the permission. Return the person, if one is stored, and the result as text.

    :raises BridgeError: the permission would have no effect.
    """
    people = s.people
    record = people.of_user_name(user_name)
    linked = people.linked_to(number)
    if linked is not None and (record is None or linked.person.id != record.person.id):
        raise BridgeError(f"employee {number} is already linked to {_name(s, linked)}: nothing was recorded")
    if record is not None and (why := _why_not(s, record, number, rules)):
        raise BridgeError(f"{user_name} {why}: nothing was recorded")
    until = s.permissions.grant(number, user_name)
    said = f"recorded: {user_name} may take employee {number}, once, until {until:%Y-%m-%d}"
    if record is None:
        return None, f"{said}; no user with that name is stored now: Entra's next try to create this user applies it"
    s.outbox.mark_due(record.person.id)
    s.history.add(record.person.id, Entry("adopt-accepted", "done", cause="operator"))
    return record.person.id, f"{said}; the person is due"


def _why_not(s: Session, record: PersonRecord, number: EmployeeNumber, rules: Rules) -> str | None:
    """Return why a permission would have no effect for a stored user, or None."""
    person = record.person
    if person.employee_number == number and record.reason is Reason.stranger:
        return None  # Only here must a linked person be identified again (rule P5).
    if person.employee_number is not None:
        return f"is already linked to employee {person.employee_number}"
    document = document_of(s, person.user_id) if person.user_id else None
    if document is None:
        return None
    wanted = desired_of(document, rules, person, s.now.astimezone(rules.zone).date()).employee_number
    if wanted is not None and wanted != number:
        return f"has the employee number {wanted} in Entra, not {number}: correct one of the two first"
    return None


def _name(s: Session, record: PersonRecord) -> str:
    user_id = record.person.user_id
    names = user_names(s, [user_id]) if user_id else {}
    return names.get(user_id, "another user") if user_id else "a deleted user"


DISPUTED = 2
"""The exit code if disputed pairs wait for a decision."""

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=WrongUsageFails)
@click.option("--apply", is_flag=True, help="Link the exact pairs, and those decided with `link`.")
@click.option(
    "--decisions",
    metavar="FILE.csv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read your decisions on disputed pairs, from CSV or .xlsx: employee_number,user_name,decision (link or skip).",
)
@click.option(
    "--output",
    metavar="FILE.csv",
    type=FILE,
    help="Write the disputed pairs to this new file, for your decisions; an existing file is never overwritten.",
)
@excel_option
@click.option(
    "--accept",
    nargs=2,
    metavar="EMPLOYEE_NUMBER USER_NAME",
    help="Allow this user, once, to be linked to this employee although phone, e-mail, birth date and name differ.",
)
@click.option("--asked", is_flag=True, hidden=True, help="Do what was asked for in the console, as decided there.")
@format_option
@tenant_option
@click.pass_context
def adopt(
    ctx: click.Context,
    apply: bool,
    decisions: Path | None,
    output: Path | None,
    excel: bool,
    accept: tuple[str, str] | None,
    asked: bool,
    format: Format,
    tenant: str,
) -> None:
    """Link employees in Ditio to users, before the first delivery.

    A user is paired by employee number. The pair is exact only if phone, e-mail, or birth date and last name agree. A
    user without a number in Entra is paired by e-mail, then by phone. --apply links the exact pairs. Every other pair
    is disputed: --output writes both sides to a file. Edit it and pass it to --decisions; if one line is wrong,
    nothing is linked. Linked users count as delivered: this command and `outbox resume` do not create, change or end
    them in Ditio. `reconcile` shows and repairs what differs. Run it as often as you like: linked people stay linked.

    --accept alone records a permission for one user. A stored user becomes due now. A user that Entra could not create
    is linked at Entra's next try. The permission ends when it is used, or after 30 days.

    Exit codes: 0 no pair is disputed, 2 pairs are disputed, 1 error or wrong usage.

    \b
    Examples:
      scim-bridge adopt --output disputed.csv --excel
      scim-bridge adopt --apply --decisions disputed.csv
      scim-bridge adopt --accept 1042 kari.nordmann@contractor.example
    """
    options: Options = ctx.obj
    if excel and output is None:
        wrong("--excel is about the file of --output, which is missing")
    if output is not None and output.exists():
        raise BridgeError(f"{output} exists already, and may hold decisions: name another file, or remove it")
    log_as(options.settings.log, background=asked)
    with options.database() as database:
        if accept is not None:
            # Standard output is only for the pairs.
            rules = build_rules(options.of(tenant))
            click.echo(accept_employee(options, database, tenant, rules, *accept), err=True)
            if not apply and decisions is None and output is None:
                return
        adoption = build(options.of(tenant), database=database).adoption(tenant)
        author, lines = asked_for(database, tenant) if asked and apply else (operator(), _lines(decisions))
        with ExitStack() as shown:
            progress = shown.enter_context(bars())
            with adoption.run(
                apply_for=author if apply else None, decisions=lines, progress=progress, keep=asked
            ) as found:
                shown.close()  # The bars are gone before anything is printed.
                if output is not None:
                    write_sheet(found.disputes(), output, excel=excel)
                pieces = (
                    json_pieces(found)
                    if format == "json"
                    else text_pieces(found, of_tenant(tenant), apply=apply, output=output)
                )
                for piece in pieces:
                    click.echo(piece, nl=False)
                is_disputed = found.is_disputed
    ctx.exit(DISPUTED if is_disputed else 0)


def asked_for(database: Database, tenant: str) -> tuple[Author, Iterable[Decision | Misfit]]:
    """Return who asked in the console to link the pairs, and what was decided there.

    :raises BridgeError: no one asked, or the pairs that were seen are gone.
    """
    with database.read(tenant) as s:
        asked, kept = s.asked.get(LINK), kept_pairs(s)
        decided = s.pairs(kept.run_id).decided() if kept is not None else []
    if asked is None:
        raise BridgeError("no one asked in the console to link pairs: leave out `--asked`")
    if kept is None:
        raise BridgeError("the pairs that were seen in the console are kept no more: look for them again")
    lines = [
        Decision(number, pair.employee_number, pair.user_name, is_link)
        for number, (pair, is_link) in enumerate(decided, start=1)
    ]
    return Author(Actor(ActorKind.console, asked.by)), lines


def _lines(file: Path | None) -> Iterable[Decision | Misfit]:
    return () if file is None else decisions_in(file)


# Decisions: a file that people edit

COLUMNS = ("employee_number", "user_name", "decision")


def decisions_in(file: Path) -> Iterator[Decision | Misfit]:
    """Yield each line that has a decision; a pair whose line has none stays disputed.

    :raises BridgeError: the file can't be read, or is not a file of decisions.
    """
    encoding = "text"
    try:
        if workbook.is_workbook(file):
            with workbook.opened(file) as book:
                yield from _decided_rows(book, file)
            return
        encoding, _ = encoding_of(file)
        with file.open(encoding=encoding, newline="") as text:
            yield from _decisions(text, file)
    except UnicodeError as exc:
        raise BridgeError(
            f'{file} can\'t be read as {encoding}: save it again as "CSV UTF-8"; nothing was linked'
        ) from exc
    except OSError as exc:
        raise BridgeError(f"{file} can't be read: {exc.strerror}; nothing was linked") from exc
    except BridgeError as error:
        raise BridgeError(f"{error}; nothing was linked") from error


def _decisions(text: Iterator[str], file: Path) -> Iterator[Decision | Misfit]:
    before, headings = first_lines(text)
    skipped = 1 if before is None else 2
    delimiter = max(",;\t", key=headings.count)
    columns = _decision_columns(next(csv.reader([headings], delimiter=delimiter), []), skipped, file)
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    line = skipped + 1
    try:
        for cells in rows:
            yield from _decision(line, cells, columns)
            line = rows.line_num + skipped + 1
    except csv.Error as exc:
        raise BridgeError(f"{file}, line {rows.line_num + skipped}: {exc}. Correct that line") from exc


def _decided_rows(book: workbook.Workbook, file: Path) -> Iterator[Decision | Misfit]:
    first = next(book.rows, workbook.Row(1, ()))
    columns = _decision_columns(first.cells, first.number, file)
    for row in book.rows:
        if row.flaw is None:
            yield from _decision(row.number, row.cells, columns)
        else:
            yield Misfit(row.number, row.flaw)


def _decision_columns(headings: Sequence[str], line: int, file: Path) -> dict[str, int]:
    """Return where the columns are; others are ignored. :raises BridgeError: one is missing."""
    names = [folded(name) for name in headings]
    if missing := [name for name in COLUMNS if name not in names]:
        raise BridgeError(
            f"{file}, line {line}: there is no column {' and no '.join(missing)}. The first line must have "
            f"{','.join(COLUMNS)}, in any order, and may have others"
        )
    return {name: names.index(name) for name in COLUMNS}


def _decision(line: int, cells: Sequence[str], columns: Mapping[str, int]) -> Iterator[Decision | Misfit]:
    number, user_name, said = (_cell(cells, columns[name]) for name in COLUMNS)
    match said.lower():
        case "":
            return
        case "link" | "skip" as word if number and user_name:
            yield Decision(line, EmployeeNumber(number), user_name, word == "link")
        case "link" | "skip":
            yield Misfit(line, f"the {'user_name' if number else 'employee_number'} is empty: fill it in")
        case _:
            yield Misfit(line, f'the decision is "{said[:40]}": write link or skip, or leave it empty')


def _cell(cells: Sequence[str], place: int) -> str:
    text = plain(cells[place]).strip() if place < len(cells) else ""
    return text[1:].strip() if text[:1] == AS_TEXT and is_formula(text[1:]) else text


HEADER = (*COLUMNS, "why", *(f"{field} in {side}" for field in SIDES for side in ("Entra", "Ditio")))


def write_sheet(disputes: Iterable[Dispute], file: Path, *, excel: bool = False) -> None:
    """Write disputed pairs. :param excel: For Norwegian Excel. :raises BridgeError: the file can't be written."""
    with private_file(file) as text:
        text.writelines(csv_lines(HEADER, map(_cells, disputes), excel=excel))


def _cells(dispute: Dispute) -> Iterator[object]:
    pair, found = dispute.pair, dispute.found
    yield from (pair.employee_number, pair.user_name, "", dispute.why)
    for field in SIDES:
        yield dispute.desired.values.get(field)
        yield found.values.get(field) if found is not None else None
