"""A process that dies between any two steps of a delivery: enumerated, not sampled (rules A1, R4, P6, D1, L6).
A short run takes each third step.

A step is a commit, a call to Ditio before and after it is applied (a read only once), or the answer to Entra.
Whatever is done in between is lost with the process, so that dying before a step is dying after the one before.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Connection, event, select, text

from scim_bridge.delivery.guard import set_hands_off
from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.sandbox.entra import EXTENSION, EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import history, metadata, people
from scim_bridge.web.app import create_app
from tests.conftest import Clock
from tests.thorough import either, short_on_sqlite
from tests.world import BRIDGE, DITIO, World, a_user, day

DELETED = "5d1f3c0e-0000-4000-8000-00000000dead"


class Death(BaseException):
    """The process is gone; nothing may catch this, and nothing may be done after it."""


@dataclass
class Mortal:
    """Counts the steps of a process, and lets it die before one of them."""

    dies_at: int | None = None
    steps: int = 0
    is_counting: bool = False
    is_dead: bool = False

    def step(self) -> None:
        if self.is_dead:
            raise Death
        if self.is_counting:
            self.steps += 1
            if self.steps == self.dies_at:
                self.is_dead = True
                raise Death


class MortalTransport(WsgiTransport):
    """The wire of a process that may die before what it carries is applied, and after."""

    def __init__(self, app: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__(app)
        self._before, self._after = before, after

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        self._before()
        answer = super().send(request, *arguments, **options)
        if request.method != "GET":  # Nothing was changed by a read: dying after it is dying before what follows.
            self._after()
        return answer


class MortalWorld(World):
    """A world whose bridge may die, and is started again on the same database."""

    def __init__(self, url: str, **options: Any) -> None:
        self.mortal = Mortal()
        self.url = url
        super().__init__(self._open(url, clock := Clock()), clock, **options)
        self._listens()

    def _open(self, url: str, clock: Clock) -> Database:
        database, mortal = Database(url, clock=clock), self.mortal

        def on_commit(connection: Connection) -> None:
            if connection.get_execution_options().get("write", False):
                mortal.step()

        def on_begin(_: Connection) -> None:
            if mortal.is_dead:  # No lease is given back, and nothing is rolled back but by the database.
                raise Death

        event.listen(database.engine, "commit", on_commit)
        event.listen(database.engine, "begin", on_begin)
        return database

    def _session_to_ditio(self) -> requests.Session:
        session, mortal = requests.Session(), self.mortal
        session.trust_env = False
        session.mount(DITIO, MortalTransport(self.ditio.app, mortal.step, mortal.step))
        return session

    def _listens(self) -> None:
        self.http.mount(BRIDGE, MortalTransport(self.app, lambda: None, self.mortal.step))

    @contextmanager
    def dies_at(self, step: int | None) -> Iterator[None]:
        """Let the process die at this step of what is done; it is started again then."""
        self.mortal.dies_at, self.mortal.is_counting = step, True
        try:
            yield
        except Death:
            self.database.close()
            self.mortal = Mortal()
            self.database = self._open(self.url, self.clock)
            self.parts = self._build()
            self.app = create_app(self.parts)
            self._listens()
        else:
            assert step is None, "it was to die"
        self.mortal.is_counting = False


@dataclass(frozen=True)
class Life:
    """One step of a person's life: what was before, what happens, and what an operator does again afterwards."""

    before: Callable[[MortalWorld], None]
    happens: Callable[[MortalWorld], None]
    afterwards: Callable[[MortalWorld], None] = field(default=lambda world: None)
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of the bridge."""


def kari(world: World) -> EntraUser:
    return world.entra.directory.users[a_user().object_id]


def hired(world: World) -> None:
    world.provisions(a_user())


def nothing(world: World) -> None:
    pass


def planted(world: World) -> None:
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432")


def left(world: World) -> None:
    hired(world)
    world.changes(kari(world), account_enabled=False)
    world.clock.passes(hours=1)


def edits(**changes: Any) -> Callable[[MortalWorld], None]:
    return lambda world: void(world.changes(kari(world), **changes))


def void(_: object) -> None:
    pass


def deletes(world: World) -> None:
    world.deletes(kari(world))


def was_deleted(world: World) -> None:
    hired(world)
    deletes(world)


def comes_again(world: World) -> None:
    world.provisions(a_user(object_id=DELETED, job_title="Formann"))


def refused(world: World) -> None:
    hired(world)
    world.ditio.faults.plan(Fault(kind="status", method="PATCH", path="/change-phone-number", status=422, times=100))


def corrected(world: World) -> None:
    world.ditio.faults.clear()
    world.clock.passes(hours=2)  # Another hour of the guard's (rule L8).
    world.changes(kari(world), mobile="90012345", job_title="Formann")


def swapped(world: World) -> None:
    hired(world)
    per = a_user(
        object_id="object-per",
        user_principal_name="per@contractor.example",
        mail="per@contractor.example",
        given_name="Per",
        mobile="+4741234567",
        employee_id="1043",
    )
    world.provisions(per)
    per.mobile, kari(world).mobile = kari(world).mobile, per.mobile
    world.cycle()
    world.worker.run_until_idle()
    world.employee("1042").phone = "+4799999999"


def retried(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()


def hands_off_was_set(world: World) -> None:
    hired(world)
    with world.database.write("default") as s:
        set_hands_off(s, "1042", HandsOff(day("2026-03-03")))
    world.changes(kari(world), account_enabled=False)
    world.clock.passes(days=2)


def carries(**slots: str) -> EntraUser:
    user = a_user()
    user.extra.update({f"{EXTENSION}:{name}": value for name, value in slots.items()})
    return user


def carried(world: World) -> None:
    world.provisions(carries(byggekort="77;2026-01-15;2028-01-14;", kran=";2026-01-15;2028-01-14;"))


def renews(world: World) -> None:
    kari(world).extra[f"{EXTENSION}:byggekort"] = "78;2026-02-15;2030-02-14;"
    kari(world).extra[f"{EXTENSION}:kran"] = ";;;"
    world.cycle()


def works(world: World) -> None:
    world.worker.run_until_idle()


SLOTS = {
    "certificates": {
        "slots": [{"type": "Byggekort", "packed": "byggekort"}, {"type": "Kranførerbevis", "packed": "kran"}]
    }
}

LIVES = {
    "hire": Life(nothing, hired),
    "adopt": Life(planted, hired),
    "profile": Life(hired, edits(job_title="Formann")),
    "phone": Life(hired, edits(mobile="+47 412 34 567")),
    "number": Life(hired, edits(employee_id="1050")),
    "department": Life(hired, edits(department="Betong")),
    "leave": Life(hired, edits(account_enabled=False)),
    "return": Life(left, edits(account_enabled=True)),
    "delete": Life(hired, deletes),
    "refused": Life(refused, edits(mobile="+47 412 34 567", job_title="Formann"), corrected),
    "take over": Life(was_deleted, comes_again),
    "swap": Life(swapped, retried, retried),
    "hands off": Life(hands_off_was_set, works),
    "certificates": Life(nothing, carried, settings=SLOTS),
    "renewal": Life(carried, renews, settings=SLOTS),
}
BY_WORKER = ("hire", "number", "return", "renewal")
"""Whose delivery is queued as well: a worker takes the same steps as a request, without anybody who waits."""

ON_POSTGRESQL = ("hire", "leave", "refused")

CHOSEN = [
    *(("sqlite", name, 5) for name in LIVES),
    *(("sqlite", name, 0) for name in BY_WORKER),
    *(("postgresql", name, 5) for name in ON_POSTGRESQL),
]
"""Which lives stand for the others: on which database, and for how many seconds a request delivers."""

EACH_STEP = either(1, 3)


def a_world(url: str, template: Path, folder: Path, n: int, life: Life, inline: int) -> MortalWorld:
    if url.startswith("sqlite"):
        shutil.copy(template, folder / f"{n}.db")
        url = f"sqlite:///{folder / f'{n}.db'}"
    else:
        emptied = Database(url)
        with emptied.write() as s:
            s.connection.execute(text(f"DELETE FROM {'; DELETE FROM '.join(metadata.tables)}"))
        emptied.close()
    world = MortalWorld(url, settings={"delivery": {"inline_seconds": inline}, **life.settings})
    life.before(world)
    world.worker.run_until_idle()
    return world


def lives_through(world: MortalWorld, life: Life, step: int | None) -> None:
    with world.dies_at(step):
        life.happens(world)
        world.worker.run_until_idle()
    world.cycle()  # At once, while the lease of the dead is still there.
    world.clock.passes(minutes=2)
    world.worker.run_until_idle()
    life.afterwards(world)
    for _ in range(2):
        world.clock.passes(hours=1)
        world.cycle()
        world.worker.run_until_idle()


def in_ditio(world: World) -> dict[str, Any]:
    return {
        number: (
            (each.first_name, each.last_name, each.phone, each.email, each.work_title, each.disabled),
            [(one.start, one.end, one.department) for one in each.employments],
            each.created_count,
        )
        for number, each in world.ditio.company.employees.items()
    } | {"certificates": dict(sorted(world.ditio.certificates.items()))}


def in_the_bridge(world: World) -> tuple[list[Any], set[str]]:
    """Where everyone stands; and what was accepted."""
    with world.database.read("default") as s:
        rows = s.connection.execute(select(people).order_by(people.c.employee_number)).all()
        for row in rows:
            record = s.people.get(PersonId(row.id))
            assert record is not None
            assert (row.lease, row.creating, row.renumbering) == (None, None, None)
            assert not record.person.acknowledged.uncertain
        accepted = s.connection.execute(select(history.c.what).where(history.c.outcome == "accepted")).scalars()
        return [(row.employee_number, row.state, row.reason, row.active) for row in rows], set(accepted)


@short_on_sqlite
@pytest.mark.parametrize(("database_url", "name", "inline"), CHOSEN, indirect=["database_url"])
def test_a_crash_at_any_step_heals(database_url: str, sqlite_template: Path, tmp_path: Path, name: str, inline: int):
    """A1, R4, P6, D1, L6: as if nothing had happened, in Ditio and in the bridge; no one twice, no one deleted."""
    life = LIVES[name]
    world = a_world(database_url, sqlite_template, tmp_path, 0, life, inline)
    lives_through(world, life, None)
    steps = world.mortal.steps
    ditio, (lifecycle, accepted) = in_ditio(world), in_the_bridge(world)
    assert {state for _, state, _, _ in lifecycle} == {"delivered"}
    world.database.close()

    assert steps > 0
    for n in range(1, steps + 1, EACH_STEP):
        world = a_world(database_url, sqlite_template, tmp_path, n, life, inline)
        lives_through(world, life, n)
        assert in_ditio(world) == ditio, f"died at step {n} of {steps}"
        now_standing, now_accepted = in_the_bridge(world)
        assert (n, now_standing) == (n, lifecycle)
        assert now_accepted >= accepted, f"died at step {n} of {steps}"
        assert {call.method for call in world.ditio.writes()} <= {"POST", "PATCH"}
        world.database.close()
