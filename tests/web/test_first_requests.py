"""The first requests of a fresh process: Python 3.11 may fail one of several threads that import the same at once."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import requests

from scim_bridge.bootstrap import build
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database
from scim_bridge.storage.schema import upgrade
from scim_bridge.web.app import create_app

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
KARI = {
    "schemas": [CORE, ENTERPRISE],
    "userName": "kari@contractor.example",
    "active": True,
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "phoneNumbers": [{"type": "mobile", "value": "98765432"}],
    ENTERPRISE: {"employeeNumber": "1042"},
}
CHANGE = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "Replace", "path": "title", "value": "Formann"}],
}


def test_the_first_requests_import_nothing(tmp_path: Path):
    """A user is looked up, created and delivered, changed and deleted; everything they need is there before."""
    command = [sys.executable, "-m", "tests.web.test_first_requests", f"sqlite:///{tmp_path}/bridge.db"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def late_imports(url: str) -> list[str]:
    """Return the modules that the first requests import."""
    ditio = SandboxDitio(now=lambda: datetime.now(UTC))

    def session() -> requests.Session:
        made = requests.Session()
        made.mount("https://ditio.test", WsgiTransport(ditio.app))
        return made

    address = {"api_url": "https://ditio.test/core", "identity_url": "https://ditio.test"}
    client = {"client_id": "sandbox", "client_secret": "sandbox-secret"}
    settings = Settings(
        **{"database": {"url": url}, "server": {"base_url": "https://bridge.test"}, "ditio": {**address, **client}}
    )
    database = Database(url)
    upgrade(database)
    with database.write("default") as s:
        s.tokens.add("t", "tests", "a-secret-token", expires_at=None)
    app = create_app(build(settings, database=database, session_factory=session))
    http = requests.Session()
    http.mount("https://bridge.test", WsgiTransport(app))
    http.trust_env = False
    http.headers["Authorization"] = "Bearer a-secret-token"
    before, users = set(sys.modules), "https://bridge.test/scim/v2/Users"
    answers = [
        http.get(users, params={"filter": 'userName eq "kari@contractor.example"'}),
        http.get(users, params={"filter": 'title sw "x" and active eq true'}),
        (created := http.post(users, json=KARI)),
        http.patch(f"{users}/{created.json()['id']}", json=CHANGE),
        http.get(users, headers={"Authorization": "Bearer wrong"}),
        http.delete(f"{users}/{created.json()['id']}"),
    ]
    assert [each.status_code for each in answers] == [200, 200, 201, 200, 401, 204]
    assert ditio.employee("1042").work_title == "Formann"
    database.close()
    return sorted(set(sys.modules) - before)


if __name__ == "__main__":
    print(*late_imports(sys.argv[1]))
