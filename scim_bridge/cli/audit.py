"""`scim-bridge audit` and `scim-bridge quirks`: who did what, and where the client departs from the RFCs."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from scim_bridge.cli.context import Options, stored_tenant_option
from scim_bridge.cli.output import Day, Format, format_option, print_rows, tenant_option
from scim_bridge.operator.audit import exported
from scim_bridge.operator.quirks import MEANINGS
from scim_bridge.storage.database import audited


@click.group()
def audit() -> None:
    """Export the audit trail: who did what, for which person, and when.

    \b
    Examples:
      scim-bridge audit export --since 2026-03-01
    """


@audit.command("export")
@click.option("--since", metavar="DATE", type=Day(), help="Print rows from this day on (UTC).  [default: the oldest]")
@click.option(
    "--until", metavar="DATE", type=Day(), help="Print rows up to and including this day (UTC).  [default: the newest]"
)
@stored_tenant_option
@click.pass_obj
def export(options: Options, since: datetime | None, until: datetime | None, tenant: str) -> None:
    """Print the audit trail as JSON, one object per line, oldest first, with ids and no names of people.

    `actor` says what `actor_id` identifies: a token, a client, a workload, Entra's application, an operator (the
    number of their user), an administrator in the console (their name), or `undo` and `schedule` of the bridge itself.
    `resource_id` is the `id` of a SCIM resource, a token, a client or a plan. `detail` of the console is the reason
    that the administrator gave. Rows are kept for RETENTION__DAYS.

    \b
    Examples:
      scim-bridge audit export > audit.jsonl
      scim-bridge audit export --since 2026-03-01 --until 2026-03-31
    """
    first = since.replace(tzinfo=UTC) if since is not None else None
    end = until.replace(tzinfo=UTC) + timedelta(days=1) if until is not None else None
    if first is not None and end is not None and end <= first:
        raise click.BadParameter("the last day is before the first: write a later one", param_hint="'--until'")
    with options.database() as database:
        for row in audited(database, tenant, since=first, until=end):
            click.echo(exported(row, tenant))


COLUMNS = {
    "kind": "Kind",
    "name": "Name",
    "count": "Writes",
    "first_seen": "First seen",
    "last_seen": "Last seen",
    "meaning": "What it means, and what to do",
}


@click.group()
def quirks() -> None:
    """List where the client departs from the SCIM standard and was tolerated.

    \b
    Examples:
      scim-bridge quirks list
    """


@quirks.command("list")
@tenant_option
@format_option
@click.pass_obj
def list_command(options: Options, tenant: str, format: Format) -> None:
    """List what was tolerated or left out, by name, with the number of writes, most frequent first; never a value.

    \b
    Examples:
      scim-bridge quirks list
      scim-bridge quirks list --format json
    """
    with options.database() as database, database.read(tenant) as s:
        found = s.quirks.list()
    print_rows(
        # Another version of the bridge may have counted a kind that this one does not know.
        [{**asdict(each), "meaning": MEANINGS.get(each.kind)} for each in found],
        COLUMNS,
        format,
        empty="nothing: so far the client has followed the standard",
    )
