"""`scim-bridge people`: show one person in Entra and in Ditio, or stop deliveries to them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import click

from scim_bridge import logs
from scim_bridge.cli.context import Options, note
from scim_bridge.cli.output import (
    Day,
    Format,
    format_option,
    instant,
    print_folded,
    print_json,
    print_paragraph,
    tenant_option,
)
from scim_bridge.cli.person_view import PersonView, employee_in_ditio, told, view_of
from scim_bridge.delivery.guard import clear_hands_off, set_hands_off
from scim_bridge.domain.audit import Action, AuditEvent
from scim_bridge.domain.certificate import Certificate, Entry, Line
from scim_bridge.domain.employee import Field
from scim_bridge.domain.outcome import explained
from scim_bridge.domain.person import HandsOff
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.database import Session
from scim_bridge.storage.people import PersonRecord
from scim_bridge.tenant import build_rules

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


@click.group()
def people() -> None:
    """Show one person in Entra and in Ditio, or stop deliveries to them.

    \b
    Examples:
      scim-bridge people show 1042
      scim-bridge people hands-off 1042 --until 2026-03-31
    """


@people.command()
@click.argument("person", metavar="USERNAME_OR_NUMBER")
@tenant_option
@format_option
@click.pass_obj
def show(options: Options, person: str, tenant: str, format: Format) -> None:
    """Show one person: the user in Entra, the employee in Ditio, the delivery state and the history.

    Ditio is read now. If it can't be read, standard error has the reason, and the rest is still shown.

    \b
    Examples:
      scim-bridge people show 1042
      scim-bridge people show kari.nordmann@contractor.example --format json
    """
    logs.configure("error", options.settings.log.format)
    with options.database() as database:
        settings = options.of(tenant)
        view = view_of(database, tenant, build_rules(settings), person, is_paused=settings.delivery.paused)
        number = view.number_in_ditio
        found = employee_in_ditio(options.of(tenant), database, number, tenant) if number else None
    if isinstance(found, str):
        click.echo(f"Ditio was not read: {found}", err=True)
    ditio = found if isinstance(found, dict) else None
    if format == "json":
        print_json(view.document(ditio))
    else:
        _tell(view, ditio)


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
            stopped, said = set_hands_off(s, person, HandsOff(last_day))
            note(options, s, AuditEvent(Action.set_hands_off, "person", stopped, stopped))
            return said
        resumed = clear_hands_off(s, person)
        if resumed is None:
            return "deliveries to this person were not stopped: nothing to clear"
        note(options, s, AuditEvent(Action.hands_off_cleared, "person", resumed, resumed))
        return "due again"

    click.echo(options.write(tenant, work))


def _tell(view: PersonView, ditio: dict[str, object] | None) -> None:
    print_paragraph(view.headline())
    click.echo("")
    print_folded([*_fields(view, ditio), *_employments(ditio)], FIELD_COLUMNS)
    if view.lines:
        click.echo("")
        print_folded(list(rows(view.lines)), CERTIFICATE_COLUMNS)
    click.echo("")
    _tell_state(view.record)
    click.echo("\nHistory, oldest first (UTC)")
    for line in told(view.entries):
        click.echo(line)


def _tell_state(record: PersonRecord) -> None:
    reason = f", {record.reason}" if record.reason else ""
    print_paragraph(f"State: {record.state}{reason}, since {instant(record.state_since)}")
    explanation = explained(record.state, record.reason)
    if explanation is not None:
        print_paragraph(explanation.meaning, first="  Meaning: ", indent="    ")
    if record.detail:
        print_paragraph(record.detail, first="  Detail: ", indent="    ")
    if explanation is not None:
        print_paragraph(explanation.cure, first="  Cure: ", indent="    ")


def _fields(view: PersonView, ditio: dict[str, object] | None) -> Iterable[dict[str, object]]:
    acknowledged = view.record.person.acknowledged
    for field in Field:
        yield {
            "field": field.value,
            "wanted": view.desired.values.get(field),
            "found": (ditio or {}).get(field.value),
            "acknowledged": acknowledged.values.get(field),
        }
    active = view.record.person.days.active
    disabled = (ditio or {}).get("disabled")
    yield {
        "field": "login",
        "wanted": _login(active),
        "found": _login(not disabled) if isinstance(disabled, bool) else None,
        "acknowledged": _login(acknowledged.login),
    }


def _employments(ditio: dict[str, object] | None) -> Iterable[dict[str, object]]:
    """Yield every employment in Ditio, if there are several."""
    shown = (ditio or {}).get("employments")
    known = [each for each in shown if isinstance(each, dict)] if isinstance(shown, list) else []
    if len(known) < 2:
        return
    for each in known:
        yield {"field": "employment", "found": f"{each['start'] or 'unknown'} to {each['end'] or 'open'}"}


def _login(is_open: bool | None) -> str | None:
    return None if is_open is None else "open" if is_open else "closed"
