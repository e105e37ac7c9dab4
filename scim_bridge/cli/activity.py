"""`scim-bridge activity`: who was hired, changed or ended, why, and who asked for it."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import click

from scim_bridge.cli.context import Options
from scim_bridge.cli.output import csv_lines, excel_option, json_value, only_with_csv, print_rows, tenant_option
from scim_bridge.operator.activity import Kind, activity
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

_AGO = re.compile(r"(\d{1,4})\s*([mhdw])", re.IGNORECASE)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Since(click.ParamType[timedelta | datetime]):
    """A time ago, such as `2h`, or a day."""

    name = "since"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta | datetime:
        """Return how long ago, or the day at midnight. :raises BadParameter: it is neither."""
        text = str(value).strip()
        if ago := _AGO.fullmatch(text):
            return int(ago[1]) * _UNITS[ago[2].lower()]
        try:
            return datetime.strptime(text, "%Y-%m-%d")
        except ValueError:
            self.fail(f"{text!r} is neither a time ago, such as 30m, 2h, 7d, nor a day, such as 2026-12-31", param, ctx)


@click.command("activity")
@click.option(
    "--since",
    metavar="AGO|DAY",
    type=Since(),
    default="24h",
    show_default=True,
    help="From this time on: 30m, 2h, 7d or 2w ago, or a day in the company's time zone.",
)
@click.option(
    "--kind", "kinds", metavar="KIND", type=click.Choice(list(Kind)), multiple=True, help="Only this; repeatable."
)
@tenant_option
@click.option(
    "--format",
    type=click.Choice(["table", "json", "csv"]),
    default="table",
    show_default=True,
    help="Print a table for people, JSON for machines, or CSV for a spreadsheet.",
)
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


def moment_of(since: timedelta | datetime, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant that `Since` means."""
    return now - since if isinstance(since, timedelta) else since.replace(tzinfo=zone).astimezone(UTC)


def _cell(value: object) -> object:
    return json_value(value) if isinstance(value, datetime) else value
