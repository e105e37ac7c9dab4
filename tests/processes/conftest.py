"""A bridge and a simulated Ditio as processes of their own, talked to over loopback."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests

from scim_bridge.storage.database import Database
from tests.processes.running import PATIENCE_SECONDS, Running, eventually, run
from tests.world import TOKEN

_numbers = count(1042)


class Ditio:
    """The process `scim-bridge sandbox`."""

    def __init__(self, folder: Path) -> None:
        self.process = Running(folder, {}, "sandbox", "--bind", "127.0.0.1:0")
        self.url = self.process.says(r"listens on (http://127\.0\.0\.1:\d+)")

    def fails(self, kind: str, **fault: Any) -> None:
        """Plan a fault."""
        requests.post(f"{self.url}/_sandbox/faults", json={"kind": kind, **fault}, timeout=5).raise_for_status()

    def recovers(self) -> None:
        """Forget the faults."""
        requests.delete(f"{self.url}/_sandbox/faults", timeout=5).raise_for_status()

    def employee(self, number: str) -> dict[str, Any] | None:
        """An employee as he truly is."""
        found: dict[str, Any] | None = requests.get(f"{self.url}/_sandbox/employees", timeout=5).json().get(number)
        return found

    def calls(self, method: str, containing: str = "") -> list[dict[str, Any]]:
        """The calls that arrived."""
        recorded = requests.get(f"{self.url}/_sandbox/requests", timeout=5).json()
        return [call for call in recorded if call["method"] == method and containing in call["path"]]


class Bridge:
    """The processes `scim-bridge serve` and `scim-bridge worker`, on one database."""

    def __init__(self, folder: Path, database_url: str, ditio: Ditio) -> None:
        self.ditio = ditio
        self.settings = {
            "SCIM_BRIDGE_DATABASE__URL": database_url,
            "SCIM_BRIDGE_DITIO__API_URL": f"{ditio.url}/core",
            "SCIM_BRIDGE_DITIO__IDENTITY_URL": ditio.url,
            "SCIM_BRIDGE_DITIO__CLIENT_ID": "sandbox",
            "SCIM_BRIDGE_DITIO__CLIENT_SECRET": "sandbox-secret",
        }
        self.url = ""
        self._folder = folder
        self._started: list[Running] = []
        with closing(Database(database_url)) as database, database.write("default") as s:
            s.tokens.add("t", "tests", TOKEN, expires_at=None)

    def prints(self, *words: str) -> str:
        """Run a command that succeeds; what it printed."""
        result = run(self._folder, self.settings, *words)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def starts(self, *words: str) -> Running:
        """Start a command that runs on."""
        started = Running(self._folder, self.settings, *words)
        self._started.append(started)
        return started

    def serves(self, *words: str) -> Running:
        """Start `serve`, on the same port as before, and wait until it answers."""
        server = self.starts("serve", "--bind", self.url.removeprefix("http://") or "127.0.0.1:0", *words)
        self.url = server.says(r"Listening on (http://127\.0\.0\.1:\d+)\.")
        eventually(lambda: self.asks("GET", "/readyz").ok, "ready")
        return server

    def asks(self, method: str, path: str, body: object = None) -> requests.Response:
        """One request."""
        return requests.request(
            method,
            self.url + path,
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=PATIENCE_SECONDS,
        )

    def numbers(self, how_many: int) -> list[str]:
        """Employee numbers that no other test has used."""
        return [str(next(_numbers)) for _ in range(how_many)]

    def state_of(self, created: requests.Response) -> str:
        """The `deliveryState` of a user, from the answer to his POST."""
        user = self.asks("GET", f"/scim/v2/Users/{created.json()['id']}").json()
        return str(user["urn:ietf:params:scim:schemas:extension:ditio:2.0:User"]["deliveryState"])

    def logged(self) -> str:
        """All that the started commands have written."""
        return "".join(started.output.read_text() for started in self._started)

    def provisions(self, number: str) -> requests.Response:
        """What Entra's POST of a complete user is answered."""
        enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
        body = {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", enterprise],
            "userName": f"user-{number}@contractor.example",
            "active": True,
            "name": {"givenName": "Kari", "familyName": "Nordmann"},
            "phoneNumbers": [{"type": "mobile", "value": f"+47 987 6{number}"}],
            enterprise: {"employeeNumber": number},
        }
        return self.asks("POST", "/scim/v2/Users", body)

    def clear(self) -> None:
        """Leave nothing behind."""
        for started in self._started:
            started.clear()


@pytest.fixture(scope="session")
def ditio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ditio]:
    """One for all tests: each has employees of its own."""
    ditio = Ditio(tmp_path_factory.mktemp("sandbox"))
    yield ditio
    ditio.process.clear()


@pytest.fixture
def bridge(database_url: str, tmp_path: Path, ditio: Ditio) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path, database_url, ditio)
    yield bridge
    bridge.clear()
    ditio.recovers()
