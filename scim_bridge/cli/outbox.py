"""`scim-bridge outbox`: who waits for Ditio, why, and another try."""

import json
from dataclasses import asdict
from datetime import date
from typing import Any

import click
from sqlalchemy import Row

from scim_bridge.bootstrap import build_rules
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_json, print_rows, tenant_option
from scim_bridge.errors import NotFound
from scim_bridge.mapping.from_scim import wish_from_user
from scim_bridge.mapping.rules import Rules
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People

STATUS_COLUMNS = {
    "due": "Due",
    "held": "Held",
    "parked": "Parked",
    "oldest_seconds": "Oldest due, seconds",
    "paused": "Paused",
}

LIST_COLUMNS = {
    "user_name": "User",
    "employee_number": "Employee",
    "state": "State",
    "reason": "Reason",
    "since": "Since",
    "attempts": "Tries",
    "detail": "Detail",
}


@click.group()
def outbox() -> None:
    """See who waits for Ditio, and try again.

    \b
    Examples:
      scim-bridge outbox status
      scim-bridge outbox retry --person 1042
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
        figures = {**asdict(Outbox(connection, tenant, database.now(connection)).status()), "paused": False}
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
    today = now.astimezone(rules.zone).date()
    print_rows([_row(each, rules, today) for each in found], LIST_COLUMNS, format, empty="nobody waits")


@outbox.command()
@click.option("--person", metavar="N", help="Only this one, by employee number or user name.")
@tenant_option
@click.pass_obj
def retry(options: Options, person: str | None, tenant: str) -> None:
    """Try again at once: whoever is due or parked, or held for a claim, an operation or data.

    A worker then delivers them.

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
        retried = Outbox(connection, tenant, database.now(connection)).retry(person_id)
    click.echo(f"{retried} made due")


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
