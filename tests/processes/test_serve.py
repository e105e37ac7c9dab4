"""`serve`, `worker` and `sandbox` as an operator runs them: real processes, real sockets, real signals."""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from scim_bridge.storage.database import Database
from scim_bridge.storage.entra_calls import last_request
from scim_bridge.storage.runs import presences
from tests.processes.conftest import Bridge, Ditio
from tests.processes.running import Running, command_of, eventually, is_alive
from tests.thorough import short_on_sqlite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SECONDS_TO_END = 10.0
"""Far more than a request and a delivery need, and less than the time after which everything is killed."""

DITIO_URN = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"


def delivery_state(answer: requests.Response) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()[DITIO_URN]["deliveryState"])


def creations(ditio: Ditio, number: str) -> list[int]:
    """What each create of an employee was answered, lost answers included."""
    return [call["status"] for call in ditio.calls("POST", "employees") if call["body"]["employeeNumber"] == number]


def deliverer_below(server: Running) -> int | None:
    return next((child for child in server.children() if "worker" in command_of(child)), None)


@short_on_sqlite
def test_a_killed_server_loses_no_one(bridge: Bridge, ditio: Ditio):
    """A1: 2xx once it is committed. Kill any process at any instant: nothing lost, no one twice."""
    server = bridge.serves()
    first, second = bridge.numbers(2)

    assert delivery_state(bridge.provisions(first)) == "delivered"
    assert ditio.employee(first)["createdCount"] == 1

    ditio.fails("status", status=503, times=None, path="employees")
    answer = bridge.provisions(second)
    below = server.is_killed()
    assert delivery_state(answer) == "due"
    ditio.recovers()
    # A create is applied and its answer lost: the next attempt has to read first (R4).
    ditio.fails("reset-after", method="POST", path="employees")
    restarted = bridge.serves()

    eventually(lambda: bridge.state_of(answer) == "delivered", "the second user is delivered")
    assert ditio.employee(second)["createdCount"] == 1
    assert creations(ditio, second) == [201]
    eventually(lambda: not any(map(is_alive, below)), "whoever was below the killed server has ended")

    assert restarted.ends(signal.SIGTERM) == 0
    assert "@contractor.example" not in bridge.logged()


@on_sqlite
def test_a_worker_of_its_own_delivers(bridge: Bridge, ditio: Ditio):
    """`serve --without-worker` only answers; `worker` delivers, and ends with 0 on SIGTERM."""
    bridge.settings |= {"SCIM_BRIDGE_DELIVERY__INLINE_SECONDS": "0", "SCIM_BRIDGE_SERVER__WORKERS": "1"}
    server = bridge.serves("--without-worker")
    (number,) = bridge.numbers(1)
    answer = bridge.provisions(number)
    assert delivery_state(answer) == "due"
    assert deliverer_below(server) is None

    worker = bridge.starts("worker")

    eventually(lambda: bridge.state_of(answer) == "delivered", "delivered")
    assert creations(ditio, number) == [201]
    assert worker.ends(signal.SIGTERM) == 0
    shown = json.loads(bridge.prints("people", "show", number, "--format", "json"))
    assert shown["ditio"]["phone"] == shown["employee"]["phone"] == f"+479876{number}"
    assert shown["ditio"]["disabled"] is False


@on_sqlite
def test_each_process_leaves_a_heartbeat(bridge: Bridge):
    """D7: while it runs, and none that lives on after an ordered end."""
    bridge.settings["SCIM_BRIDGE_SERVER__WORKERS"] = "2"

    def alive() -> dict[str, int]:
        return {kind: each["alive"] for kind, each in bridge.asks("GET", "/readyz").json()["processes"].items()}

    server = bridge.serves("--without-worker")
    eventually(lambda: alive() == {"serve": 2, "worker": 0}, "both web processes are known")
    worker = bridge.starts("worker")
    eventually(lambda: alive() == {"serve": 2, "worker": 1}, "the worker is known")
    assert worker.ends(signal.SIGTERM) == 0
    assert alive() == {"serve": 2, "worker": 0}
    assert bridge.asks("GET", "/scim/v2/Users/none").status_code == 404
    assert f"on host {socket.gethostname()}" in bridge.asks("GET", "/readyz").json()["processes"]["worker"]["detail"]

    assert server.ends(signal.SIGTERM) == 0
    database = Database(bridge.settings["SCIM_BRIDGE_DATABASE__URL"])
    with database.read() as s:
        assert [each.alive for each in presences(s).values()] == [0, 0]
        assert last_request(s.of("default")), "a process that ends stores when Entra last called"
    database.close()


@on_sqlite
def test_sigterm_answers_what_is_in_flight(bridge: Bridge, ditio: Ditio):
    """SIGTERM drains: the request in flight is answered, and all ends with 0; the worker was kept running."""
    bridge.settings["SCIM_BRIDGE_SERVER__WORKERS"] = "1"
    server = bridge.serves()
    killed = eventually(lambda: deliverer_below(server), "a delivery worker runs")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: deliverer_below(server) not in (None, killed), "another one runs")

    (number,) = bridge.numbers(1)
    ditio.fails("slow", seconds=1.5, method="POST", path="employees")
    answers: list[requests.Response] = []
    entra = threading.Thread(target=lambda: answers.append(bridge.provisions(number)))
    entra.start()
    eventually(lambda: creations(ditio, number), "the create has reached Ditio")
    below = server.children()
    started = time.monotonic()

    assert server.ends(signal.SIGTERM) == 0
    assert time.monotonic() - started < SECONDS_TO_END
    entra.join()
    assert delivery_state(answers[0]) == "delivered"
    assert not any(map(is_alive, below))
    # SQLite has put its log into the file: a copy of the file alone is whole.
    file = Path(bridge.settings["SCIM_BRIDGE_DATABASE__URL"].removeprefix("sqlite:///"))
    assert [*file.parent.glob(f"{file.name}-wal")] == []


def test_the_sandbox_ends_on_sigterm(tmp_path: Path):
    """It prints where it is and the settings that lead there; SIGTERM ends it with 0."""
    sandbox = Running(tmp_path, {}, "sandbox", "--bind", "127.0.0.1:0")
    try:
        url = sandbox.says(r"export SCIM_BRIDGE_DITIO__IDENTITY_URL=(\S+)")
        assert requests.get(f"{url}/_sandbox/employees", timeout=5).json() == {}
        assert sandbox.ends(signal.SIGTERM) == 0
    finally:
        sandbox.clear()


def test_the_sandbox_begins_with_a_company(tmp_path: Path):
    """Design, section 5: `--people`; no two employees share a phone number, and the same company comes each time."""
    found = []
    for _ in range(2):
        sandbox = Running(tmp_path, {}, "sandbox", "--bind", "127.0.0.1:0", "--people", "30")
        try:
            url = sandbox.says(r"export SCIM_BRIDGE_DITIO__IDENTITY_URL=(\S+)")
            found.append(requests.get(f"{url}/_sandbox/employees", timeout=5).json())
        finally:
            sandbox.clear()

    first, again = found
    assert [*first] == [str(number) for number in range(1001, 1031)]
    assert len({each["phone"] for each in first.values() if each["phone"].startswith("+47")}) == 30
    assert all(each["employments"] and each["email"] for each in first.values())
    assert again == first


def test_the_sandbox_has_an_entra_with_a_graph(tmp_path: Path):
    """It prints the settings for it; the people of `--people` are its users, and none of them is provisioned yet."""
    sandbox = Running(tmp_path, {}, "sandbox", "--bind", "127.0.0.1:0", "--people", "3")

    def printed(name: str) -> str:
        return str(sandbox.says(rf"export SCIM_BRIDGE_ENTRA__{name}=(\S+)"))

    try:
        url = printed("GRAPH_URL")
        form = {
            "grant_type": "client_credentials",
            "client_id": printed("CLIENT_ID"),
            "client_secret": printed("CLIENT_SECRET"),
            "scope": f"{url}/.default",
        }
        token_url = f"{printed('LOGIN_URL')}/{printed('TENANT_ID')}/oauth2/v2.0/token"
        token = requests.post(token_url, data=form, timeout=5).json()["access_token"]
        reader = requests.Session()
        reader.headers["Authorization"] = f"Bearer {token}"
        principal = f"{url}/v1.0/servicePrincipals/{printed('SERVICE_PRINCIPAL_ID')}"
        assigned = reader.get(f"{principal}/appRoleAssignedTo?$top=2", timeout=5).json()
        (job,) = reader.get(f"{principal}/synchronization/jobs", timeout=5).json()["value"]

        assert len(assigned["value"]) == 2
        assert len(reader.get(assigned["@odata.nextLink"], timeout=5).json()["value"]) == 1
        assert (job["schedule"]["state"], job["status"]["lastSuccessfulExecution"]) == ("Disabled", None)
        users = requests.get(f"{url}/_sandbox/users", timeout=5).json()
        assert {each["employee_id"] for each in users.values()} == {"1001", "1002", "1003"}
    finally:
        sandbox.clear()


@on_sqlite
def test_a_url_that_is_too_long_is_answered_as_scim_does(bridge: Bridge):
    """A2: 414 and a SCIM Error, whatever is in front of the application; a header that is too long is 431."""
    bridge.serves("--without-worker")

    long_url = requests.get(f"{bridge.url}/scim/v2/Users", params={"filter": "x" * 9000}, timeout=10)
    long_header = requests.get(f"{bridge.url}/scim/v2/Users", headers={"X-Long": "x" * 9000}, timeout=10)

    for answer, status in ((long_url, 414), (long_header, 431)):
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/scim+json"
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert answer.json()["status"] == str(status)
    assert bridge.asks("GET", "/scim/v2/Users").status_code == 200
