"""`scim-bridge outbox pause` and `outbox resume`: nothing is sent to Ditio meanwhile (rule D4)."""

from datetime import datetime

import click
from sqlalchemy import Connection

from scim_bridge.cli.auditing import note
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import tenant_option
from scim_bridge.domain.audit import Action, Deed
from scim_bridge.errors import BridgeError
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.pauses import Pauses, take_up_all


@click.command()
@tenant_option
@click.pass_obj
def pause(options: Options, tenant: str) -> None:
    """Send nothing to Ditio any more, on all running servers at once. Entra's writes are accepted and kept.

    A call that is under way is finished; whoever is in hand stops before the next one.

    \b
    Examples:
      scim-bridge outbox pause
    """

    def work(connection: Connection, now: datetime) -> int:
        was_paused = Breakers(connection, tenant, now).get().is_paused
        held = Pauses(connection, tenant, now).pause()
        if held or not was_paused:
            note(options, connection, tenant, Deed(Action.paused, "outbox"), now=now)
        return held

    held = options.write(work)
    click.echo(f"deliveries are paused, {held} held; a call that is under way is finished, and no other begins")


@click.command()
@tenant_option
@click.pass_obj
def resume(options: Options, tenant: str) -> None:
    """Send to Ditio again: everybody who was held by the pause is due.

    \b
    Examples:
      scim-bridge outbox resume
    """
    settings = options.of(tenant)
    if settings.delivery.paused:
        raise BridgeError(
            f"the setting DELIVERY__PAUSED ({settings.origin(('delivery', 'paused'))}) pauses deliveries: "
            "take it out, start the servers again, then run `scim-bridge outbox resume`"
        )

    def work(connection: Connection, now: datetime) -> int:
        was_paused = Breakers(connection, tenant, now).get().is_paused
        resumed = Pauses(connection, tenant, now).resume()
        if was_paused:
            note(options, connection, tenant, Deed(Action.resumed, "outbox"), now=now)
        return resumed

    resumed = options.write(work)
    with options.database() as database:
        resumed += take_up_all(database, tenant)
    click.echo(f"deliveries are resumed, {resumed} made due")
