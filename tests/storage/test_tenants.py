"""Two companies in one database, with the same ids, numbers and names: none reads or changes the other's (P3)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, literal, select, true

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, Author
from scim_bridge.domain.certificate import Certificate, CertificateToSend, EntryId, Holder, Source, type_of
from scim_bridge.domain.certificate import Entry as CertificateEntry
from scim_bridge.domain.drift import By, Cause, Drift, Kind, Pair, Proposal
from scim_bridge.domain.employee import ActualEmployee, Days, EmployeeNumber, Field
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import (
    Claim,
    ClaimKind,
    Creating,
    GuardedChange,
    HandsOff,
    Lifecycle,
    Person,
    PersonId,
    RequestedAt,
    SentValue,
    Verdict,
)
from scim_bridge.domain.values import UserId
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.admin_tables import in_sync
from scim_bridge.storage.breaker import Breakers
from scim_bridge.storage.candidates import Found, InSync
from scim_bridge.storage.certificate_queries import CertificateSearches, said_in_files, with_external_id
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.credentials import AccessTokens, Clients, Secrets, Tokens
from scim_bridge.storage.database import Database
from scim_bridge.storage.guard import Guard, GuardDecision, held_or_dropped
from scim_bridge.storage.history import AuditTrail, Entry, History, said_since
from scim_bridge.storage.ledger import CertificateDeliveries, Ledger
from scim_bridge.storage.outbox import Outbox, RestLeases, Status
from scim_bridge.storage.paging import Order
from scim_bridge.storage.pairs import Pairs, forget_abandoned
from scim_bridge.storage.people import HandsOffs, People, Permissions, user_names
from scim_bridge.storage.plans import PlanItems
from scim_bridge.storage.reports import Expiries, excerpt_of
from scim_bridge.storage.resources import Quirks, Resources, StoredResource, document_of
from scim_bridge.storage.runs import Runs, Schedules
from scim_bridge.storage.search import Branch, CertificateSearch, RootSearch
from scim_bridge.storage.snapshot import Seen, Snapshot
from scim_bridge.storage.tables import certificate_entries, certificate_ledger, metadata, people
from tests.conftest import Clock

OURS, THEIRS = "ours", "theirs"
KARI, PER, OLA = PersonId("kari"), PersonId("per"), PersonId("ola")
NUMBER, PHONE = EmployeeNumber("1042"), "+4798765432"
NAME = "kari@contractor.example"
HERS = Claim(ClaimKind.phone, PHONE)
HER_NUMBER = Claim(ClaimKind.employee_number, NUMBER)
TODAY = date(2026, 3, 2)
CRANE = type_of("Kranførerbevis")
HERS_IN_THE_LEDGER, SEVENS = Holder.of_person(KARI), Holder.of_number(EmployeeNumber("7"))
HOUR = timedelta(hours=1)
SOMEBODY = Author(Actor(ActorKind.token, "t"), "request-1")


@pytest.fixture
def companies(database: Database, clock: Clock) -> Database:
    """Both have a linked Kari, a Per who waits for her phone, and a row in every table."""
    for tenant in (OURS, THEIRS):
        fill(database, clock, tenant)
    return database


DRIFT = Drift(Kind.field, Cause.edited_in_ditio, NUMBER, NAME, "phone", PHONE, "+4799999999", PHONE, person_id=KARI)

HERS_IN_SYNC = Found(KARI, NUMBER, 2, datetime(2026, 3, 2, tzinfo=UTC), "digest", True)

PAIR = Pair(KARI, NAME, 1, Proposal(NUMBER, By.number))


def fill(database: Database, clock: Clock, tenant: str) -> None:
    now = clock()
    with database.write() as connection:
        stored, outbox = People(connection, tenant), Outbox(connection, tenant, now)
        for person_id in (KARI, PER, OLA):
            stored.add(
                Person(person_id, UserId(f"user-{person_id}"), Days(active=True)),
                external_id="x",
                wakes_on=None,
                now=now,
            )
            outbox.mark_due(person_id, lease="lease" if person_id == KARI else None, lease_seconds=30)
        stored.set_days(KARI, Days(active=True, leave=TODAY), RequestedAt(ending=now, phone=now), wakes_on=TODAY)
        stored.link(KARI, NUMBER, now=now)
        stored.set_user(OLA, None, external_id=None, now=now)
        acknowledgements = Acknowledgements(connection, tenant)
        taking = SentValue(at=now, rounds=2)
        values = {Field.phone: PHONE}
        acknowledgements.add(KARI, values, sent_values={Field.phone: taking}, login=True, revision=1, now=now)
        claims = Claims(connection, tenant)
        assert claims.take(KARI, HERS)
        assert claims.take(KARI, HER_NUMBER)
        assert not claims.take(PER, HERS)
        HandsOffs(connection, tenant).set(PER, HandsOff(TODAY - timedelta(days=1)))
        Permissions(connection, tenant).grant(EmployeeNumber("7"), NAME, now=now)
        said = Entry("user-created", "accepted")
        History(connection, tenant, now).add(KARI, said, Entry("delivery", "delivered"))
        AuditTrail(connection, tenant).add(AuditEvent(Action.created, "User", "user-kari", KARI), SOMEBODY, now=now)
        Tokens(connection, tenant).add("t", "Entra", f"secret of {tenant}", now=now, expires_at=None)
        Clients(connection, tenant).add("c", "Entra", f"client secret of {tenant}", now=now, expires_at=None)
        AccessTokens(connection, tenant, None).add("c", f"access of {tenant}", now=now, expires_at=now + HOUR)
        guard = Guard(connection, tenant, now)
        guard.decide(GuardedChange.ending, KARI, now, GuardDecision(Verdict.held, "too many"))
        guard.decide(GuardedChange.phone, KARI, now, GuardDecision(Verdict.dropped))
        guard.decide(GuardedChange.ending, PER, now, GuardDecision(Verdict.counted))
        Quirks(connection, tenant).count({("unknown-attribute", "x")}, now=now)
        breakers = Breakers(connection, tenant, now)
        breakers.locked()
        breakers.open("HTTP 503", (PER,))
        breakers.begin_probe(KARI, "lease", 1)
        Runs(connection, tenant).begin("run", "run", now=now, is_whole=True)
        items = PlanItems(connection, tenant, "run")
        items.add([DRIFT], 0)
        items.settle([(0, None)], now)
        found = ActualEmployee(NUMBER, {Field.phone: PHONE})
        Snapshot(connection, tenant, "run").add([Seen(found, None, "phone", "digest")])
        InSync(connection, tenant, "basis").note([HERS_IN_SYNC])
        pairs = Pairs(connection, tenant, "run")
        pairs.begin(now=now)
        pairs.add([PAIR])
        Schedules(connection, tenant, now).take("reconcile", "us", every_seconds=60, alive_seconds=30)
        Resources(connection, tenant).add(a_resource(now))
        book = Ledger(connection, tenant)
        for holder in (HERS_IN_THE_LEDGER, SEVENS):
            book.open(holder, CRANE)
            book.add(an_entry(holder, now))
        shipment = CertificateToSend(book.lines(HERS_IN_THE_LEDGER)[0], NUMBER, Certificate(CRANE, TODAY, TODAY))
        CertificateDeliveries(connection, tenant).acknowledge([shipment], now)
    Secrets(database).of(tenant, "cursors")


def an_entry(holder: Holder, now: Any, notes: str | None = None) -> CertificateEntry:
    certificate = Certificate(CRANE, TODAY, notes=notes)
    return CertificateEntry(EntryId(holder.value), holder, Source.slot, certificate, True, NUMBER, 1, now, now)


def a_certificate_to_send(connection: Connection, tenant: str) -> CertificateToSend:
    (line,) = Ledger(connection, tenant).lines(SEVENS)
    return CertificateToSend(line, NUMBER, Certificate(CRANE, TODAY, TODAY))


def a_resource(now: Any, title: str = "Maskinfører") -> StoredResource:
    document: dict[str, object] = {"userName": NAME, "title": title}
    return StoredResource("user-kari", "User", document, 1, now, now, keys={"userName": NAME})


def everything(database: Database, tenant: str) -> Mapping[str, list[Any]]:
    with database.read() as connection:
        return {
            table.name: sorted(
                (tuple(row) for row in connection.execute(select(table).where(table.c.tenant == tenant))), key=repr
            )
            for table in metadata.tables.values()
            if "tenant" in table.c
        }


def settled(connection: Connection, now: Any) -> None:
    """Ola is at rest."""
    Outbox(connection, OURS, now).settle(OLA, state=State.delivered, reason=None, detail=None)


CHANGES: dict[str, Callable[[Connection, Any], object]] = {
    "set_user": lambda c, now: People(c, OURS).set_user(KARI, UserId("other"), external_id="y", now=now),
    "set_external_id": lambda c, _: People(c, OURS).set_external_id(KARI, "y"),
    "set_days": lambda c, _: People(c, OURS).set_days(KARI, Days(active=False), RequestedAt(), wakes_on=None),
    "set_creating": lambda c, _: People(c, OURS).set_creating(KARI, Creating(NUMBER, PHONE)),
    "set_renumbering": lambda c, _: People(c, OURS).set_renumbering(KARI, EmployeeNumber("8")),
    "link": lambda c, now: People(c, OURS).link(PER, EmployeeNumber("7"), now=now),
    "unlink": lambda c, _: People(c, OURS).unlink(KARI),
    "forget": lambda c, _: People(c, OURS).forget(OLA),
    "mark_due": lambda c, now: Outbox(c, OURS, now).mark_due(PER, request_id="r", lease="mine", lease_seconds=9),
    "lease_next": lambda c, now: Outbox(c, OURS, now).lease_next("mine", 30),
    "renew": lambda c, now: Outbox(c, OURS, now).renew(KARI, "lease", 300),
    "release": lambda c, now: Outbox(c, OURS, now).release(KARI, "lease"),
    "try_again": lambda c, now: Outbox(c, OURS, now).try_again(KARI, after_seconds=9, detail="x", failed=True),
    "begin": lambda c, now: Runs(c, OURS).begin("another", "another", now=now, is_whole=False),
    "finish": lambda c, now: Runs(c, OURS).finish("run", now=now, exit=0),
    "note": lambda c, now: Runs(c, OURS).note("run", people=9),
    "settle_rows": lambda c, now: PlanItems(c, OURS, "run").settle([(1, "moved")], now),
    "drop": lambda c, now: Snapshot(c, OURS, "run").drop(),
    "pairs that are added": lambda c, now: Pairs(c, OURS, "run").add([replace(PAIR, revision=2)]),
    "contended pairs": lambda c, now: (
        Pairs(c, OURS, "run").add([replace(PAIR, person_id=PER)]),
        Pairs(c, OURS, "run").dispute_contended("both ask"),
    ),
    "a disputed pair": lambda c, now: Pairs(c, OURS, "run").dispute(PAIR, "why"),
    "a decided pair": lambda c, now: Pairs(c, OURS, "run").decide(replace(PAIR, person_id=PER), why_not_others="no"),
    "a skipped pair": lambda c, now: Pairs(c, OURS, "run").skip(PAIR),
    "the end of adopting": lambda c, now: Pairs(c, OURS, "run").end(),
    "abandoned adoptions": lambda c, now: forget_abandoned(c, OURS, now + HOUR),
    "a new adoption": lambda c, now: Pairs(c, OURS, "another").begin(now=now),
    "in sync": lambda c, now: InSync(c, OURS, "other").note([replace(HERS_IN_SYNC, revision=9)]),
    "stay_alive": lambda c, now: Schedules(c, OURS, now).stay_alive("reconcile", "us", 900),
    "done": lambda c, now: Schedules(c, OURS, now).done("reconcile", "us"),
    "suspect": lambda c, now: Breakers(c, OURS, now).suspect((KARI,)),
    "stay_open": lambda c, now: Breakers(c, OURS, now).stay_open("HTTP 500"),
    "close": lambda c, now: Breakers(c, OURS, now).close(),
    "close_by_operator": lambda c, now: Breakers(c, OURS, now).close_by_operator(),
    "go_well": lambda c, now: Breakers(c, OURS, now).go_well(KARI),
    "keep_quiet": lambda c, now: Breakers(c, OURS, now).keep_quiet(60),
    "begin_probe": lambda c, now: Breakers(c, OURS, now).begin_probe(PER, "mine", 2),
    "wake": lambda c, now: Outbox(c, OURS, now).wake(TODAY),
    "retry": lambda c, now: Outbox(c, OURS, now).retry(),
    "retry of one": lambda c, now: Outbox(c, OURS, now).retry(PER),
    "acknowledge": lambda c, now: Acknowledgements(c, OURS).add(KARI, {Field.phone: "+47"}, revision=2, now=now),
    "learn": lambda c, now: Acknowledgements(c, OURS).learn(KARI, {Field.phone: SentValue(at=now, rounds=1)}),
    "doubt": lambda c, now: Acknowledgements(c, OURS).doubt(KARI, Lifecycle.login, revision=2, now=now),
    "forget a field": lambda c, _: Acknowledgements(c, OURS).forget(KARI, Field.phone),
    "forget all": lambda c, _: Acknowledgements(c, OURS).forget(KARI),
    "forgive": lambda c, _: Acknowledgements(c, OURS).forgive(select(literal(KARI))),
    "keep_only": lambda c, _: Claims(c, OURS).keep_only(KARI, ()),
    "keep one": lambda c, _: Claims(c, OURS).keep_only(KARI, [HERS]),
    "wait_only_for": lambda c, _: Claims(c, OURS).wait_only_for(PER, ()),
    "take": lambda c, _: (Claims(c, OURS).keep_only(KARI, ()), Claims(c, OURS).take(PER, HERS)),
    "ask_for_a_look": lambda c, _: Claims(c, OURS).ask_for_a_look(select(literal(PER))),
    "put aside": lambda c, _: HandsOffs(c, OURS).set(KARI, HandsOff(TODAY)),
    "end of hands-off": lambda c, _: HandsOffs(c, OURS).end(TODAY),
    "grant": lambda c, now: Permissions(c, OURS).grant(NUMBER, NAME, now=now + timedelta(days=99)),
    "consume": lambda c, _: Permissions(c, OURS).consume(EmployeeNumber("7")),
    "revoke": lambda c, now: Tokens(c, OURS).revoke("t", now=now),
    "used": lambda c, now: Tokens(c, OURS).used(Tokens(c, OURS).list()[0], now=now),
    "rotate a client": lambda c, now: Clients(c, OURS).rotate("c", "another", now=now, expires_at=None),
    "revoke a client": lambda c, now: Clients(c, OURS).revoke("c", now=now),
    "a client signs in": lambda c, now: Clients(c, OURS).signs_in("c", f"client secret of {OURS}", now=now),
    "an access token": lambda c, now: AccessTokens(c, OURS, None).add("c", "other", now=now, expires_at=now + HOUR),
    "access tokens that end": lambda c, now: AccessTokens(c, OURS, None).add(
        "c", "other", now=now + 2 * HOUR, expires_at=now + 3 * HOUR
    ),
    "note an occasion": lambda c, now: Guard(c, OURS, now).note_occasion(GuardedChange.creation, KARI, now),
    "settle an occasion": lambda c, now: Guard(c, OURS, now).settle_occasion(
        GuardedChange.phone, KARI, now - timedelta(seconds=1)
    ),
    "forgive what is held": lambda c, now: Guard(c, OURS, now).forgive(GuardedChange.phone, KARI),
    "decide": lambda c, now: Guard(c, OURS, now).decide(GuardedChange.phone, OLA, now, GuardDecision(Verdict.counted)),
    "let go": lambda c, now: Guard(c, OURS, now).release(),
    "withdraw": lambda c, now: Guard(c, OURS, now).drop(KARI),
    "old decisions": lambda c, now: Guard(c, OURS, now).forget_before(now, limit=9),
    "quirk": lambda c, now: Quirks(c, OURS).count({("unknown-attribute", "x")}, now=now),
    "replace": lambda c, now: Resources(c, OURS).replace(a_resource(now, "Formann")),
    "delete": lambda c, _: Resources(c, OURS).delete("User", "user-kari"),
    "audit": lambda c, now: AuditTrail(c, OURS).add(AuditEvent(Action.paused, "outbox"), SOMEBODY, now=now),
    "old audit": lambda c, now: AuditTrail(c, OURS).forget_before(now + HOUR, limit=9),
    "old history": lambda c, now: History(c, OURS, now).forget_before(now + HOUR, limit=9),
    "an entry": lambda c, now: Ledger(c, OURS).replace(an_entry(SEVENS, now, "G4")),
    "another entry": lambda c, now: Ledger(c, OURS).add(an_entry(Holder.of_number(EmployeeNumber("9")), now)),
    "a line": lambda c, _: Ledger(c, OURS).open(SEVENS, type_of("Byggekort")),
    "a client's id": lambda c, now: with_external_id(c, OURS, an_entry(SEVENS, now), "x", version=2, now=now),
    "no entry": lambda c, _: Ledger(c, OURS).remove(an_entry(SEVENS, TODAY).id),
    "no winner": lambda c, _: Ledger(c, OURS).set_winner(an_entry(SEVENS, TODAY).id, wins=False),
    "what was refused": lambda c, _: (
        CertificateDeliveries(c, OURS).refuse([a_certificate_to_send(c, OURS)], Reason.refused, "x", is_certain=True),
        Ledger(c, OURS).clear(Ledger(c, OURS).lines(SEVENS)[0]),
        CertificateDeliveries(c, OURS).begin([a_certificate_to_send(c, OURS)]),
    ),
    "forgiven certificates": lambda c, _: (
        CertificateDeliveries(c, OURS).refuse([a_certificate_to_send(c, OURS)], Reason.refused, "x", is_certain=False),
        CertificateDeliveries(c, OURS).forgive_unclaimed(),
    ),
    "acknowledged certificate": lambda c, now: CertificateDeliveries(c, OURS).acknowledge(
        [a_certificate_to_send(c, OURS)], now
    ),
    "stale certificates": lambda c, now: CertificateDeliveries(c, OURS).mark_stale(KARI),
    "forgotten certificates": lambda c, _: CertificateDeliveries(c, OURS).forget(KARI),
    "rest": lambda c, now: (settled(c, now), RestLeases(c, OURS, now).take([OLA], "mine", 30, TODAY)),
    "rest over": lambda c, now: RestLeases(c, OURS, now).give_back([KARI], "lease"),
    "parked at rest": lambda c, now: (
        settled(c, now),
        RestLeases(c, OURS, now).take([OLA], "mine", 30, TODAY),
        RestLeases(c, OURS, now).park(OLA, "mine", "x"),
    ),
    "history of several": lambda c, now: History(c, OURS, now).add_for_all([KARI], Entry("certificates", "done")),
    "a closed line": lambda c, _: (
        Ledger(c, OURS).remove(an_entry(SEVENS, TODAY).id),
        Ledger(c, OURS).close(SEVENS, CRANE),
    ),
    "another number": lambda c, _: Ledger(c, OURS).renumber(KARI, EmployeeNumber("8")),
    "an heir": lambda c, _: Ledger(c, OURS).inherit(Ledger(c, OURS).lines(SEVENS)[0], HERS_IN_THE_LEDGER),
    "history": lambda c, now: History(c, OURS, now).add(KARI, Entry("delivery", "delivered")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_for_one_is_not_changed_for_the_other(companies: Database, clock: Clock, change: str):
    """Design, section 10: one tenant can never touch another's data. Each change does change its own."""
    ours, theirs = everything(companies, OURS), everything(companies, THEIRS)
    with companies.write() as connection:
        CHANGES[change](connection, clock() + timedelta(seconds=1))

    assert everything(companies, THEIRS) == theirs
    assert everything(companies, OURS) != ours


def test_a_look_that_was_taken_is_taken_for_one(companies: Database):
    """P3: the wait of the other company's person is another."""
    with companies.write() as connection:
        for tenant in (OURS, THEIRS):
            Claims(connection, tenant).ask_for_a_look(select(literal(PER)))
        Claims(connection, OURS).looked_at(PER, HERS)
        assert Claims(connection, OURS).to_look_at(PER) == frozenset()
        assert Claims(connection, THEIRS).to_look_at(PER) == {HERS}


def test_no_one_sees_what_is_only_the_others(database: Database, clock: Clock):
    """Design, section 10: one tenant can never read or guess another's data."""
    fill(database, clock, THEIRS)
    later = clock() + timedelta(minutes=1)
    with database.write() as c:
        stored, outbox, claims = People(c, OURS), Outbox(c, OURS, later), Claims(c, OURS)
        assert stored.get(KARI) is None
        assert stored.get(KARI, lock=True) is None
        assert stored.of_user(UserId("user-kari")) is None
        assert stored.of_user_name(NAME) is None
        assert stored.linked_to(NUMBER) is None
        assert stored.find(NUMBER) is None
        assert stored.find(NAME) is None
        assert stored.find("user-kari") is None
        assert (stored.count(), stored.count(linked=True)) == (0, 0)
        assert user_names(c, OURS, [UserId("user-kari")]) == {}
        assert document_of(c, OURS, UserId("user-kari")) is None
        assert not outbox.has_work()
        assert outbox.lease_next("mine", 30) is None
        assert not outbox.lease(PER, "mine", 30)
        assert not outbox.renew(KARI, "lease", 30)
        assert (outbox.wake(TODAY), outbox.retry()) == (0, 0)
        assert outbox.status() == Status(0, 0, 0, None)
        assert outbox.waiting() == []
        assert Acknowledgements(c, OURS).of(KARI).values == {}
        assert claims.holder(HERS) is None
        assert claims.held_by(KARI) == frozenset()
        assert claims.awaited_by(PER) == {}
        assert claims.waiters_for(KARI, ClaimKind.phone) == frozenset()
        assert claims.to_look_at(PER) == frozenset()
        assert claims.untold([KARI, PER], "x") == []
        assert claims.in_hand([KARI, PER]) == []
        assert not said_since(c, OURS, KARI, clock() - HOUR)
        assert HandsOffs(c, OURS).end(TODAY) == []
        guard = Guard(c, OURS, later)
        assert guard.decided(GuardedChange.ending, KARI, clock()) is None
        assert guard.how_many_around(GuardedChange.ending, clock()) == 0
        assert guard.moments_around(GuardedChange.ending, clock()) == []
        assert guard.at_work(clock() - HOUR) == 0
        assert held_or_dropped(c, OURS, KARI) == {}
        assert (guard.release(), guard.drop(KARI), guard.forget_before(later, limit=9)) == ([], [], 0)
        assert not Permissions(c, OURS).allows(EmployeeNumber("7"), NAME, now=clock())
        assert History(c, OURS, later).of(KARI) == []
        assert AuditTrail(c, OURS).page(since=None, until=None) == []
        assert Tokens(c, OURS).list() == []
        assert Tokens(c, OURS).valid(f"secret of {THEIRS}", now=clock()) is None
        assert Quirks(c, OURS).list() == []
        assert Resources(c, OURS).get("User", "user-kari") is None
        assert Resources(c, OURS).lock("User", "user-kari") is None
        assert Resources(c, OURS).delivery_views(["user-kari"]) == {}
        excerpt = excerpt_of(c, OURS, user_id="user-kari", user_name=NAME, wanted=[HERS, HER_NUMBER])
        assert excerpt.user_id is None
        assert Ledger(c, OURS).holder_of(NUMBER) == Holder.of_number(NUMBER)
        assert Ledger(c, OURS).lines(HERS_IN_THE_LEDGER) == []
        assert Ledger(c, OURS).lines_of([(SEVENS, CRANE)]) == []
        assert Ledger(c, OURS).entry(EntryId(KARI)) is None
        assert Ledger(c, OURS).slots_of(KARI) == []
        assert Ledger(c, OURS).rival(NUMBER, CRANE) is None
        assert Ledger(c, OURS).slots_of_many([KARI]) == {}
        assert not Ledger(c, OURS).has_lines(SEVENS)
        searches = CertificateSearches(c, OURS)
        assert searches.outstanding_of([KARI]) == []
        assert searches.unclaimed(("", ""), 9) == []
        assert searches.acknowledged_before(later, ("", "", ""), 9) == []
        assert searches.stranded(9, TODAY) == []
        assert RestLeases(c, OURS, later).at_rest([KARI], TODAY) == []
        assert RestLeases(c, OURS, later).take([KARI], "mine", 30, TODAY) == []
        ours, theirs = (Expiries(c, tenant, TODAY) for tenant in (OURS, THEIRS))
        assert [*ours.until(TODAY, today=TODAY)] == [*ours.lacking(TODAY, [CRANE])] == []
        assert (ours.unknown([CRANE]), theirs.unknown([CRANE])) == ([CRANE], [])
        assert (ours.counted(TODAY), theirs.counted(TODAY)) == ({}, {(CRANE, "30 days"): 2})
        assert said_in_files(c, OURS, [(NUMBER, CRANE)]) == {}
        order = Order(None, certificate_entries.c.id)
        assert CertificateSearch(c, OURS, true(), order).by_number(0, 9).found == []
        at_the_root = Branch(true(), order), Branch(true(), order)
        assert RootSearch(c, OURS, ["User"], *at_the_root).by_number(0, 9).found == []
        assert not any(excerpt.rows.values())


def test_who_is_untold_is_ones_own(companies: Database, clock: Clock):
    """P3: of people with the same id only the company's own is told."""
    with companies.write() as c:
        c.execute(people.update().where(people.c.tenant == THEIRS).values(state="held", reason="claimed", detail="x"))
        assert Claims(c, OURS).untold([KARI, PER], "these swap") == []
        assert set(Claims(c, THEIRS).untold([KARI, PER], "these swap")) == {KARI, PER}
        assert Claims(c, THEIRS).untold([KARI], "x") == []


def test_a_wait_is_for_ones_own(database: Database):
    """P3: claims never cross tenants: a value that the other company has, or waits for, is free here."""
    with database.write() as connection:
        theirs, ours = Claims(connection, THEIRS), Claims(connection, OURS)
        theirs.take(KARI, HERS)
        theirs.take(PER, HERS)
        assert ours.take_if_unwanted(OLA, HERS)
        assert ours.waiters_for(OLA, ClaimKind.phone) == frozenset()
        assert ours.keep_only(OLA, ()) == frozenset()


def test_a_plan_is_ones_own(companies: Database):
    """Q5, and design section 10: no one reads, or is measured by, another company's run."""
    with companies.write() as connection:
        Snapshot(connection, OURS, "run").drop()
        assert Snapshot(connection, OURS, "run").count() == 0
        assert Snapshot(connection, THEIRS, "run").count() == 1
        ours = Snapshot(connection, OURS, "run")
        assert (ours.look_alikes(PHONE, None), ours.similar_numbers(["01042"])) == ([], {})
        assert Snapshot(connection, "another", "run").linked_among([NUMBER]) == frozenset()
        assert [run.id for run in Runs(connection, THEIRS).list()] == ["run"]
        assert [item.employee_number for item in PlanItems(connection, OURS, "run").all()] == [NUMBER]


HERS_AT_REST = {"revision": 2, "state": "delivered", "due_since": None, "state_since": HERS_IN_SYNC.state_since}


def test_no_one_is_in_sync_by_what_another_company_has(companies: Database, clock: Clock):
    """Q1, and design section 10: neither another company's roster nor its last comparison says anything of ours."""
    with companies.write() as c:
        c.execute(people.update().where(people.c.id == KARI).values(**HERS_AT_REST, wakes_on=None))
        c.execute(certificate_ledger.update().values(acknowledged_under=NUMBER))

        def at_work(tenant: str) -> bool | None:
            searches = CertificateSearches(c, tenant, TODAY)
            (hers, *_) = InSync(c, tenant, "basis").scan("run", TODAY, searches, after="", limit=1)
            return hers.is_at_work

        assert (at_work(OURS), at_work(THEIRS)) == (True, True)
        Snapshot(c, OURS, "run").drop()
        assert (at_work(OURS), at_work(THEIRS)) == (None, True)
        Snapshot(c, OURS, "run").add([Seen(ActualEmployee(NUMBER, {}), None, "phone", "digest")])
        c.execute(in_sync.delete().where(in_sync.c.tenant == OURS))
        assert (at_work(OURS), at_work(THEIRS)) == (None, True)


def test_a_pair_is_ones_own(companies: Database):
    """P1, and design section 10: no one is paired by what another company's run has found."""
    with companies.write() as connection:
        ours, theirs = Pairs(connection, OURS, "run"), Pairs(connection, THEIRS, "run")
        ours.dispute(PAIR, "why")
        assert (ours.count_exact(), ours.is_any_disputed(), list(ours.exact())) == (0, True, [])
        assert (theirs.count_exact(), theirs.is_any_disputed(), list(theirs.exact())) == (1, False, [PAIR])
        theirs.skip(PAIR)
        assert not ours.is_skipped(KARI, NUMBER)
        theirs.decide(PAIR, why_not_others="no")
        assert ours.decided_for(NUMBER) is None
        ours.end()
        assert (ours.of_person(KARI), list(ours.disputed()), ours.exact_after("", 9)) == ([], [], [])


def test_a_breaker_is_ones_own(companies: Database, clock: Clock):
    """D2: one company's outage stops no one of another's."""
    with companies.write() as connection:
        Breakers(connection, OURS, clock()).close()
        assert not Breakers(connection, OURS, clock()).get().is_open
        assert Breakers(connection, THEIRS, clock()).get().is_open
        assert Breakers(connection, THEIRS, clock()).is_probed()
        assert not Breakers(connection, OURS, clock()).is_probed()


def test_each_has_secrets_of_its_own(companies: Database):
    """Design, section 10."""
    secrets = Secrets(companies)
    assert secrets.of(OURS, "cursors") != secrets.of(THEIRS, "cursors")
    assert Secrets(companies).of(OURS, "cursors") == secrets.of(OURS, "cursors")


def test_every_table_of_the_fixture_has_a_row(companies: Database):
    """A table that is added later is asked about here too."""
    rows = everything(companies, OURS)
    assert [name for name, found in rows.items() if not found] == []
