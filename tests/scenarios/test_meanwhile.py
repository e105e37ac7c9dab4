"""What happens while an employee is being created, or while a request waits for a lock (rules K2, R4, D5)."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from sqlalchemy import update

from scim_bridge.domain.certificate import Source
from scim_bridge.domain.outcome import State
from scim_bridge.domain.values import UserId
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.outbox import Cause
from scim_bridge.storage.tables import people
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, kept
from tests.scenarios.test_certificates import SLOTS, in_ditio, with_slots
from tests.world import World, a_user, patch


class Interrupted(World):
    """Something happens as soon as Ditio has created an employee, before its answer is stored."""

    meanwhile: Callable[[], object] | None = None

    def _session_to_ditio(self) -> requests.Session:
        session = super()._session_to_ditio()
        send = session.send

        def sent(request: Any, **options: Any) -> Any:
            answer = send(request, **options)
            is_creation = request.method == "POST" and request.url.split("?")[0].endswith("/employees")
            if is_creation and (meanwhile := self.meanwhile) is not None:
                self.meanwhile = None
                meanwhile()
            return answer

        session.send = sent
        return session


@pytest.mark.parametrize("user", [a_user(), with_slots(a_user(), byggekort="77;nonsense;2028-01-14;HMS")])
def test_a_certificate_that_comes_while_its_employee_is_created_is_sent(
    database: Database, clock: Clock, user: EntraUser
):
    """K2: under the number, as the person is not linked yet; also where another certificate holds the person."""
    world = Interrupted(database, clock, settings={"certificates": {"slots": SLOTS}})
    world.meanwhile = lambda: kept(world, Source.csv, a_certificate(type="Kranførerbevis"), "1042")

    world.provisions(user)
    world.worker.run_until_idle()

    assert "Kranførerbevis" in in_ditio(world)


def test_a_write_that_waited_for_a_lock_is_as_new_as_it_is(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """R4: a read that may be older than the write proves nothing, however long the request waited before it."""
    world, kari = World(database, clock), a_user()
    world.provisions(kari)
    path = f"/Users/{world.entra.scim_id(kari.object_id)}"
    for changed in (("title", "Lærling"), ("name.givenName", "Kari-Anne")):
        clock.passes(hours=1)
        world.scim("PATCH", path, patch(*changed))
    for _ in range(3):  # Until a read shows nothing new.
        clock.passes(hours=1)
        with database.write("default") as s:
            record = s.people.find("1042")
            assert record is not None
            s.outbox.mark_due(record.person.id)
        world.worker.run_until_idle()
    clock.passes(hours=1)
    lock_user, waits = Session.lock_user, [3.9]

    def lock_user_late(s: Session, user_id: UserId) -> Any:
        assert s.now  # Whoever asked for the time before.
        if waits:
            clock.passes(seconds=waits.pop())
        return lock_user(s, user_id)

    monkeypatch.setattr(Session, "lock_user", lock_user_late)
    world.restyle(read_lag=1)
    world.forget()
    world.scim("PATCH", path, patch("title", "Formann"))
    clock.passes(seconds=2)
    world.scim("PATCH", path, patch("name.givenName", "Karin"))

    assert waits == []
    assert [body for _, _, body in world.sent()] == [{"workTitle": "Formann"}, {"firstName": "Karin"}]


def test_a_reason_of_a_later_version_stops_no_one(database: Database, clock: Clock):
    """D7: the version before goes on beside a newer one, or is started again, and meets what that one stored."""
    world, kari = World(database, clock), a_user(mobile=None)
    world.provisions(kari)
    with database.write() as s:
        s.connection.execute(update(people).values(reason="of-a-later-version"))

    assert world.user(kari)["urn:ietf:params:scim:schemas:extension:ditio:2.0:User"]["deliveryState"] == "held"
    with database.read("default") as s:
        assert s.outbox.causes() == {Cause(State.held, None): 1}
    world.changes(kari, mobile="+47 400 00 042")
    world.worker.run_until_idle()

    assert world.state(kari) == ("delivered", None)
