"""Text for people that fits into the width of a terminal, and into 80 columns where there is none."""

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scim_bridge.cli.output import shown

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
