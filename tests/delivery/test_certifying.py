"""What a competence system or a CSV says is entered in the ledger, and the loser is told (K1)."""

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

import pytest
from sqlalchemy import select

from scim_bridge.certificates.entries import Outranked
from scim_bridge.certificates.sources import CertificateSources, Exists, OtherSource, Stored, Withdrawn
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.certificate import Certificate, Entry, EntryId, Holder, HolderKind, Source, type_of
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.tables import certificate_ledger, people
from tests.conftest import Clock
from tests.world import World, a_user

T = TypeVar("T")
NUMBER = EmployeeNumber("1042")
BYGGEKORT = type_of("Byggekort")


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


def a_certificate(issued: str = "2026-01-15", until: str | None = "2028-01-14", **parts: Any) -> Certificate:
    kind = type_of(parts.pop("type", "Byggekort"))
    return Certificate(kind, date.fromisoformat(issued), date.fromisoformat(until) if until else None, **parts)


def says(world: World, work: Callable[[CertificateSources, Session], T]) -> T:
    """Someone says something, in one transaction."""
    intake = Intake(world.parts.tenants["default"], "request", queues_only=True)
    certifying = CertificateSources(intake.tenant, intake.certificate_said)
    with world.database.write("default") as s:
        return work(certifying, s)


def put(world: World, source: Source, certificate: Certificate, number: str = NUMBER, *, is_new: bool = False) -> Any:
    number = EmployeeNumber(number)
    return says(world, lambda c, s: c.put(s, source, number, certificate, is_new=is_new))


def kept(world: World, source: Source, certificate: Certificate, number: str = NUMBER) -> Entry:
    entered = put(world, source, certificate, number)
    assert isinstance(entered, Stored)
    return entered.entry


def holder(world: World, number: str = NUMBER) -> Holder:
    with world.database.read("default") as s:
        return s.ledger.holder_of(EmployeeNumber(number))


def said(world: World, whose: Holder | None = None) -> list[tuple[str, Source, str, bool]]:
    """The ledger of someone: type, source, day of issue, and whether it counts."""
    with world.database.read("default") as s:
        lines = s.ledger.lines(whose or holder(world))
    return [
        (each.certificate.type, each.source, each.certificate.issued.isoformat(), each.wins)
        for line in lines
        for each in line.entries
    ]


def test_what_is_said_under_a_number_that_no_one_has_waits_for_him(world: World):
    """K1, K2: it is the number's, then the person's who is linked to that employee."""
    entry = kept(world, Source.csv, a_certificate())
    assert entry.holder == Holder.of_number(NUMBER)
    world.provisions(a_user())
    his = kept(world, Source.certificates, a_certificate(type="Truckførerbevis"))

    assert his.holder.kind is HolderKind.person
    assert said(world) == [
        ("Byggekort", Source.csv, "2026-01-15", True),
        ("Truckførerbevis", Source.certificates, "2026-01-15", True),
    ]
    assert said(world, Holder.of_number(NUMBER)) == []


def test_a_source_may_always_correct_its_own(world: World):
    """K1: to an older date too, and another source that still says something takes its place."""
    kept(world, Source.csv, a_certificate("2025-05-01"))
    first = kept(world, Source.certificates, a_certificate("2026-01-15"))
    corrected = put(world, Source.certificates, a_certificate("2024-01-15", number="K-1"))

    assert isinstance(corrected, Stored)
    assert (corrected.entry.id, corrected.entry.version) == (first.id, 2)
    assert corrected.beaten_by is not None
    assert corrected.beaten_by.source is Source.csv
    assert said(world) == [
        ("Byggekort", Source.certificates, "2024-01-15", False),
        ("Byggekort", Source.csv, "2025-05-01", True),
    ]


@pytest.mark.parametrize(
    ("issued", "until"), [("2026-01-15", "2028-01-14"), ("2026-01-15", "2027-01-14"), ("2025-12-31", None)]
)
def test_the_loser_is_told_and_nothing_of_his_is_stored(world: World, issued: str, until: str | None):
    """K1: the newest `issued` decides, then the later end; on equal dates what is there stays."""
    winner = kept(world, Source.certificates, a_certificate(number="K-77"))
    lost = put(world, Source.csv, a_certificate(issued, until))

    assert lost == Outranked(winner)
    assert lost.winner.certificate.number == "K-77"
    assert said(world) == [("Byggekort", Source.certificates, "2026-01-15", True)]


@pytest.mark.parametrize(
    ("issued", "until"), [("2026-01-16", "2027-01-01"), ("2026-01-15", "2028-01-15"), ("2026-01-15", None)]
)
def test_the_newer_then_the_longer_takes_over(world: World, issued: str, until: str | None):
    """K1: the other stays in the ledger, and counts again once the winner withdraws."""
    other = kept(world, Source.csv, a_certificate())
    winner = kept(world, Source.certificates, a_certificate(issued, until))
    assert winner.wins
    says(world, lambda c, s: c.withdraw(s, winner.id))

    assert [(each[1], each[3]) for each in said(world)] == [(other.source, True)]


def test_a_post_is_in_the_way_of_another(world: World):
    """K1: a POST is refused where `/Certificates` itself holds that type already, however the type was typed."""
    entry = kept(world, Source.certificates, a_certificate(type="Kranførerbevis"))
    again = put(world, Source.certificates, a_certificate("2026-02-01", type="Kranfo\u0338rerbevis"), is_new=True)
    same = put(world, Source.certificates, a_certificate("2026-02-01", type=" Kranførerbevis"), is_new=True)

    assert isinstance(again, Stored)  # ø is a letter of its own, and no o with a stroke laid over it.
    assert same == Exists(entry)


def test_what_another_source_says_is_changed_there(world: World):
    """K1: PUT, PATCH or DELETE of another source's entry names the source."""
    entry = kept(world, Source.csv, a_certificate())

    for change in (
        lambda c, s: c.change(s, entry.id, NUMBER, a_certificate("2026-02-01")),
        lambda c, s: c.withdraw(s, entry.id),
    ):
        assert says(world, change) == OtherSource(entry)
    assert said(world) == [("Byggekort", Source.csv, "2026-01-15", True)]


def test_an_id_that_no_one_has(world: World):
    nobody = EntryId("nobody")

    assert says(world, lambda c, s: c.withdraw(s, nobody)) is None
    assert says(world, lambda c, s: c.change(s, nobody, NUMBER, a_certificate())) is None


def test_a_resource_is_given_another_type_and_another_holder(world: World):
    """K1: it keeps its id; what it was before is withdrawn."""
    world.provisions(a_user())
    entry = kept(world, Source.certificates, a_certificate())
    changed = says(world, lambda c, s: c.change(s, entry.id, EmployeeNumber("7"), a_certificate(type="X")))

    assert isinstance(changed, Stored)
    assert (changed.entry.id, changed.entry.version, changed.entry.created_at) == (entry.id, 2, entry.created_at)
    assert said(world) == []
    assert said(world, Holder.of_number(EmployeeNumber("7"))) == [("X", Source.certificates, "2026-01-15", True)]


def test_a_change_that_loses_leaves_all_as_it_was(world: World):
    """A2, K1: a person who is told 409 finds nothing of it stored."""
    kept(world, Source.csv, a_certificate(type="X"))
    entry = kept(world, Source.certificates, a_certificate())
    before = said(world)
    changed = says(world, lambda c, s: c.change(s, entry.id, NUMBER, a_certificate(type="X")))

    assert isinstance(changed, Outranked)
    assert said(world) == before


def test_who_is_linked_is_due(world: World):
    """K2: with his certificates; a person who is not at work, or said nothing new, is not."""
    user = a_user()
    world.provisions(user)
    put(world, Source.csv, a_certificate())
    assert state_of(world) == "due"
    world.worker.run_until_idle()
    put(world, Source.csv, a_certificate())
    put(world, Source.certificates, a_certificate("2020-01-01"))
    assert state_of(world) == "delivered"
    world.changes(user, account_enabled=False)
    put(world, Source.csv, a_certificate("2026-02-01"))
    assert state_of(world) == "delivered"


def test_what_waited_for_him_makes_him_due_whatever_else_is_said(world: World):
    """K2: a line that loses takes along what was said before, and no one forgets to send that."""
    user = a_user(employee_id="7")
    world.provisions(user)
    kept(world, Source.csv, a_certificate("2026-02-01"), "7")
    kept(world, Source.csv, a_certificate(type="X"), "8")
    world.changes(user, employee_id="8")
    assert state_of(world) == "delivered"
    kept(world, Source.csv, a_certificate(type="Y"), "9")
    world.changes(user, employee_id="9")
    world.worker.run_until_idle()
    with world.database.write() as s:
        s.connection.execute(
            certificate_ledger.update()
            .where(certificate_ledger.c.type == "Y")
            .values(holder_kind="employee-number", holder="9")
        )
    lost = put(world, Source.certificates, a_certificate("2026-01-01"), "9")

    assert isinstance(lost, Outranked)
    assert state_of(world) == "due"


def state_of(world: World) -> str:
    with world.database.read() as s:
        state: str = s.connection.execute(select(people.c.state)).scalar_one()
    return state


def test_a_withdrawal_is_remembered_only_as_long_as_ditio_may_have_it(world: World):
    """K5: of what was never sent nothing is left."""
    entry = kept(world, Source.csv, a_certificate())
    assert kept(world, Source.certificates, a_certificate("2026-02-01")).wins
    with world.database.write("default") as s:
        s.ledger.remove(entry.id)
        entry = s.ledger.lines(Holder.of_number(NUMBER))[0].entries[0]
    withdrawn = says(world, lambda c, s: c.withdraw(s, entry.id))

    assert withdrawn == Withdrawn()
    with world.database.read() as s:
        assert s.connection.execute(select(certificate_ledger)).all() == []


def test_of_two_words_of_one_source_the_later_counts(world: World, clock: Clock):
    """K1: what was said of the number joins what was said of the person."""
    kept(world, Source.csv, a_certificate("2026-01-15"), "7")
    user = a_user(employee_id="7")
    world.provisions(user)
    kept(world, Source.csv, a_certificate("2026-02-15"), "7")
    clock.passes(minutes=1)
    kept(world, Source.csv, a_certificate("2026-01-20"), "8")
    kept(world, Source.certificates, a_certificate("2026-02-20"), "8")
    world.changes(user, employee_id="8")
    clock.passes(minutes=1)
    kept(world, Source.csv, a_certificate(type="X"), "8")

    assert said(world, holder(world, "8")) == [
        ("Byggekort", Source.certificates, "2026-02-20", True),
        ("Byggekort", Source.csv, "2026-01-20", False),
        ("X", Source.csv, "2026-01-15", True),
    ]
    with world.database.read("default") as s:
        numbers = {entry.employee_number for line in s.ledger.lines(holder(world, "8")) for entry in line.entries}
    assert numbers == {"8"}
