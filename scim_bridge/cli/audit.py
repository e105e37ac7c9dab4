"""`scim-bridge audit` and `scim-bridge quirks`: who did what, and where the client departs from the RFCs."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import click

from scim_bridge.cli.context import Options, stored_tenant_option
from scim_bridge.cli.output import Day, Format, format_option, print_rows, tenant_option
from scim_bridge.operator.audit import exported
from scim_bridge.scim.quirks import QuirkKind
from scim_bridge.storage.database import audited
from scim_bridge.storage.resources import Counted


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

_NO_MAPPING = "left out, the person is delivered without it: remove the attribute mapping in Entra, or leave it"
_TYPE = "understood, nothing to do"
_FLAG = "understood; with ?aadOptscim062020 after the Tenant URL Entra follows the RFC here"

MEANINGS: Mapping[str, str] = {
    QuirkKind.unknown_attribute: f"an attribute that no schema declares; {_NO_MAPPING}",
    QuirkKind.unknown_path: f"a PATCH of an attribute that no schema declares; {_NO_MAPPING}",
    QuirkKind.unknown_schema: "a schema that the bridge doesn't have; left out: check the URN in the attribute mapping",
    QuirkKind.unusable_filter: "a filter in brackets that doesn't select one entry; left out: "
    'write the target as emails[type eq "work"].value',
    QuirkKind.unusable_value: "a value of another type than declared, not needed for the employee; "
    "left out: correct the expression in the attribute mapping",
    QuirkKind.read_only: "only the bridge sets this attribute; ignored: remove the attribute mapping in Entra",
    QuirkKind.text_for_boolean: f'"True" or "False" as a text, nothing to do: {_FLAG}',
    QuirkKind.number_for_boolean: f"1 or 0 for true or false; {_TYPE}",
    QuirkKind.number_for_text: f"a number where a text is declared; kept as the text of its digits: {_TYPE}",
    QuirkKind.boolean_for_text: f"true or false where a text is declared; kept as a text: {_TYPE}",
    QuirkKind.text_for_reference: "not a URL; kept as it was sent: correct the source in Entra if it matters",
    QuirkKind.text_for_binary: "not base64; kept as it was sent: correct the source in Entra if it matters",
    QuirkKind.bare_value: 'a value alone, as a manager\'s id, instead of {"value": …}; ' + _TYPE,
    QuirkKind.list_for_single: f"a list around a single value; {_TYPE}",
    QuirkKind.object_for_single: 'an object {"value": …} around a single value; ' + _TYPE,
    QuirkKind.single_for_list: f"one value where a list is declared; {_TYPE}",
    QuirkKind.empty_text: 'cleared with ""; the attribute is gone, nothing to do',
    QuirkKind.several_primary: "several primary entries; the first stays primary: mark one in the mapping",
    QuirkKind.dotted_key: f"a path such as name.givenName as a key; {_TYPE}",
    QuirkKind.filtered_key: f'a path such as emails[type eq "work"].value as a key; {_TYPE}',
    QuirkKind.qualified_key: f"an attribute with its schema before it as a key; {_TYPE}",
    QuirkKind.core_schema_key: f"core attributes under the key of their own schema; {_TYPE}",
    QuirkKind.dotted_urn: "a dot between schema and attribute; read as a colon: write a colon in the attribute mapping",
    QuirkKind.short_name: "an attribute of an extension without its schema; understood, nothing to do",
    QuirkKind.schema_path: f"a PATCH of a whole schema; {_TYPE}",
    QuirkKind.empty_path: f"an empty path in a PATCH; treated as none: {_TYPE}",
    QuirkKind.unlisted_schema: f"a schema that is used but not listed in schemas; {_TYPE}",
    QuirkKind.capital_operation: f"an operation with a capital letter; {_FLAG}",
    QuirkKind.no_operations: "a PATCH with an empty list of operations; nothing was changed, nothing to do",
    QuirkKind.value_with_remove: "a remove that lists what it removes; only that is removed, nothing to do",
    QuirkKind.entry_created: "no entry matched the filter in the path; one was created, nothing to do",
}
"""The meaning of each kind, for the administrator."""


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
        [_quirk_row(each) for each in found],
        COLUMNS,
        format,
        empty="nothing: so far the client has followed the standard",
    )


def _quirk_row(found: Counted) -> dict[str, object]:
    # Another version of the bridge may have counted a kind that this one does not know.
    return {**asdict(found), "meaning": MEANINGS.get(found.kind)}
