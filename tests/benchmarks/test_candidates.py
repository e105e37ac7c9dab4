"""What is measured is what it is said to be: prepared people, the bridge's parts, the bare route."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from scim_bridge.bootstrap import build
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.server import running
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import metadata
from tests.benchmarks import bridge, create, match, people
from tests.benchmarks.bare_route import app_of
from tests.benchmarks.command import main
from tests.benchmarks.delivered import delivered_pattern_in
from tests.benchmarks.inside import counting
from tests.benchmarks.listing import listing
from tests.benchmarks.preparing import Pattern, anonymous, fill, pattern_in
from tests.benchmarks.registry import BENCHMARKS
from tests.benchmarks.sampling import Frame, Part


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Pattern:
    """Made by POSTing, and compared with what POSTs leave: it raises where they differ."""
    return pattern_in(tmp_path_factory.mktemp("pattern"))


def test_other_people_have_rows_of_their_own(pattern: Pattern):
    """Nothing of the pattern person is left in them, and no two share an id."""
    first, second = (repr(pattern.rows_of(number)) for number in (1, 2))

    assert people.user_name(1) in first
    assert people.digits(8_765_432) not in first
    assert not any(found in first or found in second for found in pattern.ids)
    assert {table.name for table, _ in pattern.rows} >= {"resources", "people", "claims"}


def test_a_row_that_is_not_what_a_post_stores_is_noticed(pattern: Pattern):
    """Wrong values are, and so are ids that join the wrong rows."""
    rows = pattern.rows_of(1)
    joined_wrongly = [(table, row | {"user_id": row["id"]} if table.name == "people" else row) for table, row in rows]
    deactivated = [(table, row | {"active": False} if table.name == "people" else row) for table, row in rows]

    assert anonymous(pattern.rows_of(1)) == anonymous(rows)
    assert anonymous(joined_wrongly) != anonymous(rows)
    assert anonymous(deactivated) != anonymous(rows)


def test_prepared_people_are_served_like_any(pattern: Pattern, empty: Database):
    """The match query finds exactly the one who is asked for, and no one can be created twice."""
    stored: list[int] = []
    fill(empty, 5, pattern, stored.append)
    client = bridge.app_for(empty).test_client()

    answer = client.get(f"{bridge.PATH}?{people.match_query(4)}", headers=bridge.authorization()).get_json()

    assert sum(stored) == 5
    assert answer["totalResults"] == 1
    assert answer["Resources"][0]["userName"] == people.user_name(4)
    with empty.read() as s:
        numbers = [len(s.connection.execute(select(metadata.tables[name])).all()) for name in ("resources", "people")]
    assert numbers == [5, 5]
    again = client.post(
        bridge.PATH, data=people.body(4), content_type=bridge.CONTENT_TYPE, headers=bridge.authorization()
    )
    assert again.status_code == 409
    bridge.post_user(bridge.app_for(empty), 6)


@pytest.mark.parametrize("parts", [match.PARTS, create.PARTS], ids=["match", "create"])
def test_every_part_of_a_breakdown_is_a_part_of_the_request(parts: tuple[Part, ...], empty: Database, pattern: Pattern):
    """A function that was renamed would leave its time to "everything else"."""
    fill(empty, 2, pattern, lambda _: None)
    app = bridge.app_for(empty)
    headers = bridge.authorization()

    with _called() as functions, counting(empty) as counted:
        if parts is match.PARTS:
            # At the first request the use of the token is noted, so it goes the long way.
            for _ in range(2):
                app.test_client().get(f"{bridge.PATH}?{people.match_query(1)}", headers=headers)
        else:
            bridge.post_user(app, 3)

    assert [part.name for part in parts if not part.covers(tuple(functions))] == []
    assert counted.statements >= 2
    assert counted.transactions >= 2


def test_the_bare_route_answers_the_very_same_bytes():
    client = app_of(b'{"totalResults":0}', 200, bridge.CONTENT_TYPE).test_client()

    for answer in (client.get(f"{bridge.PATH}?filter=x"), client.post(bridge.PATH, data=b"{}")):
        assert (answer.status_code, answer.data, answer.content_type) == (
            200,
            b'{"totalResults":0}',
            bridge.CONTENT_TYPE,
        )


def test_the_help_names_every_benchmark():
    shown = CliRunner().invoke(main, ["--help"])

    assert shown.exit_code == 0
    for name, benchmark in BENCHMARKS.items():
        assert f"  {name}" in shown.output
        assert benchmark.summary in " ".join(shown.output.split())
    assert "python -m tests.benchmarks --quick" in shown.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--users", "many"], "whole numbers"),
        (["--users", "0"], "numbers from 1"),
        (["--seconds", "1", "--requests", "10"], "one of them"),
        (["unknown"], "is not one of"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(words: list[str], said: str):
    result = CliRunner().invoke(main, words)

    assert result.exit_code == 2
    assert said in result.output


def test_what_is_posted_is_what_entra_sends():
    """Everything that the mapping needs is there, and every value of a person is his own."""
    first, second = (json.loads(people.body(number)) for number in (1, 2))

    for name in ("userName", "externalId", "displayName", "emails", "phoneNumbers"):
        assert first[name] != second[name]


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """A database that is migrated and has no one, with a connection for each transaction of a request."""
    database = Database(database_url, pool_size=2)
    yield database
    database.close()


@contextmanager
def _called() -> Iterator[set[Frame]]:
    """The functions that are called within."""
    called: set[Frame] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add((frame.f_code.co_filename, frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


def test_delivered_people_are_in_sync_with_the_list(tmp_path: Path, empty: Database):
    """Nothing differs where nothing was edited, and where it was, exactly that is found."""
    pattern, employee = delivered_pattern_in(tmp_path)
    fill(empty, 12, pattern, lambda _: None)

    assert _differing(empty, employee, edited_every=0) == []
    assert _differing(empty, employee, edited_every=5) == [people.digits(5), people.digits(10)]


def _differing(database: Database, employee: str, *, edited_every: int) -> list[str]:
    with running(listing(employee, 12, edited_every)) as url:
        ditio = {"api_url": url, "identity_url": url, "client_id": "x", "client_secret": "x", "read_lag_seconds": 0}
        settings = Settings.model_validate({"ditio": ditio})
        reconciliation = build(settings, database=database).reconciliations[DEFAULT_TENANT]
        report = reconciliation.run(Request())
        assert report.run.people == 12
        return sorted(str(item.employee_number) for item in reconciliation.items(report.run.id))
