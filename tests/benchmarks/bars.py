"""The figures as a drawing (SVG): requests a second of each candidate, a block for each benchmark."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from tests.benchmarks.results import Measured, Result

WIDTH, LABEL, LINE, HEAD = 860, 300, 22, 34
BAR = WIDTH - LABEL - 90
"""The length of the longest bar of a block."""

OURS, OTHERS = "#1f6feb", "#9aa4af"


def chart(results: Sequence[Result], circumstances: str) -> str:
    """Return the drawing.

    :param circumstances: What it was measured on; it stands below.
    """
    lines, y = [], 12
    for result in results:
        lines.append(_text(10, y + 20, f"{result.benchmark}: per second", weight="bold"))
        y += HEAD
        most = max((each.per_second for each in result.measured), default=1.0)
        for each in result.measured:
            lines += _bar(y, each, most)
            y += LINE
    lines.append(_text(10, y + 26, circumstances, size=11))
    height = y + 42
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *lines, "</svg>", ""])


def _bar(y: int, measured: Measured, most: float) -> list[str]:
    length = max(1, round(BAR * measured.per_second / most))
    is_ours = measured.database is not None
    return [
        _text(LABEL - 8, y + 15, _label(measured), anchor="end"),
        f'<rect class="bar" x="{LABEL}" y="{y + 3}" width="{length}" height="{LINE - 6}" '
        f'fill="{OURS if is_ours else OTHERS}"/>',
        _text(LABEL + length + 6, y + 15, f"{measured.per_second:,.0f}"),
    ]


def _label(measured: Measured) -> str:
    about = [measured.database] if measured.database else []
    about += [f"{measured.users:,} users"] if measured.users else []
    return ", ".join([measured.candidate, *about])


def _text(x: int, y: int, text: str, *, anchor: str = "start", size: int = 13, weight: str = "normal") -> str:
    style = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
    return f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>'
