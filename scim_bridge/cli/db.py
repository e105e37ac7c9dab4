"""`scim-bridge db`: looking after the database."""

import click

from scim_bridge.cli.context import Options
from scim_bridge.storage.schema import upgrade


@click.group()
def db() -> None:
    """Look after the database.

    \b
    Examples:
      scim-bridge db upgrade
    """


@db.command("upgrade")
@click.pass_obj
def upgrade_command(options: Options) -> None:
    """Bring the database to the schema of this version; a new one is made.

    `serve` does the same when it starts. Nothing happens where it is done already.

    \b
    Examples:
      scim-bridge db upgrade
      scim-bridge --config /etc/scim-bridge.toml db upgrade
    """
    with options.database(any_schema=True) as database:
        upgrade(database)
    click.echo("The database has the schema of this version.")
