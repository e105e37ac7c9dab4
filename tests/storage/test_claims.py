"""Claims: the unique constraint decides, waiters wake (rule P3)."""

from threading import Barrier, Thread

from scim_bridge.domain.person import Claim, ClaimKind, PersonId
from scim_bridge.storage.database import Database

PHONE = Claim(ClaimKind.phone, "+4798765432")
NUMBER = Claim(ClaimKind.employee_number, "1042")
KARI, PER, OLA = PersonId("kari"), PersonId("per"), PersonId("ola")


def test_the_first_has_it_and_the_others_wait(database: Database):
    """P3: those who finds a value claimed waits for it."""
    with database.write("default") as s:
        claims = s.claims
        assert claims.take(KARI, PHONE)
        assert claims.take(KARI, PHONE)
        assert not claims.take(PER, PHONE)
        assert claims.holder(PHONE) == KARI
        assert claims.awaited_by(PER) == {PHONE: KARI}
        assert claims.waiters_for(KARI, ClaimKind.phone) == {PER}
        assert claims.waiters_for(KARI, ClaimKind.employee_number) == frozenset()
        assert claims.waiters_of(KARI) == {PHONE: {PER}}


def test_who_has_it_already_does_not_wait_for_himself(database: Database):
    """P3: whatever was believed before, no one is left waiting for what is his."""
    with database.write("default") as s:
        claims = s.claims
        for _ in range(2):
            assert claims.take(KARI, PHONE, waits=False)
        assert claims.standing_of(KARI) == ({PHONE}, frozenset())


def test_a_number_is_no_phone(database: Database):
    """P3: a claim is a kind and a value; a person who has `1042` as employee number is in no one's way as a phone."""
    as_phone = Claim(ClaimKind.phone, NUMBER.value)
    with database.write("default") as s:
        claims = s.claims
        assert claims.take(KARI, NUMBER)
        assert claims.holder(as_phone) is None
        assert claims.take(PER, as_phone)
        assert (claims.holder(NUMBER), claims.holder(as_phone)) == (KARI, PER)


def test_giving_up_wakes_who_waits(database: Database):
    """P3: giving a claim up names the waiters, in the same transaction."""
    with database.write("default") as s:
        claims = s.claims
        claims.take(KARI, PHONE)
        claims.take(KARI, NUMBER)
        claims.take(PER, PHONE)

        assert claims.keep_only(KARI, [PHONE, NUMBER]) == frozenset()
        assert claims.keep_only(KARI, [NUMBER]) == {PER}
        assert claims.take(PER, PHONE)
        assert claims.awaited_by(PER) == {}
        assert claims.held_by(KARI) == {NUMBER}


def test_who_wants_something_else_stops_waiting(database: Database):
    with database.write("default") as s:
        claims = s.claims
        claims.take(KARI, PHONE)
        claims.take(PER, PHONE)
        claims.wait_only_for(PER, [NUMBER])

        assert claims.keep_only(KARI, []) == frozenset()


def test_a_leaver_takes_only_what_no_one_wants(database: Database):
    """L7: a new phone of a leaver is claimed only if no one claims it or waits for it."""
    with database.write("default") as s:
        claims = s.claims
        claims.take(KARI, PHONE)
        claims.take(PER, PHONE)
        claims.keep_only(KARI, [])

        assert not claims.take_if_unwanted(OLA, PHONE)
        assert claims.take_if_unwanted(OLA, NUMBER)
        assert claims.take_if_unwanted(OLA, NUMBER)


def test_claims_never_cross_tenants(database: Database):
    """P3: another company may use the same number."""
    with database.write() as s:
        assert s.of("default").claims.take(KARI, NUMBER)
        assert s.of("other").claims.take(PER, NUMBER)


def test_of_many_at_once_exactly_one_has_it(database: Database):
    """P3: the unique constraint decides."""
    barrier, won = Barrier(6), []

    def race(name: str) -> None:
        barrier.wait()
        with database.write("default") as s:
            if s.claims.take(PersonId(name), PHONE):
                won.append(name)

    threads = [Thread(target=race, args=(f"p{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
