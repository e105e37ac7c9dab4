"""Line charts as one SVG: panels below each other, the time from left to right. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 150, 64, 132, 26, 22
COLORS = ("#1f5fa8", "#c2410c", "#2f7d32", "#7b3fa0", "#8a6d00", "#4b5563")
"""Dark enough on white, and told apart without red and green beside each other first."""

Points = Sequence[tuple[float, float]]
"""Pairs of x and y."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: lines by their names, with one unit."""

    title: str
    unit: str
    lines: Mapping[str, Points]


def svg(title: str, panels: Sequence[Panel], x_unit: str) -> str:
    """Return the picture. Each y axis begins at 0: what is flat looks flat, and what grows looks as it grows."""
    longest = max((x for each in panels for points in each.lines.values() for x, _ in points), default=0.0) or 1.0
    height = 34 + len(panels) * (HEIGHT + TOP + BOTTOM)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="11" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="10" y="20" font-size="14" font-weight="600">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, 34 + number * (HEIGHT + TOP + BOTTOM), longest, x_unit)
    return "\n".join([*parts, "</svg>\n"])


def ceiling(highest: float) -> float:
    """Return the top of an axis that shows a value: 1, 2, 2.5 or 5 times a power of ten."""
    if highest <= 0:
        return 1.0
    power = 1.0
    while power * 10 <= highest:
        power *= 10
    while power > highest:
        power /= 10
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= highest)


def _panel(panel: Panel, y: float, longest: float, x_unit: str) -> list[str]:
    top = ceiling(max((value for points in panel.lines.values() for _, value in points), default=0.0))
    wide, base = WIDTH - LEFT - RIGHT, y + TOP + HEIGHT
    parts = [f'<text x="{LEFT}" y="{y + 16:g}" font-weight="600">{escape(panel.title)}</text>']
    for share in (0.0, 0.5, 1.0):
        at = base - share * HEIGHT
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + wide}" y1="{at:g}" y2="{at:g}" stroke="#ddd"/>')
        label = f"{share * top:g} {panel.unit}" if share else "0"
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:g}" text-anchor="end">{escape(label)}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        label = f"{share * longest:.3g}" + (f" {x_unit}" if share == 1.0 else "")
        parts.append(f'<text x="{LEFT + share * wide:g}" y="{base + 14:g}" text-anchor="middle">{label}</text>')
    for number, (name, points) in enumerate(panel.lines.items()):
        color = COLORS[number % len(COLORS)]
        line = " ".join(f"{LEFT + x / longest * wide:.1f},{base - value / top * HEIGHT:.1f}" for x, value in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        at = y + TOP + 10 + 15 * number
        parts.append(f'<text x="{LEFT + wide + 10}" y="{at:g}" fill="{color}">{escape(name)}</text>')
    return parts
