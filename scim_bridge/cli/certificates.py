"""`scim-bridge certificates`: import them from a file, withdraw them, and list those that expire soon."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import click

from scim_bridge import logs
from scim_bridge.bootstrap import build
from scim_bridge.certificates.csv_import import Remark, Report
from scim_bridge.certificates.files import CertificateFile, opened
from scim_bridge.certificates.reading import WAYS_IN, called, described
from scim_bridge.certificates.sources import Withdrawal, withdraw_from_files
from scim_bridge.cli.context import Options, operator
from scim_bridge.cli.output import (
    Day,
    Format,
    bars,
    csv_lines,
    excel_option,
    format_option,
    formats_option,
    only_with_csv,
    print_json,
    print_paragraph,
    print_rows,
    tenant_option,
)
from scim_bridge.domain.certificate import CertificateType, type_of
from scim_bridge.operator.certificate_import import import_lines, sources_of
from scim_bridge.operator.certificates import expiries_of
from scim_bridge.storage.expiries import Expiry
from scim_bridge.tenant import build_rules


def print_report(report: Report, read: CertificateFile, *, is_applied: bool, format: Format) -> None:
    """Print the result of an import."""
    counts = {
        "lines": report.lines,
        "new": report.new,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "rejected": len(report.rejected),
        "unclaimed": report.unclaimed,
        "due": len(report.due),
    }
    if format == "json":
        lists = {
            "rejected_lines": [asdict(each) for each in report.rejected],
            "beaten_lines": [asdict(each) for each in report.outranked],
            "ignored_columns": list(read.ignored),
        }
        print_json({"applied": is_applied, **counts, **lists})
        return
    _tell("rejected", report.rejected)
    _tell("imported, but does not count", report.outranked)
    for heading in read.ignored:
        print_paragraph(f"the column {heading} is unknown, and was ignored")
    told = ", ".join(f"{name} {count}" for name, count in counts.items() if name not in ("unclaimed", "due"))
    print_paragraph(f"{told} ({read.form})")
    if count := report.unclaimed:
        some = "1 is for an employee number" if count == 1 else f"{count} are for employee numbers"
        print_paragraph(f"{some} without a SCIM user: CERTIFICATES__UNCLAIMED says whether they wait or are delivered")
    if not is_applied:
        print_paragraph("nothing was changed: this was a dry run; --apply imports the lines")
    elif report.due:
        who = "1 person is" if len(report.due) == 1 else f"{len(report.due)} people are"
        print_paragraph(f"{who} due: `serve` or `worker` delivers them")


def print_withdrawn(withdrawn: Sequence[Withdrawal], *, expires: bool) -> None:
    """Print what was withdrawn, and what Ditio gets instead.

    :param expires: Whether Ditio gets a withdrawn certificate as expired.
    """
    for each in withdrawn:
        print_paragraph(f"withdrawn: {called(each.entry)}, {described(each.entry.certificate)}")
        if each.successor is not None:
            where = WAYS_IN[each.successor.source]
            print_paragraph(f"{where} has it too, and counts now: {described(each.successor.certificate)}")
        elif not expires:
            print_paragraph("it stays unchanged in Ditio: CERTIFICATES__WITHDRAWAL is `keep`")
    if any(each.is_due for each in withdrawn):
        print_paragraph("1 person is due: `serve` or `worker` delivers them")


def _tell(what: str, remarks: Sequence[Remark]) -> None:
    for each in remarks:
        print_paragraph(f"line {each.line} {what}: {each.text}", indent="  ")


ListFormat = Literal["table", "json", "csv"]

DEFAULT_DAYS = 30

COLUMNS = {
    "employee_number": "Employee",
    "user_name": "User",
    "certificate_type": "Certificate",
    "certificate_number": "Number",
    "valid_until": "Valid until",
    "days": "Days left",
}

CSV_COLUMNS = (*(key for key in COLUMNS if key != "user_name"), "user_name")
"""The user name comes last, so that scripts that read columns by position still work."""


@click.group()
def certificates() -> None:
    """Import certificates from a file, withdraw one, or list those that expire soon.

    \b
    Examples:
      scim-bridge certificates import certificates.csv
      scim-bridge certificates import certificates.csv --apply
      scim-bridge certificates withdraw 1042 Kranførerbevis
      scim-bridge certificates expiring --within-days 60
      scim-bridge certificates expiring --on 2026-12-01 --required Kranførerbevis --required Byggekort
    """


@certificates.command("import")
@click.argument("file", metavar="FILE.csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--apply", is_flag=True, help="Import the lines.  [default: a dry run that changes nothing]")
@tenant_option
@format_option
@click.pass_context
def import_command(ctx: click.Context, file: Path, apply: bool, tenant: str, format: Format) -> None:
    """Import the certificates in a file, or show what the import would do.

    The first line names the columns, in any order: employeeNumber, certificateType, certificateNumber,
    issuedDateTime, validUntilDateTime, notes. Write days as 2026-12-31 or 31.12.2026. The separator may be ; or , or a
    tab; the encoding UTF-8, Windows-1252 or UTF-16, as Excel saves it. An .xlsx workbook works too: its first visible
    sheet is read (`pip install '.[xlsx]'`).

    A line that is not valid is rejected with its number and the reason; all other lines are imported. The same file
    again changes nothing. A certificate that is missing in a later file is not withdrawn: it stays as it was (see
    `certificates withdraw`). Exit codes: 0, or 1 if a line was rejected.

    \b
    Examples:
      scim-bridge certificates import certificates.csv
      scim-bridge certificates import certificates.csv --apply --format json
    """
    options: Options = ctx.obj
    settings = options.of(tenant)
    logs.configure("error", settings.log.format)
    with (
        options.database() as database,
        opened(file, needs_end=settings.certificates.missing_expiry == "refuse") as read,
        bars() as progress,
    ):
        own = build(settings, database=database).tenants[tenant]
        stage = "Importing lines" if apply else "Checking lines"
        report = import_lines(
            own, operator(), read.lines, applies=apply, told=lambda done: progress(stage, done, read.line_breaks)
        )
    print_report(report, read, is_applied=apply, format=format)
    ctx.exit(1 if report.rejected else 0)


@certificates.command()
@click.argument("number", metavar="NUMBER")
@click.argument("type", metavar="TYPE")
@tenant_option
@click.pass_obj
def withdraw(options: Options, number: str, type: str, tenant: str) -> None:
    """Withdraw a certificate that came from a file.

    NUMBER is an employee number or a user name, TYPE the certificate's type as the file spelled it. If another source
    has the same certificate, that one counts from now on. Otherwise it is sent to Ditio as expired, or stays there
    (CERTIFICATES__WITHDRAWAL). Withdraw a certificate from Entra or from /Certificates there. Delete the line from the
    file too: a later import restores it. Exit codes: 0, or 1 if no file had this certificate.

    \b
    Examples:
      scim-bridge certificates withdraw 1042 Kranførerbevis
      scim-bridge certificates withdraw kari.nordmann@contractor.example "Arbeidsvarsling kurs 1"
    """
    settings = options.of(tenant)
    logs.configure(settings.log.level, settings.log.format)
    with options.database() as database:
        sources = sources_of(build(settings, database=database).tenants[tenant])
        withdrawn = withdraw_from_files(sources, operator(), number, type_of(type))
        print_withdrawn(withdrawn, expires=sources.tenant.certificates.expires_withdrawn)


@certificates.command()
@click.option(
    "--within-days",
    metavar="N",
    type=click.IntRange(0, 36500),
    help=f"List what has expired, and what expires within N days.  [default: {DEFAULT_DAYS}]",
)
@click.option(
    "--on",
    metavar="DATE",
    type=Day(),
    help="List people who may not work on this day; needs --required.  [default: today]",
)
@click.option(
    "--required", metavar="TYPE", multiple=True, help="A certificate type that every person at work needs on that day."
)
@click.argument("more", metavar="[TYPE]...", nargs=-1)
@formats_option("table", "json", "csv", help="A table for people, JSON for machines, CSV for a spreadsheet.")
@excel_option
@tenant_option
@click.pass_obj
def expiring(
    options: Options,
    within_days: int | None,
    on: date | None,
    required: tuple[str, ...],
    more: tuple[str, ...],
    format: ListFormat,
    excel: bool,
    tenant: str,
) -> None:
    """List certificates that have expired or expire soon, the earliest first; or who may not work on a day.

    The list has the certificates of people at work, and of employee numbers without a SCIM user, but not of leavers.
    With --required, it has each person at work on that day with each required certificate that is missing or has
    expired by then; if it is missing, number and end are empty. Employees without a SCIM user are not known, and are
    not listed then.

    \b
    Examples:
      scim-bridge certificates expiring
      scim-bridge certificates expiring --within-days 90 --format csv --excel
      scim-bridge certificates expiring --on 2026-12-01 --required Kranførerbevis Byggekort
    """
    types = [type_of(each) for each in (*required, *more)]
    only_with_csv(excel, is_csv=format == "csv")
    _refuse_wrong_usage(within_days, on, required, more)
    settings = options.of(tenant)
    zone = build_rules(settings).zone
    with options.database() as database, database.read(tenant) as s:
        today = s.now.astimezone(zone).date()
        found = expiries_of(s, settings)
        if required:
            day = date(on.year, on.month, on.day) if on is not None else today
            listed = [_row(each, day) for each in found.lacking(day, types)]
            _tell_unknown(found.unknown(types))
        else:
            last = today + timedelta(days=DEFAULT_DAYS if within_days is None else within_days)
            listed = [_row(each, today) for each in found.until(last, today=today)]
    if format == "csv":
        for line in csv_lines(CSV_COLUMNS, ([row[key] for key in CSV_COLUMNS] for row in listed), excel=excel):
            click.echo(line, nl=False)
        return
    empty = "no person lacks any of them" if required else "no certificate has expired or expires soon"
    print_rows(listed, COLUMNS, format, empty=empty)


def _refuse_wrong_usage(within_days: int | None, on: date | None, required: Sequence[str], more: Sequence[str]) -> None:
    if (on is not None or more) and not required:
        raise click.UsageError("name the required certificates: --required TYPE, once for each")
    if required and within_days is not None:
        raise click.UsageError("--within-days lists what expires, --required who may not work: use one of them")
    if any(not each.strip() for each in (*required, *more)):
        raise click.UsageError("a required type is empty: write the type of a certificate")


def _tell_unknown(types: Iterable[CertificateType]) -> None:
    for kind in types:
        click.echo(f'no certificate has the type "{kind}": check how the source spells it', err=True)


def _row(each: Expiry, day: date) -> dict[str, object]:
    return {
        "employee_number": each.employee_number,
        "certificate_type": each.type,
        "certificate_number": each.number,
        "valid_until": each.valid_until,
        "days": (each.valid_until - day).days if each.valid_until is not None else None,
        "user_name": each.user_name,
    }
