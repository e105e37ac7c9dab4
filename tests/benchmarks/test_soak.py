"""The soak: what is judged to be flat, the chart, and a short run of the whole."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from tests.benchmarks import soak
from tests.benchmarks.chart import Panel, ceiling, svg
from tests.benchmarks.soaking import Sample, by_minute, judged, panels
from tests.thorough import thorough_only

FLAT = Sample(0.0, 150.0, 90.0, 40, 30, 12, 500, 3.0, 9.0, 130.0, 260.0, 1.0, 4.0, 5.0, 1.0, 0, 0, 0.5)
SVG = "{http://www.w3.org/2000/svg}"


def grows(samples: list[Sample]) -> list[str]:
    return [each.figure for each in judged(samples) if not each.is_flat]


def test_what_is_flat_and_what_grows():
    """Noise is flat; a leak of one handle a minute is not."""
    half_an_hour = [replace(FLAT, seconds=10.0 * number) for number in range(180)]
    noisy = [replace(each, read_p95_ms=9.0 + number % 5) for number, each in enumerate(half_an_hour)]
    leaks = [replace(each, web_handles=40 + number // 6) for number, each in enumerate(half_an_hour)]
    swells = [replace(each, worker_mb=90.0 + 0.1 * number) for number, each in enumerate(half_an_hour)]

    assert grows(noisy) == []
    assert grows(leaks) == ["web_handles"]
    assert grows(swells) == ["worker_mb"]


def test_a_busy_machine_slows_the_control_too_and_a_slow_bridge_does_not():
    """What a read waits for on a busy machine is no growth; the CPU time of a request tells what is."""
    later = [replace(FLAT, seconds=10.0 * number) for number in range(180)]
    busy = [replace(each, read_p50_ms=3.0 + n / 9, control_p50_ms=1.0 + n / 27) for n, each in enumerate(later)]
    slow = [replace(each, read_p50_ms=3.0 + n / 9) for n, each in enumerate(later)]
    works = [replace(each, cpu_ms=5.0 + n / 90) for n, each in enumerate(busy)]

    assert grows(busy) == []
    assert grows(slow) == ["read_p50_ms"]
    assert grows(works) == ["cpu_ms"]


def test_a_minute_has_the_sums_and_the_medians_of_its_samples():
    samples = [replace(FLAT, seconds=10.0 * number + 10.1, cpu_ms=float(number), due=number) for number in range(12)]

    first, second = by_minute(samples)

    assert (first.requests, first.cpu_ms, first.due, first.read_p50_ms) == (3000, 2.5, 5, 3.0)
    assert (second.requests, second.cpu_ms, second.due) == (3000, 8.5, 11)


def test_the_warm_up_is_not_judged():
    """Memory that fills once and then stays is flat."""
    fills = [replace(FLAT, web_mb=min(150.0, 100.0 + 5 * number)) for number in range(60)]

    assert grows(fills) == []


@pytest.mark.parametrize(("highest", "top"), [(0, 1), (0.3, 0.5), (1, 1), (7, 10), (11, 20), (240, 250), (251, 500)])
def test_the_top_of_an_axis(highest: float, top: float):
    assert ceiling(highest) == pytest.approx(top)


def test_the_chart_draws_each_line_to_scale():
    """Twice the value is twice as high above the axis, which begins at 0."""
    picture = ElementTree.fromstring(svg("<A>", [Panel("Memory & more", "MB", {"web": [(0, 5), (1, 10)]})], "min"))
    (line,) = picture.iter(f"{SVG}polyline")
    (_, low), (_, high) = (map(float, each.split(",")) for each in line.attrib["points"].split())
    axis = max(float(each.attrib["y1"]) for each in picture.iter(f"{SVG}line"))

    assert axis - high == pytest.approx(2 * (axis - low), abs=0.2)
    assert {"<A>", "Memory & more", "web"} <= {each.text for each in picture.iter(f"{SVG}text")}


@thorough_only
def test_a_short_soak(tmp_path: Path):
    """Real processes: every request is answered as it should be, and all figures are there."""
    output, chart = tmp_path / "soak.json", tmp_path / "soak.svg"
    words = ["--minutes", "0.05", "--database", "sqlite", "--people", "3", "--per-second", "5"]

    result = CliRunner().invoke(soak.main, [*words, "--output", str(output), "--chart", str(chart)])

    assert result.exit_code == 0, result.output
    found = json.loads(output.read_text())["databases"]["sqlite"]
    assert found["wrong"] == {}
    (sample,) = found["samples"]
    assert sample["requests"] > 20
    measured = ("web_mb", "worker_mb", "web_handles", "connections", "read_p95_ms", "control_p50_ms", "cpu_ms")
    assert all(sample[name] > 0 for name in measured)
    lines = list(ElementTree.parse(chart).iter(f"{SVG}polyline"))
    assert len(lines) == sum(len(each.lines) for each in panels({"sqlite": [FLAT]}))
