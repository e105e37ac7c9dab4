"""`scim-bridge entra`: Entra's provisioning job, its log of one person, and its attribute mapping."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Literal

import click

from scim_bridge import logs
from scim_bridge.certificates.reading import slots_from
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import (
    Format,
    format_option,
    formats_option,
    instant,
    moment_of,
    print_json,
    print_paragraph,
    print_rows,
    since_option,
    tenant_option,
)
from scim_bridge.domain.entra import JobState
from scim_bridge.errors import SettingsError, WrongUsage
from scim_bridge.operator.connect import schema_for
from scim_bridge.operator.entra import JobView, Traced, entra_of, job_view, subject_of, traced
from scim_bridge.operator.find import Several
from scim_bridge.plan.entra_mapping import Level, MappingFinding, check
from scim_bridge.plan.entra_schema import unplaced
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.storage.database import Database
from scim_bridge.tenant import ENTRA_NOT_SET, Tenant, build_rules

NOT_HEALTHY = 2
"""The exit code where Entra was read, and something is wrong there."""

TextFormat = Literal["text", "json"]

LOG_COLUMNS = {
    "at": "When (UTC)",
    "action": "Action",
    "status": "Result",
    "error_code": "Error",
    "reason": "Entra says",
    "answer": "The bridge answered",
}


text_format_option = formats_option("text", "json", help="Print text for people, or JSON for machines.")


@click.group()
def entra() -> None:
    """Show Entra's provisioning job, its log of one person, and the attribute mapping that it needs.

    Entra is read through Microsoft Graph, with the settings of [entra]. Nothing is written there.

    \b
    Examples:
      scim-bridge entra status
      scim-bridge entra log 1042
      scim-bridge entra schema > schema.json
      scim-bridge entra schema --check
    """


@entra.command()
@text_format_option
@tenant_option
@click.pass_context
def status(ctx: click.Context, format: TextFormat, tenant: str) -> None:
    """Show the provisioning job: its state, a quarantine and its reason, the last cycle and the next.

    The time of the next cycle is an estimate: Entra does not say it. Exit codes: 0 provisioning runs, 2 it is in
    quarantine, stopped or late, or people failed, 1 Entra can't be read.

    \b
    Examples:
      scim-bridge entra status
      scim-bridge entra status --format json
    """
    options: Options = ctx.obj
    view = _job_view(options, tenant)
    if format == "json":
        print_json(view.document())
    else:
        for line in view.told():
            print_paragraph(line)
    if view.state is not JobState.healthy:
        ctx.exit(NOT_HEALTHY)


def _job_view(options: Options, tenant: str) -> JobView:
    with options.database() as database:
        return job_view(_reading(options, tenant, database))


def _reading(options: Options, tenant: str, database: Database) -> Tenant:
    """Return a company whose Entra can be read. :raises SettingsError: it can't."""
    from scim_bridge.bootstrap import build  # noqa: PLC0415 # Large; `entra schema` does without.

    settings = options.of(tenant)
    logs.configure("error", settings.log.format)
    if (faults := settings.missing_for_entra()) or not settings.entra.is_set:
        raise SettingsError("\n".join(faults) or ENTRA_NOT_SET)
    return build(settings, database=database).tenants[tenant]


@entra.command("log")
@click.argument("person", metavar="PERSON")
@since_option("7d")
@format_option
@tenant_option
@click.pass_obj
def log_command(options: Options, person: str, since: timedelta | datetime, format: Format, tenant: str) -> None:
    """Show what Entra's provisioning log says of one person, and what the bridge answered at that moment.

    PERSON is what `people show` takes, or an object id in Entra, also of a user that was never sent. Entra keeps the
    log for 7 days, with a licence for 30.

    \b
    Examples:
      scim-bridge entra log 1042
      scim-bridge entra log kari.nordmann@contractor.example --since 30d
      scim-bridge entra log 5d1f3c0e-0000-4000-8000-000000001042 --format json
    """
    rules = build_rules(options.of(tenant))
    with options.database() as database:
        graph = entra_of(_reading(options, tenant, database))
        try:
            with database.read(tenant) as s:
                subject, begin = subject_of(s, rules, person), moment_of(since, s.now, rules.zone)
        except Several as several:
            named = ", ".join(str(each.user_name or each.employee_number) for each in several.found)
            raise WrongUsage(f"{several}: {named}") from several
        found = traced(subject, graph.log_of(subject.object_id, since=begin))
    rows = [each.document() for each in found]
    if format == "json":
        print_json(rows)
        return
    print_rows([_shown(each) for each in found], LOG_COLUMNS, format, empty="Entra's log has nothing of this user")


def _shown(each: Traced) -> dict[str, object]:
    answer = each.answer if each.status is None else f"{each.status} {each.answer or ''}".strip()
    changed = f" ({', '.join(each.entry.changed)})" if each.entry.changed else ""
    return {**each.document(), "at": instant(each.entry.at), "action": each.entry.action + changed, "answer": answer}


@entra.command()
@click.option("--check", "checks", is_flag=True, help="Compare the configured mapping with what the settings need.")
@click.option(
    "--source",
    "sources",
    metavar="SCIM=ENTRA",
    multiple=True,
    help="Map this SCIM attribute to this Entra attribute, as byggekort=extensionAttribute2; repeatable.",
)
@text_format_option
@tenant_option
@click.pass_context
def schema(ctx: click.Context, checks: bool, sources: tuple[str, ...], format: TextFormat, tenant: str) -> None:
    """Print the attribute mapping and attribute list that Entra needs, or check the configured ones.

    Without --check nothing is read: the mapping follows from MAPPING__FIELDS and CERTIFICATES__SLOTS. Attributes for
    which no Entra attribute is known are declared, and named on standard error: map them with --source, or by hand. In
    Entra: Mappings, Show advanced options, Review your schema here. Download the schema there first.

    With --check, exit codes are 0 all is well, 2 something is missing or wrong, 1 Entra can't be read. Information
    changes no exit code.

    \b
    Examples:
      scim-bridge entra schema > schema.json
      scim-bridge entra schema --source birthDate=extensionAttribute1 > schema.json
      scim-bridge entra schema --check
      scim-bridge entra schema --check --format json
    """
    options: Options = ctx.obj
    settings = options.of(tenant)
    rules, slots = build_rules(settings), slots_from(settings.certificates.slots)
    if checks and sources:
        raise click.UsageError("--source is for a new mapping, and --check looks at the one in Entra")
    if not checks:
        named = dict(map(_source, sources))
        print_json(schema_for(settings, named))
        for path in unplaced(rules, slots, named):
            click.echo(f"no Entra attribute is known for {path}: map it with --source, or by hand", err=True)
        return
    from scim_bridge.clients import build_entra  # noqa: PLC0415 # Large; a new mapping does without.

    logs.configure("error", settings.log.format)
    if (faults := settings.missing_for_entra()) or (graph := build_entra(settings)) is None:
        raise SettingsError("\n".join(faults) or ENTRA_NOT_SET)
    found = check(graph.schema(graph.job().id), rules, slots)
    if format == "json":
        print_json([asdict(each) for each in found])
    else:
        _tell(found)
    if any(each.level is Level.fault for each in found):
        ctx.exit(NOT_HEALTHY)


def _tell(found: list[MappingFinding]) -> None:
    for each in found:
        print_paragraph(each.detail, first=f"{each.level:<12} ", indent=" " * 13)
        if each.cure is not None:
            print_paragraph(each.cure, first=" " * 13 + "Cure: ", indent=" " * 13)
    if not any(each.level is Level.fault for each in found):
        click.echo("The mapping has all that the settings need.")


def _source(text: str) -> tuple[str, str]:
    """Return the SCIM path and the Entra attribute of `--source`; a bare name is one of the Ditio extension."""
    path, _, source = text.rpartition("=")
    if not path or not source or any(char.isspace() or char in "[]()\"'" for char in source):
        raise click.BadParameter(f"{text!r}: write SCIM=ENTRA, as byggekort=extensionAttribute2", param_hint="--source")
    is_bare = not any(char in path for char in ".:[") and path not in CORE_NAMES
    return (f"{DITIO_URN}:{path}" if is_bare else path), source


CORE_NAMES = frozenset({"userName", "externalId", "active", "displayName", "title"})
