"""`scim-bridge outbox`: who waits for Ditio, why, and another try."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any, cast

import click
from sqlalchemy import Row

from scim_bridge.bootstrap import build_rules
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_json, print_rows, tenant_option
from scim_bridge.cli.paragraphs import instant, print_paragraph
from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.delivery_state import STUCK_AFTER, Reason, State
from scim_bridge.domain.explanations import explained
from scim_bridge.errors import BridgeError, NotFound
from scim_bridge.mapping.from_scim import wish_from_user
from scim_bridge.mapping.rules import Rules
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.certificate_deliveries import CertificateDeliveries
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.pauses import Pauses
from scim_bridge.storage.people import People

STATUS_COLUMNS = {
    "due": "Due",
    "held": "Held",
    "parked": "Parked",
    "oldest_seconds": "Oldest due, seconds",
    "paused": "Paused",
}


@click.group()
def outbox() -> None:
    """See who waits for Ditio, and try again.

    \b
    Examples:
      scim-bridge outbox status
      scim-bridge outbox retry --person 1042
      scim-bridge outbox pause
    """


@outbox.command()
@tenant_option
@format_option
@click.pass_obj
def status(options: Options, tenant: str, format: Format) -> None:
    """Show how many people are due, held and parked.

    \b
    Examples:
      scim-bridge outbox status
      scim-bridge outbox status --format json
    """
    with options.database() as database, database.read() as connection:
        now = database.now(connection)
        is_paused = options.settings.delivery.paused or Breakers(connection, tenant, now).get().is_paused
        found = Outbox(connection, tenant, now).status()
    if is_paused:  # Whoever is due and not yet held waits for the same.
        found = replace(found, due=0, held=found.held + found.due, oldest_seconds=None)
    figures = {**asdict(found), "paused": is_paused}
    if format == "json":
        print_json(figures)
    else:
        print_rows([figures], STATUS_COLUMNS)


@outbox.command("list")
@tenant_option
@format_option
@click.pass_obj
def list_command(options: Options, tenant: str, format: Format) -> None:
    """Show everybody who is due, held or parked, and why; longest first.

    \b
    Examples:
      scim-bridge outbox list
      scim-bridge outbox list --format json
    """
    rules = build_rules(options.settings)
    with options.database() as database, database.read() as connection:
        now = database.now(connection)
        found = Outbox(connection, tenant, now).waiting()
        breaker = Breakers(connection, tenant, now).get()
    today = now.astimezone(rules.zone).date()
    rows = [{**_row(each, rules, today), "detail": _detail(each, breaker, now)} for each in found]
    if format == "json":
        print_json(rows)
    elif not rows:
        click.echo("nobody waits")
    else:
        _tell(found, rows)


@outbox.command()
@click.option("--person", metavar="N", help="Only this one, by employee number or user name.")
@tenant_option
@click.pass_obj
def retry(options: Options, person: str | None, tenant: str) -> None:
    """Try again at once: whoever is due or parked, or held for a claim, an operation or data.

    A worker then delivers them, also where Ditio was not called because of trouble with it: it is called
    again until the next fault.

    \b
    Examples:
      scim-bridge outbox retry
      scim-bridge outbox retry --person kari.nordmann@contractor.example
    """
    with options.database() as database, database.write() as connection:
        person_id = None
        if person is not None:
            record = People(connection, tenant).find(person)
            if record is None:
                raise NotFound(f"nobody has the employee number or user name {person!r}")
            person_id = record.person.id
        # Before anybody is locked: that is the order in which all of them do it.
        breakers = Breakers(connection, tenant, database.now(connection))
        breakers.close_by_operator()
        retried = Outbox(connection, tenant, database.now(connection)).retry(person_id)
        if person_id is None:
            CertificateDeliveries(connection, tenant).forgive_unclaimed()
        is_paused = options.settings.delivery.paused or breakers.get().is_paused
        if is_paused:
            Pauses(connection, tenant, database.now(connection)).hold_due()
    click.echo(f"{retried} wait for `outbox resume`: deliveries are paused" if is_paused else f"{retried} made due")


@outbox.command()
@tenant_option
@click.pass_obj
def pause(options: Options, tenant: str) -> None:
    """Send nothing to Ditio any more, on all running servers at once. Entra's writes are accepted and kept.

    \b
    Examples:
      scim-bridge outbox pause
    """
    with options.database() as database, database.write() as connection:
        held = Pauses(connection, tenant, database.now(connection)).pause()
    click.echo(f"deliveries are paused, {held} held; what is being sent at this moment is sent still")


@outbox.command()
@tenant_option
@click.pass_obj
def resume(options: Options, tenant: str) -> None:
    """Send to Ditio again: everybody who was held by the pause is due.

    \b
    Examples:
      scim-bridge outbox resume
    """
    settings = options.settings
    if settings.delivery.paused:
        raise BridgeError(
            f"the setting DELIVERY__PAUSED ({settings.origin(('delivery', 'paused'))}) pauses deliveries: "
            "take it out, start the servers again, then run `scim-bridge outbox resume`"
        )
    with options.database() as database, database.write() as connection:
        resumed = Pauses(connection, tenant, database.now(connection)).resume()
    click.echo(f"deliveries are resumed, {resumed} made due")


def _tell(found: Sequence[Row[Any]], rows: Sequence[dict[str, object]]) -> None:
    """Each in lines that fit into a mail: who, since when, what it means and what to do."""
    for number, (person, row) in enumerate(zip(found, rows, strict=True)):
        if number:
            click.echo("")
        who = row["user_name"] or "a deleted user"
        employee = f", employee {row['employee_number']}" if row["employee_number"] else ""
        print_paragraph(f"{who}{employee}", indent="  ")
        reason = f", {person.reason}" if person.reason else ""
        tries = f", {person.attempts} failed {'try' if person.attempts == 1 else 'tries'}" if person.attempts else ""
        print_paragraph(f"{person.state}{reason}, since {instant(person.state_since)}{tries}", first="  ", indent="  ")
        if row["detail"]:
            print_paragraph(str(row["detail"]), first="  Detail: ", indent="    ")
        explanation = explained(State(person.state), Reason(person.reason) if person.reason else None)
        if explanation is not None:
            print_paragraph(explanation.meaning, first="  Meaning: ", indent="    ")
            print_paragraph(explanation.cure, first="  Cure: ", indent="    ")


def _detail(found: Row[Any], breaker: Breaker, now: datetime) -> str | None:
    """What stands in the way; for who is due also what stands in everybody's, and how long he has waited (rule R3)."""
    if found.state != State.due:
        return cast("str | None", found.detail)
    detail = breaker.told_to(found.detail, now)
    if found.due_since is None or now - found.due_since < STUCK_AFTER:
        return detail
    hours = int((now - found.due_since).total_seconds() // 3600)
    return f"stuck-delivery, due for {hours} hours: {detail or 'nobody has tried yet; see that a worker runs'}"


def _row(found: Row[Any], rules: Rules, today: date) -> dict[str, object]:
    document = json.loads(found.document) if found.document else None
    wanted = wish_from_user(document, rules, today=today).employee_number if document else None
    return {
        "user_name": document["userName"] if document else None,
        "employee_number": found.employee_number or wanted,
        "state": found.state,
        "reason": found.reason,
        "detail": found.detail,
        "since": found.state_since,
        "attempts": found.attempts,
    }
