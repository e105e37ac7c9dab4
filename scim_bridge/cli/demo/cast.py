"""Who plays in the demo: an invented company, and three people for whom the first day is not simple."""

import random
import uuid
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date

from scim_bridge.cli.demo.comparison import as_entra_knows
from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.directory import EntraUser, people
from scim_bridge.sandbox.ditio import SandboxDitio

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
