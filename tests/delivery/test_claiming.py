"""Claims change hands when a delivery settles (rule P3)."""

import pytest

from scim_bridge.delivery.claims import settle_claims
from scim_bridge.domain.person import Claim, ClaimKind
from scim_bridge.storage.database import Database
from scim_bridge.storage.resources import document_of
from tests.conftest import Clock
from tests.world import World, a_user

NEW, OLD = Claim(ClaimKind.phone, "+4741234567"), Claim(ClaimKind.phone, "+4798765432")


@pytest.mark.parametrize("keep_all", [True, False])
def test_what_entra_said_meanwhile_stays_claimed(database: Database, clock: Clock, keep_all: bool):
    """P3, D1: a delivery of an older desired employee gives nothing up that a newer one has claimed."""
    world = World(database, clock, settings={"delivery": {"inline_seconds": 0}})
    kari = a_user()
    world.provisions(kari)
    world.worker.run_until_idle()
    tenant, today = world.parts.tenants["default"], clock().date()
    with database.read("default") as s:
        record = s.people.find("1042")
        assert record is not None
        assert record.person.user_id is not None
        document = document_of(s, record.person.user_id)
    assert document is not None
    older = tenant.desired(document, record.person, today)
    world.changes(kari, mobile="41234567")

    with database.write("default") as s:
        claims = s.claims
        assert {NEW, OLD} <= claims.held_by(record.person.id)
        settle_claims(s, tenant, record.person, older, today, keep_all=keep_all)
        assert (NEW in claims.held_by(record.person.id)) is keep_all
        assert OLD in claims.held_by(record.person.id)


def test_who_wants_another_value_now_waits_for_the_first_no_longer(database: Database, clock: Clock):
    """P3, L7: no one is woken for it, and it is not kept from a leaver who wants it."""
    world = World(database, clock)
    world.provisions(a_user())
    per = a_user(object_id="per", user_principal_name="per@x.no", mail="per@x.no", employee_id="1043")
    world.provisions(per)
    with database.read("default") as s:
        person = s.people.find("1043")
        assert person is not None
        assert s.claims.awaited_by(person.person.id).keys() == {OLD}

    world.changes(per, mobile="41234567")

    with database.read("default") as s:
        assert s.claims.standing_of(person.person.id)[1] == frozenset()
