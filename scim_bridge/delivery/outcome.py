"""How an attempt to deliver a person ended."""

from dataclasses import dataclass, field

from scim_bridge.delivery.retry import Retry
from scim_bridge.domain.employee import Field
from scim_bridge.domain.outcome import SHOULD_BE_INACTIVE, Reason, State, state_of
from scim_bridge.errors import DeliveryError

MAX_DETAIL = 1000
"""Characters of `deliveryDetail`; what Ditio says is bounded before it gets here."""

WEIGHT = (
    Reason.paused,
    Reason.hands_off,
    Reason.stranger,
    Reason.gone,
    Reason.refused,
    Reason.out_of_reach,
    Reason.not_converging,
    Reason.guard,
    Reason.claimed,
    Reason.no_operation,
    Reason.incomplete,
)
"""Of several reasons the first of these is the person's; all of them are told."""


def printable(text: str) -> str:
    """A text that any database can hold and any terminal show: bounded, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text[:MAX_DETAIL])


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused, in words for Entra's provisioning log: read once the write is taken back (rule R1)."""

    text: str
    """What was refused, and why."""

    cure: str
    """What to do about it."""

    fields: tuple[Field, ...] = ()
    """Which fields are at fault, or may be; none where nothing names any."""

    is_duplicate: bool = False
    """Whether somebody else has the value: 409 towards Entra, 400 for all the rest."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that an administrator should know; with a reason, something that is not delivered."""

    text: str
    reason: Reason | None = None
    refusal: Refusal | None = None
    """What Entra is told instead, where the write that caused it is taken back."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Everything that could be done is done."""

    notes: tuple[Note, ...] = ()
    should_be_inactive: bool = False
    """Whether a leaver is still active in Ditio (rule L6): said before anything else."""

    @property
    def reason(self) -> Reason | None:
        """The weightiest reason why something is not delivered, if anything is not."""
        reasons = {note.reason for note in self.notes}
        return next((reason for reason in WEIGHT if reason in reasons), None)

    @property
    def state(self) -> State:
        """What the person's state is now."""
        return state_of(self.reason) if self.reason else State.delivered

    @property
    def detail(self) -> str | None:
        """All notes as one text, the weightiest first."""
        ordered = sorted(self.notes, key=lambda note: WEIGHT.index(note.reason) if note.reason else len(WEIGHT))
        text = "; ".join(dict.fromkeys(note.text for note in ordered))
        is_shown_first = self.should_be_inactive and self.reason not in (None, Reason.gone)
        return printable(f"{SHOULD_BE_INACTIVE}: {text}" if is_shown_first else text) or None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Something stood in the way that may pass; what was done so far is kept."""

    error: DeliveryError
    retry: Retry
    notes: tuple[Note, ...] = field(default=())


Outcome = Settled | TryAgain
