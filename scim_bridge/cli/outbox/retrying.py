"""`scim-bridge outbox retry`: another try at once."""

from datetime import datetime

import click
from sqlalchemy import Connection

from scim_bridge.cli.auditing import note
from scim_bridge.cli.context import Options
from scim_bridge.cli.outbox.person import person_named, person_option
from scim_bridge.cli.output import tenant_option
from scim_bridge.domain.audit import Action, Deed
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.certificate_deliveries import CertificateDeliveries
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.pauses import Pauses


@click.command()
@person_option
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

    def work(connection: Connection, now: datetime) -> tuple[int, bool]:
        person_id = person_named(connection, tenant, person) if person is not None else None
        # Before anybody is locked: that is the order in which all of them do it.
        breakers = Breakers(connection, tenant, now)
        breakers.close_by_operator()
        retried = Outbox(connection, tenant, now).retry(person_id)
        if person_id is None:
            CertificateDeliveries(connection, tenant).forgive_unclaimed()
        note(options, connection, tenant, Deed(Action.retried, "outbox", person_id=person_id), now=now)
        is_paused = options.of(tenant).delivery.paused or breakers.get().is_paused
        if is_paused:
            Pauses(connection, tenant, now).hold_due()
        return retried, is_paused

    retried, is_paused = options.write(work)
    click.echo(f"{retried} wait for `outbox resume`: deliveries are paused" if is_paused else f"{retried} made due")
