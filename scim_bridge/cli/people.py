"""`scim-bridge people`: one person from both sides."""

from collections.abc import Iterable, Mapping

import click

from scim_bridge import logs
from scim_bridge.bootstrap import build_rules
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_json, print_rows, tenant_option
from scim_bridge.cli.person_view import PersonView, employee_in_ditio, view_of
from scim_bridge.domain.delivery_state import Reason
from scim_bridge.domain.employee import Field

FIELD_COLUMNS = {"field": "Field", "wanted": "Entra wants", "found": "Ditio has", "acknowledged": "Acknowledged"}

HISTORY_COLUMNS = {
    "at": "Time",
    "what": "What",
    "cause": "Cause",
    "outcome": "Outcome",
    "status": "Status",
    "seconds": "Seconds",
    "request_id": "Request",
    "ditio_request_id": "Ditio's request",
}

CURES: Mapping[Reason, str] = {
    Reason.incomplete: "correct the value in Entra: its next cycle sends it, and the person is delivered then",
    Reason.claimed: "correct one of the two people; the other goes on by himself, or after `scim-bridge outbox retry`",
    Reason.no_operation: "do it by hand in Ditio, or correct the operation in the settings; then "
    "`scim-bridge outbox retry`",
    Reason.refused: "correct what Ditio names, in Entra or in Ditio; then `scim-bridge outbox retry`",
    Reason.gone: "find out in Ditio what became of the employee; then `scim-bridge outbox retry`",
}


@click.group()
def people() -> None:
    """Look at one person from both sides.

    \b
    Examples:
      scim-bridge people show 1042
    """


@people.command()
@click.argument("person", metavar="USERNAME_OR_NUMBER")
@tenant_option
@format_option
@click.pass_obj
def show(options: Options, person: str, tenant: str, format: Format) -> None:
    """Show what Entra said, what Ditio has, how far it has come and what was done.

    Ditio is read now; where it can't be, the reason is on standard error and the rest is shown all the same.

    \b
    Examples:
      scim-bridge people show 1042
      scim-bridge people show kari.nordmann@contractor.example --format json
    """
    logs.configure("error", options.settings.log.format)
    with options.database() as database:
        view = view_of(database, tenant, build_rules(options.settings), person)
        number = view.number_in_ditio
        found = employee_in_ditio(options.settings, database, number, tenant) if number else None
    if isinstance(found, str):
        click.echo(f"Ditio was not read: {found}", err=True)
    ditio = found if isinstance(found, dict) else None
    if format == "json":
        print_json(view.document(ditio))
    else:
        _tell(view, ditio)


def _tell(view: PersonView, ditio: dict[str, object] | None) -> None:
    click.echo(view.headline() + "\n")
    print_rows(list(_fields(view, ditio)), FIELD_COLUMNS)
    click.echo(f"\nState: {view.record.state}" + (f", {view.record.reason}" if view.record.reason else ""))
    if view.record.detail:
        click.echo(f"  {view.record.detail}")
    if view.record.reason:
        click.echo(f"  Cure: {CURES[view.record.reason]}")
    click.echo("")
    print_rows(view.history(), HISTORY_COLUMNS, empty="nothing has happened yet")


def _fields(view: PersonView, ditio: dict[str, object] | None) -> Iterable[dict[str, object]]:
    acknowledged = view.record.person.acknowledged
    for field in Field:
        yield {
            "field": field.value,
            "wanted": view.wish.values.get(field),
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


def _login(is_open: bool | None) -> str | None:
    return None if is_open is None else "open" if is_open else "closed"
