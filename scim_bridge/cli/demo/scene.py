"""The simulated Entra, the bridge and the simulated Ditio together; the people of the invented company."""

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
"""With fewer people there would be a part without anybody to play it."""

SEED = 2026
"""The same people every time, so that they can be talked about."""

MOST_LEAVERS = 10
"""Enough to show each way of leaving."""


@dataclass(slots=True)
class Cast:
    """The people in Entra, and their parts."""

    everybody: list[EntraUser]
    """Whom Entra has when the demo begins, in its order; later acts add to them."""

    adopted: EntraUser
    """Is an employee in Ditio already, with the same phone."""

    namesake: EntraUser
    """Has a number that belongs to a stranger in Ditio."""

    unnumbered: EntraUser
    """Has no employee number yet."""

    newcomer: EntraUser
    """Is hired while Ditio is in trouble."""

    own_number: str
    """The employee number that `unnumbered` gets in the end."""

    free_number: str
    """The employee number that `namesake` gets in the end."""

    free_phone: str
    """A phone number that nobody has yet."""

    strangers: list[SandboxEmployee] = field(default_factory=list)
    """Employees in Ditio whom Entra does not know, as they were at first."""

    def settled(self) -> list[EntraUser]:
        """Those for whom everything is simple after the first day."""
        return [each for each in self.everybody if each not in (self.namesake, self.unnumbered, self.newcomer)]

    def leavers(self) -> list[EntraUser]:
        """Those who leave: about every fourth."""
        settled = self.settled()
        return settled[-min(MOST_LEAVERS, max(2, (len(settled) + 3) // 4)) :]

    def comes_back_as_another(self, user: EntraUser) -> EntraUser:
        """The new account of somebody whose old one was deleted for good: only the object id is another."""
        again = replace(user, object_id=str(uuid.uuid5(uuid.NAMESPACE_OID, user.object_id)), soft_deleted=False)
        self.everybody[self.everybody.index(user)] = again
        return again


def cast(count: int) -> Cast:
    """Give out the parts; at least `FEWEST` people are needed."""
    *everybody, newcomer, spare, extra = people(count + 3, random.Random(SEED))  # nosec B311 # a cast of people
    adopted, namesake, unnumbered = everybody[1:4]
    own_number, unnumbered.employee_id = unnumbered.employee_id, None
    if own_number is None or spare.employee_id is None or extra.mobile is None:
        raise AssertionError("invented people are complete")
    return Cast(
        everybody=everybody,
        adopted=adopted,
        namesake=namesake,
        unnumbered=unnumbered,
        newcomer=newcomer,
        own_number=own_number,
        free_number=spare.employee_id,
        free_phone=extra.mobile,
    )


def plant(cast: Cast, ditio: SandboxDitio) -> None:
    """Put those into Ditio who were there before the bridge came."""
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
"""How long nobody at all may arrive while people are due, before the demo says that they do not."""

WAITING = {"held", "parked", "refused"}


class Scene:
    """Everything that the acts play with."""

    def __init__(self, stage: Stage, cast: Cast, ditio: SandboxDitio, bridge: Bridge) -> None:
        self.stage = stage
        self.cast = cast
        self.ditio = ditio
        self.bridge = bridge
        session = direct_session()
        session.hooks["response"].append(self._hear)
        self.entra = SandboxEntra(session, bridge.tenant_url, bridge.token)
        self.steps: list[Step] = []
        """What Entra did so far about a user."""

        self.statuses: Counter[int] = Counter()
        """How often Entra was answered what."""

        self.waiting: set[str] = set()
        """The object ids of those who are not to be in Ditio yet."""

        self._written = 0
        self._advance: Callable[[int], None] = lambda done: None

    def known(self) -> list[EntraUser]:
        """Whom Entra has sent so far; nobody before the first cycle."""
        return self.cast.everybody if self.steps else []

    @contextmanager
    def sending(self, total: int) -> Iterator[None]:
        """A bar while Entra sends its changes.

        :param total: How many there are.
        """
        self._written = 0
        with self.stage.bar("Entra → bridge", total) as self._advance:
            yield
        self._advance = lambda done: None

    def cycle(self) -> list[Step]:
        """One provisioning cycle of Entra's; its steps."""
        steps = self.entra.cycle().steps
        self.steps += steps
        return steps

    def sends(self, total: int) -> list[Step]:
        """One provisioning cycle with a bar."""
        with self.sending(total):
            return self.cycle()

    def arrive(self) -> int:
        """Wait until everybody who is due has been delivered; how many are not, when nobody arrives any more."""
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
        """How far somebody has come, and the bridge's words about it; `refused` is what Entra itself was told."""
        scim_id = self.entra.scim_id(user.object_id)
        if scim_id is not None:
            return self.bridge.delivery_of(scim_id)
        told = [step for step in self.steps if step.object_id == user.object_id]
        return "refused", told[-1].detail if told else None

    def employee(self, user: EntraUser) -> SandboxEmployee | None:
        """Who has somebody's employee number in Ditio."""
        return self.ditio.company.employees.get(user.employee_id or "")

    def differences(self) -> list[Difference]:
        """Everybody whom Entra has sent, compared; without those who are not to be in Ditio yet."""
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
    """What happens and why it matters, in plain words."""

    play: Callable[[Scene], Iterator[Check]]
    """Does it, and tells one by one what was looked at; a comparison of everybody follows by itself."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of an act."""

    title: str
    checks: Sequence[Check]
    asked: Counter[str] = field(default_factory=Counter)
    """What Entra did, by action."""

    sent: Counter[str] = field(default_factory=Counter)
    """What Ditio was asked, by kind."""

    @property
    def ok(self) -> bool:
        """Whether all was as it has to be."""
        return all(check.ok for check in self.checks)


def perform(scene: Scene, acts: Sequence[Act]) -> list[Played]:
    """Play the acts."""
    return [_perform(scene, act, number) for number, act in enumerate(acts, 1)]


def accepted(scene: Scene, steps: Sequence[Step]) -> Check:
    """Whether Entra was told that all went well; a refusal of somebody who is to wait is no surprise."""
    refused = [step for step in steps if not step.ok and step.object_id not in scene.waiting]
    if refused:
        return Check(False, f"Entra was refused {numbered(len(refused), 'change')}; the first: {refused[0].detail}")
    return Check(True, f"Entra sent {numbered(len(steps), 'change')}, and each was accepted (2xx).")


def named(user: EntraUser) -> str:
    """Somebody's name, and number if there is one."""
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
        yield Check(False, f"{left} are still not delivered.")


def _compared(scene: Scene) -> Iterator[Check]:
    compared = len(scene.known()) - len(scene.waiting)
    differing = {each.employee_number for each in scene.differences()}
    astray = [each for each in scene.known() if each.object_id in scene.waiting and not _waits(scene, each)]
    waiting = f", {len(scene.waiting)} waiting" if scene.waiting else ""
    if differing or astray:
        yield Check(False, f"{len(differing)} of {compared} differ{waiting}")
    elif compared:
        yield Check(True, f"{compared} of {compared} alike{waiting}")


def _waits(scene: Scene, user: EntraUser) -> bool:
    return scene.delivery_of(user)[0] in WAITING
