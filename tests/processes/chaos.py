"""Chaos: clients that try again as Entra does, a Ditio that fails in every way, and processes killed at any instant.

An administrator of Ditio changes numbers meanwhile, and gives some to strangers. When all is calm, an operator cures
what `reconcile` lists, and applies its plan.

What is random comes from a seed; when exactly a process dies is up to the machine, so a run is repeatable in what is
done and not in its timing.
"""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import requests

from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import running
from scim_bridge.sandbox.style import Style
from scim_bridge.storage.database import Database
from tests.processes.running import PATIENCE_SECONDS, Running, eventually, run

__all__ = ["Chaos", "Cluster", "Life"]

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DITIO = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

REFUSED = (400, 409)

CALL_SECONDS = 1.0
"""`DITIO__TIMEOUT_SECONDS`: a call that hangs for longer is given up, and no one knows what became of it."""

FAULTS = (
    Fault("status", status=429, times=None, probability=0.04, retry_after="1"),
    Fault("status", status=500, times=None, probability=0.03),
    Fault("html", status=502, times=None, probability=0.03),
    Fault("reset-before", times=None, probability=0.03),
    Fault("reset-after", times=None, probability=0.05),
    Fault("timeout-before", times=None, probability=0.01, seconds=CALL_SECONDS + 0.5),
    Fault("timeout-after", times=None, probability=0.02, seconds=CALL_SECONDS + 0.5),
    *(
        Fault(
            "timeout-late",
            times=None,
            probability=0.01,
            path="/integration/",
            seconds=CALL_SECONDS + 0.5,
            late_seconds=late,
        )
        for late in (1, 10, 60)
    ),
    Fault("html", status=404, times=None, probability=0.02, path="/integration/"),
    Fault("slow", times=None, probability=0.05, seconds=0.3),
)
A_GATEWAY = Fault("html", status=404, times=None, path="/integration/", lasts_seconds=1.5)
"""Nothing but a gateway's page, for a while."""

FREE_SECONDS = 8.0
"""How long a number that was taken from someone is free before a stranger gets it: longer than a delivery lasts, which
can't know what becomes of a number between its read and its write."""


@dataclass
class Life:
    """One person, and what Entra wants of him as far as it was acknowledged."""

    index: int
    scim_id: str | None = None
    active: bool = True
    is_deleted: bool = False
    wanted: dict[str, str] = field(default_factory=dict)
    writes: int = 0
    owed: dict[str, Any] = field(default_factory=dict)
    """What the bridge refused, by PATCH path: Entra says it again in a later cycle."""

    @property
    def number(self) -> str:
        return f"C-{self.index:04d}"

    @property
    def user_name(self) -> str:
        return f"chaos-{self.index:04d}@contractor.example"

    def document(self) -> dict[str, Any]:
        """What Entra's POST carries."""
        return {
            "schemas": [CORE, ENTERPRISE],
            "userName": self.user_name,
            "active": True,
            "name": {"givenName": "Kari", "familyName": f"Nordmann {self.index}"},
            "emails": [{"type": "work", "value": self.user_name}],
            "phoneNumbers": [{"type": "mobile", "value": self.wanted["phone"]}],
            "title": self.wanted["title"],
            ENTERPRISE: {"employeeNumber": self.number, "department": self.wanted["department"]},
            DITIO: {"byggekort": _packed(self.wanted["byggekort"])},
        }


class Entra:
    """One client: sends a write until it is acknowledged, and looks before it creates, as Entra's next cycle does.

    :param urls: The servers; a load balancer would give each request to any of them.
    """

    def __init__(self, urls: list[str], token: str, rng: random.Random, deadline: float) -> None:
        self._urls = urls
        self._token = token
        self._rng = rng
        self._deadline = deadline

    def does_something(self, life: Life) -> None:
        """One step in a person's working life."""
        if life.scim_id is None:
            self._creates(life)
        elif not life.active:
            self._patches(life, {"active": True})
            life.active = True
        else:
            self._rng.choice([self._changes, self._changes, self._changes, self._lets_go])(life)

    def deletes(self, life: Life) -> None:
        """The user is gone for good."""
        self._until_acknowledged("DELETE", f"/Users/{life.scim_id}", None, (204, 404))
        life.is_deleted, life.active = True, False
        life.writes += 1

    def _creates(self, life: Life) -> None:
        life.wanted = {
            "phone": f"+47987{life.index:05d}",
            "title": "Maskinfører",
            "department": "Anlegg",
            "byggekort": "2026-01-15",
        }
        while life.scim_id is None:
            found = self._until_acknowledged("GET", f'/Users?filter=userName eq "{life.user_name}"', None, (200,))
            resources = found.get("Resources", [])
            answer = self._once("POST", "/Users", life.document()) if not resources else None
            if resources:
                life.scim_id = resources[0]["id"]
            elif answer is not None and answer.status_code == 201:
                life.scim_id = answer.json()["id"]
            elif answer is not None and answer.status_code not in (409, 503):
                raise AssertionError(f"a create is answered {answer.status_code}: {answer.text}")
        life.writes += 1

    def _changes(self, life: Life) -> None:
        name = self._rng.choice(["title", "department", "phone", "byggekort"])
        value = {
            "title": f"Title {self._rng.randrange(1000)}",
            "department": f"Department {self._rng.randrange(1000)}",
            # Nobody else ever wants this one.
            "phone": f"+479{self._rng.randrange(100):02d}{life.index:05d}",
            # The day on which it was issued, which may be corrected to an earlier one too.
            "byggekort": f"2026-01-{self._rng.randrange(1, 29):02d}",
        }[name]
        if life.wanted[name] == value:
            return
        path = {
            "title": "title",
            "department": f"{ENTERPRISE}:department",
            "phone": 'phoneNumbers[type eq "mobile"].value',
            "byggekort": f"{DITIO}:byggekort",
        }[name]
        self._patches(life, {path: _packed(value) if name == "byggekort" else value})
        life.wanted[name] = value

    def _lets_go(self, life: Life) -> None:
        self._patches(life, {"active": False})
        life.active = False

    def says_again(self, life: Life) -> None:
        """Say what was refused."""
        if life.owed and not life.is_deleted:
            self._patches(life, {})
            assert not life.owed, f"{life.number} is still refused"

    def _patches(self, life: Life, values: dict[str, Any]) -> None:
        life.owed |= values
        operations = [{"op": "Replace", "path": path, "value": value} for path, value in life.owed.items()]
        body = {"schemas": [PATCH_OP], "Operations": operations}
        if "schemas" in self._until_acknowledged("PATCH", f"/Users/{life.scim_id}", body, (200, *REFUSED), REFUSED):
            life.owed = {}
            life.writes += 1

    def _until_acknowledged(
        self, method: str, path: str, body: object, good: tuple[int, ...], refused: tuple[int, ...] = ()
    ) -> dict[str, Any]:
        """Send it until it is answered; what was answered, empty for one that is `refused`."""
        while True:
            answer = self._once(method, path, body)
            if answer is not None and answer.status_code in good:
                found: dict[str, Any] = answer.json() if answer.content and answer.status_code not in refused else {}
                return found
            if answer is not None and answer.status_code != 503:
                raise AssertionError(f"{method} {path} is answered {answer.status_code}: {answer.text}")
            if time.monotonic() > self._deadline:
                raise AssertionError(f"{method} {path} is never acknowledged")
            time.sleep(0.1)

    def _once(self, method: str, path: str, body: object) -> requests.Response | None:
        try:
            return requests.request(
                method,
                f"{self._rng.choice(self._urls)}/scim/v2{path}",
                json=body,
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=PATIENCE_SECONDS,
            )
        except requests.RequestException:
            return None


class Cluster:
    """The bridge's processes: some that serve, some that only deliver, on one database."""

    def __init__(self, folder: Path, settings: dict[str, str], *, servers: int, workers: int) -> None:
        self._folder, self._settings = folder, settings
        self._all: list[Running] = []
        self.token = ""
        self._addresses = ["127.0.0.1:0"] * servers
        self._servers: list[Running] = []
        self._workers: list[Running] = []
        self._sizes = servers, workers

    def starts(self) -> None:
        """Start all of them."""
        servers, workers = self._sizes
        self.token = self.prints("token", "issue", "--name", "chaos").strip()
        self._servers = [self._serve(index) for index in range(servers)]
        self._workers = [self._work() for _ in range(workers)]

    @property
    def database_url(self) -> str:
        return self._settings["SCIM_BRIDGE_DATABASE__URL"]

    @property
    def urls(self) -> list[str]:
        return [f"http://{address}" for address in self._addresses]

    def prints(self, *words: str, good: tuple[int, ...] = (0,)) -> str:
        """Run a command that ends well; what it printed."""
        result = run(self._folder, self._settings, *words)
        assert result.returncode in good, result.stderr
        return result.stdout

    def loses_one(self, rng: random.Random) -> str:
        """SIGKILL for one process, whatever it does just now; what died. A person who has to be started again is."""
        kind = rng.choice(["child", "child", "server", *(["worker"] if self._workers else [])])
        if kind == "child":
            children = sorted(rng.choice(self._servers).children())
            if children:
                _kill(rng.choice(children))
        elif kind == "server":
            index = rng.randrange(len(self._servers))
            self._servers[index].is_killed()
            self._servers[index] = self._serve(index)
        else:
            index = rng.randrange(len(self._workers))
            self._workers[index].is_killed()
            self._workers[index] = self._work()
        return kind

    def logged(self) -> str:
        """All that was written."""
        return "".join(each.output.read_text() for each in self._all)

    def clear(self) -> None:
        """Leave nothing behind."""
        for each in self._all:
            each.clear()

    def _serve(self, index: int) -> Running:
        server = self._start("serve", "--bind", self._addresses[index])
        self._addresses[index] = server.says(r"Listening on http://(127\.0\.0\.1:\d+)\.")
        return server

    def _work(self) -> Running:
        return self._start("worker")

    def _start(self, *words: str) -> Running:
        started = Running(self._folder, self._settings, *words)
        self._all.append(started)  # Before anything is expected of it, or nobody would end it.
        return started


class Hand:
    """An administrator of Ditio who changes numbers, gives some to strangers, and puts some right again."""

    def __init__(self, ditio: SandboxDitio, rng: random.Random) -> None:
        self._ditio, self._rng = ditio, rng
        self._free: list[tuple[float, str]] = []
        self._moved: dict[str, str] = {}
        self.strangers: set[str] = set()
        self.changed = 0

    @property
    def moved(self) -> frozenset[str]:
        """The numbers of those who have another one in Ditio now."""
        return frozenset(self._moved)

    def does_something(self) -> None:
        """A number is changed, spelled otherwise, or put right; and those that are free long enough are used again."""
        there = [number for number in list(self._ditio.company.employees) if number.startswith("C-")]
        if there and self._rng.random() < 0.7:
            number = self._rng.choice(there)
            if number not in self._moved:
                self._moves(number)
        elif self._moved and self._rng.random() < 0.5:
            self._puts_right(self._rng.choice(sorted(self._moved)))
        now = time.monotonic()
        for at, number in self._free:
            if at <= now and number in self._moved:
                self._plants(number)
        self._free = [(at, number) for at, number in self._free if at > now]

    def puts_all_right(self) -> None:
        """Everyone has their own number again, and no stranger has it."""
        for number in sorted(self._moved):
            self._puts_right(number)

    def _moves(self, number: str) -> None:
        self.changed += 1
        is_spelling = self._rng.random() < 0.3
        self._moved[number] = number.lower() if is_spelling else f"H-{self.changed}"
        self._ditio.by_hand.renumbers(number, self._moved[number])
        if not is_spelling and self._rng.random() < 0.7:
            self._free.append((time.monotonic() + FREE_SECONDS, number))

    def _plants(self, number: str) -> None:
        phone = f"+4740{len(self.strangers):06}"
        stranger = self._ditio.plant(number, "Ola", "Hansen", phone, email=f"stranger-{number}@elsewhere.example")
        self.strangers.add(stranger.id)

    def _puts_right(self, number: str) -> None:
        other = self._ditio.company.employees.get(number)
        if other is not None:
            self._ditio.by_hand.renumbers(number, f"S-{other.id}")
        self._ditio.by_hand.renumbers(self._moved.pop(number), number)


class Chaos:
    """A run: the people, the Ditio and the cluster."""

    def __init__(self, ditio: SandboxDitio, cluster: Cluster, *, people: int, clients: int, seed: int) -> None:
        self.ditio = ditio
        self.cluster = cluster
        self.lives = [Life(index) for index in range(people)]
        self.killed: list[str] = []
        self.hand = Hand(ditio, random.Random(f"{seed}-hand"))
        self._clients = clients
        self._seed = seed

    def rages(self, seconds: float) -> None:
        """Everything at once, for so long; then the clients finish what they are at."""
        ends = time.monotonic() + seconds
        self.ditio.faults.plan(*FAULTS)
        threads = [_Thread(lambda number=number: self._client(number, ends)) for number in range(self._clients)]
        for thread in threads:
            thread.start()
        rng = random.Random(self._seed)
        while time.monotonic() < ends:
            time.sleep(rng.uniform(0.5, 3.0))
            self.killed.append(self.cluster.loses_one(rng))
            for _ in range(2):
                self.hand.does_something()
            if rng.random() < 0.15:
                self.ditio.faults.plan(A_GATEWAY)
        for thread in threads:
            thread.finishes()

    def calms_down(self) -> None:
        """Ditio is well again, and no one is killed any more: a person who has their own number is delivered."""
        self.ditio.faults.clear()
        self._retries()
        # What timed out long ago is applied now, when the bridge has long been sure of what it delivered.
        self.ditio.apply_late(all=True)

    def is_reconciled(self) -> set[str]:
        """The operator reads a plan, has the numbers put right in Ditio, and applies the plan of what is left.

        Returns the numbers of people whose number was wrong, and whom neither the plan nor the outbox named.
        """
        plan = self._plan()
        named = {item["employee_number"] for item in (*plan["items"], *self.waiting())}
        at_work = {life.number for life in self.lives if life.active}
        unnamed = (self.hand.moved & at_work) - named
        self.hand.puts_all_right()
        self._retries()
        entra = Entra(self.cluster.urls, self.cluster.token, random.Random(0), time.monotonic() + PATIENCE_SECONDS)
        for life in self.lives:
            entra.says_again(life)
        self._retries()
        self.cluster.prints("reconcile", "--apply", "--plan", self._plan()["plan"], "--force", good=(0, 2))
        self._wait_until_no_one_is_due()
        return unnamed

    def wrongly_written(self) -> list[str]:
        """Writes to a stranger, or of one person's to another: who an employee is does not depend on their number."""
        whose: dict[str, str] = {}
        found = []
        for each in self.ditio.company.written:
            if each.before is None:
                whose[each.employee_id] = each.after.phone[-5:]
            elif each.employee_id in self.hand.strangers:
                found.append(f"{each.what}: to a stranger who has number {each.before.employee_number}")
            elif whose.get(each.employee_id) != each.after.phone[-5:]:
                found.append(f"{each.what}: another person's, to {each.before.employee_number}")
        return found

    def waiting(self) -> list[dict[str, Any]]:
        """Who is not delivered."""
        found: list[dict[str, Any]] = json.loads(self.cluster.prints("outbox", "list", "--format", "json"))
        return found

    def differences(self) -> list[str]:
        """Where Ditio is not as Entra is."""
        employees, certificates = self.ditio.company.employees, self.ditio.certificates
        return [
            text
            for life in self.lives
            for text in (
                *_differences(life, employees.get(life.number)),
                *_certificate_differences(life, certificates.get((life.number, "Byggekort"))),
            )
        ]

    def explained(self, number: str) -> str:
        """Why a person may differ: what was wanted and done, what Ditio was asked to write, what a plan says now."""
        life = next(life for life in self.lives if life.number == number)
        written = [each for each in self.ditio.company.written if each.after.phone[-5:] == f"{life.index:05d}"]
        asked = [call for call in self.ditio.requests if call.method == "POST" and number in f"{call.path} {call.body}"]
        planned = [item for item in self._plan()["items"] if number in str(item)]
        shown = self.cluster.prints("people", "show", life.user_name, "--format", "json", good=(0, 1, 2, 3))
        return "\n".join(str(each) for each in (life, *written, *asked, *planned, shown))

    def told(self) -> str:
        """What there was, in a line: a run in which nothing happened proves nothing."""
        writes = sum(life.writes for life in self.lives)
        calls = [call for call in self.ditio.requests if call.method != "GET" and "/connect/" not in call.path]
        failed = [call for call in calls if not 200 <= call.status < 300]
        return (
            f"seed {self._seed}: {writes} writes acknowledged for {len(self.lives)} people, "
            f"{sum(life.is_deleted for life in self.lives)} deleted; {len(calls)} calls to change something in Ditio, "
            f"{len(failed)} of them failed; {len(self.killed)} processes killed; "
            f"{self.hand.changed} numbers changed by hand, {len(self.hand.strangers)} given to strangers"
        )

    def _client(self, number: int, ends: float) -> None:
        rng = random.Random(f"{self._seed}-{number}")
        entra = Entra(self.cluster.urls, self.cluster.token, rng, deadline=ends + 4 * PATIENCE_SECONDS)
        own = self.lives[number :: self._clients]
        for life in own:  # The initial cycle, then the days after it.
            entra.does_something(life)
        while time.monotonic() < ends:
            left = [life for life in own if not life.is_deleted]
            life = rng.choice(left)
            if rng.random() < 0.03 and len(left) > 1:
                entra.deletes(life)
            else:
                entra.does_something(life)

    def _retries(self) -> None:
        # While few people are at work yet, the guard holds what is more than a third of them (rule L8).
        self.cluster.prints("outbox", "release", "--yes")
        self.cluster.prints("outbox", "retry")
        self._wait_until_no_one_is_due()

    def _plan(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cluster.prints("reconcile", "--format", "json", good=(0, 2, 3)))
        return found

    def _wait_until_no_one_is_due(self) -> None:
        with closing(Database(self.cluster.database_url)) as database:

            def is_over() -> bool:
                with database.read("default") as s:
                    return s.outbox.status().due == 0

            eventually(is_over, "nobody is due any more", seconds=4 * PATIENCE_SECONDS)


@contextmanager
def chaos(
    folder: Path, database_url: str, *, servers: int, workers: int, people: int, clients: int, seed: int
) -> Iterator[Chaos]:
    """Start everything, and leave nothing behind."""
    zone = ZoneInfo("Europe/Oslo")
    # A token lives for a few calls: it ends in the middle of a delivery. Case makes no difference in a number.
    style = Style(token_seconds=5, numbers="folded", profile_key="companyProfileId")
    ditio = SandboxDitio(now=lambda: datetime.now(zone), style=style, random=random.Random(seed))
    with running(ditio.app) as url:
        settings = {
            "SCIM_BRIDGE_DATABASE__URL": database_url,
            "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core",
            "SCIM_BRIDGE_DITIO__IDENTITY_URL": url,
            "SCIM_BRIDGE_DITIO__CLIENT_ID": "sandbox",
            "SCIM_BRIDGE_DITIO__CLIENT_SECRET": "sandbox-secret",
            "SCIM_BRIDGE_DITIO__TIMEOUT_SECONDS": str(CALL_SECONDS),
            "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "2",
            "SCIM_BRIDGE_DELIVERY__INLINE_SECONDS": "2",
            # No day ends while this runs.
            "SCIM_BRIDGE_DELIVERY__END_EMPLOYMENT": "at-once",
            # More leave, and get another phone, than a company would lose in a few minutes (rule L8).
            "SCIM_BRIDGE_DELIVERY__MAX_ENDED_PER_HOUR": "1000000",
            "SCIM_BRIDGE_CERTIFICATES__SLOTS": '[{"type":"Byggekort","packed":"byggekort"}]',
        }
        cluster = Cluster(folder, settings, servers=servers, workers=workers)
        try:
            cluster.starts()
            yield Chaos(ditio, cluster, people=people, clients=clients, seed=seed)
        finally:
            cluster.clear()


class _Thread:
    """A thread whose failure is the test's."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,))

    def start(self) -> None:
        self._thread.start()

    def finishes(self) -> None:
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:
            self._failure = failure


def _packed(issued: str) -> str:
    return f";{issued};2030-12-31;"


def _certificate_differences(life: Life, certificate: dict[str, object] | None) -> list[str]:
    """What a person who has left holds waits for his return (rule K2)."""
    if life.scim_id is None or not life.active:
        return []
    issued = str((certificate or {}).get("issuedDateTime"))[:10]
    wanted = life.wanted["byggekort"]
    return [] if issued == wanted else [f"{life.number}: the certificate is of {issued}, not {wanted}"]


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _differences(life: Life, employee: SandboxEmployee | None) -> list[str]:
    who = life.number
    if employee is None:
        # Whoever left before anybody could deliver him was never hired (rule H2).
        return [] if life.scim_id is None or not life.active else [f"{who} is not in Ditio"]
    is_employed = any(each.end is None for each in employee.employments)
    found = [
        (employee.created_count, 1, "created"),
        (employee.disabled, not life.active, "disabled"),
        (is_employed, life.active, "employed"),
    ]
    if not life.is_deleted:
        found += [(employee.phone, life.wanted["phone"], "phone"), (employee.work_title, life.wanted["title"], "title")]
    if life.active and employee.employment is not None:
        found.append((employee.employment.department, life.wanted["department"], "department"))
    return [f"{who}: {what} is {is_there!r}, not {wanted!r}" for is_there, wanted, what in found if is_there != wanted]
