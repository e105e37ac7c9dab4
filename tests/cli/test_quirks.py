"""`scim-bridge quirks`: what the client does that departs from the RFCs."""

import json

import pytest

from scim_bridge.cli.audit import MEANINGS
from scim_bridge.scim.quirks import QuirkKind
from scim_bridge.storage.database import Database
from tests.cli.conftest import Run
from tests.conftest import Clock


@pytest.fixture
def counted(database: Database, clock: Clock) -> None:
    """`shoeSize` came twice, a minute apart; a boolean as text once; and another company has its own."""
    for found in ([(QuirkKind.unknown_attribute, "shoeSize")], [*_both()]):
        with database.write("default") as s:
            s.quirks.count(found)
        clock.passes(minutes=1)
    with database.write("other") as s:
        s.quirks.count([(QuirkKind.unknown_attribute, "secretOfAnother")])


def _both() -> list[tuple[str, str]]:
    return [(QuirkKind.text_for_boolean, "active"), (QuirkKind.unknown_attribute, "shoeSize")]


@pytest.mark.usefixtures("counted")
def test_list_has_these_keys_most_frequent_first(run: Run):
    """Design, section 5: `quirks list`; of one company."""
    result = run("quirks", "list", "--format", "json")

    assert result.exit_code == 0
    assert json.loads(result.stdout) == [
        {
            "kind": "unknown-attribute",
            "name": "shoeSize",
            "count": 2,
            "first_seen": "2026-03-02T08:00:00Z",
            "last_seen": "2026-03-02T08:01:00Z",
            "meaning": MEANINGS[QuirkKind.unknown_attribute],
        },
        {
            "kind": "text-for-boolean",
            "name": "active",
            "count": 1,
            "first_seen": "2026-03-02T08:01:00Z",
            "last_seen": "2026-03-02T08:01:00Z",
            "meaning": MEANINGS[QuirkKind.text_for_boolean],
        },
    ]


@pytest.mark.usefixtures("counted")
def test_the_table_says_what_it_means_and_what_to_do(run: Run):
    """For the administrator: kind, name, how often, when, and the cure."""
    heading, first, second = run("quirks", "list").stdout.splitlines()

    assert heading.split()[:3] == ["Kind", "Name", "Writes"]
    assert first.split()[:3] == ["unknown-attribute", "shoeSize", "2"]
    assert "remove the attribute mapping in Entra" in first
    assert "aadOptscim062020" in second


def test_where_nothing_was_tolerated_it_says_so(run: Run):
    assert run("quirks", "list").stdout.startswith("nothing: ")
    assert json.loads(run("quirks", "list", "--format", "json").stdout) == []


def test_a_kind_of_another_version_is_shown_without_words(run: Run, database: Database, clock: Clock):
    with database.write("default") as s:
        s.quirks.count([("kind-of-tomorrow", "title")])

    (row,) = json.loads(run("quirks", "list", "--format", "json").stdout)
    assert (row["kind"], row["meaning"]) == ("kind-of-tomorrow", None)
    assert "kind-of-tomorrow" in run("quirks", "list").stdout


def test_every_kind_has_words():
    """A7: what is counted can be read by the administrator."""
    assert set(MEANINGS) == set(QuirkKind)
    assert len(set(MEANINGS.values())) == len(QuirkKind)
