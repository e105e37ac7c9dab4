"""`scim-bridge activity`: who was hired, changed or ended, why, and who asked for it."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Literal

import click

from scim_bridge.cli.context import Options
from scim_bridge.cli.output import (
    csv_lines,
    excel_option,
    formats_option,
    json_value,
    moment_of,
    only_with_csv,
    print_rows,
    since_option,
    tenant_option,
)
from scim_bridge.operator.history import Kind, activity
from scim_bridge.tenant import build_rules

COLUMNS = {
    "at": "When (UTC)",
    "kind": "What",
    "user_name": "User",
    "employee_number": "Employee",
    "name": "Name",
    "by": "Asked by",
    "detail": "Why, and what was done",
}


@click.command("activity")
@since_option("24h")
@click.option(
    "--kind", "kinds", metavar="KIND", type=click.Choice(list(Kind)), multiple=True, help="Only this; repeatable."
)
@tenant_option
@formats_option("table", "json", "csv", help="Print a table for people, JSON for machines, or CSV for a spreadsheet.")
@excel_option
@click.pass_obj
def activity_command(
    options: Options,
    since: timedelta | datetime,
    kinds: tuple[Kind, ...],
    tenant: str,
    format: Literal["table", "json", "csv"],
    excel: bool,
) -> None:
    """List what happened to people: who was hired, changed, ended and so on, why, and who asked for it.

    KIND is hired, changed, ended, returned, repaired, linked, held, parked or refused. `repaired` is a field that
    `reconcile` corrected; an employment that it ended is `ended`, asked by reconcile. All of it is kept for
    RETENTION__DAYS.

    \b
    Examples:
      scim-bridge activity --since 2h
      scim-bridge activity --kind ended --since 12h
      scim-bridge activity --since 2026-03-01 --format csv > march.csv
    """
    only_with_csv(excel, is_csv=format == "csv")
    rules = build_rules(options.of(tenant))
    with options.database() as database, database.read(tenant) as s:
        found = activity(s, rules, moment_of(since, s.now, rules.zone), kinds)
    rows = [asdict(each) for each in found]
    if format == "csv":
        cells = ([_cell(row[key]) for key in COLUMNS] for row in rows)
        for line in csv_lines(list(COLUMNS), cells, excel=excel):
            click.echo(line, nl=False)
        return
    print_rows(rows, COLUMNS, format, empty="nothing of this kind happened" if kinds else "nothing happened")


def _cell(value: object) -> object:
    return json_value(value) if isinstance(value, datetime) else value
