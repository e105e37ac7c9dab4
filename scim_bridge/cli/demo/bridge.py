"""The bridge of the demo: a real `scim-bridge serve` on SQLite, in its own process and folder."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from scim_bridge.cli.serve import CLIENT_ID, CLIENT_SECRET
from scim_bridge.errors import BridgeError
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.storage.credentials import TOKEN, new_secret
from scim_bridge.storage.database import Database
from scim_bridge.storage.schema import upgrade

PATIENCE_SECONDS = 30.0
"""How long the bridge may take to start."""

ENDING_SECONDS = 20.0
"""How long it may take to end: a little longer than `serve` gives running requests."""

EXTENSION = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
_LISTENING = re.compile(r"Listening on (http://127\.0\.0\.1:\d+)\.")
_LAST_LINES = 15


@dataclass(frozen=True)
class Bridge:
    """A running bridge."""

    url: str
    token: str
    folder: Path
    settings: Mapping[str, str]
    """The environment variables that it was configured with."""

    database: Database
    process: "subprocess.Popen[bytes]"

    @property
    def tenant_url(self) -> str:
        """The URL to paste into Entra."""
        return f"{self.url}/scim/v2"

    @property
    def log(self) -> Path:
        """The path of its log."""
        return log_in(self.folder)

    def due(self) -> int:
        """Return how many people are due."""
        with self.database.read(DEFAULT_TENANT) as s:
            return s.outbox.status().due

    def delivery_of(self, scim_id: str) -> tuple[str, str | None]:
        """Return what the bridge shows Entra of a person: `deliveryState` and `deliveryDetail`."""
        user = self.get(f"/Users/{scim_id}", self.token).json()[EXTENSION]
        return str(user["deliveryState"]), user.get("deliveryDetail")

    def get(self, path: str, token: str) -> requests.Response:
        """Send one SCIM request besides those of the simulated Entra."""
        with direct_session() as session:
            headers = {"Authorization": f"Bearer {token}"}
            return session.get(self.tenant_url + path, headers=headers, timeout=PATIENCE_SECONDS)

    def post(self, path: str, body: Mapping[str, object]) -> requests.Response:
        """Write as another client than Entra."""
        with direct_session() as session:
            headers = {"Authorization": f"Bearer {self.token}"}
            return session.post(self.tenant_url + path, json=body, headers=headers, timeout=PATIENCE_SECONDS)

    def command(self, *words: str) -> Any:
        """Run a command of the bridge, and return the JSON that it prints.

        :raises BridgeError: it printed no JSON.
        """
        ran = subprocess.run(  # nosec B603 # our own command, no shell
            [sys.executable, "-m", "scim_bridge", *words],
            cwd=self.folder,
            env={**inherited(os.environ), **self.settings},
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        try:
            return json.loads(ran.stdout)
        except ValueError as exc:
            raise BridgeError(f"`scim-bridge {' '.join(words)}` failed: {ran.stderr.strip()}") from exc


@contextmanager
def running_bridge(folder: Path, ditio_url: str) -> Iterator[Bridge]:
    """Start the bridge in a folder, and end it with the context.

    :raises BridgeError: it did not start, or no longer answers; with the last lines of its log.
    """
    settings = {
        "SCIM_BRIDGE_CONFIG": os.devnull,  # Ignore a scim-bridge.toml that happens to be there.
        "SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{folder / 'bridge.db'}",
        "SCIM_BRIDGE_DITIO__API_URL": f"{ditio_url}/core",
        "SCIM_BRIDGE_DITIO__IDENTITY_URL": ditio_url,
        "SCIM_BRIDGE_DITIO__CLIENT_ID": CLIENT_ID,
        "SCIM_BRIDGE_DITIO__CLIENT_SECRET": CLIENT_SECRET,
        "SCIM_BRIDGE_CERTIFICATES__SLOTS": json.dumps([{"type": "Byggekort", "packed": "byggekort"}]),
        # All acts happen within one day and one hour; the act "Leave" says that these are not the defaults.
        "SCIM_BRIDGE_DELIVERY__END_EMPLOYMENT": "at-once",
        "SCIM_BRIDGE_DELIVERY__MAX_ENDED_FRACTION": "1",
    }
    database = Database(settings["SCIM_BRIDGE_DATABASE__URL"])
    try:
        token = _issue_token(database)
        with _process(folder, {**inherited(os.environ), **settings}) as process:
            yield Bridge(_wait(process, folder), token, folder, settings, database, process)
    except requests.RequestException as exc:
        raise BridgeError(
            f"the bridge no longer answers; the last lines of its log:\n\n{_tail(log_in(folder))}"
        ) from exc
    finally:
        database.close()


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment for the bridge, without settings of another bridge and without a proxy."""
    kept = {name: value for name, value in environ.items() if not name.startswith("SCIM_BRIDGE_")}
    source = Path(__file__).parents[2]
    if (source / "pyproject.toml").is_file():
        # Run from source: the bridge has another working directory, and must find its code from there.
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), environ.get("PYTHONPATH")]))
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def direct_session() -> requests.Session:
    """Return a session without a proxy: all servers are on this machine."""
    session = requests.Session()
    session.trust_env = False
    return session


def log_in(folder: Path) -> Path:
    """Return the path of the bridge's log."""
    return folder / "bridge.log"


def _issue_token(database: Database) -> str:
    secret = new_secret(TOKEN)
    upgrade(database)
    with database.write(DEFAULT_TENANT) as s:
        s.tokens.add("demo", "demo", secret, expires_at=None)
    return secret


@contextmanager
def _process(folder: Path, environment: Mapping[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "scim_bridge", "serve", "--bind", "127.0.0.1:0"]
    with log_in(folder).open("wb") as log:
        # A session of its own, so that Ctrl-C reaches only the demo, which then ends the bridge.
        process = subprocess.Popen(  # nosec B603 # our own command, no shell
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(ENDING_SECONDS)
    except BaseException as exc:
        # Out of time, or a second Ctrl-C: the processes it started then end by themselves.
        process.kill()
        process.wait()
        if not isinstance(exc, subprocess.TimeoutExpired):
            raise


def _wait(process: "subprocess.Popen[bytes]", folder: Path) -> str:
    """Wait until the bridge answers, and return its URL."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with direct_session() as session:
        while time.monotonic() < deadline and process.poll() is None:
            found = _LISTENING.search(log_in(folder).read_text(errors="replace"))
            if found and _is_ready(session, found[1]):
                return found[1]
            time.sleep(0.05)
    what = "ended at once" if process.poll() is not None else f"did not start within {PATIENCE_SECONDS:.0f} seconds"
    raise BridgeError(f"the bridge {what}; the last lines of its log:\n\n{_tail(log_in(folder))}")


def _is_ready(session: requests.Session, url: str) -> bool:
    try:
        return session.get(f"{url}/readyz", timeout=5).ok
    except requests.RequestException:
        return False


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LAST_LINES:]) or "(the log is empty)"
