"""`/metrics`: what there is to watch, for Prometheus."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

from scim_bridge.errors import CredentialsRefused
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.expiries import MOST_TYPES, OTHERS
from scim_bridge.storage.notices import Queued
from scim_bridge.storage.runs import ProcessKind, beat
from tests.conftest import Clock
from tests.world import World, a_user

HERE = {"REMOTE_ADDR": "127.0.0.1"}
ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}
TOKEN = "a-long-random-text"


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


def figures(answer: TestResponse) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of the labels' names."""
    assert answer.status_code == 200, answer.text
    return {
        (sample.name.removeprefix("scim_bridge_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def another(last: str, **changes: Any) -> EntraUser:
    """Another person."""
    mail = f"somebody{last}@contractor.example"
    own = {"object_id": f"5d1f3c0e-0000-4000-8000-00000000000{last}", "employee_id": f"200{last}"}
    return a_user(user_principal_name=mail, mail=mail, **own, **changes)


def test_who_waits_and_why(world: World, clock: Clock):
    """D3: due, held and parked by reason, and how long the oldest has been due."""
    world.provisions(a_user())
    world.provisions(another("2", mobile=None))
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.provisions(another("3", mobile="+47 987 65 433"))
    clock.passes(seconds=90)

    found = figures(world.app.test_client().get("/metrics", environ_base=HERE))

    assert found["due", "default"] == 1
    assert found["oldest_due_seconds", "default"] == 90
    assert found["held", "incomplete", "default"] == 1
    assert found["held", "claimed", "default"] == 0
    assert found["parked", "refused", "default"] == 0
    assert found["breaker_open", "default"] == 1
    assert found["database_up",] == 1


def test_how_many_processes_run(world: World, clock: Clock):
    """D7: none, and since how long none."""
    client = world.app.test_client()
    before = figures(client.get("/metrics", environ_base=HERE))
    assert (before["processes", "worker"], before["processes", "serve"]) == (0, 0)
    assert ("process_last_seen_seconds", "worker") not in before
    with world.database.write() as s:
        beat(s, ProcessKind.worker, "one", "bridge-1")
    assert figures(client.get("/metrics", environ_base=HERE))["processes", "worker"] == 1
    clock.passes(hours=1)
    answer = client.get("/metrics", environ_base=HERE)
    later = figures(answer)
    assert (later["processes", "worker"], later["process_last_seen_seconds", "worker"]) == (0, 3600)
    assert "bridge-1" not in answer.text


def test_how_ditio_answers(world: World, clock: Clock):
    """Calls of the last minutes, and how long they took."""
    world.provisions(a_user())

    found = figures(world.app.test_client().get("/metrics", environ_base=HERE))
    assert found["ditio_calls", "create", "default"] == 1
    assert found["ditio_failed_calls", "create", "default"] == 0
    assert found["ditio_call_seconds", "create", "0.95", "default"] >= 0

    clock.passes(seconds=301)
    later = figures(world.app.test_client().get("/metrics", environ_base=HERE))
    assert ("ditio_calls", "create", "default") not in later


def test_a_stranger_is_told_nothing(world: World):
    """Figures tell how large a company is and who is leaving it: for this machine, or with the token."""
    world.restarts_with(server={"metrics_token": TOKEN})
    client = world.app.test_client()

    def asked(path: str, address: dict[str, str], **headers: str) -> TestResponse:
        return client.get(path, environ_base=address, headers=headers)

    assert asked("/metrics", ELSEWHERE).status_code == 404
    assert asked("/metrics", ELSEWHERE, Authorization="Bearer wrong").status_code == 404
    assert asked("/metrics", HERE, Authorization="Bearer wrong").status_code == 404
    assert asked("/metrics", HERE).status_code == 404
    assert asked("/readyz", HERE).json == {"status": "ready"}
    assert asked("/metrics", ELSEWHERE, Authorization=f"Bearer {TOKEN}").status_code == 200
    assert "outbox" in asked("/readyz", ELSEWHERE, Authorization=f"Bearer {TOKEN}").text


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "POST", "PUT", "DELETE", "TRACE"])
def test_no_method_tells_a_stranger_that_there_is_such_a_path(world: World, method: str):
    """The answer is that of a path that there isn't."""
    client = world.app.test_client()
    metrics, nothing = (client.open(path, method=method, environ_base=ELSEWHERE) for path in ("/metrics", "/nothing"))

    assert (metrics.status_code, metrics.data) == (404, nothing.data)
    assert set(metrics.headers.keys()) == set(nothing.headers.keys())
    assert client.open("/metrics", method="OPTIONS", environ_base=HERE).status_code == 200


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via", "X-Forwarded-Proto", "x-forwarded-host"]
)
def test_a_proxy_on_this_machine_is_not_this_machine(world: World, header: str):
    """Everyone on the internet would be told, because the proxy asks from loopback."""
    client = world.app.test_client()

    assert client.get("/metrics", environ_base=HERE, headers={header: "203.0.113.7"}).status_code == 404
    assert client.get("/readyz", environ_base=HERE, headers={header: "203.0.113.7"}).json == {"status": "ready"}


def test_a_proxy_that_adds_no_header_is_not_this_machine_either(world: World):
    """It asks for the public name, or speaks HTTP/1.0 as nginx does unless it is told otherwise."""
    client = world.app.test_client()

    assert client.get("/metrics", environ_base=HERE, headers={"Host": "127.0.0.1:8080"}).status_code == 200
    assert client.get("/metrics", environ_base=HERE, headers={"Host": "[::1]:8080"}).status_code == 200
    assert client.get("/metrics", environ_base=HERE, headers={"Host": "scim.example.com"}).status_code == 404
    old = {**HERE, "SERVER_PROTOCOL": "HTTP/1.0"}
    assert client.get("/metrics", environ_overrides=old).status_code == 404


def test_a_database_out_of_reach_is_a_figure_too(world: World, tmp_path, clock: Clock):
    """A person who watches has to learn it from somewhere."""
    world.database = Database(f"sqlite:///{tmp_path / 'no-tables.db'}", clock=clock)
    world.restarts_with()

    found = figures(world.app.test_client().get("/metrics", environ_base=HERE))

    assert found["database_up",] == 0
    world.database.close()


def test_nothing_in_it_names_a_person(world: World):
    """Section 10 of the design: no personal data in metrics."""
    user = a_user()
    world.provisions(user)

    text = world.app.test_client().get("/metrics", environ_base=HERE).text

    for secret in (user.user_principal_name, "98765432", user.surname, user.employee_id):
        assert secret not in text


def test_the_last_run_of_reconcile(world: World, clock: Clock):
    """Q4: its age, how it ended, and what it found; a run about one person or one kind is none, an error has no age."""
    client, reconciliation = world.app.test_client(), world.parts.reconciliations["default"]
    world.provisions(a_user())
    before = figures(client.get("/metrics", environ_base=HERE))
    assert not any(name.startswith("reconcile_") for name, *_ in before)
    assert client.get("/readyz", environ_base=HERE).get_json()["reconcile"] == {"default": None}
    clock.passes(minutes=10)
    world.employee("1042").work_title = "Sjef"
    run = reconciliation.run(Request()).run
    clock.passes(minutes=10)
    reconciliation.run(Request(person="1042"))
    world.ditio.forbidden = True
    with pytest.raises(CredentialsRefused):
        reconciliation.run(Request())

    found = figures(client.get("/metrics", environ_base=HERE))

    assert found["reconcile_age_seconds", "default"] == 600
    assert found["reconcile_exit", "default"] == 1
    assert (found["reconcile_found", "field", "default"], found["reconcile_found", "missing", "default"]) == (1, 0)
    assert [found[f"reconcile_{name}", "default"] for name in ("people", "in_sync", "applied")] == [1, 0, 0]
    world.ditio.forbidden = False
    clock.passes(minutes=1)
    run = reconciliation.run(Request(apply=True)).run
    assert client.get("/readyz", environ_base=HERE).get_json()["reconcile"]["default"] == {
        "plan": run.id,
        "started_at": "2026-03-02T08:21:00Z",
        "finished_at": "2026-03-02T08:21:00Z",
        "age_seconds": 0,
        "exit": 0,
        "people": 1,
        "in_sync": 0,
        "by_kind": {"field": 1},
        "applied": 1,
    }


def test_certificates_that_end_by_type_and_window(world: World):
    """Of people at work; the names of the types are the client's, so no more than some are told apart."""
    for number, end in ((1, "2026-03-01"), (2, "2026-04-01"), (3, "2026-04-02"), (4, "2026-05-31"), (5, "2026-06-01")):
        certificate = {"employeeNumber": str(number), "issuedDateTime": "2026-01-01", "validUntilDateTime": end}
        world.scim("POST", "/Certificates", {**certificate, "certificateType": "Kranførerbevis"})

    found = figures(world.app.test_client().get("/metrics", environ_base=HERE))

    ending = {key[1:]: count for key, count in found.items() if key[0] == "certificates_ending"}
    assert ending == {
        ("default", "Kranførerbevis", "expired"): 1,
        ("default", "Kranførerbevis", "30 days"): 1,
        ("default", "Kranførerbevis", "90 days"): 2,
    }


def test_no_more_than_some_types_are_told_apart(world: World):
    """Bounded label values: what few have is counted together."""
    for number in range(MOST_TYPES + 3):
        certificate = {"issuedDateTime": "2026-01-01", "validUntilDateTime": "2026-03-01"}
        body = {**certificate, "employeeNumber": "1", "certificateType": f"Kurs {number}"}
        assert world.scim("POST", "/Certificates", body).status_code == 201

    found = figures(world.app.test_client().get("/metrics", environ_base=HERE))

    ending = {key: count for key, count in found.items() if key[0] == "certificates_ending"}
    assert (len(ending), sum(ending.values())) == (MOST_TYPES + 1, MOST_TYPES + 3)
    assert ending["certificates_ending", "default", OTHERS, "expired"] == 3


def test_notices_that_do_not_arrive_are_counted(world: World):
    """One that waits for its first attempt is none of them."""
    with world.database.write("default") as s:
        for id in ("1", "2", "3"):
            s.notices.queue(Queued("webhook", id, s.now, {}))
        for id in ("1", "2"):
            s.notices.postpone(Queued("webhook", id, s.now, {}), seconds=30, why="the webhook answered 404")

    found = figures(world.app.test_client().get("/metrics", environ_base=HERE))

    assert found["notices_unsent", "default"] == 2
