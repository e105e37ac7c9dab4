"""The simulated Entra, the bridge and the simulated Ditio together, and the people of an invented company."""

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain

import requests

from scim_bridge.cli.demo.bridge import Bridge, direct_session
from scim_bridge.cli.demo.stage import Check, Difference, Stage, as_entra_knows, by_kind, differences, numbered
from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.directory import EntraUser, people
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.entra import SandboxEntra, Step

FEWEST = 5
"""With fewer people, a part of the demo would have no person."""

SEED = 2026
"""A fixed seed gives the same people in each run."""

MOST_LEAVERS = 10
"""Enough people to show each way of leaving."""


@dataclass(slots=True)
class Cast:
    """The people in Entra, and their parts."""

    users: list[EntraUser]
    """The users in Entra when the demo begins, in order; later acts add more."""

    adopted: EntraUser
    """A user who is already an employee in Ditio, with the same phone."""

    namesake: EntraUser
    """A user whose number belongs to a stranger in Ditio."""

    unnumbered: EntraUser
    """A user without an employee number at first."""

    newcomer: EntraUser
    """A user who is hired while Ditio fails."""

    own_number: str
    """The employee number that `unnumbered` gets in the end."""

    free_number: str
    """The employee number that `namesake` gets in the end."""

    free_phone: str
    """A phone number that no person has yet."""

    strangers: list[SandboxEmployee] = field(default_factory=list)
    """Employees in Ditio that Entra does not know, as they were at first."""

    def settled(self) -> list[EntraUser]:
        """Return the users without special cases after the first day."""
        return [each for each in self.users if each not in (self.namesake, self.unnumbered, self.newcomer)]

    def leavers(self) -> list[EntraUser]:
        """Return the users who leave: about every fourth."""
        settled = self.settled()
        return settled[-min(MOST_LEAVERS, max(2, (len(settled) + 3) // 4)) :]

    def comes_back_as_another(self, user: EntraUser) -> EntraUser:
        """Return the new account of a permanently deleted user: only the object id differs."""
        again = replace(user, object_id=str(uuid.uuid5(uuid.NAMESPACE_OID, user.object_id)), soft_deleted=False)
        self.users[self.users.index(user)] = again
        return again


def cast(count: int) -> Cast:
    """Assign the parts; `count` must be at least `FEWEST`."""
    *users, newcomer, spare, extra = people(count + 3, random.Random(SEED))  # nosec B311 # a cast of people
    adopted, namesake, unnumbered = users[1:4]
    own_number, unnumbered.employee_id = unnumbered.employee_id, None
    if own_number is None or spare.employee_id is None or extra.mobile is None:
        raise AssertionError("invented people have all values")
    return Cast(
        users=users,
        adopted=adopted,
        namesake=namesake,
        unnumbered=unnumbered,
        newcomer=newcomer,
        own_number=own_number,
        free_number=spare.employee_id,
        free_phone=extra.mobile,
    )


def plant(cast: Cast, ditio: SandboxDitio) -> None:
    """Create the employees in Ditio that existed before the bridge."""
    adopted = cast.adopted
    ditio.plant(
        adopted.employee_id or "",
        adopted.given_name or "",
        adopted.surname or "",
        as_entra_knows(adopted)["phone"] or "",
        work_title="Lærling",
        start=date.fromisoformat(adopted.hire_date or ""),
    )
    strangers: Sequence[SandboxEmployee] = (
        ditio.plant(cast.namesake.employee_id or "", "Sven", "Lindqvist", "+46701234567", work_title="Innleid"),
        ditio.plant("9001", "Maja", "Nowak", "+48601234567", work_title="Innleid"),
    )
    cast.strangers = deepcopy(list(strangers))


ARRIVING_SECONDS = 60.0
"""How long the demo waits without any delivery while people are due, before it reports a failure."""

WAITING = {"held", "parked", "refused"}


class Scene:
    """Everything that the acts use."""

    def __init__(self, stage: Stage, cast: Cast, ditio: SandboxDitio, bridge: Bridge) -> None:
        self.stage = stage
        self.cast = cast
        self.ditio = ditio
        self.bridge = bridge
        session = direct_session()
        session.hooks["response"].append(self._hear)
        self.entra = SandboxEntra(session, bridge.tenant_url, bridge.token)
        self.steps: list[Step] = []
        """What Entra has done so far."""

        self.statuses: Counter[int] = Counter()
        """How often Entra got each HTTP status."""

        self.waiting: set[str] = set()
        """The object ids of the users who should not be in Ditio yet."""

        self._written = 0
        self._advance: Callable[[int], None] = lambda done: None

    def known(self) -> list[EntraUser]:
        """Return the users that Entra has sent so far; none before the first cycle."""
        return self.cast.users if self.steps else []

    @contextmanager
    def sending(self, total: int) -> Iterator[None]:
        """Show a bar while Entra sends its changes.

        :param total: The number of changes.
        """
        self._written = 0
        with self.stage.bar("Entra → bridge", total) as self._advance:
            yield
        self._advance = lambda done: None

    def cycle(self) -> list[Step]:
        """Run one provisioning cycle of Entra, and return its steps."""
        steps = self.entra.cycle().steps
        self.steps += steps
        return steps

    def sends(self, total: int) -> list[Step]:
        """Run one provisioning cycle with a bar."""
        with self.sending(total):
            return self.cycle()

    def arrive(self) -> int:
        """Wait until all due people are delivered; return how many are left when deliveries stop."""
        left = due = self.bridge.due()
        if due == 0:
            return 0
        deadline = time.monotonic() + ARRIVING_SECONDS
        with self.stage.bar("bridge → Ditio", due) as advance:
            while left and time.monotonic() < deadline:
                time.sleep(0.05)
                before, left = left, self.bridge.due()
                if left != before:
                    advance(due - left)
                    deadline = time.monotonic() + ARRIVING_SECONDS
        return left

    def delivery_of(self, user: EntraUser) -> tuple[str, str | None]:
        """Return a user's delivery state and detail; `refused` if the bridge refused the user to Entra."""
        scim_id = self.entra.scim_id(user.object_id)
        if scim_id is not None:
            return self.bridge.delivery_of(scim_id)
        told = [step for step in self.steps if step.object_id == user.object_id]
        return "refused", told[-1].detail if told else None

    def employee(self, user: EntraUser) -> SandboxEmployee | None:
        """Return the employee in Ditio with the user's employee number."""
        return self.ditio.company.employees.get(user.employee_id or "")

    def differences(self) -> list[Difference]:
        """Compare all users that Entra has sent, without those who should not be in Ditio yet."""
        users = [each for each in self.known() if each.object_id not in self.waiting]
        with self.ditio.company.lock:
            return differences(users, self.ditio.company.employees)

    def _hear(self, response: requests.Response, *_: object, **__: object) -> None:
        self.statuses[response.status_code] += 1
        if response.request.method != "GET":
            self._written += 1
            self._advance(self._written)


@dataclass(frozen=True, slots=True)
class Act:
    """One part of the demo."""

    title: str
    why: str
    """What happens, and why it matters."""

    play: Callable[[Scene], Iterator[Check]]
    """Perform the act and yield its checks; a comparison of all people follows automatically."""


@dataclass(frozen=True, slots=True)
class Played:
    """The result of an act."""

    title: str
    checks: Sequence[Check]
    asked: Counter[str] = field(default_factory=Counter)
    """How often Entra did each action."""

    sent: Counter[str] = field(default_factory=Counter)
    """How many calls Ditio got, by kind."""

    @property
    def ok(self) -> bool:
        """Return whether all checks passed."""
        return all(check.ok for check in self.checks)


def perform(scene: Scene, acts: Sequence[Act]) -> list[Played]:
    """Perform the acts, and return their results."""
    return [_perform(scene, act, number) for number, act in enumerate(acts, 1)]


def accepted(scene: Scene, steps: Sequence[Step]) -> Check:
    """Check that all of Entra's changes were accepted; a refused user who should wait is expected."""
    refused = [step for step in steps if not step.ok and step.object_id not in scene.waiting]
    if refused:
        return Check(False, f"Entra was refused {numbered(len(refused), 'change')}; the first: {refused[0].detail}")
    return Check(True, f"Entra sent {numbered(len(steps), 'change')}, and each was accepted (2xx).")


def named(user: EntraUser) -> str:
    """Return a user's name, with the employee number if there is one."""
    return f"{user.display_name} ({user.employee_id})" if user.employee_id else str(user.display_name)


def _perform(scene: Scene, act: Act, number: int) -> Played:
    steps, calls = len(scene.steps), len(scene.ditio.requests)
    scene.stage.act(number, act.title, act.why)
    checks = []
    for check in chain(act.play(scene), _arrived(scene), _compared(scene)):
        scene.stage.check(check)
        checks.append(check)
    asked = Counter(step.action for step in scene.steps[steps:] if step.action != "none")
    return Played(act.title, checks, asked, by_kind(scene.ditio.requests[calls:]))


def _arrived(scene: Scene) -> Iterator[Check]:
    if left := scene.arrive():
        yield Check(False, f"{left} people are still not delivered.")


def _compared(scene: Scene) -> Iterator[Check]:
    compared = len(scene.known()) - len(scene.waiting)
    differing = {each.employee_number for each in scene.differences()}
    astray = [each for each in scene.known() if each.object_id in scene.waiting and not _waits(scene, each)]
    waiting = f", {len(scene.waiting)} waiting" if scene.waiting else ""
    if differing or astray:
        yield Check(False, f"{len(differing)} of {compared} people differ{waiting}")
    elif compared:
        yield Check(True, f"{compared} of {compared} people agree{waiting}")


def _waits(scene: Scene, user: EntraUser) -> bool:
    return scene.delivery_of(user)[0] in WAITING
