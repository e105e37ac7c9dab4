"""The report of `reconcile` as text, JSON, CSV or HTML, written row by row."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import groupby
from typing import Literal

import click

from scim_bridge.cli.context import about_tenant, of_tenant
from scim_bridge.cli.csv_files import csv_cell, csv_line
from scim_bridge.cli.output import paragraph, shown
from scim_bridge.domain.drift import Drift
from scim_bridge.reconcile.report import (
    CAUSES,
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
from scim_bridge.reconcile.report import MARKS as KIND_MARKS
from scim_bridge.reconcile.run import Reconciliation
from scim_bridge.storage.runs import Run

MARKS: Mapping[str, tuple[str, str]] = {
    "-": ("ends", "−"),
    "+": ("begins", "+"),
    "~": ("changes", "~"),
    "!": ("stuck", "!"),
    "·": ("listed", "·"),
}
"""The class of each mark of a row, and its sign."""

STYLE = """
:root{color-scheme:light dark;--text:#1b1b1b;--quiet:#595959;--line:#d4d4d4;--head:#f3f4f6;--ends:#b3261e;
--begins:#1b6e2d;--changes:#7a5200;--stuck:#8a1f7a;--paper:#fff}
@media(prefers-color-scheme:dark){:root{--text:#ececec;--quiet:#b0b0b0;--line:#444;--head:#242628;--ends:#ff8a80;
--begins:#8bd49a;--changes:#f0c060;--stuck:#e8a0dc;--paper:#161718}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:70rem;font:1rem/1.5 system-ui,sans-serif;color:var(--text);
background:var(--paper);overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .5rem}
p{margin:.25rem 0 .75rem}
.quiet{color:var(--quiet);font-size:.9rem}
.stopped{border-left:.3rem solid var(--ends);padding:.5rem .8rem;background:var(--head)}
ul{list-style:none;margin:1rem 0;padding:0;display:flex;flex-wrap:wrap;gap:.5rem}
li{border:1px solid var(--line);border-radius:.4rem;padding:.2rem .7rem;font-size:.95rem}
table{border-collapse:collapse;width:100%;margin-top:1rem}
caption{text-align:left;font-weight:600;padding-bottom:.3rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem}
thead th{border-bottom:2px solid var(--line);font-size:.85rem;color:var(--quiet)}
tbody th{background:var(--head);border-top:1px solid var(--line)}
tbody td{border-top:1px solid var(--line)}
td:first-child,td:nth-child(3){white-space:nowrap}
td:first-child{font-weight:600}
td:nth-child(2){width:38%}
th,td:nth-child(2),td:last-child{overflow-wrap:anywhere}
tr.ends td:first-child{color:var(--ends)}tr.begins td:first-child{color:var(--begins)}
tr.changes td:first-child{color:var(--changes)}tr.stuck td:first-child{color:var(--stuck)}
tr.listed td{color:var(--quiet)}
@media(max-width:40rem){thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,tr,th,td,caption{display:block}tbody td,tbody td:nth-child(2){width:auto;padding:.1rem .6rem;border:0;
white-space:normal}tbody th{margin-top:1rem}tr td:first-child{padding-top:.5rem}tr td:last-child{padding-bottom:.5rem}
tbody tr+tr+tr{border-top:1px solid var(--line)}td:empty{display:none}td:nth-child(n+3){font-size:.9rem}
td:nth-child(3)::before{content:"Why: ";color:var(--quiet)}}
@media print{:root{--text:#000;--quiet:#333;--line:#999;--head:#eee;--paper:#fff;--ends:#000;--begins:#000;
--changes:#000;--stuck:#000}body{max-width:none;padding:0;font-size:10pt}thead{display:table-header-group}
tr{break-inside:avoid}tbody th{break-after:avoid}}
""".replace("\n", "")


def html_pieces(report: Report, items: Iterable[Drift], tenant: str) -> Iterator[str]:
    """Yield the page, piece by piece. :param items: Grouped by person."""
    yield from _head(report, tenant)
    if not report.run.by_kind:
        yield "</body></html>\n"
        return
    yield (
        "<table><caption>Every difference, by person; leavers who are still active first</caption><thead><tr>"
        '<th scope="col">Kind</th><th scope="col">Difference</th><th scope="col">Why</th><th scope="col">What becomes '
        "of it</th></tr></thead>\n"
    )
    for _, rows in groupby(items, key=who):
        yield from _person(list(rows), report)
    yield "</table></body></html>\n"


def _head(report: Report, tenant: str) -> Iterator[str]:
    run = report.run
    when = f"{run.started_at:%Y-%m-%d %H:%M} UTC"
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Entra and Ditio, {when}</title><style>{STYLE}</style></head><body>"
        f"<h1>Entra and Ditio</h1><p>{escape(_figures(report))}</p>"
    )
    if report.stopped is not None:
        yield f'<p class="stopped"><strong>Stopped by a guard:</strong> {escape(report.stopped)}. Nothing was sent.</p>'
    elif report.outcomes:
        skipped = sum(why is not None for why in report.outcomes.values())
        yield f"<p>{report.applied} repaired, {skipped} skipped.</p>"
    counts = "".join(f"<li><strong>{count}</strong> {escape(kind)}</li>" for kind, count in run.by_kind.items())
    yield f"<ul>{counts}</ul>" if counts else ""
    yield f'<p class="quiet">Company {escape(tenant)}, {when}, plan {escape(run.id)}</p>\n'


def _figures(report: Report) -> str:
    told = _figures_of(report.run) if report.run.by_kind or not report.earlier else ""
    earlier = repaired_earlier(len(report.earlier), is_all=not report.run.by_kind) if report.earlier else ""
    return f"{told} {earlier}".strip()


def _figures_of(run: Run) -> str:
    if not run.by_kind:
        return summary(run.people, run.in_sync, {}, 0)
    differences = sum(run.by_kind.values())
    noun = "difference" if differences == 1 else "differences"
    return f"{run.in_sync} of {run.people} people are in sync. {differences} {noun}, {run.new} new since the last run."


def _person(rows: list[Drift], report: Report) -> Iterator[str]:
    yield f'<tbody><tr><th scope="rowgroup" colspan="4">{escape(shown(heading(rows[0])))}</th></tr>\n'
    for row in rows:
        name, sign = MARKS[mark_of(row)]
        if row.is_drift:
            name, _ = MARKS[
                KIND_MARKS.get(row.kind, "!")
            ]  # A leaver who is still active is highlighted, repaired or not.
        cells = (f"{sign} {row.kind.value}", what(row), CAUSES[row.cause.value], _becomes(row, report))
        yield f'<tr class="{name}">{"".join(f"<td>{escape(shown(cell))}</td>" for cell in cells)}</tr>\n'
    yield "</tbody>\n"


def _becomes(row: Drift, report: Report) -> str:
    if row.position is not None and row.position in report.outcomes:
        skipped = report.outcomes[row.position]
        return "repaired" if skipped is None else f"skipped: {skipped}"
    if row.listed is not None:
        return f"only listed: {row.listed}"
    return "repaired by --apply" if row.may_be_repaired(reviewed=False) else "repaired only from this plan: --plan ID"


ReportFormat = Literal["text", "json", "html", "csv"]

COLUMNS = ("kind", "employee_number", "user_name", "field", "wanted", "found", "acknowledged", "cause")

_COLOURS: Mapping[str | None, str] = {"-": "red", "+": "green", "~": "yellow", "!": "magenta"}


@dataclass(frozen=True, slots=True)
class Printed:
    """A report in its written forms."""

    reconciliation: Reconciliation
    report: Report
    tenant: str

    def pieces(self, format: ReportFormat, *, coloured: bool) -> Iterator[str]:
        """Return the report in a format, piece by piece."""
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
                yield "To repair the rest, which needs a plan that you have read:"
            else:
                yield "Nothing was sent. To repair everything in this plan, after you have read it:"
            yield f"  scim-bridge reconcile --apply --plan {plan}{of_tenant(self.tenant)}"


def _styled(text: str, line: Line) -> str:
    return click.style(text, bold=True) if line.mark is None else click.style(text, fg=_COLOURS.get(line.mark))


def is_coloured(output: str | None) -> bool:
    """Return whether the output is a terminal."""
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
