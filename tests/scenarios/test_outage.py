"""Ditio is down, slow, or refuses: no one waits for it, nothing is lost, and one person's trouble is his own."""

from typing import Any

import pytest

from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.values import JsonObject
from scim_bridge.sandbox.gateway import Fault
from tests.thorough import either
from tests.world import World

DITIO_URN = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def a_document(number: int) -> JsonObject:
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE_URN],
        "userName": f"{number}@contractor.example",
        "active": True,
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "phoneNumbers": [{"type": "mobile", "value": f"+47 9000 {number}"}],
        ENTERPRISE_URN: {"employeeNumber": str(number)},
    }


def a_patch(path: str, value: object) -> JsonObject:
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": path, "value": value}],
    }


def creates(world: World, number: int) -> tuple[int, str]:
    """Status and SCIM id."""
    answer = world.scim("POST", "/Users", a_document(number))
    return answer.status_code, answer.json()["id"]


def changes(world: World, user_id: str, path: str, value: object) -> int:
    return world.scim("PATCH", f"/Users/{user_id}", a_patch(path, value)).status_code


def state(world: World, user_id: str) -> tuple[str, str]:
    extension = world.scim("GET", f"/Users/{user_id}").json()[DITIO_URN]
    return extension["deliveryState"], extension.get("deliveryDetail", "")


def breaker(world: World) -> Breaker:
    with world.database.read("default") as s:
        return s.breaker.get()


def status(world: World) -> Any:
    with world.database.read("default") as s:
        return s.outbox.status()


@pytest.fixture
def calls(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every call that is made to Ditio, connections that are refused included."""
    made: list[str] = []
    take = world.ditio.faults.take

    def noted(method: str, path: str, query: str) -> Fault | None:
        made.append(f"{method} {path}")
        return take(method, path, query)

    monkeypatch.setattr(world.ditio.faults, "take", noted)
    return made


MANY = either(100, 30)

DOWN = {
    "refused": (Fault("refused-connection", times=None), 1),
    "503": (Fault("status", status=503, path="/api/", times=None), 3),
    "html": (Fault("html", status=502, path="/api/", times=None), 3),
    "reset": (Fault("reset-before", path="/api/", times=None), 3),
    "time-out": (Fault("timeout-before", path="/api/", times=None), 3),
    "writes": (Fault("status", status=500, path="/api/", method="POST", times=None), 12),
    "identity": (Fault("status", status=503, path="/connect/token", times=None), 3),
}


@pytest.mark.parametrize("how", DOWN)
def test_no_one_waits_while_ditio_is_down_and_all_is_delivered_afterwards(world: World, calls: list[str], how: str):
    """A1, A2, R3, D2: each create and patch is 2xx; Ditio is not called for them once the breaker is open."""
    numbers = range(1000, 1000 + MANY)
    fault, calls_until_open = DOWN[how]
    world.ditio.faults.plan(fault)

    created = [creates(world, number) for number in numbers]
    patched = [changes(world, user_id, "title", "Formann") for _, user_id in created[: MANY // 2]]

    assert {code for code, _ in created} == {201}
    assert set(patched) == {200}
    assert breaker(world).is_open
    assert len([call for call in calls if "token" not in call or how in ("refused", "identity")]) <= calls_until_open
    assert status(world).due == MANY

    world.ditio.faults.clear()
    world.clock.passes(seconds=40)
    world.worker.run_until_idle()

    assert status(world).due == status(world).parked == 0
    assert len(world.ditio.company.employees) == MANY
    assert {employee.created_count for employee in world.ditio.company.employees.values()} == {1}
    titles = [world.employee(str(number)).work_title for number in numbers]
    assert titles == ["Formann"] * (MANY // 2) + [None] * (MANY // 2)
    assert breaker(world) == Breaker()


def test_an_answer_that_was_lost_while_ditio_went_down_hires_once(world: World):
    """R4: what was applied before the breaker opened is found by the probe, not created again."""
    world.ditio.faults.plan(Fault("reset-after", method="POST", path="employees"))
    world.ditio.faults.plan(Fault("refused-connection", times=None))
    ids = [creates(world, number)[1] for number in range(1000, 1010)]
    for _ in range(20):
        world.clock.passes(seconds=30)
        world.worker.run_until_idle()
    world.ditio.faults.clear()
    world.clock.passes(seconds=60)
    world.worker.run_until_idle()

    assert {state(world, user_id)[0] for user_id in ids} == {"delivered"}
    assert {employee.created_count for employee in world.ditio.company.employees.values()} == {1}


@pytest.mark.parametrize("code", [500, 401, 403])
def test_one_person_whom_ditio_fails_on_stops_no_one_else(world: World, code: int):
    """R2, R3: whatever is tried for him, and for however long."""
    world.ditio.faults.plan(Fault("status", status=code, path="employees/1000", times=None))
    _, unlucky = creates(world, 1000)
    others = [creates(world, number)[1] for number in range(1001, 1006)]
    assert {state(world, user_id) for user_id in others} == {("delivered", "")}

    for day in range(4):
        world.clock.passes(hours=7)
        world.worker.run_until_idle()
        assert changes(world, unlucky, "title", f"title {day}") == 200
        assert changes(world, others[0], "title", f"title {day}") == 200
        assert state(world, others[0])[0] == "delivered"
        assert not breaker(world).is_open

    waits, detail = state(world, unlucky)
    assert waits == ("due" if code == 500 else "parked")
    assert str(code) in detail
    assert "was not deleted" not in detail, "the five causes are not his"

    world.ditio.faults.clear()
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()
    assert state(world, unlucky)[0] == "delivered"


@pytest.mark.usefixtures("ends_at_once")
def test_one_persons_forbidden_write_parks_him_with_the_rest_delivered(world: World):
    """R2: `out-of-reach`; his ending is not the reason to stop the company (L6: the login is closed all the same)."""
    _, kari = creates(world, 1000)
    world.ditio.faults.plan(Fault("status", status=403, path="1000/end-employment", times=None))
    assert changes(world, kari, "active", False) == 200

    assert state(world, kari)[0] == "parked"
    assert world.employee("1000").disabled
    assert not breaker(world).is_open


@pytest.mark.parametrize(("code", "most"), [(403, 2), (401, 3)])
def test_a_client_that_is_refused_as_a_whole_stops_all_calls_within_a_few(
    world: World, calls: list[str], code: int, most: int
):
    """R2: the cheap read fails too, so the breaker opens; everyone reads the five causes."""
    world.ditio.faults.plan(Fault("status", status=code, path="/api/", times=None))
    ids = [creates(world, number)[1] for number in range(1000, 1030)]

    assert len([call for call in calls if "/api/" in call]) == most
    assert len([call for call in calls if "/connect/token" in call]) == (2 if code == 401 else 1)
    assert status(world).due == 30
    assert status(world).parked == 0
    for user_id in (ids[0], ids[-1]):
        waits, detail = state(world, user_id)
        assert waits == "due"
        assert "(1) was not deleted" in detail
        assert "(5) has an emulation user" in detail

    ready = world.app.test_client().get("/readyz", environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert ready.status_code == 200
    shown = ready.get_json()["breaker"]["default"]
    assert shown["open"]
    assert shown["since"] == "2026-03-02T08:00:00Z"
    assert shown["next_probe"] == "2026-03-02T08:00:01Z"
    assert "(1) was not deleted" in shown["why"]
    assert "1000" not in shown["why"], "it concerns nobody in particular"

    world.ditio.faults.clear()
    world.clock.passes(seconds=40)
    world.worker.run_until_idle()
    assert {state(world, user_id)[0] for user_id in ids} == {"delivered"}


def test_a_refused_secret_opens_it(world: World, calls: list[str]):
    """R2: the identity server knows no such client: no one's token, no one's delivery."""
    world.ditio.faults.plan(Fault("status", status=400, path="/connect/token", times=None))
    for number in range(1000, 1010):
        assert creates(world, number)[0] == 201

    assert len(calls) <= 2
    assert "DITIO__CLIENT_SECRET" in str(breaker(world).why)


def test_a_test_that_runs_out_of_time_is_left_to_a_worker(world: World, monkeypatch: pytest.MonkeyPatch):
    """R2, A4: too little of the request's time for the cheap read proves nothing."""
    world.ditio.faults.plan(Fault("status", status=403, path="employees/1000", times=None))
    ditio = world.parts.tenants["default"].ditio
    get = ditio.get

    def get_slowly(*arguments: Any, **options: Any) -> Any:
        try:
            return get(*arguments, **options)
        finally:
            world.clock.passes(seconds=5)

    monkeypatch.setattr(ditio, "get", get_slowly)
    _, kari = creates(world, 1000)
    assert state(world, kari)[0] == "due"
    assert not breaker(world).is_open

    world.worker.run_until_idle()
    assert state(world, kari)[0] == "parked"


def test_who_waits_because_it_is_open_reads_why(world: World):
    """D2, R2: also a person whom no one has tried to deliver."""
    world.ditio.faults.plan(Fault("refused-connection", times=None))
    creates(world, 1000)
    _, later = creates(world, 1001)

    waits, detail = state(world, later)
    assert waits == "due"
    assert detail.startswith("Ditio is not called since 2026-03-02 08:00:00 UTC")
    assert "no connection could be made" in detail


def test_trouble_that_lasts_is_tried_at_least_once_an_hour_and_never_dropped(world: World, calls: list[str]):
    """R3: for days, in full for a week."""
    world.ditio.faults.plan(Fault("status", status=500, path="employees/1000", times=None))
    _, kari = creates(world, 1000)
    for _ in range(24 * either(7, 2)):
        calls.clear()
        world.clock.passes(hours=1)
        world.worker.run_until_idle()
        assert calls
        assert state(world, kari)[0] == "due"
