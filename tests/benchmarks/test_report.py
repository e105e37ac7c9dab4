"""What is told at the end."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from tests.benchmarks.beside import limit
from tests.benchmarks.figures import Ratio
from tests.benchmarks.report import limits, machine, print_json, print_tables
from tests.benchmarks.results import Breakdown, Goal, Measured, Result, Step

BARE = Measured("bare Flask route", None, None, 2000.0, 1.0, 2.0, 7000, 0.25, 0.97, 0.3)
BRIDGE = Measured("bridge", 1000, "sqlite", 400.0, 9.5, 14.0, 1400, 2.5, 0.96, 0.05)
BREAKDOWN = Breakdown(
    users=1000,
    database="sqlite",
    milliseconds=2.0,
    cpu_ms=1.9,
    statements=2,
    transactions=2,
    samples=1000,
    steps=(
        Step("token", 0.2, 0.4, "SQLAlchemy 90%"),
        Step("dump", 0.7, 1.4, "pydantic 99%"),
        Step("rest", 0.1, 0.2, ""),
    ),
    code=(("pydantic", 0.7), ("SQLAlchemy", 0.295), ("json", 0.005)),
)


def a_goal(found: float, wanted: float, *, at_least: bool = True) -> Goal:
    return Goal("match ÷ bare", 1000, "sqlite", Ratio(found, found, found), wanted, at_least, 0.25, "Python")


@pytest.mark.parametrize(
    ("goal", "is_met"),
    [
        (a_goal(0.5, 0.5), True),
        (a_goal(0.49, 0.5), False),
        (a_goal(1.2, 1.2, at_least=False), True),
        (a_goal(1.21, 1.2, at_least=False), False),
    ],
)
def test_a_goal_is_met_at_its_figure(goal: Goal, is_met: bool):
    """Design, section 11: "≥ 0.5 ×" includes 0.5, and "≤ 1.2 ×" includes 1.2."""
    assert goal.is_met is is_met


def test_a_busy_process_is_limited_by_its_code():
    said = limit(BRIDGE, BREAKDOWN, BARE)

    assert said.startswith("Python: the web process is busy 96% of the time, 2.50 ms of CPU a request")
    assert said.endswith("In process: dump 70%, token 20%, rest 10%")


def test_an_idle_process_waits():
    assert limit(dataclasses.replace(BRIDGE, server_busy=0.4), BREAKDOWN, BARE).startswith("waiting, for the disk")


def test_a_busy_client_is_not_believed():
    assert "the client was busy 80%" in limit(dataclasses.replace(BRIDGE, client_busy=0.8), BREAKDOWN, BARE)


def test_where_the_system_tells_no_cpu_time_the_breakdown_is_told():
    said = limit(dataclasses.replace(BRIDGE, server_busy=None, server_cpu_ms=None), BREAKDOWN, BARE)

    assert said == "2.00 ms in process, of it dump 70%, token 20%, rest 10%"


def test_each_limit_is_said_once():
    """Two goals of the same candidate have the same limit."""
    assert limits([a_goal(0.2, 0.5), a_goal(1.1, 1.2, at_least=False)]) == ["sqlite, 1,000 users: Python."]


def test_the_tables_tell_everything():
    printed = io.StringIO()

    print_tables(
        [Result("match", [BARE, BRIDGE], [a_goal(0.2, 0.5)], [BREAKDOWN], ["SQLite 3: synchronous=full"])],
        "2 CPUs",
        Console(file=printed, width=120),
    )

    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    assert "bridge 1,000 sqlite 400 9.50 14.00 2.50 96% 5%" in lines
    assert "bare Flask route – – 2,000 1.00 2.00 0.25 97% 30%" in lines
    assert "match ÷ bare 1,000 sqlite 0.20 0.20–0.20 0.25 ≥ 0.5 missed" in lines
    assert "dump 1.40 70% pydantic 99%" in lines
    assert "SQLite 3: synchronous=full" in lines
    text = " ".join(lines)
    assert "2.00 ms (1.90 of CPU), 2 statements in 2 transactions" in text
    assert "pydantic 70%, SQLAlchemy 30%." in text


def test_a_machine_that_is_busy_with_other_things_is_told():
    assert "ratios are noisy" in machine(1000.0)
    assert "ratios are noisy" not in machine(0.0)


def test_json_has_the_verdict_too(capsys: pytest.CaptureFixture[str]):
    print_json([Result("match", [BRIDGE], [a_goal(0.2, 0.5)], [BREAKDOWN])], "2 CPUs")

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["goals"][0]["met"] is False
    assert result["goals"][0]["found"]["median"] == 0.2
    assert result["measured"][0]["per_second"] == 400
    assert result["breakdowns"][0]["steps"][1]["name"] == "dump"
