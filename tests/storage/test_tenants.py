"""Two companies in one database, with the same ids, numbers and names: none reads or changes the other's (P3)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import literal, select, true

from scim_bridge.domain.audit import Action, Actor, ActorKind, AuditEvent, Author, Role
from scim_bridge.domain.certificate import Certificate, CertificateToSend, EntryId, Holder, Source, type_of
from scim_bridge.domain.certificate import Entry as CertificateEntry
from scim_bridge.domain.drift import By, Cause, Drift, Kind, Pair, Proposal
from scim_bridge.domain.employee import ActualEmployee, Days, EmployeeNumber, Field
from scim_bridge.domain.entra import Assignment, EntraReading, JobReading, Stored
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
from scim_bridge.storage.admin_tables import in_sync
from scim_bridge.storage.candidates import Found
from scim_bridge.storage.certificate_queries import said_in_files, with_external_id
from scim_bridge.storage.database import Database, Secrets, Session
from scim_bridge.storage.entra import Finding
from scim_bridge.storage.excerpt import excerpt_of
from scim_bridge.storage.expiries import Expiries
from scim_bridge.storage.guard import GuardDecision, held_or_dropped
from scim_bridge.storage.history import Entry, said_since
from scim_bridge.storage.notices import Mark, Queued
from scim_bridge.storage.outbox import Status
from scim_bridge.storage.paging import Order
from scim_bridge.storage.pairs import forget_abandoned
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.storage.resources import StoredResource, document_of, user_names
from scim_bridge.storage.search import Branch, CertificateSearch, RootSearch
from scim_bridge.storage.snapshot import Seen
from scim_bridge.storage.tables import certificate_entries, certificate_ledger, metadata, people
from tests.conftest import Clock
from tests.thorough import short_on_sqlite

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


A_NOTICE = Queued("webhook", "1", datetime(2026, 3, 2, tzinfo=UTC), {})

A_READING = EntraReading("read", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC), "b", "link", 1, 1)

A_FINDING = Finding(KARI, "left-without-notice", "", "unassigned")


def fill(database: Database, clock: Clock, tenant: str) -> None:
    now = clock()
    with database.write(tenant) as s:
        stored, outbox = s.people, s.outbox
        for person_id in (KARI, PER, OLA):
            stored.add(
                Person(person_id, UserId(f"user-{person_id}"), Days(active=True)), external_id="x", wakes_on=None
            )
            outbox.mark_due(person_id, lease="lease" if person_id == KARI else None, lease_seconds=30)
        stored.set_days(KARI, Days(active=True, leave=TODAY), RequestedAt(ending=now, phone=now), wakes_on=TODAY)
        s.link(KARI, NUMBER)
        stored.set_user(OLA, None, external_id=None)
        acknowledgements = s.acknowledged
        taking = SentValue(at=now, rounds=2)
        values = {Field.phone: PHONE}
        acknowledgements.add(KARI, values, sent_values={Field.phone: taking}, login=True, revision=1)
        claims = s.claims
        assert claims.take(KARI, HERS)
        assert claims.take(KARI, HER_NUMBER)
        assert not claims.take(PER, HERS)
        s.hands_offs.set(PER, HandsOff(TODAY - timedelta(days=1)))
        s.permissions.grant(EmployeeNumber("7"), NAME)
        said = Entry("user-created", "accepted")
        s.history.add(KARI, said, Entry("delivery", "delivered"))
        s.audit.add(AuditEvent(Action.created, "User", "user-kari", KARI), SOMEBODY)
        s.tokens.add("t", "Entra", f"secret of {tenant}", expires_at=None)
        s.clients.add("c", "Entra", f"client secret of {tenant}", expires_at=None)
        s.access_tokens(None).add("c", f"access of {tenant}", expires_at=now + HOUR)
        guard = s.guard
        guard.decide(GuardedChange.ending, KARI, now, GuardDecision(Verdict.held, "too many"))
        guard.decide(GuardedChange.phone, KARI, now, GuardDecision(Verdict.dropped))
        guard.decide(GuardedChange.ending, PER, now, GuardDecision(Verdict.counted))
        s.quirks.count({("unknown-attribute", "x")})
        breakers = s.breaker
        breakers.locked()
        breakers.open("HTTP 503", (PER,))
        breakers.begin_probe(KARI, "lease", 1)
        s.runs.begin("run", "run", is_whole=True)
        items = s.plan("run")
        items.add([DRIFT], 0)
        items.settle([(0, None)])
        found = ActualEmployee(NUMBER, {Field.phone: PHONE})
        s.snapshot("run").add([Seen(found, "phone", "digest")])
        s.in_sync("basis").note([HERS_IN_SYNC])
        pairs = s.pairs("run")
        pairs.begin()
        pairs.add([PAIR])
        s.schedules.take("reconcile", "us", every_seconds=60, alive_seconds=30)
        s.resources.add(a_resource(now))
        book = s.ledger
        for holder in (HERS_IN_THE_LEDGER, SEVENS):
            book.open(holder, CRANE)
            book.add(an_entry(holder, now))
        shipment = CertificateToSend(book.lines(HERS_IN_THE_LEDGER)[0], NUMBER, Certificate(CRANE, TODAY, TODAY))
        s.certificate_deliveries.acknowledge([shipment])
        s.refused_writes.add([RefusedWrite(409, "uniqueness", "x", None, user_name=NAME)])
        s.notices.put([Mark("drift", "", now, "run", told_at=now), Mark("waiting", "gone", now, "due", told_at=now)])
        s.notices.queue(A_NOTICE)
        s.notices.postpone(A_NOTICE, seconds=0, why="404")
        s.console_sessions.add_link(f"link of {tenant}", Role.viewer, "Kari")
        s.console_sessions.begin(f"session of {tenant}", Role.operator, "Kari")
        s.entra_jobs.put(JobReading(now, "active"))
        s.entra.put("read", [("kari", Stored(True, {"mail": "hash"}))])
        s.entra.assign("read", [Assignment("kari")])
        s.entra.mark(A_READING)
        s.entra.found("read", [A_FINDING])
    Secrets(database).of(tenant, "cursors")


def an_entry(holder: Holder, now: Any, notes: str | None = None) -> CertificateEntry:
    certificate = Certificate(CRANE, TODAY, notes=notes)
    return CertificateEntry(EntryId(holder.value), holder, Source.slot, certificate, True, NUMBER, 1, now, now)


def a_shipment(s: Session) -> CertificateToSend:
    (line,) = s.ledger.lines(SEVENS)
    return CertificateToSend(line, NUMBER, Certificate(CRANE, TODAY, TODAY))


def a_resource(now: Any, title: str = "Maskinfører") -> StoredResource:
    document: dict[str, object] = {"userName": NAME, "title": title}
    return StoredResource("user-kari", "User", document, 1, now, now, keys={"userName": NAME})


def everything(database: Database, tenant: str) -> Mapping[str, list[Any]]:
    with database.read() as s:
        return {
            table.name: sorted(
                (tuple(row) for row in s.connection.execute(select(table).where(table.c.tenant == tenant))), key=repr
            )
            for table in metadata.tables.values()
            if "tenant" in table.c
        }


def settled(s: Session, now: Any) -> None:
    """Ola is at rest."""
    s.outbox.settle(OLA, state=State.delivered, reason=None, detail=None)


CHANGES: dict[str, Callable[[Session], object]] = {
    "set_user": lambda s: s.people.set_user(KARI, UserId("other"), external_id="y"),
    "set_days": lambda s: s.people.set_days(KARI, Days(active=False), RequestedAt(), wakes_on=None, external_id="y"),
    "set_days alone": lambda s: s.people.set_days(KARI, Days(active=False), RequestedAt(), wakes_on=None),
    "set_creating": lambda s: s.people.set_creating(KARI, Creating(NUMBER, PHONE)),
    "set_renumbering": lambda s: s.people.set_renumbering(KARI, EmployeeNumber("8")),
    "link": lambda s: s.link(PER, EmployeeNumber("7")),
    "unlink": lambda s: s.unlink(KARI),
    "forget": lambda s: s.forget(OLA),
    "mark_due": lambda s: s.outbox.mark_due(PER, request_id="r", lease="mine", lease_seconds=9),
    "lease_next": lambda s: s.outbox.lease_next("mine", 30),
    "renew": lambda s: s.renew(KARI, "lease", 300),
    "release": lambda s: s.outbox.release(KARI, "lease"),
    "try_again": lambda s: s.outbox.try_again(KARI, after_seconds=9, detail="x", failed=True),
    "begin": lambda s: s.runs.begin("another", "another", is_whole=False),
    "finish": lambda s: s.runs.finish("run", exit=0),
    "note": lambda s: s.runs.note("run", people=9),
    "settle_rows": lambda s: s.plan("run").settle([(1, "moved")]),
    "drop": lambda s: s.snapshot("run").drop(),
    "pairs that are added": lambda s: s.pairs("run").add([replace(PAIR, revision=2)]),
    "contended pairs": lambda s: (
        s.pairs("run").add([replace(PAIR, person_id=PER)]),
        s.pairs("run").dispute_contended("both ask"),
    ),
    "a disputed pair": lambda s: s.pairs("run").dispute(PAIR, "why"),
    "a decided pair": lambda s: s.pairs("run").decide(replace(PAIR, person_id=PER), why_not_others="no"),
    "a skipped pair": lambda s: s.pairs("run").skip(PAIR),
    "the end of adopting": lambda s: s.pairs("run").end(),
    "abandoned adoptions": lambda s: forget_abandoned(s, s.now + HOUR),
    "a new adoption": lambda s: s.pairs("another").begin(),
    "in sync": lambda s: s.in_sync("other").note([replace(HERS_IN_SYNC, revision=9)]),
    "stay_alive": lambda s: s.schedules.stay_alive("reconcile", "us", 900),
    "done": lambda s: s.schedules.done("reconcile", "us"),
    "suspect": lambda s: s.breaker.suspect((KARI,)),
    "stay_open": lambda s: s.breaker.stay_open("HTTP 500"),
    "close": lambda s: s.breaker.close(),
    "close_by_operator": lambda s: s.breaker.close_by_operator(),
    "go_well": lambda s: s.breaker.go_well(KARI),
    "keep_quiet": lambda s: s.breaker.keep_quiet(60),
    "begin_probe": lambda s: s.breaker.begin_probe(PER, "mine", 2),
    "wake": lambda s: s.outbox.wake(TODAY),
    "retry": lambda s: s.outbox.retry(),
    "retry of one": lambda s: s.outbox.retry(PER),
    "acknowledge": lambda s: s.acknowledged.add(KARI, {Field.phone: "+47"}, revision=2),
    "learn": lambda s: s.acknowledged.learn(KARI, {Field.phone: SentValue(at=s.now, rounds=1)}),
    "doubt": lambda s: s.acknowledged.doubt(KARI, Lifecycle.login, revision=2),
    "forget a field": lambda s: s.acknowledged.forget(KARI, Field.phone),
    "forget all": lambda s: s.acknowledged.forget(KARI),
    "forgive": lambda s: s.acknowledged.forgive(select(literal(KARI))),
    "keep_only": lambda s: s.claims.keep_only(KARI, ()),
    "keep one": lambda s: s.claims.keep_only(KARI, [HERS]),
    "wait_only_for": lambda s: s.claims.wait_only_for(PER, ()),
    "take": lambda s: (s.claims.keep_only(KARI, ()), s.claims.take(PER, HERS)),
    "ask_for_a_look": lambda s: s.claims.ask_for_a_look(select(literal(PER))),
    "put aside": lambda s: s.hands_offs.set(KARI, HandsOff(TODAY)),
    "end of hands-off": lambda s: s.hands_offs.end(TODAY),
    "grant": lambda s: s.at(s.now + timedelta(days=99)).permissions.grant(NUMBER, NAME),
    "consume": lambda s: s.permissions.consume(EmployeeNumber("7")),
    "revoke": lambda s: s.tokens.revoke("t"),
    "used": lambda s: s.tokens.used(s.tokens.list()[0]),
    "rotate a client": lambda s: s.clients.rotate("c", "another", expires_at=None),
    "revoke a client": lambda s: s.clients.revoke("c"),
    "a client signs in": lambda s: s.clients.signs_in("c", f"client secret of {OURS}"),
    "an access token": lambda s: s.access_tokens(None).add("c", "other", expires_at=s.now + HOUR),
    "access tokens that end": lambda s: (
        s.at(s.now + 2 * HOUR).access_tokens(None).add("c", "other", expires_at=s.now + 3 * HOUR)
    ),
    "note an occasion": lambda s: s.guard.note_occasion(GuardedChange.creation, KARI, s.now),
    "settle an occasion": lambda s: s.guard.settle_occasion(GuardedChange.phone, KARI, s.now - timedelta(seconds=1)),
    "forgive what is held": lambda s: s.guard.forgive(GuardedChange.phone, KARI),
    "decide": lambda s: s.guard.decide(GuardedChange.phone, OLA, s.now, GuardDecision(Verdict.counted)),
    "let go": lambda s: s.guard.release(),
    "withdraw": lambda s: s.guard.drop([KARI]),
    "old decisions": lambda s: s.guard.forget_before(s.now, limit=9),
    "quirk": lambda s: s.quirks.count({("unknown-attribute", "x")}),
    "replace": lambda s: s.resources.replace(a_resource(s.now, "Formann")),
    "delete": lambda s: s.resources.delete("User", "user-kari"),
    "audit": lambda s: s.audit.add(AuditEvent(Action.paused, "outbox"), SOMEBODY),
    "old audit": lambda s: s.audit.forget_before(s.now + HOUR, limit=9),
    "old history": lambda s: s.history.forget_before(s.now + HOUR, limit=9),
    "an entry": lambda s: s.ledger.replace(an_entry(SEVENS, s.now, "G4")),
    "another entry": lambda s: s.ledger.add(an_entry(Holder.of_number(EmployeeNumber("9")), s.now)),
    "a line": lambda s: s.ledger.open(SEVENS, type_of("Byggekort")),
    "a client's id": lambda s: with_external_id(s, an_entry(SEVENS, s.now), "x", version=2),
    "no entry": lambda s: s.ledger.remove(an_entry(SEVENS, TODAY).id),
    "no winner": lambda s: s.ledger.set_winner(an_entry(SEVENS, TODAY).id, wins=False),
    "what was refused": lambda s: (
        s.certificate_deliveries.refuse([a_shipment(s)], Reason.refused, "x", is_certain=True),
        s.ledger.clear(s.ledger.lines(SEVENS)[0]),
        s.certificate_deliveries.begin([a_shipment(s)]),
    ),
    "forgiven certificates": lambda s: (
        s.certificate_deliveries.refuse([a_shipment(s)], Reason.refused, "x", is_certain=False),
        s.certificate_deliveries.forgive_unclaimed(),
    ),
    "acknowledged certificate": lambda s: s.certificate_deliveries.acknowledge([a_shipment(s)]),
    "stale certificates": lambda s: s.certificate_deliveries.mark_stale(KARI),
    "forgotten certificates": lambda s: s.certificate_deliveries.forget(KARI),
    "rest": lambda s: (settled(s, s.now), s.rest_leases.take([OLA], "mine", 30, TODAY)),
    "rest over": lambda s: s.rest_leases.give_back([KARI], "lease"),
    "parked at rest": lambda s: (
        settled(s, s.now),
        s.rest_leases.take([OLA], "mine", 30, TODAY),
        s.rest_leases.park(OLA, "mine", "x"),
    ),
    "history of several": lambda s: s.history.add_for_all([KARI], Entry("certificates", "done")),
    "a closed line": lambda s: (
        s.ledger.remove(an_entry(SEVENS, TODAY).id),
        s.ledger.close(SEVENS, CRANE),
    ),
    "another number": lambda s: s.ledger.renumber(KARI, EmployeeNumber("8")),
    "an heir": lambda s: s.ledger.inherit(s.ledger.lines(SEVENS)[0], HERS_IN_THE_LEDGER),
    "history": lambda s: s.history.add(KARI, Entry("delivery", "delivered")),
    "a refusal": lambda s: s.refused_writes.add([RefusedWrite(400, None, "y", None, user_name="ola")]),
    "no refusal": lambda s: s.refused_writes.clear("another", {"userName": NAME}),
    "old refusals": lambda s: s.refused_writes.forget_before(s.now + HOUR),
    "a notice": lambda s: s.notices.put([Mark("drift", "", s.now, "another run")]),
    "no notice": lambda s: s.notices.remove([("drift", "")]),
    "who waits": lambda s: s.notices.note_waiters(s.now),
    "who no longer waits": lambda s: s.notices.forget_delivered_waiters(),
    "a link": lambda s: s.console_sessions.add_link("another", Role.operator, "Per"),
    "a used link": lambda s: s.console_sessions.use_link(f"link of {OURS}"),
    "the end of a session": lambda s: s.console_sessions.end(f"session of {OURS}"),
    "use of a session": lambda s: s.at(s.now + HOUR).console_sessions.used(f"session of {OURS}"),
    "all sessions": lambda s: s.console_sessions.end_all(),
    "Entra's job": lambda s: s.entra_jobs.put(JobReading(s.now, "quarantine")),
    "a user of Entra": lambda s: s.entra.put("next", [("kari", Stored(False, {}))]),
    "users of Entra who are gone": lambda s: s.entra.remove_unseen("next"),
    "an assignment": lambda s: s.entra.assign("next", [Assignment("kari")]),
    "no assignment": lambda s: s.entra.forget_unassigned("next"),
    "old findings": lambda s: s.entra.forget_before("next"),
    "a reading": lambda s: s.entra.mark(replace(A_READING, read_id="next")),
    "a finding": lambda s: s.entra.found("next", [A_FINDING]),
    "no findings": lambda s: s.entra.forget_findings(),
    "a person erased on Entra's side": lambda s: s.entra.erase("kari", KARI),
    "a message": lambda s: s.notices.queue(replace(A_NOTICE, id="2")),
    "a message that was sent": lambda s: s.notices.sent(A_NOTICE),
    "a message that was not": lambda s: s.notices.postpone(A_NOTICE, seconds=60, why="503"),
    "messages for no channel": lambda s: s.notices.drop_other_channels(["mail"]),
    "old names": lambda s: (
        s.people.set_user(OLA, None, external_id=None, called=NAME),
        s.people.forget_names_before(s.now + HOUR, limit=9),
    ),
}


@short_on_sqlite
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_for_one_is_not_changed_for_the_other(companies: Database, clock: Clock, change: str):
    """Design, section 10: one tenant can never touch another's data. Each change does change its own."""
    ours, theirs = everything(companies, OURS), everything(companies, THEIRS)
    with companies.write() as s:
        CHANGES[change](s.of(OURS).at(clock() + timedelta(seconds=1)))

    assert everything(companies, THEIRS) == theirs
    assert everything(companies, OURS) != ours


def test_a_look_that_was_taken_is_taken_for_one(companies: Database):
    """P3: the wait of the other company's person is another."""
    with companies.write() as s:
        for tenant in (OURS, THEIRS):
            s.of(tenant).claims.ask_for_a_look(select(literal(PER)))
        s.of(OURS).claims.looked_at(PER, HERS)
        assert s.of(OURS).claims.to_look_at(PER) == frozenset()
        assert s.of(THEIRS).claims.to_look_at(PER) == {HERS}


def test_no_one_sees_what_is_only_the_others(database: Database, clock: Clock):
    """Design, section 10: one tenant can never read or guess another's data."""
    fill(database, clock, THEIRS)
    later = clock() + timedelta(minutes=1)
    with database.write() as s:
        stored, outbox, claims = s.of(OURS).people, s.of(OURS).at(later).outbox, s.of(OURS).claims
        assert stored.get(KARI) is None
        assert stored.get(KARI, lock=True) is None
        assert stored.of_user(UserId("user-kari")) is None
        assert stored.of_user_name(NAME) is None
        assert stored.linked_to(NUMBER) is None
        assert stored.find(NUMBER) is None
        assert stored.find(NAME) is None
        assert stored.find("user-kari") is None
        assert (stored.count(), stored.count(linked=True)) == (0, 0)
        assert user_names(s.of(OURS), [UserId("user-kari")]) == {}
        assert document_of(s.of(OURS), UserId("user-kari")) is None
        assert not outbox.has_work()
        assert outbox.lease_next("mine", 30) is None
        assert not outbox.lease(PER, "mine", 30)
        assert not s.of(OURS).at(later).renew(KARI, "lease", 30)
        assert (outbox.wake(TODAY), outbox.retry()) == (0, 0)
        assert outbox.status() == Status(0, 0, 0, None)
        assert outbox.waiting() == []
        assert s.of(OURS).acknowledged.of(KARI).values == {}
        assert claims.holder(HERS) is None
        assert claims.held_by(KARI) == frozenset()
        assert claims.awaited_by(PER) == {}
        assert claims.waiters_for(KARI, ClaimKind.phone) == frozenset()
        assert claims.to_look_at(PER) == frozenset()
        assert claims.untold([KARI, PER], "x") == []
        assert claims.in_hand([KARI, PER]) == []
        assert not said_since(s.of(OURS), KARI, clock() - HOUR)
        assert s.of(OURS).hands_offs.end(TODAY) == []
        guard = s.of(OURS).at(later).guard
        assert guard.decided(GuardedChange.ending, KARI, clock()) is None
        assert guard.how_many_around(GuardedChange.ending, clock()) == 0
        assert guard.moments_around(GuardedChange.ending, clock()) == []
        assert guard.at_work(clock() - HOUR) == 0
        assert held_or_dropped(s.of(OURS), KARI) == {}
        assert (guard.release(), guard.drop([KARI]), guard.forget_before(later, limit=9)) == ([], [], 0)
        assert not s.of(OURS).permissions.allows(EmployeeNumber("7"), NAME)
        assert s.of(OURS).at(later).history.of(KARI) == []
        assert s.of(OURS).audit.page(since=None, until=None) == []
        assert s.of(OURS).tokens.list() == []
        assert s.of(OURS).tokens.valid(f"secret of {THEIRS}") is None
        assert s.of(OURS).quirks.list() == []
        assert (s.of(OURS).refused_writes.all(), s.of(OURS).refused_writes.count()) == ([], 0)
        notices = s.of(OURS).at(later).notices
        assert (notices.marks(), notices.waiters(later), notices.refused(), notices.unsent()) == ({}, [], [], [])
        assert (notices.next_due("webhook"), notices.people_with_operations(clock() - HOUR)) == (None, {})
        assert not notices.has_delivered_waiters()
        assert not notices.has_of_other_channels([])
        directory = s.of(OURS).directory
        assert all(directory.exactly(text, PHONE) == [] for text in (NUMBER, NAME, KARI, "user-kari"))
        assert directory.called(["kari"], 9) == directory.deleted(lambda _: True, 9) == []
        assert [*directory.of([KARI, PER, OLA])] == []
        assert [*s.of(OURS).at(later).history.since(clock() - HOUR)] == []
        assert s.of(OURS).history.last_before(KARI, later, {"delivery"}) is None
        assert [*s.of(OURS).audit.at([clock()])] == []
        assert s.of(OURS).resources.get("User", "user-kari") is None
        assert s.of(OURS).resources.lock("User", "user-kari") is None
        assert s.of(OURS).resources.delivery_views(["user-kari"]) == {}
        excerpt = excerpt_of(s.of(OURS), user_id="user-kari", user_name=NAME, wanted=[HERS, HER_NUMBER])
        assert excerpt.user_id is None
        assert s.of(OURS).ledger.holder_of(NUMBER) == Holder.of_number(NUMBER)
        assert s.of(OURS).ledger.lines(HERS_IN_THE_LEDGER) == []
        assert s.of(OURS).ledger.lines_of([(SEVENS, CRANE)]) == []
        assert s.of(OURS).ledger.entry(EntryId(KARI)) is None
        assert s.of(OURS).ledger.slots_of(KARI) == []
        assert s.of(OURS).ledger.rival(NUMBER, CRANE) is None
        assert s.of(OURS).ledger.slots_of_many([KARI]) == {}
        assert not s.of(OURS).ledger.has_lines(SEVENS)
        searches = s.of(OURS).certificate_searches()
        assert searches.outstanding_of([KARI]) == []
        assert searches.unclaimed(("", ""), 9) == []
        assert searches.acknowledged_before(later, ("", "", ""), 9) == []
        assert searches.stranded(9, TODAY) == []
        assert s.of(OURS).at(later).rest_leases.at_rest([KARI], TODAY) == []
        assert s.of(OURS).at(later).rest_leases.take([KARI], "mine", 30, TODAY) == []
        ours, theirs = (Expiries(s.of(tenant), TODAY) for tenant in (OURS, THEIRS))
        assert [*ours.until(TODAY, today=TODAY)] == [*ours.lacking(TODAY, [CRANE])] == []
        assert (ours.unknown([CRANE]), theirs.unknown([CRANE])) == ([CRANE], [])
        assert (ours.counted(TODAY), theirs.counted(TODAY)) == ({}, {(CRANE, "30 days"): 2})
        assert said_in_files(s.of(OURS), [(NUMBER, CRANE)]) == {}
        order = Order(None, certificate_entries.c.id)
        assert CertificateSearch(s.of(OURS), true(), order).by_number(0, 9).found == []
        at_the_root = Branch(true(), order), Branch(true(), order)
        assert RootSearch(s.of(OURS), ["User"], *at_the_root).by_number(0, 9).found == []
        assert not any(excerpt.rows.values())


def test_who_is_untold_is_ones_own(companies: Database, clock: Clock):
    """P3: of people with the same id only the company's own is told."""
    with companies.write() as s:
        s.connection.execute(
            people.update().where(people.c.tenant == THEIRS).values(state="held", reason="claimed", detail="x")
        )
        assert s.of(OURS).claims.untold([KARI, PER], "these swap") == []
        assert set(s.of(THEIRS).claims.untold([KARI, PER], "these swap")) == {KARI, PER}
        assert s.of(THEIRS).claims.untold([KARI], "x") == []


def test_a_wait_is_for_ones_own(database: Database):
    """P3: claims never cross tenants: a value that the other company has, or waits for, is free here."""
    with database.write() as s:
        theirs, ours = s.of(THEIRS).claims, s.of(OURS).claims
        theirs.take(KARI, HERS)
        theirs.take(PER, HERS)
        assert ours.take_if_unwanted(OLA, HERS)
        assert ours.waiters_for(OLA, ClaimKind.phone) == frozenset()
        assert ours.keep_only(OLA, ()) == frozenset()


def test_a_plan_is_ones_own(companies: Database):
    """Q5, and design section 10: no one reads, or is measured by, another company's run."""
    with companies.write() as s:
        s.of(OURS).snapshot("run").drop()
        assert s.of(OURS).snapshot("run").count() == 0
        assert s.of(THEIRS).snapshot("run").count() == 1
        ours = s.of(OURS).snapshot("run")
        assert (ours.look_alikes(PHONE, None), ours.similar_numbers(["01042"])) == ([], {})
        assert s.of("another").snapshot("run").linked_among([NUMBER]) == frozenset()
        assert [run.id for run in s.of(THEIRS).runs.list()] == ["run"]
        assert [item.employee_number for item in s.of(OURS).plan("run").all()] == [NUMBER]


HERS_AT_REST = {"revision": 2, "state": "delivered", "due_since": None, "state_since": HERS_IN_SYNC.state_since}


def test_no_one_is_in_sync_by_what_another_company_has(companies: Database, clock: Clock):
    """Q1, and design section 10: neither another company's roster nor its last comparison says anything of ours."""
    with companies.write() as s:
        s.connection.execute(people.update().where(people.c.id == KARI).values(**HERS_AT_REST, wakes_on=None))
        s.connection.execute(certificate_ledger.update().values(acknowledged_under=NUMBER))

        def at_work(tenant: str) -> bool | None:
            searches = s.of(tenant).certificate_searches(TODAY)
            (hers, *_) = s.of(tenant).in_sync("basis").scan("run", TODAY, searches.may_owe(), after="", limit=1)
            return hers.is_at_work

        assert (at_work(OURS), at_work(THEIRS)) == (True, True)
        s.of(OURS).snapshot("run").drop()
        assert (at_work(OURS), at_work(THEIRS)) == (None, True)
        s.of(OURS).snapshot("run").add([Seen(ActualEmployee(NUMBER, {}), "phone", "digest")])
        s.connection.execute(in_sync.delete().where(in_sync.c.tenant == OURS))
        assert (at_work(OURS), at_work(THEIRS)) == (None, True)


def test_a_pair_is_ones_own(companies: Database):
    """P1, and design section 10: no one is paired by what another company's run has found."""
    with companies.write() as s:
        ours, theirs = s.of(OURS).pairs("run"), s.of(THEIRS).pairs("run")
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
    with companies.write() as s:
        s.of(OURS).breaker.close()
        assert not s.of(OURS).breaker.get().is_open
        assert s.of(THEIRS).breaker.get().is_open
        assert s.of(THEIRS).breaker.is_probed()
        assert not s.of(OURS).breaker.is_probed()


def test_each_has_secrets_of_its_own(companies: Database):
    """Design, section 10."""
    secrets = Secrets(companies)
    assert secrets.of(OURS, "cursors") != secrets.of(THEIRS, "cursors")
    assert Secrets(companies).of(OURS, "cursors") == secrets.of(OURS, "cursors")


def test_every_table_of_the_fixture_has_a_row(companies: Database):
    """A table that is added later is asked about here too."""
    rows = everything(companies, OURS)
    assert [name for name, found in rows.items() if not found] == []
