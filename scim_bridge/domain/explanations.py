"""What each state and reason means, and its cure: the one place for the commands, docs/operating.md and the console."""

from collections.abc import Mapping
from dataclasses import dataclass

from scim_bridge.domain.delivery_state import Reason, State


@dataclass(frozen=True, slots=True)
class Explanation:
    """Words for the operator who asks why somebody is not there."""

    meaning: str
    cure: str
    """What to do about it; commands are named without `scim-bridge` before them."""


DUE = Explanation(
    meaning="to be delivered; where it lasts, Ditio is slow or out of reach, and the detail says so",
    cure="none: a worker goes on by itself; `doctor` says what is wrong with Ditio",
)

BY_REASON: Mapping[str, Explanation] = {
    "incomplete": Explanation(
        meaning="a required value is missing or unusable; the detail names it",
        cure="correct the value in Entra: its next cycle sends it, and the person is delivered then",
    ),
    "claimed": Explanation(
        meaning="another user has the employee number or the phone number; the detail names him, "
        "or says who swap theirs",
        cure="correct one of the two, in Entra, or in Ditio if the other has left or they swap; then `outbox retry`, "
        "which looks there first",
    ),
    "guard": Explanation(
        meaning="more people would be ended, changed or created within an hour than the settings in the detail allow",
        cure="`outbox release` sends what is held, `outbox drop` withdraws it",
    ),
    "hands-off": Explanation(
        meaning="somebody put this person aside: nothing is sent for him, endings included",
        cure="`people hands-off NUMBER --clear`, or the end of the day that was set",
    ),
    "paused": Explanation(
        meaning="deliveries are paused",
        cure="`outbox resume`; where the setting `DELIVERY__PAUSED` pauses them, take that out first",
    ),
    "no-operation": Explanation(
        meaning="Ditio does not know the operation, or it is switched off",
        cure="correct the setting that the detail names, or do it by hand in Ditio; then `outbox retry`",
    ),
    "refused": Explanation(
        meaning="Ditio said no, in the words of the detail, or a stranger there has this number, phone or e-mail",
        cure="correct it in Entra or in Ditio; then `outbox retry`; if the employee there is this user, "
        "`adopt --accept EMPLOYEE_NUMBER USER_NAME`",
    ),
    "gone": Explanation(
        meaning="the employee was delivered earlier and is no longer in Ditio; no new employee is created instead",
        cure="find out in Ditio what became of the employee; then `outbox retry`; each `reconcile` looks again by "
        "itself",
    ),
    "stranger": Explanation(
        meaning="the employee number of this person belongs to another person in Ditio now; nothing is written",
        cure="correct the number in Ditio or in Entra, then `outbox retry`; if the employee is this user after all, "
        "`adopt --accept EMPLOYEE_NUMBER USER_NAME`",
    ),
    "not-converging": Explanation(
        meaning="Ditio keeps changing a value that was sent; the detail names the field",
        cure="write it in Entra as Ditio shows it, or leave the field to Ditio (`MAPPING__FIELDS`, owner `ditio`); "
        "then `outbox retry`",
    ),
    "out-of-reach": Explanation(
        meaning="Ditio refuses the bridge's API client for this employee, and for nobody else",
        cure="see in Ditio that the emulation user of the API client may change this employee; then `outbox retry`",
    ),
}
"""Every reason of rule D3, by its name, whether or not this version can hold or park somebody for it."""


def explained(state: State, reason: Reason | None) -> Explanation | None:
    """What a person's state means; None for somebody who is delivered."""
    if reason is not None:
        return BY_REASON[reason.value]
    return DUE if state is State.due else None
