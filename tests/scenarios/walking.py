"""The walk of interleavings: one delivery, stopped before each of its calls and transactions, while something happens.

A delivery is walked in one process, on a clock of the test's. At one boundary it stands still, and an event happens:
Entra says something, an operator does something, or another process delivers. Where its lease is to be lost, it stands
still for longer than the lease lasts. A call may lose its answer, or be applied by Ditio some seconds after it timed
out. Then it goes on, all comes to rest, and both sides have to agree.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import requests
from sqlalchemy import select

from scim_bridge.bootstrap import build
from scim_bridge.delivery.breaker import Gate
from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.delivery.guard import clear_hands_off, release, set_hands_off
from scim_bridge.delivery.inline import Inline
from scim_bridge.delivery.intake import Ticket
from scim_bridge.domain.audit import BY_SCHEDULE
from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.errors import DeliveryError, NotFound, UndoUncertain, UntrustedRoster
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.entra import EXTENSION
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.storage.admin_tables import access_tokens, tokens
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.outbox import Leased
from scim_bridge.storage.tables import metadata, people, resources
from scim_bridge.tenant import Budget, Tenant, new_id
from scim_bridge.web.app import create_app
from tests.conftest import Clock
from tests.world import BRIDGE, DITIO, World

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
USER_NAME = "kari.nordmann@contractor.example"

STANDS_STILL_SECONDS = 60
"""Longer than any lease."""

LATE_SECONDS = 3
"""How long after its time-out Ditio applies a write: within `DITIO__READ_LAG_SECONDS`."""

SETTINGS: dict[str, dict[str, Any]] = {
    "delivery": {"inline_seconds": 0, "end_employment": "at-once"},
    "certificates": {"slots": [{"type": "Byggekort", "packed": "byggekort"}]},
}

KEPT_IN = [table for table in reversed(metadata.sorted_tables) if table not in (tokens, access_tokens)]

ANSWERED, LOST, LATE = "answered", "lost", "late"
ALIVE, RUN_OUT, TAKEN_OVER = "alive", "run-out", "taken-over"
WORKER, REQUEST = "worker", "request"

AFTER_A_SECOND, AFTER_FIVE = "a second later", "five seconds later"


class Boundaries:
    """Counts the boundaries of the delivery that is walked, and does something at one of them."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.answers = ANSWERED
        self.writes = 0
        self._at: int | None = None
        self._write: int | None = None
        self._happens: Callable[[], None] = lambda: None
        self._is_walking = False
        self._depth = 0

    def begin_anew(self) -> None:
        """Forget what was passed."""
        self.passed, self.writes = [], 0

    @contextmanager
    def walking(self, at: int, happens: Callable[[], None], write: int | None) -> Iterator[None]:
        """Count from here on; `happens` at this boundary, and this write's answer is not what it should be."""
        self._at, self._happens, self._write, self._is_walking = at, happens, write, True
        try:
            yield
        finally:
            self._is_walking = False

    def reach(self, name: str) -> None:
        """The delivery is about to do this."""
        if not self._is_walking or self._depth:
            return
        self.passed.append(name)
        if len(self.passed) - 1 == self._at:
            self._is_walking = False
            self._happens()
            self._is_walking = True

    def strikes_next_write(self) -> bool:
        """Whether the answer to the write that is about to be sent is lost."""
        if not self._is_walking:
            return False
        self.writes += 1
        return self.writes - 1 == self._write

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """In a transaction: no one can come between what is done in it."""
        self.reach(name)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1


class WalkedDatabase(Database):
    """The database of the process whose delivery is walked."""

    def __init__(self, url: str, boundaries: Boundaries, clock: Clock) -> None:
        super().__init__(url, clock=clock)
        self._boundaries = boundaries

    @contextmanager
    def read(self, tenant: str = "") -> Iterator[Session]:
        with self._boundaries.inside("read"), super().read(tenant) as s:
            yield s

    @contextmanager
    def write(self, tenant: str = "") -> Iterator[Session]:
        with self._boundaries.inside("write"), super().write(tenant) as s:
            yield s


class WalkedTransport(WsgiTransport):
    """The wire of that process."""

    def __init__(self, world: "WalkedWorld") -> None:
        super().__init__(world.ditio.app)
        self._world = world

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        boundaries, path = self._world.boundaries, (request.url or "").partition("/integration")[2]
        if path:
            boundaries.reach(f"{request.method} {path}")
            if request.method != "GET" and boundaries.strikes_next_write():
                kind = "timeout-late" if boundaries.answers == LATE else "timeout-after"
                self._world.ditio.faults.plan(Fault(kind, method=request.method, late_seconds=LATE_SECONDS))
        return super().send(request, *arguments, **options)


@dataclass
class Kari:
    """What Entra wants of the one user; the client sends what it was not acknowledged, as Entra's cycles do."""

    active: bool = True
    is_deleted: bool = False
    title: str = "Maskinfører"
    phone: str = "+4798765432"
    number: str = "1042"
    byggekort: str = "77;2026-01-15;2028-01-14;"

    def document(self) -> dict[str, Any]:
        return {
            "schemas": [CORE, ENTERPRISE, EXTENSION],
            "userName": USER_NAME,
            "externalId": "kari",
            "name": {"givenName": "Kari", "familyName": "Nordmann"},
            "emails": [{"type": "work", "value": USER_NAME}],
            **{path: value for path, value in self.values().items() if ":" not in path and "[" not in path},
            "phoneNumbers": [{"type": "mobile", "value": self.phone}],
            ENTERPRISE: {"employeeNumber": self.number, "department": "Anlegg"},
            EXTENSION: {"employmentStartDate": "2026-03-01", "birthDate": "1990-05-15", "byggekort": self.byggekort},
        }

    def values(self) -> dict[str, Any]:
        """By PATCH path."""
        return {
            "active": self.active,
            "title": self.title,
            'phoneNumbers[type eq "mobile"].value': self.phone,
            f"{ENTERPRISE}:employeeNumber": self.number,
            f"{EXTENSION}:byggekort": self.byggekort,
        }


class WalkedWorld(World):
    """A world whose own process is everyone else, and beside it the one whose delivery is walked."""

    def __init__(self, url: str, settings: dict[str, dict[str, Any]]) -> None:
        clock = Clock()
        super().__init__(Database(url, clock=clock), clock, settings=settings)
        self.boundaries = Boundaries()
        self.kari = Kari()
        self._told: dict[str, Any] = {}
        self._walked_database = WalkedDatabase(url, self.boundaries, clock)
        given = self.parts.settings
        self.walked = build(
            given.model_copy(update={"delivery": given.delivery.model_copy(update={"inline_seconds": 5})}),
            database=self._walked_database,
            session_factory=self._session_of_the_walked,
            monotonic=clock.monotonic,
            jitter=lambda: 0.5,
        )

    def begins_anew(self) -> None:
        """Everything is as it was at first, some morning later: a new world would cost more than a whole walk."""
        with self.database.write() as s:
            for table in KEPT_IN:
                s.connection.execute(table.delete())
        self.ditio.company.employees.clear()
        self.ditio.certificates.clear()
        self.ditio.faults.clear()
        self.ditio.apply_late(all=True)
        # Nobody of ours: whatever happens, nothing may be written to them.
        self.stranger = self.ditio.plant("2000", "Ola", "Hansen", "+4741111111", email="ola@elsewhere.example")
        self.ditio.forget_requests()
        self.kari, self._told = Kari(), {}
        self.boundaries.begin_anew()
        morning = self.clock().replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)
        self.clock.passes(seconds=(morning - self.clock()).total_seconds())

    def _session_of_the_walked(self) -> requests.Session:
        session = requests.Session()
        session.mount(DITIO, WalkedTransport(self))
        return session

    def close(self) -> None:
        self.database.close()
        self._walked_database.close()

    # Entra

    def edits(self, **values: Any) -> None:
        """The user is edited in Entra, and a cycle runs."""
        for name, value in values.items():
            setattr(self.kari, name, value)
        self.says()

    def says(self) -> None:
        """A cycle: what is not over there as it should be is said again."""
        scim_id = self._scim_id()
        if self.kari.is_deleted:
            if scim_id is not None:
                self.scim("DELETE", f"/Users/{scim_id}")
        elif scim_id is None:
            if self.kari.active:
                self._told = dict(self.kari.values()) if self.scim("POST", "/Users", self.kari.document()).ok else {}
        else:
            values = self.kari.values()
            changed = {path: value for path, value in values.items() if self._told.get(path) != value}
            operations = [{"op": "Replace", "path": path, "value": value} for path, value in changed.items()]
            body = {"schemas": [PATCH_OP], "Operations": operations}
            if changed and self.scim("PATCH", f"/Users/{scim_id}", body).ok:
                self._told |= changed

    def _scim_id(self) -> str | None:
        with self.database.read() as s:
            return s.connection.execute(select(resources.c.id)).scalar_one_or_none()

    # The delivery that is walked

    def begun(self, by: str, says: Callable[["WalkedWorld"], None]) -> Callable[[], None]:
        """Have something said, and return the delivery of it, which has its lease and has done nothing yet."""
        tenant, clock = self.walked.tenants["default"], self.clock
        if by == WORKER:
            says(self)
            leased = self._lease_next("walked")
            assert leased is not None, "nobody is due"
            return lambda: _deliver(tenant, leased)
        tickets: list[Ticket] = []
        waits = cast(Inline, SimpleNamespace(deliver=lambda ticket, **_: tickets.append(ticket)))
        self.http.mount(BRIDGE, WsgiTransport(create_app(dataclasses.replace(self.walked, inline={"default": waits}))))
        says(self)
        self.http.mount(BRIDGE, WsgiTransport(self.app))
        began, (ticket,) = clock.monotonic(), tickets
        return lambda: self._delivers_inline(ticket, began)

    def _delivers_inline(self, ticket: Ticket, began: float) -> None:
        try:
            undone = self.walked.inline["default"].deliver(ticket, began=began)
        except UndoUncertain:
            undone = None
            self._told = {}
        if undone is not None:
            self._told = {}  # It was refused: the next cycle says it again.

    def others_deliver(self) -> None:
        """Another process delivers those who it may, as a worker does that has just looked whose day has come."""
        while (leased := self._lease_next(new_id())) is not None:
            _deliver(self.parts.tenants["default"], leased)

    def _lease_next(self, lease: str) -> Leased | None:
        tenant = self.parts.tenants["default"]
        return Gate(tenant).lease_next(lease, tenant.lease_seconds)

    # Rest

    def comes_to_rest(self) -> None:
        """Time passes, in steps that fall before and after a late write; the operator takes back what they did."""
        for seconds in (1, 3, 2, 60):
            self.clock.passes(seconds=seconds)
            self.ditio.apply_late()
            self.others_deliver()
        with self.database.write("default") as s:
            now = self.clock()
            s.at(now).pauses.resume()
            for number in ("1042", "1050"):
                _unless_no_one(lambda number=number: clear_hands_off(s.at(now), number))
        for _ in range(3):
            self.clock.passes(hours=2)
            with self.database.write("default") as s:
                release(s, None)
            self.says()
            self.worker.wake()
            self.others_deliver()
        self.clock.passes(days=1)
        self.worker.run_until_idle()

    def is_reconciled(self) -> None:
        """A run whose plan is read, and applied as it is."""
        reconciliation = self.parts.reconciliations["default"]
        plan = reconciliation.run(Request()).run.id
        reconciliation.run(Request(apply=True, plan_id=plan))
        self.clock.passes(minutes=1)
        self.others_deliver()

    def disagreements(self) -> list[str]:
        """Where Ditio is not as Entra is, or the bridge does not know that it is."""
        employees = [each for each in self.ditio.company.employees.values() if each is not self.stranger]
        with self.database.read("default") as s:
            rows = s.connection.execute(select(people)).all()
            records = [s.people.get(PersonId(row.id)) for row in rows]
        found = [f"{len(employees)} employees"] if len(employees) > 1 else []
        found += [
            f"written to a stranger: {each.what}" for each in self.ditio.company.written if self._is_strange(each)
        ]
        found += [f"{call.method} to Ditio" for call in self.ditio.writes() if call.method not in ("POST", "PATCH")]
        linked = {row.employee_number for row in rows}
        found += [f"employee {each.employee_number} without a row" for each in employees if _key(each) not in linked]
        for row, record in zip(rows, records, strict=True):
            if row.state != "delivered":
                found.append(f"{row.state}, {row.reason}: {row.detail}")
            if (row.lease, row.creating, row.renumbering) != (None, None, None):
                found.append(f"left over: {row.lease}, {row.creating}, {row.renumbering}")
            if record is not None and record.person.acknowledged.uncertain:
                found.append("uncertain for ever")
        found += [text for each in employees for text in self._differences(each)]
        if self.kari.active and not self.kari.is_deleted and not employees:
            found.append("not hired")
        return found

    def _is_strange(self, written: Any) -> bool:
        return bool(written.employee_id == self.stranger.id)

    def _differences(self, employee: SandboxEmployee) -> Iterator[str]:
        kari, certificate = self.kari, self.ditio.certificates.get((self.kari.number, "Byggekort"), {})
        is_wanted = kari.active and not kari.is_deleted
        shown = [("disabled", employee.disabled, not is_wanted)]
        shown.append(("employed", any(each.end is None for each in employee.employments), is_wanted))
        shown.append(("created", employee.created_count, 1))
        if is_wanted:
            shown += [
                ("number", employee.employee_number, kari.number),
                ("phone", employee.phone, kari.phone),
                ("title", employee.work_title, kari.title),
                ("name", employee.name, "Kari Nordmann"),
                ("certificate", certificate.get("certificateNumber"), kari.byggekort.partition(";")[0]),
            ]
        yield from (f"{what} is {there!r}, not {wanted!r}" for what, there, wanted in shown if there != wanted)


def _deliver(tenant: Tenant, leased: Leased) -> None:
    deliver_person(
        tenant,
        leased.person_id,
        leased.lease,
        lease_seconds=tenant.lease_seconds,
        budget=Budget(tenant.monotonic),
        cause="worker",
    )


def _key(employee: SandboxEmployee) -> str:
    return employee.employee_number


def _unless_no_one(do: Callable[[], object]) -> None:
    with suppress(NotFound):
        do()


# What is delivered


@dataclass(frozen=True)
class Story:
    """What was before, and what Entra says then."""

    before: Callable[[WalkedWorld], None]
    says: Callable[[WalkedWorld], None]
    settings: dict[str, Any] = field(default_factory=dict)


def _nothing(world: WalkedWorld) -> None:
    pass


def _hired(world: WalkedWorld) -> None:
    world.says()
    world.others_deliver()
    world.clock.passes(days=1)


def _left(world: WalkedWorld) -> None:
    _hired(world)
    world.edits(active=False)
    world.others_deliver()
    world.clock.passes(days=1)


def _edit(**values: Any) -> Callable[[WalkedWorld], None]:
    return lambda world: world.edits(**values)


STORIES = {
    "hire": Story(_nothing, lambda world: world.says()),
    "phone": Story(_hired, _edit(phone="+4790012345")),
    "number": Story(_hired, _edit(number="1050")),
    "ending": Story(_hired, _edit(active=False)),
    "last day": Story(_hired, _edit(active=False), {"end_employment": "after-last-day"}),
    "return": Story(_left, _edit(active=True)),
    "certificate": Story(_hired, _edit(byggekort="78;2026-02-15;2030-02-14;")),
}


# What happens meanwhile


def _deleted(world: WalkedWorld) -> None:
    world.edits(is_deleted=True)


def _turned(world: WalkedWorld) -> None:
    world.edits(active=not world.kari.active)


def _retried(world: WalkedWorld) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()


def _set_hands_off(world: WalkedWorld) -> None:
    def do() -> None:
        with world.database.write("default") as s:
            set_hands_off(s, USER_NAME, HandsOff(None))

    _unless_no_one(do)


def _paused(world: WalkedWorld) -> None:
    with world.database.write("default") as s:
        s.pauses.pause()


def _reconciled(world: WalkedWorld) -> None:
    with suppress(DeliveryError):
        world.parts.reconciliations["default"].run(Request(apply=True))


def _adopted(world: WalkedWorld) -> None:
    with suppress(DeliveryError, UntrustedRoster), world.parts.adoption("default").run(apply_for=BY_SCHEDULE):
        pass


EVENTS: dict[str, Callable[[WalkedWorld], None]] = {
    "nothing": _nothing,
    "deletion": _deleted,
    "deactivation or return": _turned,
    "another title": _edit(title="Formann"),
    "another phone": _edit(phone="+4740012345"),
    "another number": _edit(number="1060"),
    "outbox retry": _retried,
    "hands off": _set_hands_off,
    "pause": _paused,
    "reconcile --apply": _reconciled,
    "adopt --apply": _adopted,
    "another worker": WalkedWorld.others_deliver,
}
NEEDS_REVIEW = ("adopt --apply", "reconcile --apply")
"""After which a run with a reviewed plan may be needed: what they find differing is drift (rules H5, Q2)."""


# A walk


@dataclass(frozen=True)
class Walk:
    """One delivery against one event, at every boundary."""

    story: str
    by: str
    answers: str
    lease: str
    event: str

    def __str__(self) -> str:
        return "-".join((self.story, self.by, self.answers, self.lease, self.event)).replace(" ", "_")


def walks() -> list[Walk]:
    """All of them. A write that is applied late is within the lag only while no one stands still for long."""
    kinds = [(ANSWERED, ALIVE), (ANSWERED, RUN_OUT), (ANSWERED, TAKEN_OVER), (LOST, ALIVE), (LOST, RUN_OUT)]
    return [
        Walk(story, by, answers, lease, event)
        for answers, lease in [*kinds, (LATE, ALIVE)]
        for by in (WORKER, REQUEST)
        for story in STORIES
        for event in EVENTS
    ]


def walk_along(world: WalkedWorld, walk: Walk, every: int) -> tuple[int, list[str]]:
    """Walk it again and again, to each boundary. How many interleavings there were, and where the sides do not agree.

    :param every: Only each so manieth boundary.
    """
    walked, found = 0, []
    for write in range(_writes(world, walk)) if walk.answers != ANSWERED else (None,):
        at = (walked + len(str(walk))) % every
        while (walked_once := _walk_once(world, walk, at, write)) is not None:
            there, wrong = walked_once
            walked += 1 if there else 0
            found += [f"{there}: {text}" for text in wrong]
            at += every
    return walked, found


def _writes(world: WalkedWorld, walk: Walk) -> int:
    """How many writes the delivery sends when nothing comes between."""
    world.begins_anew()
    STORIES[walk.story].before(world)
    deliver = world.begun(walk.by, STORIES[walk.story].says)
    with world.boundaries.walking(-1, lambda: None, None):
        deliver()
    return world.boundaries.writes


def settings_of(walk: Walk) -> dict[str, Any]:
    """The settings of the bridge that it needs."""
    return {**SETTINGS, "delivery": {**SETTINGS["delivery"], **STORIES[walk.story].settings}}


def _walk_once(world: WalkedWorld, walk: Walk, at: int, write: int | None) -> tuple[str, list[str]] | None:
    """Where the event happened, and where the sides do not agree; None beyond the last boundary.

    Of a write that was not sent, because of what came before it, nothing is told.
    """
    story, boundaries = STORIES[walk.story], world.boundaries
    world.begins_anew()
    boundaries.answers = walk.answers
    story.before(world)
    world.ditio.company.written.clear()
    deliver = world.begun(walk.by, story.says)
    with boundaries.walking(at, lambda: _happens(world, walk), write):
        deliver()
    count = len(boundaries.passed)
    if at > count + 2:
        return None
    if write is not None and boundaries.writes <= write:
        return "", []
    place = f"{at + 1} of {count}, before {boundaries.passed[at]}" if at < count else _later(world, walk, at - count)
    world.comes_to_rest()
    wrong = world.disagreements()
    if wrong and walk.event in NEEDS_REVIEW:
        world.is_reconciled()
        wrong = world.disagreements()
    told = f"write {write + 1} {walk.answers}, " if write is not None else ""
    return told + place, wrong


def _later(world: WalkedWorld, walk: Walk, step: int) -> str:
    """The event happens when the delivery is over: at once, before a late write is applied, or after it."""
    for seconds in (0, 1, 4)[: step + 1]:
        world.clock.passes(seconds=seconds)
        world.ditio.apply_late()
        world.others_deliver()
    EVENTS[walk.event](world)
    return ("at the end", AFTER_A_SECOND, AFTER_FIVE)[step]


def _happens(world: WalkedWorld, walk: Walk) -> None:
    if walk.lease != ALIVE:
        world.clock.passes(seconds=STANDS_STILL_SECONDS)
    if walk.lease == TAKEN_OVER:
        world.others_deliver()
    EVENTS[walk.event](world)
    if walk.lease != ALIVE:
        world.others_deliver()
