"""`scim-bridge outbox`: the group of its commands."""

import click

from scim_bridge.cli.outbox.guarding import drop, release
from scim_bridge.cli.outbox.listing import list_command, status
from scim_bridge.cli.outbox.pausing import pause, resume
from scim_bridge.cli.outbox.retrying import retry


@click.group()
def outbox() -> None:
    """See who waits for Ditio, and try again.

    \b
    Examples:
      scim-bridge outbox status
      scim-bridge outbox retry --person 1042
      scim-bridge outbox pause
    """


for _command in (status, list_command, retry, release, drop, pause, resume):
    outbox.add_command(_command)
