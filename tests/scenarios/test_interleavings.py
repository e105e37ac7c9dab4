"""Whatever comes between two steps of a delivery, and however Ditio answers, both sides agree at the end.

A sample is walked in the ordinary run; `INTERLEAVINGS=all pytest tests/scenarios/test_interleavings.py` walks each call
and transaction of each delivery against each event, on both databases, and the last line says how many there were.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.scenarios.walking import WORKER, Walk, WalkedWorld, settings_of, walk_along, walks
from tests.thorough import either

IS_WHOLE = os.environ.get("INTERLEAVINGS") == "all"

NTH_WALK, NTH_ON_POSTGRESQL, NTH_BOUNDARY, NTH_SHOWN = either(61, 211), 488, 4, either(1, 3)
"""What the sample takes: each so manieth walk, and of that each so manieth boundary. The first is prime, so that each
story and each event has its turn."""

SHOWN = (
    # Each of these left the sides apart once: a process that stands still just before a send, or a late write.
    Walk("hire", WORKER, "answered", "run-out", "deletion"),
    Walk("phone", WORKER, "answered", "run-out", "another phone"),
    Walk("number", WORKER, "answered", "run-out", "deletion"),
    Walk("number", WORKER, "answered", "run-out", "another number"),
    Walk("number", WORKER, "answered", "run-out", "deactivation or return"),
    Walk("return", WORKER, "answered", "run-out", "deletion"),
    Walk("ending", WORKER, "answered", "run-out", "deactivation or return"),
    Walk("return", WORKER, "late", "alive", "deactivation or return"),
)


def chosen() -> Iterator[tuple[str, Walk, int]]:
    """Each walk that is made: on which database, and which of its boundaries."""
    for place, walk in enumerate(walks()):
        if IS_WHOLE:
            yield from (("sqlite", walk, 1), ("postgresql", walk, 1))
        elif walk in SHOWN:
            yield "sqlite", walk, NTH_SHOWN if walk.answers == "answered" else NTH_BOUNDARY
        elif place % NTH_ON_POSTGRESQL == 0:
            yield "postgresql", walk, NTH_BOUNDARY
        elif place % NTH_WALK == 0:
            yield "sqlite", walk, NTH_BOUNDARY


CHOSEN = list(chosen())


@pytest.mark.parametrize(
    ("database_url", "walk", "every"),
    CHOSEN,
    ids=[f"{database}-{walk}" for database, walk, _ in CHOSEN],
    indirect=["database_url"],
)
def test_both_sides_agree_whatever_comes_between(
    database_url: str, walk: Walk, every: int, caplog: pytest.LogCaptureFixture, record_property: object
):
    """C5, D1, P5, P6, R4, L6: no one twice, no employee without a row, no leaver open, nothing to a stranger."""
    caplog.set_level(logging.ERROR)
    with closing(WalkedWorld(database_url, settings_of(walk))) as world:
        walked, found = walk_along(world, walk, every)

    assert callable(record_property)
    record_property("interleavings", walked)
    assert walked > 0
    assert found == []
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
