"""`--tenant` of commands that look at companies which are served no more, too: their credentials, their audit trail."""

from contextlib import suppress

import click

from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Command, known_tenant, tenant_option_with
from scim_bridge.errors import BridgeError
from scim_bridge.storage.audit import tenants_that_acted
from scim_bridge.storage.tokens import tenants_with_credentials


def stored_tenant_option(command: Command) -> Command:
    """Add `--tenant NAME`: a company that the settings have, or one of which the database still knows."""
    what = "The company that the command is about, also one that is served no more."
    return tenant_option_with(_stored_tenant, what)(command)


def _stored_tenant(ctx: click.Context, _: click.Parameter, name: str) -> str:
    options: Options = ctx.find_root().obj
    if name in options.settings.tenants:
        return name
    # Without a database there is nobody else.
    with suppress(BridgeError), options.database() as database, database.read() as connection:
        if name in (*tenants_with_credentials(connection), *tenants_that_acted(connection)):
            return name
    return known_tenant(options.settings, name)
