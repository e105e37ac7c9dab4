"""`scim-bridge reconcile`: compare Entra and Ditio, report differences and causes, and repair them."""

import gc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from scim_bridge import traces
from scim_bridge.bootstrap import build
from scim_bridge.cli.context import Options, operator
from scim_bridge.cli.output import (
    Command,
    Format,
    bars,
    excel_option,
    format_option,
    formats_option,
    known_tenant,
    log_as,
    only_with_csv,
    print_rows,
    private_file,
    tell,
    tenant_option,
)
from scim_bridge.cli.reconcile_report import Printed, ReportFormat, is_coloured
from scim_bridge.domain.audit import BY_SCHEDULE
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.operator.drift import apply_command, report_of
from scim_bridge.reconcile.report import STOPPED, Report, Request
from scim_bridge.storage.runs import Run

RUN_COLUMNS = {
    "plan": "Plan",
    "started_at": "Started",
    "finished_at": "Finished",
    "exit": "Exit",
    "people": "People",
    "by_kind": "By kind",
    "new": "New",
}


class WrongCall(click.UsageError):
    """Wrong usage, with the exit code of this command."""

    exit_code = 1


class Reconcile(click.Group):
    """A group that exits with 1 on wrong usage, because 2 means that something differs."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the options."""
        try:
            return super().make_context(*args, **extra)
        except click.UsageError as error:
            raise WrongCall(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise WrongCall(error.format_message(), error.ctx) from error


def _refuse_options_before(ctx: click.Context, subcommand: str) -> None:
    """Refuse options in front of a subcommand: it would not get them, and might show another company."""
    group = ctx.command
    assert isinstance(group, click.Group)
    known = group.commands[subcommand].params
    for option in group.params:
        if ctx.get_parameter_source(str(option.name)) is not ParameterSource.COMMANDLINE:
            continue
        written = option.opts[0]
        if any(each.name == option.name for each in known):
            raise click.UsageError(
                f"`{written}` stands before `{subcommand}`: write `reconcile {subcommand} {written} …`"
            )
        raise click.UsageError(f"`{written}` is not for `reconcile {subcommand}`: leave it out")


def report_options(command: Command) -> Command:
    """Add `--format` and `--output` of a report."""
    words = "Print text for people, JSON or CSV for machines, or HTML to send by mail."
    format = formats_option("text", "json", "html", "csv", help=words)
    output = click.option(
        "--output",
        metavar="F",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the report to this file.  [default: standard output]",
    )
    return format(excel_option(output(command)))


@click.group(cls=Reconcile, invoke_without_command=True)
@click.option(
    "--apply", is_flag=True, help="Repair what may be repaired, with the usual delivery.  [default: only report]"
)
@click.option(
    "--plan",
    "plan_id",
    metavar="ID",
    help="Repair this plan that you have read, unchanged; the first characters of its id are enough.  [default: "
    "compare anew]",
)
@click.option("--force", is_flag=True, help="Repair that plan although a guard stopped it.")
@click.option(
    "--only",
    type=click.Choice([kind.value for kind in Kind]),
    help="Report and repair only differences of this kind.  [default: all]",
)
@click.option(
    "--person",
    metavar="N",
    help="Compare only this person, by number or user name. Unclaimed and duplicate employees are found only by a full "
    "run.  [default: all people]",
)
@click.option(
    "--with-entra",
    is_flag=True,
    help="Also read Entra, and compare the SCIM users with it.  [default: the setting RECONCILE__WITH_ENTRA]",
)
@report_options
@click.option("--scheduled", is_flag=True, hidden=True, help="Mark a run by the scheduler, not an operator.")
@click.option("--approved", is_flag=True, hidden=True, help="Repair only what was approved in the console.")
@tenant_option
@click.pass_context
def reconcile(
    ctx: click.Context,
    apply: bool,
    plan_id: str | None,
    force: bool,
    only: str | None,
    person: str | None,
    with_entra: bool,
    format: ReportFormat,
    excel: bool,
    output: Path | None,
    scheduled: bool,
    approved: bool,
    tenant: str,
) -> None:
    """Compare all people with Ditio, report what differs and why, and repair it with --apply.

    Without --apply nothing is sent. Employees without a SCIM user, and fields that Ditio owns, are never touched.
    Missing employees are created, and closed logins opened, only from a plan that you have read (--plan), or with
    --only for that kind. Exit codes: 0 in sync or repaired, 2 something differs or was skipped, 3 stopped by a guard, 1
    error or wrong usage. Differences that are only listed do not change the exit code, except a leaver who is still
    active and a stuck delivery.

    \b
    Examples:
      scim-bridge reconcile
      scim-bridge reconcile --only should-be-inactive --format json
      scim-bridge reconcile --apply
      scim-bridge reconcile --apply --plan 5d1f3c0e-8a52-4f0e-9a39-0c1f6f1f7a11
      scim-bridge reconcile show 5d1f
      scim-bridge reconcile runs
    """
    if ctx.invoked_subcommand is not None:
        _refuse_options_before(ctx, ctx.invoked_subcommand)
        return
    only_with_csv(excel, is_csv=format == "csv")
    author = BY_SCHEDULE if scheduled else operator()
    options: Options = ctx.obj
    log_as(options.settings.log, background=scheduled or approved)
    request = Request(apply, plan_id, force, approved, Kind(only) if only else None, person, author, with_entra)
    if plan_id is None and person is None and tenant in options.settings.tenants:
        by_setting = only is None and options.of(tenant).reconcile.with_entra
        request = replace(request, with_entra=with_entra or by_setting)
    request.check()
    known_tenant(options.settings, tenant)
    traces.configure()
    # Nearly all that a batch of people makes is in use until its end: looking for garbage in it would take a sixth of
    # the time.
    gc.set_threshold(50_000, 20)
    with options.database() as database:
        reconciliation = build(options.of(tenant), database=database).reconciliations[tenant]
        with traces.span("reconcile", scim_bridge__tenant=tenant) as span, bars() as progress:
            report = reconciliation.run(request, progress)
            span.note(scim_bridge__exit=report.exit)
        printed = Printed(reconciliation.items, report, tenant)
        coloured = is_coloured(output)
        _write(printed.pieces(format, coloured=coloured, excel=excel), output)
    for note in report.notes:
        tell(f"Entra: {note}", "reconcile.entra_noted", is_error=False, tenant=tenant)
    if report.exit == STOPPED:
        _tell_stopped(report, tenant)
    ctx.exit(report.exit)


@reconcile.command()
@click.argument("plan", metavar="PLAN")
@report_options
@tenant_option
@click.pass_obj
def show(options: Options, plan: str, format: ReportFormat, excel: bool, output: Path | None, tenant: str) -> None:
    """Show a stored plan, as the run that made it did, and what was repaired of it since.

    It may be of a scheduled run, or of one that a guard stopped. Ditio is not called, and nothing is compared anew. Of
    the plan's id, the first characters are enough: at least 4, and as many as make it unique.

    \b
    Examples:
      scim-bridge reconcile show 5d1f
      scim-bridge reconcile show 5d1f3c0e-8a52-4f0e-9a39-0c1f6f1f7a11 --format csv --output plan.csv
    """
    only_with_csv(excel, is_csv=format == "csv")
    with options.database() as database:

        def items(plan_id: str) -> Iterator[Drift]:
            with database.read(tenant) as s:
                yield from s.plan(plan_id).all()

        with database.read(tenant) as s:
            report = report_of(s, plan)
        printed, coloured = Printed(items, report, tenant), is_coloured(output)
        _write(printed.pieces(format, coloured=coloured, excel=excel), output)
    if report.stopped is not None:
        _tell_stopped(report, tenant)


@reconcile.command()
@tenant_option
@format_option
@click.pass_obj
def runs(options: Options, tenant: str, format: Format) -> None:
    """List every run, oldest first, and how many differences were new in it.

    A run compares all people or a part (--only, --person), or repairs the plan that it names (--plan).

    \b
    Examples:
      scim-bridge reconcile runs
      scim-bridge reconcile runs --format json
    """
    with options.database() as database, database.read(tenant) as s:
        found = s.runs.list()
    rows = [_run(each) for each in found]
    if format == "table":
        rows = [
            {**row, "by_kind": _counted(each), "about": _about(each)} for row, each in zip(rows, found, strict=True)
        ]
    print_rows(rows, {**RUN_COLUMNS, "about": "About"}, format, empty="no run yet")


def _write(pieces: Iterable[str], output: Path | None) -> None:
    if output is None:
        for piece in pieces:
            click.echo(piece, nl=False)
        return
    with private_file(output) as file:
        file.writelines(pieces)


def _tell_stopped(report: Report, tenant: str) -> None:
    plan = report.run.id
    tell(
        f"Stopped, and nothing was sent: {report.stopped}. Read plan {plan}. If it is right, "
        f"run: {apply_command(plan, tenant, force=True)}",
        "reconcile.stopped",
        tenant=tenant,
        plan=plan,
    )


def _run(run: Run) -> dict[str, object]:
    return {
        "plan": run.plan_id,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "exit": run.exit,
        "people": run.people,
        "by_kind": dict(run.by_kind),
        "new": run.new,
    }


def _about(run: Run) -> str:
    if run.id != run.plan_id:
        return "the plan"
    return "all people" if run.is_whole else "a part"


def _counted(run: Run) -> str:
    return ", ".join(f"{run.by_kind[kind]} {kind}" for kind in Kind if kind in run.by_kind)
