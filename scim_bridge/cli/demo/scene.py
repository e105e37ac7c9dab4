"""The scene of the demo: a simulated Entra, a real `scim-bridge serve` in its own process, a simulated Ditio."""

import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import requests

from scim_bridge.cli.demo.stage import Check, Difference, Stage, as_entra_knows, differences, numbered
from scim_bridge.errors import BridgeError
from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.directory import EntraUser, people
from scim_bridge.sandbox.ditio import CLIENT_ID, CLIENT_SECRET, SandboxDitio
from scim_bridge.sandbox.entra import EXTENSION, SandboxEntra, Step
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.storage.credentials import TOKEN, new_secret
from scim_bridge.storage.database import Database
from scim_bridge.storage.schema import upgrade

PYTHON = (sys.executable, "-m", "scim_bridge")
FEWEST = 5  # With fewer people, a part of the demo would have no person.
MOST_LEAVERS = 10  # Enough people to show each way of leaving.
PATIENCE_SECONDS = 30.0  # How long the bridge may take to start or to answer.
ENDING_SECONDS = 20.0  # How long it may take to end: a little longer than `serve` gives running requests.
ARRIVING_SECONDS = 60.0  # How long to wait without any delivery while people are due.


class Cast:
    """The people of an invented company, and their parts; the same in each run."""

    def __init__(self, count: int) -> None:
        *self.users, self.newcomer, spare, extra = people(count + 3, random.Random(2026))  # nosec B311 # a cast
        # `newcomer` is hired while Ditio fails. `adopted` is in Ditio already, with the same phone. `namesake` has a
        # stranger's number, and `unnumbered` has none; in the end they get `free_number` and `own_number`.
        self.adopted, self.namesake, self.unnumbered = self.users[1:4]
        self.own_number, self.unnumbered.employee_id = self.unnumbered.employee_id, None
        self.free_number, self.free_phone = spare.employee_id, extra.mobile
        self.strangers: list[SandboxEmployee] = []  # In Ditio and unknown to Entra, as they were at first.

    def settled(self) -> list[EntraUser]:
        """Return the users without special cases after the first day."""
        return [each for each in self.users if each not in (self.namesake, self.unnumbered, self.newcomer)]

    def leavers(self) -> list[EntraUser]:
        """Return the users who leave: about every fourth."""
        settled = self.settled()
        return settled[-min(MOST_LEAVERS, max(2, (len(settled) + 3) // 4)) :]


@dataclass(frozen=True)
class Bridge:
    """A running bridge."""

    tenant_url: str
    token: str
    folder: Path
    log: Path
    settings: dict[str, str]  # The environment variables that it was configured with.
    database: Database
    process: "subprocess.Popen[bytes]"

    def due(self) -> int:
        """Return how many people are due."""
        with self.database.read(DEFAULT_TENANT) as s:
            return s.outbox.status().due

    def request(self, method: str, path: str, token: str | None = None, body: object = None) -> requests.Response:
        """Send one SCIM request, as another client than the simulated Entra."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        with direct_session() as session:
            return session.request(method, self.tenant_url + path, json=body, headers=headers, timeout=PATIENCE_SECONDS)

    def command(self, *words: str) -> Any:
        """Run a command of the bridge, and return the JSON that it prints. :raises BridgeError: it printed nothing."""
        command, environment = [*PYTHON, *words, "--format", "json"], inherited(os.environ) | self.settings
        ran = subprocess.run(  # nosec B603 # our own command, no shell
            command, cwd=self.folder, env=environment, capture_output=True, timeout=PATIENCE_SECONDS, check=False
        )
        if not ran.stdout:
            raise BridgeError(f"`scim-bridge {' '.join(words)}` failed: {ran.stderr.decode(errors='replace')}")
        return json.loads(ran.stdout)


@contextmanager
def running_bridge(folder: Path, ditio_url: str) -> Iterator[Bridge]:
    """Start the bridge on SQLite in a folder, and end it with the context.

    :raises BridgeError: it did not start, or no longer answers; with the last lines of its log.
    """
    settings = {
        "SCIM_BRIDGE_CONFIG": os.devnull,  # Ignore a scim-bridge.toml that happens to be there.
        "SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{folder / 'bridge.db'}",
        "SCIM_BRIDGE_DITIO__API_URL": f"{ditio_url}/core",
        "SCIM_BRIDGE_DITIO__IDENTITY_URL": ditio_url,
        "SCIM_BRIDGE_DITIO__CLIENT_ID": CLIENT_ID,
        "SCIM_BRIDGE_DITIO__CLIENT_SECRET": CLIENT_SECRET,
        "SCIM_BRIDGE_CONSOLE__ENABLED": "true",
        "SCIM_BRIDGE_CERTIFICATES__SLOTS": '[{"type": "Byggekort", "packed": "byggekort"}]',
        # All acts happen within one day and one hour; the act "Leave" says that these are not the defaults.
        "SCIM_BRIDGE_DELIVERY__END_EMPLOYMENT": "at-once",
        "SCIM_BRIDGE_DELIVERY__MAX_ENDED_FRACTION": "1",
    }
    token, log = new_secret(TOKEN), folder / "bridge.log"
    command, env = [*PYTHON, "serve", "--bind", "127.0.0.1:0"], inherited(os.environ) | settings
    with closing(Database(settings["SCIM_BRIDGE_DATABASE__URL"])) as database, log.open("wb") as out:
        upgrade(database)
        with database.write(DEFAULT_TENANT) as s:
            s.tokens.add("demo", "demo", token, expires_at=None)
        # A session of its own, so that Ctrl-C reaches only the demo, which then ends the bridge.
        process = subprocess.Popen(  # nosec B603 # our own command, no shell
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            yield Bridge(f"{_url(process, log)}/scim/v2", token, folder, log, settings, database, process)
        except requests.RequestException as exc:
            raise BridgeError(f"the bridge no longer answers; {_last_lines(log)}") from exc
        finally:
            process.terminate()
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(ENDING_SECONDS)
            finally:  # Out of time, or a second Ctrl-C: the processes it started then end by themselves.
                process.kill()
                process.wait()


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment for the bridge, without settings of another bridge and without a proxy."""
    kept = {name: value for name, value in environ.items() if not name.startswith("SCIM_BRIDGE_")}
    source = Path(__file__).parents[3]
    if (source / "pyproject.toml").is_file():
        # Run from source: the bridge has another working directory, and must find its code from there.
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), environ.get("PYTHONPATH")]))
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def direct_session() -> requests.Session:
    """Return a session without a proxy: all servers are on this machine."""
    session = requests.Session()
    session.trust_env = False
    return session


def _url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Wait until the bridge listens, and return its URL; it answers a first request once it is ready."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"Listening on (http://127\.0\.0\.1:\d+)\.", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    what = f"did not start within {PATIENCE_SECONDS:.0f} seconds" if process.poll() is None else "ended at once"
    raise BridgeError(f"the bridge {what}; {_last_lines(log)}")


def _last_lines(log: Path) -> str:
    return "\n".join(["the last lines of its log:\n", *log.read_text(errors="replace").splitlines()[-15:]])


class Scene:
    """Everything that the acts use."""

    def __init__(self, stage: Stage, cast: Cast, ditio: SandboxDitio, bridge: Bridge) -> None:
        self.stage, self.cast, self.ditio, self.bridge = stage, cast, ditio, bridge
        session = direct_session()
        session.hooks["response"].append(self._hear)
        self.entra = SandboxEntra(session, bridge.tenant_url, bridge.token)
        self.steps: list[Step] = []  # What Entra has done so far.
        self.answers: Counter[int] = Counter()  # How often Entra got each HTTP status.
        self.waiting: set[str] = set()  # Object ids of the users who should not be in Ditio yet.
        self._advance: Callable[[], object] = lambda: None
        user, start = cast.adopted, date.fromisoformat(str(cast.adopted.hire_date))
        facts = str(user.given_name), str(user.surname), str(as_entra_knows(user)["phone"])
        ditio.plant(str(user.employee_id), *facts, work_title="Lærling", start=start)
        self.add_stranger(cast.namesake.employee_id, "Sven", "Lindqvist", "+46701234567")
        self.add_stranger("9001", "Maja", "Nowak", "+48601234567")

    def add_stranger(self, number: str | None, *names_and_phone: str) -> None:
        """Create an employee in Ditio that Entra does not know."""
        self.cast.strangers.append(deepcopy(self.ditio.plant(str(number), *names_and_phone, work_title="Innleid")))

    def sends(self, users: Sequence[EntraUser], *, arrives: bool = True) -> Iterator[Check]:
        """Run a cycle of Entra in which these users changed. Users who wait are tried in each, and may be refused."""
        changed = {user.object_id for user in users}
        with self.stage.bar("Entra → bridge", len(changed)) as self._advance:
            steps = self.entra.cycle().steps
        self.steps += steps
        sent, refused = {each.object_id for each in steps}, {each.object_id: each for each in steps if not each.ok}
        wrong = next((step.detail for each, step in refused.items() if each not in self.waiting), None)
        users = [user for user in self.cast.users if user.object_id in refused]
        names = [f", {user.display_name} refused ({refused[user.object_id].status})" for user in users]
        told = (
            f"Entra sent {numbered(len(steps), 'change')}: {len(steps) - len(refused)} accepted (2xx){''.join(names)}."
        )
        yield Check(refused.keys() <= self.waiting and sent - self.waiting == changed - self.waiting, told, wrong)
        if arrives:
            self.arrive()

    def arrive(self) -> int:
        """Wait until all due people are delivered; return how many are left when deliveries stop."""
        left, deadline = self.bridge.due(), time.monotonic() + ARRIVING_SECONDS
        with self.stage.bar("bridge → Ditio", left) as advance:
            while left and time.monotonic() < deadline:
                time.sleep(0.05)
                before, left = left, self.bridge.due()
                if left != before:
                    deadline = time.monotonic() + ARRIVING_SECONDS
                    advance(before - left)
        return left

    def delivery_of(self, user: EntraUser) -> tuple[str, str | None]:
        """Return a user's delivery state and detail; `refused` if the bridge refused the user to Entra."""
        if scim_id := self.entra.scim_id(user.object_id):
            shown = self.bridge.request("GET", f"/Users/{scim_id}").json()[EXTENSION]
            return str(shown["deliveryState"]), shown.get("deliveryDetail")
        return "refused", next((each.detail for each in self.steps[::-1] if each.object_id == user.object_id), None)

    def employee(self, user: EntraUser) -> SandboxEmployee:
        """Return the employee in Ditio with the user's employee number; an empty one if there is none."""
        number = user.employee_id or ""
        return self.ditio.company.employees.get(number) or SandboxEmployee(number, "", "", "")

    def arrived(self) -> list[EntraUser]:
        """Return the users that Entra has sent and who should be in Ditio by now; none before the first cycle."""
        return [each for each in self.cast.users if self.steps and each.object_id not in self.waiting]

    def differences(self) -> list[Difference]:
        """Compare all users who should be in Ditio by now."""
        with self.ditio.company.lock:
            return differences(self.arrived(), self.ditio.company.employees)

    def _hear(self, response: requests.Response, *_: object, **__: object) -> None:
        self.answers[response.status_code] += 1
        if response.request.method != "GET":
            self._advance()
