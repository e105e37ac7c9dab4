"""The report of `reconcile` as text, JSON, CSV or HTML, written row by row: a plan may be as long as the company."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import click

from scim_bridge.cli.csv_lines import csv_cell, csv_line
from scim_bridge.cli.named_commands import about_tenant, of_tenant
from scim_bridge.cli.paragraphs import paragraph
from scim_bridge.cli.reconcile.html import html_pieces
from scim_bridge.delivery.reconcile import Reconciliation
from scim_bridge.delivery.reconcile_request import Report
from scim_bridge.domain.drift import Drift
from scim_bridge.plan.render import Line, lines, repaired_earlier, summary

ReportFormat = Literal["text", "json", "html", "csv"]

COLUMNS = ("kind", "employee_number", "user_name", "field", "wanted", "found", "acknowledged", "cause")

_COLOURS: Mapping[str | None, str] = {"-": "red", "+": "green", "~": "yellow", "!": "magenta"}


@dataclass(frozen=True, slots=True)
class Printed:
    """A report that is about to be written."""

    reconciliation: Reconciliation
    report: Report
    tenant: str

    def pieces(self, format: ReportFormat, *, coloured: bool) -> Iterator[str]:
        """The text of the report, piece by piece."""
        match format:
            case "json":
                return self._json()
            case "csv":
                return self._csv()
            case "html":
                return html_pieces(self.report, self._items(), self.tenant)
            case _:
                return self._text(coloured)

    def _items(self) -> Iterator[Drift]:
        return (item for item in self.reconciliation.items(self.report.run.id) if self.report.tells(item))

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
            yield comma + json.dumps(_row(item), ensure_ascii=False)
            comma = ",\n"
        yield f'],\n"applied": {self.report.applied},\n"skipped": ['
        comma = "\n"
        for item in self._items() if any(self.report.outcomes.values()) else ():
            if reason := self.report.outcomes.get(_place(item)):
                yield comma + json.dumps({**_row(item), "reason": reason}, ensure_ascii=False)
                comma = ",\n"
        yield "]}\n"

    def _csv(self) -> Iterator[str]:
        yield csv_line(COLUMNS)
        for item in self._items():
            yield csv_line([csv_cell(value) for value in _row(item).values()])

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

    def _next_steps(self) -> Iterator[str]:
        report, plan = self.report, self.report.run.id
        left = (item for item in self._items() if _place(item) not in report.outcomes)
        is_left = report.stopped is None and any(item.may_be_repaired(reviewed=True) for item in left)
        if report.outcomes:
            skipped = sum(why is not None for why in report.outcomes.values())
            yield f"{report.applied} repaired, {skipped} skipped."
        if is_left:
            if report.outcomes:
                yield "The rest is repaired only from a plan that you have read:"
            else:
                yield "Nothing was sent. To repair all that this plan shows, once you have read it:"
            yield f"  scim-bridge reconcile --apply --plan {plan}{of_tenant(self.tenant)}"


def _styled(text: str, line: Line) -> str:
    return click.style(text, bold=True) if line.mark is None else click.style(text, fg=_COLOURS.get(line.mark))


def is_coloured(output: str | None) -> bool:
    """Whether a person looks at a terminal."""
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


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value
