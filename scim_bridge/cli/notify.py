"""`scim-bridge notify`: test the ways by which operators get notices."""

from datetime import UTC, datetime
from uuid import uuid4

import click

from scim_bridge.bootstrap import build_channels
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_rows, tenant_option
from scim_bridge.errors import SettingsError
from scim_bridge.notify.channels import Message, NotSent, document_of
from scim_bridge.notify.words import TEST
from scim_bridge.settings import DEFAULT_TENANT

COLUMNS = {"channel": "CHANNEL", "to": "TO", "result": "RESULT", "answer": "ANSWER"}


@click.group()
def notify() -> None:
    """Test whether notices reach the operators.

    The worker sends them, each once: people who wait, refusals that repeat, what the guard holds, trouble with Ditio,
    and what `reconcile` finds. The settings NOTIFY__WEBHOOK_URL and NOTIFY__SMTP_HOST say where to.

    \b
    Examples:
      scim-bridge notify test
    """


@notify.command()
@tenant_option
@format_option
@click.pass_context
def test(ctx: click.Context, tenant: str, format: Format) -> None:
    """Send a test to each place where notices go, and show how it was answered.

    The exit code is 1 if one of them does not accept it, or if none is set. Notices that wait are not sent by this: the
    worker tries them again.

    \b
    Examples:
      scim-bridge notify test
      scim-bridge notify test --tenant nord-bygg --format json
    """
    options: Options = ctx.obj
    own = options.settings.tenants[tenant]
    if missing := own.notify.missing(own.start):
        raise SettingsError("\n".join(missing))
    channels, rows = build_channels(own), []
    if not channels:
        raise SettingsError("no notices are sent: set NOTIFY__WEBHOOK_URL, or NOTIFY__SMTP_HOST, _FROM and _TO")
    is_alone = list(options.settings.tenants) == [DEFAULT_TENANT]
    id, now = str(uuid4()), datetime.now(UTC)
    document = document_of(TEST, id, now, tenant, bridge=own.server.base_url, is_alone=is_alone)
    for channel in channels:
        try:
            result, answer = "sent", channel.send(Message(id, now, document))
        except NotSent as error:
            result, answer = "failed", str(error)
        rows.append({"channel": channel.name, "to": channel.place, "result": result, "answer": answer})
    print_rows(rows, COLUMNS, format)
    if any(row["result"] == "failed" for row in rows):
        ctx.exit(1)
