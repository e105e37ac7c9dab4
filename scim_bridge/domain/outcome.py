"""How a delivery ended: states, reasons, notes in words, and when it is tried again (rules D3, R1-R3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class State(StrEnum):
    """What `deliveryState` of the Ditio extension says."""

    delivered = "delivered"
    due = "due"
    """To be delivered now, back-off included."""

    held = "held"
    """Waits for data, a claim or the operator."""

    parked = "parked"
    """Was refused by Ditio, or can't go on."""


class Reason(StrEnum):
    """Why somebody is held or parked."""

    incomplete = "incomplete"
    claimed = "claimed"
    guard = "guard"
    no_operation = "no-operation"
    hands_off = "hands-off"
    paused = "paused"
    refused = "refused"
    gone = "gone"
    stranger = "stranger"
    not_converging = "not-converging"
    out_of_reach = "out-of-reach"


SHOULD_BE_INACTIVE = "should-be-inactive"
"""What the detail of a leaver begins with who is still active in Ditio; he is shown before anybody else (rule L6)."""

STUCK_AFTER = timedelta(hours=24)
"""Who is due for longer than this is listed as `stuck-delivery`; never dropped (rule R3)."""

SAME_WRITE = timedelta(milliseconds=50)
"""How far apart the clock may be read for the document and for the due mark of one write."""

HELD = frozenset(
    {Reason.incomplete, Reason.claimed, Reason.guard, Reason.no_operation, Reason.hands_off, Reason.paused}
)


NOT_THERE = frozenset({Reason.gone, Reason.stranger})
"""Nothing is known of the employee of such a person, until one is found again who is this person (rule P5)."""


def state_of(reason: Reason) -> State:
    """The state that goes with a reason."""
    return State.held if reason in HELD else State.parked


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """What the read-only attributes of the Ditio extension show."""

    state: State
    detail: str | None = None
    delivered_at: datetime | None = None
    moved_at: datetime | None = field(default=None, compare=False)
    """When this may last have become what it is; None where it was not looked up."""

    def may_differ_since(self, written_at: datetime) -> bool:
        """Return whether a client that has read the document written then may have been shown another state.

        A write makes its person due by the same transaction, and whatever comes of that comes later.
        """
        if self.moved_at is None:
            return True
        if self.state is State.due:
            return self.moved_at > written_at + SAME_WRITE
        return self.moved_at >= written_at


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


CAP_SECONDS = 3600.0


"""The longest that a person waits for another try, and a tenant for Ditio's pause."""
