"""`scim-bridge audit`: who did what to whom, and when."""

import json
from datetime import UTC, datetime, timedelta

import click

from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Day, json_value
from scim_bridge.cli.served_once import stored_tenant_option
from scim_bridge.domain.audit import Audited
from scim_bridge.storage.audit import audited


@click.group()
def audit() -> None:
    """See who did what to whom, and when.

    \b
    Examples:
      scim-bridge audit export --since 2026-03-01
    """


@audit.command()
@click.option("--since", metavar="DATE", type=Day(), help="The first day (UTC).")
@click.option("--until", metavar="DATE", type=Day(), help="The last day (UTC).")
@stored_tenant_option
@click.pass_obj
def export(options: Options, since: datetime | None, until: datetime | None, tenant: str) -> None:
    """Print the audit trail as JSON, one object a line, oldest first: ids, no names.

    `actor` says what kind of id `actor_id` is: of a token, a client, a workload, Entra's application, the number
    of an operator's user, or `undo` and `schedule` of the bridge. `resource_id` is the `id` of a SCIM resource, or
    of a token, a client or a plan. Rows are kept for RETENTION__DAYS.

    \b
    Examples:
      scim-bridge audit export > audit.jsonl
      scim-bridge audit export --since 2026-03-01 --until 2026-03-31
    """
    first = since.replace(tzinfo=UTC) if since is not None else None
    end = until.replace(tzinfo=UTC) + timedelta(days=1) if until is not None else None
    if first is not None and end is not None and end <= first:
        raise click.BadParameter("the last day is before the first", param_hint="'--until'")
    with options.database() as database:
        for row in audited(database, tenant, since=first, until=end):
            click.echo(json.dumps(_row(row, tenant), ensure_ascii=False, default=json_value))


def _row(row: Audited, tenant: str) -> dict[str, object]:
    deed, author = row.deed, row.author
    return {
        "id": row.id,
        "at": row.at,
        "tenant": tenant,
        "actor": author.actor.kind,
        "actor_id": author.actor.id,
        "action": deed.action,
        "resource_type": deed.resource_type,
        "resource_id": deed.resource_id,
        "person_id": deed.person_id,
        "attributes": deed.attributes,
        "detail": deed.detail,
        "request_id": author.request_id,
    }
