"""`scim-bridge people`: find people, show one in Entra and in Ditio, or stop deliveries to them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from scim_bridge import logs
from scim_bridge.cli.context import Options, author
from scim_bridge.cli.output import (
    Day,
    Format,
    format_option,
    instant,
    paragraph,
    print_folded,
    print_json,
    print_paragraph,
    print_rows,
    tenant_option,
)
from scim_bridge.cli.personal_data import erase_command, export_command
from scim_bridge.domain.certificate import Certificate, Entry, Line
from scim_bridge.domain.outcome import State, explained
from scim_bridge.domain.person import HandsOff
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import EntraError, SettingsError
from scim_bridge.operator import actions
from scim_bridge.operator.find import MOST, Found, Several, also_refused, find, resolve
from scim_bridge.operator.history import Changed, sentence
from scim_bridge.operator.person import LOGIN, PersonView, employee_in_ditio, refused_document, view_of
from scim_bridge.scim.mapping import Rules
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.history import Entry as Event
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.tenant import build_rules

if TYPE_CHECKING:
    from scim_bridge.operator.entra import EntraView

CERTIFICATE_COLUMNS = {
    "type": "Certificate",
    "number": "Number",
    "issued": "Issued",
    "valid_until": "Valid until",
    "source": "From",
    "ditio": "Accepted by Ditio",
}
"""A source in brackets does not count: another source outranks it."""


def rows(lines: Iterable[Line]) -> Iterator[JsonObject]:
    """Yield a row for each source of a certificate, and one for each withdrawn certificate."""
    for line in lines:
        for entry in line.entries:
            yield {
                "type": line.type,
                **_parts(entry.certificate),
                "source": entry.source if entry.wins else f"({entry.source})",
                "ditio": _in_ditio(line, entry) if entry.wins else None,
            }
        if not line.entries and line.acknowledged is not None:
            yield {"type": line.type, **_parts(line.acknowledged.certificate), "source": None, "ditio": _left(line)}


def _in_ditio(line: Line, entry: Entry) -> str:
    known = line.acknowledged
    if line.reason is not None:
        return line.reason
    if known is None or line.sending is not None:
        return "not yet"
    is_same = known.certificate.rank == entry.certificate.rank and not known.is_withdrawn
    return f"{known.at:%Y-%m-%d}" if is_same else "not yet"


def _left(line: Line) -> str:
    is_withdrawn = line.acknowledged is not None and line.acknowledged.is_withdrawn
    return "withdrawn" if is_withdrawn else "to be withdrawn"


def _parts(certificate: Certificate) -> JsonObject:
    return {"number": certificate.number, "issued": certificate.issued, "valid_until": certificate.valid_until}


FIELD_COLUMNS = {"field": "Field", "wanted": "Entra wants", "found": "Ditio has", "acknowledged": "Acknowledged"}

DIFFERS = "differs"
"""The mark of a row in which Entra and Ditio differ now."""

FOUND_COLUMNS = {
    "user_name": "User",
    "employee_number": "Employee",
    "name": "Name",
    "state": "State",
    "active": "Active",
}


@click.group()
def people() -> None:
    """Find people, show one in Entra and in Ditio, or stop deliveries to them.

    \b
    Examples:
      scim-bridge people find nordmann
      scim-bridge people show 1042
      scim-bridge people hands-off 1042 --until 2026-03-31
    """


@people.command("find")
@click.argument("text", metavar="TEXT")
@tenant_option
@format_option
@click.pass_context
def find_command(ctx: click.Context, text: str, tenant: str, format: Format) -> None:
    """Find people by name, user name, employee number, phone, or object id in Entra; deleted users too.

    A part of the name is enough, or several parts in any order. The state `refused` means that Entra's write that would
    have created the user was answered 400 or 409. Exit code 1 if no person fits.

    \b
    Examples:
      scim-bridge people find nordmann
      scim-bridge people find "+47 987 65 432"
    """
    options: Options = ctx.obj
    with options.database() as database, database.read(tenant) as s:
        found = find(s, build_rules(options.of(tenant)), text)
    if format == "json" or found:
        _list(found, format)
    if not found:
        click.echo(f"no person fits {text!r}: try a part of the name, or the employee number", err=True)
        ctx.exit(1)


def _list(found: list[Found], format: Format) -> None:
    print_rows([{key: getattr(each, key) for key in FOUND_COLUMNS} for each in found], FOUND_COLUMNS, format)
    if len(found) == MOST:
        click.echo(f"only the first {MOST} are listed: add another part of the name", err=True)


@people.command()
@click.argument("person", metavar="TEXT")
@tenant_option
@format_option
@click.pass_context
def show(ctx: click.Context, person: str, tenant: str, format: Format) -> None:
    """Show one person: the user in Entra, the employee in Ditio, the delivery state and the history.

    TEXT is what `people find` takes. If it fits several people, they are listed. Ditio is read now, and Entra if it
    is set in [entra]. If one can't be read, standard error has the reason, and the rest is still shown.

    \b
    Examples:
      scim-bridge people show 1042
      scim-bridge people show kari.nordmann@contractor.example --format json
      scim-bridge people show "kari nordmann"
    """
    options: Options = ctx.obj
    logs.configure("error", options.settings.log.format)
    settings = options.of(tenant)
    rules = build_rules(settings)
    with options.database() as database:
        try:
            with database.read(tenant) as s:
                one = resolve(s, rules, person)
                if isinstance(one, RefusedWrite):
                    _show_refused(one, format)
                    return
                view = view_of(s, rules, one, is_paused=settings.delivery.paused)
                for each in also_refused(s, person):
                    who = each.user_name or each.name or each.external_id
                    click.echo(f"Entra was refused another user with {person}: see `people show {who}`", err=True)
        except Several as several:
            click.echo(str(several), err=True)
            _list(several.found, format)
            ctx.exit(1)
        number, found = view.number_in_ditio, None
        if number is not None:
            from scim_bridge.bootstrap import build  # noqa: PLC0415 # Large; a person without an employee does without.

            try:
                found = employee_in_ditio(build(settings, database=database).tenants[tenant].ditio, number)
            except SettingsError as error:
                found = str(error)
        entra = _in_entra(options, tenant, database, view)
    if isinstance(found, str):
        click.echo(f"Ditio was not read: {found}", err=True)
    ditio = found if isinstance(found, dict) else None
    if format == "json":
        print_json(view.document(ditio, None if entra is None else entra.document()))
    else:
        _tell(view, ditio, rules)
        if entra is not None:
            click.echo("")
            for place, line in enumerate(entra.told()):
                print_paragraph(line, first="  " if place else "", indent="    ")


ENTRA_SECONDS = 10.0
"""How long one call to Graph may take, and how long it is tried: someone is waiting."""


def _in_entra(options: Options, tenant: str, database: Database, view: PersonView) -> "EntraView | None":
    """Return the person as Entra has them now; None where Entra is not read, or can't be."""
    settings = options.of(tenant)
    if not settings.entra.is_set:
        return None
    from scim_bridge.bootstrap import build  # noqa: PLC0415 # Large; see `show`.
    from scim_bridge.clients import build_entra  # noqa: PLC0415
    from scim_bridge.operator.entra import entra_side_of  # noqa: PLC0415

    own = build(settings, database=database).tenants[tenant]
    entra = build_entra(settings, timeout_seconds=ENTRA_SECONDS, patience_seconds=ENTRA_SECONDS)
    try:
        return entra_side_of(replace(own, entra=entra), view.user)
    except (EntraError, SettingsError) as error:
        click.echo(f"Entra was not read: {error}", err=True)
        return None


def _show_refused(refused: RefusedWrite, format: Format) -> None:
    if format == "json":
        print_json(refused_document(refused))
        return
    who = refused.user_name or refused.name or f"The user with externalId {refused.external_id}"
    wants = f" (wants {refused.employee_number})" if refused.employee_number else ""
    print_paragraph(f"{who} is not in the bridge{wants}: Entra's write was refused")
    _tell_refused(refused)


def _tell_refused(refused: RefusedWrite) -> None:
    assert refused.at is not None
    kind = f", {refused.scim_type}" if refused.scim_type else ""
    request = f" (request {refused.request_id})" if refused.request_id else ""
    print_paragraph(f"Refused: Entra was answered {refused.status}{kind}, {instant(refused.at)}{request}")
    print_paragraph(refused.detail or "", first="  Answer: ", indent="    ")
    print_paragraph(
        "correct what the answer names; Entra sends the write again by itself, or at once with Provision on demand",
        first="  Cure: ",
        indent="    ",
    )


@people.command("hands-off")
@click.argument("person", metavar="NUMBER")
@click.option(
    "--until",
    metavar="DATE",
    type=Day(),
    help="Stop deliveries up to and including this day, in the company's time zone.  [default: until --clear]",
)
@click.option("--clear", is_flag=True, help="Resume deliveries to this person now.")
@tenant_option
@click.pass_obj
def hands_off(options: Options, person: str, until: datetime | None, clear: bool, tenant: str) -> None:
    """Stop deliveries to one person, the end of employment included; the person is not read in Ditio either.

    The bridge still accepts Entra's changes of the person, and delivers them afterwards. NUMBER may also be a user
    name.

    \b
    Examples:
      scim-bridge people hands-off 1042
      scim-bridge people hands-off 1042 --until 2026-03-31
      scim-bridge people hands-off kari.nordmann@contractor.example --clear
    """
    if clear and until is not None:
        raise click.UsageError("--clear and --until exclude each other: use only one of them")
    last_day = until.date() if until is not None else None
    zone = build_rules(options.of(tenant)).zone

    def work(s: Session) -> str:
        if last_day is not None and last_day < s.now.astimezone(zone).date():
            raise click.BadParameter(
                f"{last_day} has already passed: write today or a later day", param_hint="'--until'"
            )
        if not clear:
            return actions.stop_deliveries(s, author(options), person, HandsOff(last_day))
        is_resumed = actions.resume_deliveries(s, author(options), person)
        return "due again" if is_resumed else "deliveries to this person were not stopped: nothing to clear"

    click.echo(options.write(tenant, work))


def _tell(view: PersonView, ditio: dict[str, object] | None, rules: Rules) -> None:
    print_paragraph(view.headline())
    click.echo("")
    columns = {**FIELD_COLUMNS, **({"differs": ""} if view.differing(ditio) else {})}
    print_folded([*_fields(view, ditio, rules), *_employments(ditio)], columns)
    if view.lines:
        click.echo("")
        print_folded(list(rows(view.lines)), CERTIFICATE_COLUMNS)
    click.echo("")
    _tell_state(view.record, differs=bool(view.differing(ditio)))
    if view.refused is not None:
        _tell_refused(view.refused)
    click.echo("\nHistory, oldest first (UTC)")
    for line in told(view.entries, view.changed):
        click.echo(line)


_INDENT = " " * 23


def told(entries: Iterable[Event], changed: Changed) -> Iterator[str]:
    """Yield the lines of a history, indented; instants in UTC."""
    for entry in entries:
        at = entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if entry.at else ""
        yield from paragraph(sentence(entry, changed), first=f"  {at:<19}  ", indent=_INDENT)


def _tell_state(record: PersonRecord, *, differs: bool) -> None:
    reason = f", {record.reason}" if record.reason else ""
    print_paragraph(f"State: {record.state}{reason}, since {instant(record.state_since)}")
    explanation = explained(record.state, record.reason)
    if explanation is not None:
        print_paragraph(explanation.meaning, first="  Meaning: ", indent="    ")
    if record.detail:
        print_paragraph(record.detail, first="  Detail: ", indent="    ")
    if explanation is not None:
        print_paragraph(explanation.cure, first="  Cure: ", indent="    ")
    elif differs and record.state is State.delivered and (number := record.person.employee_number):
        cure = f"`reconcile --person {number}` says why the marked rows differ; with `--apply` it repairs them"
        print_paragraph(cure, first="  Cure: ", indent="    ")


def _fields(view: PersonView, ditio: dict[str, object] | None, rules: Rules) -> Iterable[dict[str, object]]:
    for each in view.compared(ditio, rules):
        values = {"wanted": each.wanted, "found": each.found, "acknowledged": each.acknowledged}
        if each.field == LOGIN:
            values = {name: _login(value) for name, value in values.items()}
        yield {"field": each.field, **values, "differs": DIFFERS if each.differs else None}


def _employments(ditio: dict[str, object] | None) -> Iterable[dict[str, object]]:
    """Yield every employment in Ditio, if there are several."""
    shown = (ditio or {}).get("employments")
    known = [each for each in shown if isinstance(each, dict)] if isinstance(shown, list) else []
    if len(known) < 2:
        return
    for each in known:
        yield {"field": "employment", "found": f"{each['start'] or 'unknown'} to {each['end'] or 'open'}"}


def _login(is_open: object) -> str | None:
    return None if is_open is None else "open" if is_open else "closed"


for _command in (export_command, erase_command):
    people.add_command(_command)
