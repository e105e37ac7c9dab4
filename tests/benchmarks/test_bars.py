"""The drawing of the figures."""

import dataclasses
from xml.etree import ElementTree

from tests.benchmarks.bars import BAR, chart
from tests.benchmarks.results import Result
from tests.benchmarks.test_report import BARE, BRIDGE

SVG = "{http://www.w3.org/2000/svg}"


def test_each_figure_has_a_bar_as_long_as_it_is_large():
    drawn = ElementTree.fromstring(chart([Result("match", [BARE, BRIDGE])], "2 CPUs"))

    bars = [each for each in drawn.iter(f"{SVG}rect") if each.get("class") == "bar"]
    assert [int(str(each.get("width"))) for each in bars] == [BAR, BAR // 5]
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert texts == ["match: per second", "bare Flask route", "2,000", "bridge, sqlite, 1,000 users", "400", "2 CPUs"]


def test_the_scale_is_each_benchmarks_own():
    slow = Result("create", [dataclasses.replace(BRIDGE, per_second=4.0)])
    drawn = ElementTree.fromstring(chart([Result("match", [BARE]), slow], "a < b"))

    assert {each.get("width") for each in drawn.iter(f"{SVG}rect") if each.get("class") == "bar"} == {str(BAR)}
    assert [each.text for each in drawn.iter(f"{SVG}text")][-1] == "a < b"
