"""How far the delivery of a person has come (rule D3)."""

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
