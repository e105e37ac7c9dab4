"""`scim-bridge outbox status` and `outbox list`: how many wait for Ditio, who, and why."""

import json
from dataclasses import asdict, replace
from datetime import date, datetime
from typing import Any, cast

import click
from sqlalchemy import Row

from scim_bridge.bootstrap import build_rules
from scim_bridge.cli.context import Options
from scim_bridge.cli.outbox.telling import tell
from scim_bridge.cli.output import Format, format_option, print_json, print_rows, tenant_option
from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.delivery_state import STUCK_AFTER, Reason, State
from scim_bridge.mapping.from_scim import wish_from_user
from scim_bridge.mapping.rules import Rules
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.pauses import PAUSED

STATUS_COLUMNS = {
    "due": "Due",
    "held": "Held",
    "parked": "Parked",
    "oldest_seconds": "Oldest due, seconds",
    "paused": "Paused",
}


HELD_BY_PAUSE = {"state": State.held, "reason": Reason.paused, "detail": PAUSED}
"""How somebody is told who is due while nobody is delivered, before a worker has looked (rule D4)."""


@click.command()
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
        is_paused = options.of(tenant).delivery.paused or Breakers(connection, tenant, now).get().is_paused
        found = Outbox(connection, tenant, now).status()
    if is_paused:  # Whoever is due and not yet held waits for the same.
        found = replace(found, due=0, held=found.held + found.due, oldest_seconds=None)
    figures = {**asdict(found), "paused": is_paused}
    if format == "json":
        print_json(figures)
    else:
        print_rows([figures], STATUS_COLUMNS)


@click.command("list")
@tenant_option
@format_option
@click.option("--all", "names_all", is_flag=True, help="Name everybody, also where many wait for the same reason.")
@click.pass_obj
def list_command(options: Options, tenant: str, format: Format, names_all: bool) -> None:
    """Show everybody who is due, held or parked, and why; longest first.

    Of more than a few who wait for the same reason the first are named, and the rest are counted, unless --all is
    given. JSON has everybody in any case.

    \b
    Examples:
      scim-bridge outbox list
      scim-bridge outbox list --all
      scim-bridge outbox list --format json
    """
    rules = build_rules(options.of(tenant))
    with options.database() as database, database.read() as connection:
        now = database.now(connection)
        found = Outbox(connection, tenant, now).waiting()
        breaker = Breakers(connection, tenant, now).get()
    today = now.astimezone(rules.zone).date()
    rows = [{**_row(each, rules, today), "detail": _detail(each, breaker, now)} for each in found]
    if options.of(tenant).delivery.paused or breaker.is_paused:
        rows = [{**row, **HELD_BY_PAUSE} if row["state"] == State.due else row for row in rows]
    if format == "json":
        print_json(rows)
    elif not rows:
        click.echo("nobody waits")
    else:
        tell(rows, tenant, names_all=names_all)


def _detail(found: Row[Any], breaker: Breaker, now: datetime) -> str | None:
    """What stands in the way; for who is due also what stands in everybody's, and how long he has waited (rule R3)."""
    if found.state != State.due:
        return cast("str | None", found.detail)
    detail = breaker.told_to(found.detail, now)
    if found.due_since is None or now - found.due_since < STUCK_AFTER:
        return detail
    hours = int((now - found.due_since).total_seconds() // 3600)
    return f"stuck-delivery, due for {hours} hours: {detail or 'nobody has tried yet; see that a worker runs'}"


def _row(found: Row[Any], rules: Rules, today: date) -> dict[str, Any]:
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
