"""What the demo shows: acts, bars and tables on a terminal, plain lines everywhere else."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from scim_bridge.cli.demo.calls import Check

WIDTH = 100
"""The widest line: longer ones are hard to read."""

INDENT = 4


class Stage:
    """Standard output, prepared for people."""

    def __init__(self) -> None:
        # An old terminal may not know every letter of a Norwegian name; that is no reason to end.
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        self.is_animated = sys.stdout.isatty()
        self._console = Console(highlight=False, force_terminal=None if self.is_animated else False)
        self._console.width = min(WIDTH, self._console.width) if self.is_animated else WIDTH

    def say(self, text: str = "", style: str = "") -> None:
        """One paragraph."""
        self._console.print(Text(text, style))

    def line(self, *parts: tuple[str, str]) -> None:
        """One line of parts, each with a style; it is never broken, so that it can be copied."""
        self._console.print(Text.assemble(*parts), soft_wrap=True)

    def act(self, number: int, title: str, why: str) -> None:
        """Begin an act."""
        self._console.print()
        self._console.print(Rule(Text(f"{number}  {title}", "bold cyan"), align="left", style="cyan dim"))
        self._indented(Text(why))

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """Something that takes a moment."""
        if not self.is_animated:
            yield
            return
        with self._console.status(Text(text, "dim"), spinner_style="cyan"):
            yield

    def heading(self, title: str) -> None:
        """Begin something that is no act."""
        self._console.print()
        self._console.print(Rule(Text(title, "bold cyan"), align="left", style="cyan dim"))

    def check(self, check: Check) -> None:
        """One thing that was looked at."""
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(mark(check.ok), Text(check.text, "" if check.ok else "red"))
        self._console.print(Padding(line, (0, 0, 0, INDENT)))
        if check.quote:
            self._console.print(Padding(Text(f"“{check.quote}”", "dim italic"), (0, 0, 0, INDENT + 2)))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[Text]], *, lines: bool = False) -> None:
        """A table."""
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_lines=lines, header_style="bold")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._console.print(Padding(table, (0, 0, 0, 2)))

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar that grows; yields what to call with how much is done."""
        if not self.is_animated:
            yield lambda done: None
            self._indented(Text(f"{label}: {total}"))
            return
        columns = (TextColumn(" " * INDENT + "{task.description:<14}"), BarColumn(50), MofNCompleteColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(label, total=total)
            yield lambda done: progress.update(task, completed=min(done, total))
            progress.update(task, completed=total)

    def _indented(self, text: Text) -> None:
        self._console.print(Padding(text, (0, 0, 0, INDENT)))


def mark(ok: bool) -> Text:
    """Whether something is as it has to be."""
    return Text("✓", "bold green") if ok else Text("✗", "bold red")
