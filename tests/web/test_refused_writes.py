"""Refusals are kept: a person whose last write was answered 400 or 409, until a write succeeds (rule R1)."""

import threading
import time
from typing import Any

import pytest

from scim_bridge.delivery.worker import forget_old
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage import refusals
from scim_bridge.storage.database import Database
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.web.scim import refusals as keeping
from tests.conftest import Clock
from tests.web.test_metrics import HERE, figures
from tests.world import World, a_user, patch

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


def kept(world: World) -> list[RefusedWrite]:
    with world.database.read("default") as s:
        return s.refused_writes.all()


def refuses(world: World, path: str, *, status: int = 400, method: str = "PATCH", times: int | None = None) -> None:
    world.ditio.faults.plan(Fault(kind="status", status=status, method=method, path=path, times=times))


def a_body(name: object = "per@contractor.example", **values: object) -> dict[str, object]:
    return {"schemas": [USER], "userName": name, **values}


def test_a_refused_creation_is_kept_until_it_succeeds(world: World):
    """The write is undone, and nothing of the person stays; the refusal does."""
    refuses(world, "/employees", status=409, method="POST")
    kari = a_user()

    step = world.provisions(kari)

    (refused,) = kept(world)
    assert (refused.status, refused.scim_type, refused.detail) == (409, "uniqueness", step.detail)
    assert (refused.user_name, refused.employee_number) == ("kari.nordmann@contractor.example", "1042")
    assert (refused.name, refused.external_id, refused.user_id) == ("Kari Nordmann", kari.object_id, None)
    assert refused.at == world.clock.now
    assert refused.request_id
    assert figures(world.app.test_client().get("/metrics", environ_base=HERE))["refused", "default"] == 1

    world.clock.passes(minutes=40)
    world.cycle()
    assert [each.at for each in kept(world)] == [world.clock.now], "one for each person, the last one"

    world.ditio.faults.clear()
    assert world.cycle().status == 201
    assert kept(world) == []
    assert figures(world.app.test_client().get("/metrics", environ_base=HERE))["refused", "default"] == 0


def test_a_refused_change_is_kept_about_the_user(world: World):
    kari = a_user()
    world.provisions(kari)
    refuses(world, "/employees/1042")

    assert world.changes(kari, surname="Hansen", display_name="Kari Hansen").status == 400

    (refused,) = kept(world)
    assert (refused.user_id, refused.name) == (world.entra.scim_id(kari.object_id), "Kari Nordmann")
    world.ditio.faults.clear()
    assert world.cycle().status == 200
    assert kept(world) == []


def test_what_the_bridge_refuses_itself_is_kept_too(world: World):
    """400 for a value that can't be read, 409 for a user name that is taken."""
    kari, name = a_user(), "kari.nordmann@contractor.example"
    world.provisions(kari)

    assert world.scim("POST", "/Users", a_body(name, externalId="another")).status_code == 409
    assert world.scim("POST", "/Users", a_body(active=["perhaps"])).status_code == 400

    found = {each.user_name: each for each in kept(world)}
    assert (found[name].status, found[name].scim_type, found[name].external_id) == (409, "uniqueness", "another")
    assert found["per@contractor.example"].status == 400
    world.changes(kari, job_title="Formann")
    assert name in {each.user_name for each in kept(world)}, "that was another user with the same name"
    assert world.scim("POST", "/Users", a_body("free@contractor.example", externalId="another")).status_code == 201
    assert name not in {each.user_name for each in kept(world)}, "the same user, with a name that is free"


def test_a_repetition_or_a_deletion_succeeds_too(world: World):
    kari = a_user()
    world.provisions(kari)
    path = f"/Users/{world.entra.scim_id(kari.object_id)}"
    for succeeds in (lambda: world.scim("PATCH", path, patch("title", "Maskinfører")), lambda: world.deletes(kari)):
        assert world.scim("PATCH", path, patch("userName", "")).status_code == 400
        assert len(kept(world)) == 1
        succeeds()
        assert kept(world) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", '/Users?filter=userName eq "', None, 400),
        ("POST", "/Users/.search", {"filter": "("}, 400),
        ("POST", "/Groups", {"displayName": ""}, 400),
        ("PATCH", "/Users/none", patch("title", "x"), 404),
        ("POST", "/Users", ["nothing", "of", "a", "person"], 400),
        ("POST", "/Users", {"schemas": [USER], "userName": 7.5}, None),
    ],
)
def test_what_is_about_no_person_is_not_kept(world: World, method: str, path: str, body: Any, status: int | None):
    answer = world.scim(method, path, body)

    assert status is None or answer.status_code == status
    assert kept(world) == []


def test_of_a_bulk_request_each_operation_counts(world: World):
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "1", "data": a_body()},
        {"method": "POST", "path": "/Users", "bulkId": "2", "data": a_body("ola@contractor.example", active=[1, 2])},
        {"method": "POST", "path": "/Users", "bulkId": "3", "data": a_body("per@contractor.example")},
    ]

    answer = world.scim("POST", "/Bulk", {"schemas": [BULK], "Operations": operations}).json()

    assert [each["status"] for each in answer["Operations"]] == ["201", "400", "409"]
    assert {each.user_name: each.status for each in kept(world)} == {
        "ola@contractor.example": 400,
        "per@contractor.example": 409,
    }


def test_garbage_does_not_fill_the_disk(world: World, monkeypatch: pytest.MonkeyPatch):
    """A limited number of people, each with texts of a limited length; the oldest go."""
    monkeypatch.setattr(refusals, "MOST", 3)
    for number in range(5):
        world.clock.passes(seconds=1)
        long = "x" * 3000
        body = a_body(f"{number}{long}", active=["perhaps"], displayName=long, externalId=f"{number}{long}")
        assert world.scim("POST", "/Users", body).status_code == 400

    found = kept(world)
    assert [str(each.user_name)[0] for each in found] == ["2", "3", "4"]
    assert max(len(str(value)) for each in found for value in (each.user_name, each.name, each.external_id)) <= 200


def test_a_text_that_no_database_stores_is_no_failure(world: World):
    answer = world.scim("POST", "/Users", a_body("per\u0000@contractor.example"))

    assert answer.status_code == 400
    assert [each.user_name for each in kept(world)] == ["per @contractor.example"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_answer_does_not_wait_for_other_writers(world: World, monkeypatch: pytest.MonkeyPatch):
    """Another writer has the lock when the refusal is to be kept: the answer is the same, within a moment."""
    world.provisions(a_user())
    taken, over = threading.Event(), threading.Event()

    def writes() -> None:
        with world.database.write("another"):
            taken.set()
            over.wait(20)

    writer = threading.Thread(target=writes)
    keep = keeping.Refusals.keep

    def keep_late(*args: Any) -> None:
        writer.start()
        taken.wait(20)
        keep(*args)

    monkeypatch.setattr(keeping.Refusals, "keep", keep_late)
    began = time.monotonic()

    assert world.scim("POST", "/Users", a_body("kari.nordmann@contractor.example")).status_code == 409

    assert time.monotonic() - began < keeping.WAIT_SECONDS + 4
    over.set()
    writer.join()
    assert kept(world) == []


def test_a_refusal_grows_old(world: World):
    """`RETENTION__DAYS`."""
    assert world.scim("POST", "/Users", a_body(active=["perhaps"])).status_code == 400
    world.clock.passes(days=31)

    forget_old(world.database, "default", 31)
    assert len(kept(world)) == 1
    world.clock.passes(seconds=1)
    forget_old(world.database, "default", 31)
    assert kept(world) == []


def test_two_users_with_one_external_id_do_not_clear_each_others_refusals(world: World):
    """Where `externalId` is no id (`mailNickname`, the default): what succeeds for one says nothing of the other."""
    assert world.scim("POST", "/Users", a_body("kari@contractor.example", externalId="per")).status_code == 201
    for name in ("per@contractor.example", "ola@contractor.example"):
        assert world.scim("POST", "/Users", a_body(name, externalId="per", active=["perhaps"])).status_code == 400
    (kari,) = world.scim("GET", "/Users").json()["Resources"]

    def names() -> set[str | None]:
        return {each.user_name for each in kept(world)}

    assert world.scim("PATCH", f"/Users/{kari['id']}", patch("title", "Formann")).status_code == 200
    assert world.scim("PATCH", f"/Users/{kari['id']}", patch("title", "Formann")).status_code == 200
    assert names() == {"per@contractor.example", "ola@contractor.example"}
    assert world.scim("POST", "/Users", a_body("per@contractor.example", externalId="per")).status_code == 201
    assert names() == {"ola@contractor.example"}
    assert world.scim("DELETE", f"/Users/{kari['id']}").status_code == 204
    assert names() == {"ola@contractor.example"}
    assert world.scim("POST", "/Users", a_body("ole@contractor.example", externalId="per")).status_code == 201
    assert names() == set(), "Ola was renamed, as far as anyone can tell"
