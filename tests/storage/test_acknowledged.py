"""What Ditio acknowledged, and how it took what was sent: kept field by field."""

from datetime import date

from sqlalchemy import select

from scim_bridge.domain.employee import Field
from scim_bridge.domain.person import Acknowledged, Lifecycle, PersonId, SentValue
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people
from tests.conftest import Clock

KARI = PersonId("p")


def stored(database: Database) -> Acknowledged:
    with database.read("default") as s:
        return s.acknowledged.of(KARI)


def test_what_is_kept_comes_back(database: Database, clock: Clock):
    """D5, C2, C5: value, source, and how Ditio took it; a day stays a day."""
    title = SentValue(clock(), before="Lærling", shown="FORMANN", form="FORMANN", is_confirmed=True, rounds=1)
    birth = SentValue(clock(), before=date(1990, 1, 1))
    with database.write("default") as s:
        s.acknowledged.add(
            KARI,
            {Field.work_title: "Formann", Field.birth_date: date(1990, 5, 15), Field.email: None},
            sources={Field.work_title: "title"},
            sent_values={Field.work_title: title, Field.birth_date: birth},
            login=True,
            is_written=True,
            revision=1,
        )

    assert stored(database) == Acknowledged(
        values={Field.work_title: "Formann", Field.birth_date: date(1990, 5, 15), Field.email: None},
        sources={Field.work_title: "title"},
        login=True,
        sent_values={Field.work_title: title, Field.birth_date: birth},
        changed_at={Lifecycle.login: clock()},
    )


def test_what_is_only_read_was_not_written(database: Database, clock: Clock):
    """C5: only after a write may a read be older."""
    with database.write("default") as s:
        s.acknowledged.add(KARI, {Field.work_title: "Formann"}, login=True, employed=True, revision=1)

    assert stored(database).sent_values == {}
    assert stored(database).changed_at == {}


def test_what_a_read_tells_changes_nothing_else(database: Database, clock: Clock):
    taking = SentValue(clock(), before="Lærling")
    with database.write("default") as s:
        kept = s.acknowledged
        kept.add(KARI, {Field.work_title: "Formann"}, sent_values={Field.work_title: taking}, revision=1)
        after = SentValue(clock(), before="Lærling", form="Formann", is_confirmed=True, rounds=2)
        kept.learn(KARI, {Field.work_title: after, Field.email: taking})
    assert stored(database).sent_values == {Field.work_title: after}

    with database.write("default") as s:
        others = select(people.c.id).where(people.c.id == "somebody else")
        s.acknowledged.forgive(others)
    assert stored(database).sent_values[Field.work_title].rounds == 2
