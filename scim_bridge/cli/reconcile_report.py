"""The report of `reconcile` as text, JSON, CSV or HTML, written row by row."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Literal

import click
from jinja2 import Environment, PackageLoader, StrictUndefined

from scim_bridge.cli.output import csv_lines, paragraph, shown
from scim_bridge.domain.drift import OF_ENTRA, Drift
from scim_bridge.operator.commands import about_tenant
from scim_bridge.operator.drift import apply_command
from scim_bridge.reconcile.report import (
    CAUSES,
    MARKS,
    Line,
    Report,
    heading,
    lines,
    mark_of,
    repaired_earlier,
    summary,
    what,
    who,
)

PAGES = Environment(
    loader=PackageLoader("scim_bridge", "cli"),
    autoescape=True,
    trim_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
PAGES.filters["shown"] = shown

CLASSES: Mapping[str, str] = {"-": "ends", "+": "begins", "~": "changes", "!": "stuck", "·": "listed"}
"""The class of a row of the page, by its mark."""

ReportFormat = Literal["text", "json", "html", "csv"]

COLUMNS = ("kind", "employee_number", "user_name", "field", "wanted", "found", "acknowledged", "cause")

_COLOURS: Mapping[str | None, str] = {"-": "red", "+": "green", "~": "yellow", "!": "magenta"}


@dataclass(frozen=True, slots=True)
class Printed:
    """A report in its written forms."""

    items: Callable[[str], Iterator[Drift]]
    """Yields the rows of a plan; called once for each pass over them."""

    report: Report
    tenant: str

    def pieces(self, format: ReportFormat, *, coloured: bool, excel: bool = False) -> Iterator[str]:
        """Return the report in a format, piece by piece."""
        match format:
            case "json":
                return self._json()
            case "csv":
                return csv_lines(COLUMNS, (_row(item).values() for item in self._items()), excel=excel)
            case "html":
                return self._html()
            case _:
                return self._text(coloured)

    def _items(self) -> Iterator[Drift]:
        return (item for item in self.items(self.report.run.id) if self.report.tells(item))

    def _json(self) -> Iterator[str]:
        run = self.report.run
        head = {
            "plan": run.id,
            "tenant": self.tenant,
            "people": run.people,
            "in_sync": run.in_sync,
            "by_kind": dict(run.by_kind),
        }
        yield json.dumps(head, ensure_ascii=False)[:-1] + ',\n"items": ['
        comma = "\n"
        for item in self._items():
            yield comma + json.dumps(_item(item), ensure_ascii=False)
            comma = ",\n"
        yield f'],\n"applied": {self.report.applied},\n"skipped": ['
        comma = "\n"
        for item in self._items() if any(self.report.outcomes.values()) else ():
            if reason := self.report.outcomes.get(_place(item)):
                yield comma + json.dumps({**_item(item), "reason": reason}, ensure_ascii=False)
                comma = ",\n"
        yield "]}\n"

    def _html(self) -> Iterator[str]:
        """Return the page of `reconcile_report.html`; only one person's rows are in memory at a time."""
        run = self.report.run
        page = PAGES.get_template("reconcile_report.html").stream(
            report=self.report,
            run=run,
            tenant=self.tenant,
            when=f"{run.started_at:%Y-%m-%d %H:%M} UTC",
            figures=_figures(self.report),
            repaired=self._repaired(),
            people=((heading(rows[0]), map(self._cells, rows)) for rows in self._people()),
        )
        page.enable_buffering(100)
        return page

    def _people(self) -> Iterator[list[Drift]]:
        return (list(rows) for _, rows in groupby(self._items(), key=who))

    def _cells(self, row: Drift) -> tuple[str, tuple[str, ...]]:
        """Return the class of a row, and its cells."""
        mark = mark_of(row)
        # A leaver who is still active is highlighted, repaired or not.
        css_class = CLASSES[MARKS.get(row.kind, "!") if row.is_drift else mark]
        kind = f"{'−' if mark == '-' else mark} {row.kind.value}"
        return css_class, (kind, what(row), CAUSES[row.cause.value], _becomes(row, self.report))

    def _text(self, coloured: bool) -> Iterator[str]:
        run, report = self.report.run, self.report
        for line in lines(self._items(), report.outcomes):
            first = f"  {line.mark} " if line.mark else ""
            text = "\n".join(
                paragraph(about_tenant(self.tenant, line.text), first=first, indent="    " if line.mark else "  ")
            )
            yield (_styled(text, line) if coloured else text) + "\n"
        if run.by_kind:
            yield "\n"
        if run.by_kind or not report.earlier:
            yield "\n".join(paragraph(summary(run.people, run.in_sync, run.by_kind, run.new))) + "\n"
        if report.earlier:
            yield f"{repaired_earlier(len(report.earlier), is_all=not run.by_kind)}\n"
        for sentence in self._next_steps():
            yield f"{sentence}\n"

    def _repaired(self) -> str:
        skipped = sum(why is not None for why in self.report.outcomes.values())
        return f"{self.report.applied} repaired, {skipped} skipped."

    def _next_steps(self) -> Iterator[str]:
        report, plan = self.report, self.report.run.id
        left = (item for item in self._items() if _place(item) not in report.outcomes)
        is_left = report.stopped is None and any(item.may_be_repaired(reviewed=True) for item in left)
        if report.outcomes:
            yield self._repaired()
        if is_left:
            if report.outcomes:
                yield "To repair the rest, which needs a plan that you have read:"
            else:
                yield "Nothing was sent. To repair everything in this plan, after you have read it:"
            yield f"  {apply_command(plan, self.tenant)}"


def _figures(report: Report) -> str:
    run = report.run
    told = [summary(run.people, run.in_sync, {}, 0)] if not report.earlier else []
    if run.by_kind:
        count = sum(run.by_kind.values())
        differences = f"{count} {'difference' if count == 1 else 'differences'}"
        told = [f"{run.in_sync} of {run.people} people are in sync. {differences}, {run.new} new since the last run."]
    if report.earlier:
        told.append(repaired_earlier(len(report.earlier), is_all=not run.by_kind))
    return " ".join(told)


def _becomes(row: Drift, report: Report) -> str:
    if row.position is not None and row.position in report.outcomes:
        skipped = report.outcomes[row.position]
        return "repaired" if skipped is None else f"skipped: {skipped}"
    if row.listed is not None:
        return f"only listed: {row.listed}"
    return "repaired by --apply" if row.may_be_repaired(reviewed=False) else "repaired only from this plan: --plan ID"


def _styled(text: str, line: Line) -> str:
    return click.style(text, bold=True) if line.mark is None else click.style(text, fg=_COLOURS.get(line.mark))


def is_coloured(output: object) -> bool:
    """Return whether the output is a terminal. :param output: The file that is written; None for standard output."""
    return output is None and sys.stdout.isatty()


def _place(item: Drift) -> int:
    return item.position if item.position is not None else -1


def _row(item: Drift) -> dict[str, object]:
    values = (
        item.kind.value,
        item.employee_number,
        item.user_name,
        item.field,
        _plain(item.wanted),
        _plain(item.found),
        _plain(item.acknowledged),
        item.cause.value,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _item(item: Drift) -> dict[str, object]:
    """Return a row for JSON, where one that compares with Entra says so."""
    return _row(item) | ({"side": "entra"} if item.kind in OF_ENTRA else {})


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
