"""An upgrade while Entra goes on: old and new processes on one database, behind one proxy (D7, docs/deploying.md).

The new version is a copy of this one with a migration more (tests/later.py), so that any clone can run it.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from alembic import command
from requests.adapters import HTTPAdapter

from scim_bridge.scim.reading import ENTERPRISE_URN
from scim_bridge.storage import schema
from scim_bridge.storage.database import Database
from tests.conftest import migrate
from tests.later import LATER, NEEDS_LATER, package
from tests.processes.conftest import Bridge, Ditio
from tests.processes.running import PATIENCE_SECONDS, ROOT, Running, eventually, run
from tests.processes.test_deploy import Proxy, free_port
from tests.thorough import either, short_on_sqlite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

START_SECONDS = 4 * PATIENCE_SECONDS
"""Servers start here while others do, or while a hundred requests a second come in."""

PER_SECOND = 100
SOURCES = [f"127.0.0.{number}" for number in range(2, 8)]
"""Addresses of Entra: deploy/nginx.conf lets each send 50 requests a second."""


def revision_of(url: str) -> str:
    database = Database(url)
    found = schema.require_current(database)
    database.close()
    return found


# -- Several start at once --------------------------------------------------------------------------------------------


@short_on_sqlite
@pytest.mark.parametrize("begins", ["empty", "old"])
def test_several_instances_start_at_once(empty_url: str, begins: str, tmp_path: Path, ditio: Ditio):
    """D7: exactly one migrates, the others wait for it, and none fails."""
    if begins == "old":
        database = Database(empty_url)
        with database.write() as s:
            command.upgrade(schema._config(s.connection), schema.revisions()[0])
        database.close()
    settings = {
        "SCIM_BRIDGE_DATABASE__URL": empty_url,
        "SCIM_BRIDGE_DITIO__API_URL": f"{ditio.url}/core",
        "SCIM_BRIDGE_DITIO__IDENTITY_URL": ditio.url,
        "SCIM_BRIDGE_DITIO__CLIENT_ID": "sandbox",
        "SCIM_BRIDGE_DITIO__CLIENT_SECRET": "sandbox-secret",
        "SCIM_BRIDGE_SERVER__WORKERS": "1",
    }
    servers = [Running(tmp_path, settings, "serve", "--without-worker", "--bind", "127.0.0.1:0") for _ in range(2)]
    servers.append(Running(tmp_path, settings, "db", "upgrade"))
    try:
        servers[-1].says("has the schema of (this) version", START_SECONDS)
        for server in servers[:-1]:
            address = server.says(r"Listening on http://(127\.0\.0\.1:\d+)\.", START_SECONDS)
            eventually(lambda address=address: is_ready(address), "ready")
        migrations = "".join(server.output.read_text() for server in servers).count("schema.migrated")
        assert migrations == 1
        assert revision_of(empty_url) == schema.revisions()[-1]
    finally:
        for server in servers:
            server.clear()


# -- A server that stops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_server_that_stops_answers_all_who_are_connected_and_no_one_after_them(bridge: Bridge):
    """D7: a proxy that connects to it in its last seconds is refused, and asks another server at once."""
    bridge.settings["SCIM_BRIDGE_SERVER__WORKERS"] = "1"
    server = bridge.serves("--without-worker")
    host, port = bridge.url.removeprefix("http://").split(":")
    (web,) = server.children()
    # A process that hangs for a moment: the kernel connects clients that it does not know of yet.
    os.kill(web, signal.SIGSTOP)
    with ExitStack() as stack:
        waiting = [stack.enter_context(socket.create_connection((host, int(port)), timeout=20)) for _ in range(10)]
        for each in waiting:
            each.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        server.gets(signal.SIGTERM)
        eventually(lambda: "Handling signal: term" in bridge.logged(), "the web process is asked to end")
        os.kill(web, signal.SIGCONT)

        assert [each.recv(15) for each in waiting] == [b"HTTP/1.1 200 OK"] * len(waiting)

    def is_refused() -> bool:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    eventually(is_refused, "the address is given up")
    assert server.ends(signal.SIGTERM) == 0


# -- Old and new together ---------------------------------------------------------------------------------------------


@dataclass
class Answered:
    """One request of the load."""

    method: str
    status: int | str
    """Or how it failed."""

    seconds: float


@dataclass
class Load:
    """Entra at a hundred requests a second, from several addresses; no request waits for the one before.

    One in twenty creates a user, one changes a user, and the others look for one.
    """

    url: str
    token: str
    bridge: Bridge
    answered: list[Answered] = field(default_factory=list)
    users: dict[str, str] = field(default_factory=dict)
    """The users that were created: id by employee number."""

    to_change: deque[str] = field(default_factory=deque)
    changed: set[str] = field(default_factory=set)

    def goes_on(self, answers: int = PER_SECOND) -> None:
        """Wait for so many more answers."""
        until = len(self.answered) + answers
        eventually(lambda: len(self.answered) >= until, "requests are answered")

    def one(self, session: requests.Session, turn: int) -> None:
        """Send a request."""
        method, path, body, then = self._next(turn)
        began = time.monotonic()
        try:
            answer = session.request(method, self.url + path, json=body, timeout=PATIENCE_SECONDS)
            status: int | str = answer.status_code if answer.ok else f"{answer.status_code}: {answer.text}"
            if answer.ok and not then(answer.json()):
                status = f"{path}: {answer.text}"
        except requests.RequestException as error:
            status = repr(error)
        self.answered.append(Answered(method, status, time.monotonic() - began))

    def _next(self, turn: int) -> tuple[str, str, object, Callable[[Any], bool]]:
        known = [*self.users.items()]
        if turn % 20 == 0 or not known:
            (number,) = self.bridge.numbers(1)
            return "POST", "/scim/v2/Users", a_user(number), lambda made: self._is_created(number, made["id"])
        if turn % 20 == 10 and self.to_change:
            number = self.to_change.popleft()
            body = {
                "schemas": [PATCH_OP],
                "Operations": [{"op": "replace", "path": "title", "value": title_of(number)}],
            }
            return "PATCH", f"/scim/v2/Users/{self.users[number]}", body, lambda _: self._is_changed(number)
        number, user = known[turn % len(known)]
        if turn % 5 == 1:
            return "GET", f"/scim/v2/Users/{user}", None, lambda found: found["id"] == user
        path = f'/scim/v2/Users?filter=userName eq "user-{number}@contractor.example"'
        return "GET", path, None, lambda found: found["totalResults"] == 1

    def _is_created(self, number: str, user: str) -> bool:
        self.users[number] = user
        self.to_change.append(number)
        return True

    def _is_changed(self, number: str) -> bool:
        self.changed.add(number)
        return True


def title_of(number: str) -> str:
    return f"Title {number}"


def a_user(number: str) -> dict[str, object]:
    return {
        "schemas": [CORE, ENTERPRISE_URN],
        "userName": f"user-{number}@contractor.example",
        "active": True,
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "phoneNumbers": [{"type": "mobile", "value": f"+47 987 6{number}"}],
        ENTERPRISE_URN: {"employeeNumber": number},
    }


@contextmanager
def under_load(load: Load, threads: int = 24) -> Iterator[None]:
    """Send at the rate while the block runs."""
    over, turns, lock = threading.Event(), iter(range(10**9)), threading.Lock()
    began = time.monotonic()

    def send(source: str) -> None:
        with requests.Session() as session:
            adapter = HTTPAdapter()
            adapter.init_poolmanager(1, 1, source_address=(source, 0))
            session.mount("http://", adapter)
            session.headers["Authorization"] = f"Bearer {load.token}"
            while not over.is_set():
                with lock:
                    turn = next(turns)
                over.wait(max(0.0, began + turn / PER_SECOND - time.monotonic()))
                load.one(session, turn)

    with ThreadPoolExecutor(threads) as pool:
        sending = [pool.submit(send, SOURCES[number % len(SOURCES)]) for number in range(threads)]
        try:
            yield
        finally:
            over.set()
        for each in sending:
            each.result()


def serves(bridge: Bridge, address: str) -> Running:
    """Start a web server, and wait until it answers; a worker runs beside it."""
    server = bridge.starts("serve", "--without-worker", "--bind", address)
    server.says(r"Listening on (http://127\.0\.0\.1:\d+)\.", START_SECONDS)
    eventually(lambda: is_ready(address), "ready")
    return server


def is_ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/readyz", timeout=PATIENCE_SECONDS).ok
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize(("kind", "how_many"), either([("caddy", 2), ("nginx", 2), ("caddy", 1)], [("caddy", 2)]))
@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_no_request_fails_while_the_schema_is_upgraded_and_servers_are_replaced(
    empty_url: str, kind: str, how_many: int, tmp_path: Path, ditio: Ditio
):
    """Issue 18: two servers behind a proxy, as docs/deploying.md says; in full, back to the old version too.

    Caddy lets requests wait for a single server, too.
    """
    migrate(empty_url)
    with ExitStack() as stack:
        bridge = Bridge(tmp_path, empty_url, ditio)
        stack.callback(bridge.clear)
        bridge.settings |= {
            "SCIM_BRIDGE_SERVER__WORKERS": "1",
            "SCIM_BRIDGE_SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
            "SCIM_BRIDGE_DELIVERY__MAX_CREATED_PER_HOUR": "10000",
        }
        old, later = str(ROOT), str(package(tmp_path / "later"))
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(how_many)]
        servers = {address: serves(bridge, address) for address in addresses}
        worker = bridge.starts("worker")
        proxy = Proxy(kind, tmp_path, " ".join(addresses))
        stack.callback(proxy.clear)
        load = Load(proxy.url, bridge.prints("token", "issue", "--name", "Entra").strip(), bridge)

        with under_load(load):
            load.goes_on()
            steps = [(later, addresses[0])]
            if how_many == 2:
                steps += either([(later, addresses[1]), (old, addresses[0])], [])
            for version, address in steps:
                bridge.settings["PYTHONPATH"] = version
                assert servers[address].ends(signal.SIGTERM) == 0
                servers[address] = serves(bridge, address)
                assert revision_of(empty_url) == LATER
                assert all(map(is_ready, addresses))
                load.goes_on()
            assert worker.ends(signal.SIGTERM) == 0
            bridge.starts("worker")
            load.goes_on()

        failed = Counter((each.method, each.status) for each in load.answered if each.status not in (200, 201))
        # With the traceback of what failed, which follows its line.
        logged = [line for line in bridge.logged().splitlines() if "[info" not in line] if failed else []
        assert failed == {}, "\n".join([*logged, *proxy.errors()[:20]])
        assert len(load.users) > 10
        # No one is lost, no one is there twice, and no change is forgotten.
        eventually(lambda: json.loads(bridge.prints("outbox", "status", "--format", "json"))["due"] == 0, "delivered")
        employees = requests.get(f"{ditio.url}/_sandbox/employees", timeout=5).json()
        assert {employees[number]["createdCount"] for number in load.users} == {1}
        assert {number for number in load.users if employees[number]["workTitle"] == title_of(number)} == (load.changed)
        show(kind, load.answered)


def show(kind: str, answered: list[Answered]) -> None:
    """Print what was measured: `pytest -s`."""
    took = sorted(each.seconds * 1000 for each in answered)
    middle, late = (took[int(len(took) * part)] for part in (0.5, 0.99))
    print(f"\n{kind}: {len(took)} requests, p50 {middle:.0f} ms, p99 {late:.0f} ms, longest {took[-1]:.0f} ms")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_version_that_old_processes_cannot_go_on_with_waits_for_their_end(bridge: Bridge, tmp_path: Path):
    """D7: neither `serve` nor `db upgrade` migrates before; the old server goes on, and the message says what to do."""
    bridge.settings["SCIM_BRIDGE_SERVER__WORKERS"] = "1"
    server = bridge.serves("--without-worker")
    eventually(lambda: bridge.asks("GET", "/readyz").json()["processes"]["serve"]["alive"] == 1, "known")
    later = bridge.settings | {"PYTHONPATH": str(package(tmp_path / "later", NEEDS_LATER))}

    for words in (("db", "upgrade"), ("serve", "--bind", "127.0.0.1:0")):
        refused = run(tmp_path, later, *words)
        assert refused.returncode == 1
        assert f"a web server on host {socket.gethostname()}" in refused.stderr
    assert bridge.asks("GET", "/readyz").ok

    assert server.ends(signal.SIGTERM) == 0
    done = run(tmp_path, later, "db", "upgrade")
    assert done.returncode == 0, done.stderr
    left = run(tmp_path, bridge.settings, "serve", "--bind", "127.0.0.1:0")
    assert left.returncode == 1
    assert "newer" in left.stderr
