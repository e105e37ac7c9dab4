"""What commands print: tables and paragraphs for people, JSON and CSV, progress bars; and shared options."""

import csv
import itertools
import json
import os
import re
import shutil
import stat
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Literal, TextIO, TypeVar
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from scim_bridge import logs
from scim_bridge.errors import BridgeError, WrongDecisions
from scim_bridge.reconcile.report import Progress as Told
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.settings.model import Log

Format = Literal["table", "json"]

Command = TypeVar("Command", bound=Callable[..., Any])
TenantCheck = Callable[[click.Context, click.Parameter, str], str]

DEVICES = ("/dev", "/dev/fd")

UNLIMITED = 1_000_000
"""The width of a table that no terminal shows."""


def print_rows(
    rows: Sequence[Mapping[str, object]],
    columns: Mapping[str, str],
    format: Format = "table",
    empty: str = "nothing to show",
) -> None:
    """Print a listing.

    :param columns: The keys to show, each with its heading; JSON has every key of a row.
    :param empty: The text if there are no rows; JSON is then an empty list.
    """
    if format == "json":
        print_json(list(rows))
    elif not rows:
        click.echo(empty)
    elif sys.stdout.isatty():
        _draw(rows, columns, Console())
    else:
        # Each row is one line of plain text, whatever its length: `grep` and `awk` can read it.
        _draw(rows, columns, Console(width=UNLIMITED, color_system=None))


def print_json(value: object) -> None:
    """Print a value as JSON: keys in their order, days as `yyyy-MM-dd`, instants in UTC."""
    click.echo(as_json(value))


def as_json(value: object) -> str:
    """Return a value as JSON, in the form of `print_json`."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=json_value)


@contextmanager
def private_file(path: Path) -> Iterator[TextIO]:
    """Write a file that only its owner can read (0600). It replaces the path once it is complete.

    An existing file with wider rights, or a link, is replaced and never written through.

    :raises BridgeError: the file can't be written; an existing file stays.
    """
    try:
        if str(path.parent) in DEVICES:
            # `/dev/stdout`, or a shell's `>(…)`: it stores nothing, and must not be replaced.
            with path.open("w", encoding="utf-8", newline="") as file:
                yield file
            return
        if path.exists() and not path.is_symlink() and not stat.S_ISREG(path.stat().st_mode):
            raise BridgeError(f"{path} exists, and is not a regular file: name another file")
        descriptor, unfinished = mkstemp(dir=path.parent, prefix=".scim-bridge-")
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                yield file
            os.replace(unfinished, path)
        except BaseException:  # An interrupt too: no unfinished file stays.
            os.unlink(unfinished)
            raise
    except OSError as exc:
        raise BridgeError(f"{path} can't be written: {exc.strerror}") from exc


FORMULA_SIGNS = "=+-@\N{MINUS SIGN}"
AS_TEXT = "'"
"""The mark before a value that a spreadsheet would read as a formula."""

BURIED = re.compile(r"([;\t\r\n]\s*)(?=[=+@-])")
"""A formula after a character at which a spreadsheet may split a cell: Norwegian Excel splits at semicolons."""

_NUMERIC = re.compile(r"(?!\d{4}-\d\d-\d\d(T|$))(?=.*\d)[\w+\-.,:/ ]{1,100}", re.ASCII)
"""A text that Excel may turn into a number or a date, as in 0042, +4791234567, 1E5 or MAR1; a day stays a day."""


def csv_lines(header: Sequence[str], rows: Iterable[Iterable[object]], *, excel: bool = False) -> Iterator[str]:
    """Yield the lines of a CSV file; no cell of it is a formula with a function, a reference or an operator.

    :param excel: Whether Norwegian Excel shall show it right by a double click: semicolons, a byte order mark, and
        `="0042"` for a text that it would turn into a number.
    """
    if excel:
        yield BYTE_ORDER_MARK
    for cells in itertools.chain([header], rows):
        buffer = StringIO()
        writer = csv.writer(buffer, delimiter=";" if excel else ",", lineterminator="\r\n" if excel else "\n")
        writer.writerow([_excel_cell(cell) if excel else csv_cell(cell) for cell in cells])
        yield buffer.getvalue()


BYTE_ORDER_MARK = "\N{BYTE ORDER MARK}"


def csv_cell(value: object) -> str:
    """Return a value for a CSV file; mark as text what a spreadsheet would read as a formula."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    lead = len(text) - len(text.lstrip())
    safe = text[:lead] + BURIED.sub(rf"\1{AS_TEXT}", text[lead:])
    return f"{AS_TEXT}{safe}" if is_formula(text) else safe


def _excel_cell(value: object) -> str:
    # Excel shows an apostrophe of a CSV file as it is. A quoted constant of harmless characters computes nothing.
    return f'="{value}"' if isinstance(value, str) and _NUMERIC.fullmatch(value) else csv_cell(value)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may evaluate a cell.

    Spreadsheets skip leading spaces, line feeds and invisible characters, and may read full-width signs as plain ones.
    A phone number, or a whole number with a sign, is not a formula.
    """
    if text[:1] in ("+", "-") and text[1:].isascii() and text[1:].isdigit():
        return False
    first = next((char for char in text if unicodedata.category(char)[0] not in "CZ"), "")
    is_control = unicodedata.category(text[0]) == "Cc" if text else False
    return is_control or unicodedata.normalize("NFKC", first)[:1] in tuple(FORMULA_SIGNS)


def excel_option(command: Command) -> Command:
    """Add `--excel`, which reaches the command as `excel`; the command calls `only_with_csv`."""
    return click.option(
        "--excel",
        is_flag=True,
        help="Write the CSV for Excel in Norwegian: semicolons, a byte order mark, numbers as text.",
    )(command)


def only_with_csv(excel: bool, *, is_csv: bool) -> None:
    """Check `--excel`. :raises UsageError: there is no CSV for it."""
    if excel and not is_csv:
        raise click.UsageError("--excel is a form of CSV: add --format csv")


def format_option(command: Command) -> Command:
    """Add `--format table|json`, which reaches the command as `format`."""
    return formats_option("table", "json", help="Print a table for people, or JSON for machines.")(command)


def formats_option(*formats: str, help: str) -> Callable[[Command], Command]:
    """Add `--format` with these formats, the first one by default; it reaches the command as `format`."""
    return click.option("--format", type=click.Choice(formats), default=formats[0], show_default=True, help=help)


class Day(click.DateTime):
    """A day as a parameter, `yyyy-MM-dd`; an invalid value is answered with how to write it."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the day at midnight. :raises BadParameter: it is not a day."""
        try:
            day: datetime = super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not a day: write it as yyyy-MM-dd, as in 2026-12-31", param, ctx)
        return day


def tenant_option(command: Command) -> Command:
    """Add `--tenant NAME`, which reaches the command as `tenant`."""
    return tenant_option_with(_known_tenant, "Use this company.")(command)


def tenant_option_with(check: TenantCheck, what: str) -> Callable[[Command], Command]:
    """Add `--tenant NAME` with its own help text.

    :param check: Returns the name, or raises because there is no such company.
    """
    default = DEFAULT_TENANT
    return click.option("--tenant", metavar="NAME", default=default, show_default=True, callback=check, help=what)


def _known_tenant(ctx: click.Context, _: click.Parameter, name: str) -> str:
    if isinstance(ctx.command, click.Group):
        # The subcommand may have its own option; a group that runs by itself checks the name itself.
        return name
    return known_tenant(ctx.find_root().obj.settings, name)


def known_tenant(settings: Settings, name: str) -> str:
    """Return the name of a company in the settings. :raises BadParameter: there is no such company."""
    if name not in settings.tenants:
        known = ", ".join(settings.tenants)
        if name == DEFAULT_TENANT:
            # This is the option's default: most likely no --tenant was typed.
            words = f"every company in the settings has a name: choose one of {known}"
            raise click.BadParameter(words, param_hint="'--tenant'")
        raise click.BadParameter(f"unknown tenant {name!r}: the settings have {known}", param_hint="'--tenant'")
    return name


def shown(value: object) -> str:
    """Return a value as text on one line; escape what a terminal would obey."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case datetime():
            text = _instant(value)
        case dict() | list() | tuple():
            text = json.dumps(value, ensure_ascii=False, default=json_value)
        case _:
            text = str(value)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def json_value(value: object) -> object:
    """Convert a value that JSON has no form for; the `default` of `json.dumps`."""
    match value:
        case datetime():
            return _instant(value)
        case date():
            return value.isoformat()
        case set() | frozenset():
            return sorted(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")


def _instant(value: datetime) -> str:
    """Return RFC 3339 in UTC; reject a naive datetime, which would be read as local time."""
    if value.tzinfo is None:
        raise TypeError("an instant without a time zone can't be shown")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


NARROW = 80
"""The columns that every terminal has, and that mails and tickets keep."""


def width() -> int:
    """Return how many columns a line may have."""
    return max(NARROW, shutil.get_terminal_size((NARROW, 24)).columns) if sys.stdout.isatty() else NARROW


def paragraph(text: str, *, first: str = "", indent: str = "") -> list[str]:
    """Split a text into lines that fit; cut a long word, such as an id, only if it is longer than a line.

    :param first: The text before the first line.
    :param indent: The text before the other lines.
    """
    return textwrap.wrap(
        shown(text), width(), initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    ) or [first.rstrip()]


def print_paragraph(text: str, *, first: str = "", indent: str = "") -> None:
    """Print a text in lines that fit."""
    for line in paragraph(text, first=first, indent=indent):
        click.echo(line)


def instant(moment: datetime) -> str:
    """Return an instant as text: to the minute, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def print_folded(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    """Print a table that is as wide as a paragraph, without colours."""
    _draw(rows, columns, Console(width=width(), color_system=None))


def _draw(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str], console: Console) -> None:
    """Print a table; a long cell continues on the next line, because half an id is useless."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in columns.values():
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(row.get(key))) for key in columns))
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


_BACKGROUND = "scim_bridge.background"


def log_as(settings: Log, *, background: bool) -> None:
    """Set up the log of a command that an operator waits for, or of one that a worker started: see `tell`."""
    logs.configure(settings.level if background else "error", settings.format)
    click.get_current_context().meta[_BACKGROUND] = background


def tell(sentence: str, event: str, *, is_error: bool = True, **about: object) -> None:
    """Tell a sentence to the operator, on standard error.

    What a worker started writes into the worker's log: there it is an event, in the format of all others.

    :param about: What an event has beside it.
    """
    if _is_in_background():
        log = logs.get_logger(__name__)
        (log.error if is_error else log.info)(event, why=sentence, **about)
    else:
        click.echo(sentence, err=True)


def tell_failure(error: BridgeError) -> None:
    """Tell why a command failed. A log has no names of users, as those of wrong decisions are."""
    is_private = isinstance(error, WrongDecisions) and _is_in_background()
    tell(UNFIT if is_private else str(error), "command.failed")


UNFIT = "what was decided in the console does not fit any more: look at its pairs again"


def _is_in_background() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_BACKGROUND))


@contextmanager
def bars() -> Iterator[Told]:
    """Show a progress bar for each stage, on standard error."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def told(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield told


_AGO = re.compile(r"(\d{1,4})\s*([mhdw])", re.IGNORECASE)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def since_option(default: str) -> Callable[[Command], Command]:
    """Add `--since`, which reaches the command as `since`; see `moment_of`."""
    words = "From this time on: 30m, 2h, 7d or 2w ago, or a day in the company's time zone."
    return click.option("--since", metavar="AGO|DAY", type=Since(), default=default, show_default=True, help=words)


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


def moment_of(since: timedelta | datetime, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant that `Since` means."""
    return now - since if isinstance(since, timedelta) else since.replace(tzinfo=zone).astimezone(UTC)
