"""What commands print: tables and paragraphs for people, JSON for machines, progress bars; and shared options."""

import json
import os
import shutil
import stat
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import mkstemp
from typing import Any, Literal, Protocol, TextIO, TypeVar

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from scim_bridge.errors import BridgeError
from scim_bridge.reconcile.report import Progress as Told
from scim_bridge.settings import DEFAULT_TENANT, Settings

Format = Literal["table", "json"]

Command = TypeVar("Command", bound=Callable[..., Any])
TenantCheck = Callable[[click.Context, click.Parameter, str], str]

DEVICES = ("/dev", "/dev/fd")

_GAP = "  "


def print_rows(
    rows: Sequence[Mapping[str, object]],
    columns: Mapping[str, str],
    format: Format = "table",
    empty: str = "nothing to show",
) -> None:
    """Print a listing.

    :param columns: The keys to show, each with its heading; JSON has every key of a row.
    :param empty: What people read where there are no rows; JSON is then an empty list.
    """
    if format == "json":
        print_json(list(rows))
    elif not rows:
        click.echo(empty)
    elif sys.stdout.isatty():
        _print_table(rows, columns)
    else:
        _print_aligned(rows, columns)


def print_json(value: object) -> None:
    """Print a value as JSON: keys as they come, days as `yyyy-MM-dd`, instants in UTC."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=json_value))


@contextmanager
def private_file(path: Path, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """Write a file that its owner alone can read (0600). It takes the path's place once it is whole.

    A file with wider rights, or a link, that stands there is replaced and never written through.

    :raises BridgeError: it can't be written; what stood there stays.
    """
    try:
        if str(path.parent) in DEVICES:
            # `/dev/stdout`, or a shell's `>(…)`: it keeps nothing, and must not be replaced.
            with path.open("w", encoding=encoding, newline="") as file:
                yield file
            return
        if path.exists() and not path.is_symlink() and not stat.S_ISREG(path.stat().st_mode):
            raise BridgeError(f"{path} is there already, and is no file: name another one")
        descriptor, unfinished = mkstemp(dir=path.parent, prefix=".scim-bridge-")
        try:
            with open(descriptor, "w", encoding=encoding, newline="") as file:
                yield file
            os.replace(unfinished, path)
        except BaseException:
            os.unlink(unfinished)
            raise
    except OSError as exc:
        raise BridgeError(f"{path} can't be written: {exc.strerror}") from exc


def format_option(command: Command) -> Command:
    """Add `--format table|json`, which reaches the command as `format`."""
    return click.option(
        "--format",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="A table for people, or JSON for machines.",
    )(command)


class Day(click.DateTime):
    """A day as a parameter, `yyyy-MM-dd`; what is none is answered with how to write it."""

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The day at midnight. :raises BadParameter: it is no day."""
        try:
            day: datetime = super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is no day: write it as yyyy-MM-dd, as in 2026-12-31", param, ctx)
        return day


def tenant_option(command: Command) -> Command:
    """Add `--tenant NAME`, which reaches the command as `tenant`."""
    return tenant_option_with(_known_tenant, "The company that the command is about.")(command)


def tenant_option_with(check: TenantCheck, what: str) -> Callable[[Command], Command]:
    """`--tenant NAME` with a help of its own.

    :param check: Returns the name, or says that there is no such company.
    """
    default = DEFAULT_TENANT
    return click.option("--tenant", metavar="NAME", default=default, show_default=True, callback=check, help=what)


class HasSettings(Protocol):
    """What the group hands down."""

    @property
    def settings(self) -> Settings:
        """The settings. :raises SettingsError: with every problem."""


def _known_tenant(ctx: click.Context, _: click.Parameter, name: str) -> str:
    if isinstance(ctx.command, click.Group):
        # A command below it may be meant, which has an option of its own: the group asks by itself.
        return name
    options: HasSettings = ctx.find_root().obj
    return known_tenant(options.settings, name)


def known_tenant(settings: Settings, name: str) -> str:
    """The name of a company that is served. :raises BadParameter: there is no such company."""
    if name not in settings.tenants:
        known = ", ".join(settings.tenants)
        if name == DEFAULT_TENANT:
            # The option's default: whoever reads this has most likely typed no tenant at all.
            words = f"every company in the settings has a name: say which one is meant, of {known}"
            raise click.BadParameter(words, param_hint="'--tenant'")
        raise click.BadParameter(f"unknown tenant {name!r}: the settings have {known}", param_hint="'--tenant'")
    return name


def _print_table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in columns.values():
        # A cell that is too long goes on in the next line: half an id is no id.
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(row.get(key))) for key in columns))
    Console().print(table)


def _print_aligned(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    lines = [list(columns.values()), *([shown(row.get(key)) for key in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(_GAP.join(cells).rstrip())


def shown(value: object) -> str:
    """A value as people read it, on one line; what a terminal would obey is escaped."""
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
    """What JSON has no form for, as JSON has it: for `json.dumps`."""
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
    """RFC 3339 in UTC; a naive datetime would be read as local time, so it is refused."""
    if value.tzinfo is None:
        raise TypeError("an instant without a time zone can't be shown")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


NARROW = 80
"""Columns that every terminal has, and a mail or a ticket keeps."""


def width() -> int:
    """How many columns a line may have."""
    return max(NARROW, shutil.get_terminal_size((NARROW, 24)).columns) if sys.stdout.isatty() else NARROW


def paragraph(text: str, *, first: str = "", indent: str = "") -> list[str]:
    """A text in lines that fit; a long word, such as an id, is cut only if it has no place in a line of its own.

    :param first: What stands before the first line.
    :param indent: What stands before the others.
    """
    return textwrap.wrap(
        shown(text), width(), initial_indent=first, subsequent_indent=indent, break_on_hyphens=False
    ) or [first.rstrip()]


def print_paragraph(text: str, *, first: str = "", indent: str = "") -> None:
    """Print a text in lines that fit."""
    for line in paragraph(text, first=first, indent=indent):
        click.echo(line)


def instant(moment: datetime) -> str:
    """An instant as people read it: to the minute, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def print_folded(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    """Print a table that fits: a cell that is too long goes on below itself, as half an id is no id."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in columns.values():
        table.add_column(Text(heading), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(row.get(key))) for key in columns))
    console = Console(width=width(), color_system=None, highlight=False, legacy_windows=False)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


@contextmanager
def bars() -> Iterator[Told]:
    """A bar for each stage, on standard error."""
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
