"""`scim-bridge outbox release` and `outbox drop`: the operator decides on what the guard holds (rule L8)."""

from collections.abc import Callable
from datetime import datetime

import click
from sqlalchemy import Connection

from scim_bridge.cli.auditing import note
from scim_bridge.cli.context import Options
from scim_bridge.cli.outbox.person import person_named, person_option
from scim_bridge.cli.output import tenant_option
from scim_bridge.delivery import releasing
from scim_bridge.domain.audit import Action, Deed
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.pauses import Pauses

WORDS = {Action.released: "released", Action.dropped: "withdrawn"}

Decide = Callable[[Connection, str, PersonId | None, datetime], int]


@click.command()
@person_option
@tenant_option
@click.pass_obj
def release(options: Options, person: str | None, tenant: str) -> None:
    """Send what the guard holds: what was too much within an hour, and is right all the same.

    `outbox list` shows who is held (`guard`) and why: somebody's leaving, a new phone or employee number, a
    creation. A worker then delivers them.

    \b
    Examples:
      scim-bridge outbox release
      scim-bridge outbox release --person 1042
    """
    click.echo(_decided(options, person, tenant, Action.released, releasing.release))


@click.command()
@person_option
@tenant_option
@click.pass_obj
def drop(options: Options, person: str | None, tenant: str) -> None:
    """Withdraw what the guard holds: it is not sent until Entra changes it.

    Somebody's leaving is said anew when Entra changes `active` or deletes the user, a phone or an employee number
    when it becomes another. Until then `reconcile` lists it, and does not repair it. Of a user who is deleted Entra
    says nothing any more: he stays active in Ditio until somebody ends him there.

    \b
    Examples:
      scim-bridge outbox drop --person kari.nordmann@contractor.example
      scim-bridge outbox drop
    """
    click.echo(_decided(options, person, tenant, Action.dropped, releasing.drop))


def _decided(options: Options, person: str | None, tenant: str, action: Action, decide: Decide) -> str:
    def work(connection: Connection, now: datetime) -> tuple[int, bool]:
        person_id = person_named(connection, tenant, person) if person is not None else None
        count = decide(connection, tenant, person_id, now)
        if count:
            note(options, connection, tenant, Deed(action, "outbox", person_id=person_id), now=now)
        is_paused = options.of(tenant).delivery.paused or Breakers(connection, tenant, now).get().is_paused
        if is_paused:
            Pauses(connection, tenant, now).hold_due()
        return count, is_paused

    count, is_paused = options.write(work)
    if not count:
        return "the guard holds nothing" + (f" of {person}" if person is not None else "")
    told = f"{count} {WORDS[action]}"
    return f"{told}; deliveries are paused until `outbox resume`" if is_paused else told
