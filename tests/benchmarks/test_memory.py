"""The memory benchmark: what counts as flat, and a short run of the whole."""

from pathlib import Path

from tests.benchmarks.memory import PARTS, goals, memory
from tests.benchmarks.stage import Plan, Stage
from tests.thorough import thorough_only


def test_what_is_flat_and_what_grows():
    """Each figure has a goal of its own: a process that grows slowly may stay small for a long time."""
    flat, grows, is_large = (
        [goal.is_met for goal in goals("sqlite", 1000, megabytes)]
        for megabytes in ([100.0, 104.0, 103.0], [80.0, 84.0, 90.0], [130.0, 130.0, 130.0])
    )

    assert (flat, grows, is_large) == ([True, True], [False, True], [True, False])


@thorough_only
def test_a_short_run(tmp_path: Path):
    """A real server: every request is answered as it should be, and its memory is looked at after each part."""
    plan = Plan(
        users=(20,),
        databases=("sqlite",),
        rounds=1,
        seconds=0.1,
        requests=200,
        connections=2,
        profile_seconds=0.1,
        people=10,
    )
    with Stage(plan, tmp_path) as stage:
        found = memory(stage)

    (measured,), (note,) = found.measured, found.notes
    assert measured.requests == 220
    assert len(note.split(" MB")[0].split(",")) == PARTS + 1
    growth, most = (goal.found.median for goal in found.goals)
    assert 0.5 < growth < 2
    assert 20 < most < 500
