"""The simulated Entra, the bridge and the simulated Ditio together, and how one act with them goes."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

import requests

from scim_bridge.cli.demo.bridge import Bridge, direct_session
from scim_bridge.cli.demo.calls import Check, by_kind, numbered
from scim_bridge.cli.demo.cast import Cast
from scim_bridge.cli.demo.comparison import Difference, differences
from scim_bridge.cli.demo.stage import Stage
from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.entra import SandboxEntra, Step

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
