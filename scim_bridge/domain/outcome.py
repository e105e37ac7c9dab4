"""How a delivery ended: states, reasons, notes in words, and when it is tried again (rules D3, R1-R3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from scim_bridge.domain.employee import DesiredEmployee, Field, Problem
from scim_bridge.domain.person import Person
from scim_bridge.errors import (
    BridgeError,
    BudgetSpent,
    CredentialsRefused,
    DeliveryError,
    NotYet,
    Paused,
    RateLimited,
    TransientError,
    Unreached,
)


class State(StrEnum):
    """The delivery state, as `deliveryState` of the Ditio extension shows it."""

    delivered = "delivered"
    due = "due"
    """To be delivered now, or after a delay between two attempts."""

    held = "held"
    """Waits for data, a claim or the operator."""

    parked = "parked"
    """Refused by Ditio, or unable to go on."""


class Reason(StrEnum):
    """Why a person is held or parked."""

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


def reason_of(stored: str | None) -> Reason | None:
    """Return a stored reason; None for one that only a later version knows, which may run beside this one (rule D7)."""
    return Reason(stored) if stored in set(Reason) else None


SHOULD_BE_INACTIVE = "should-be-inactive"
"""First words of the detail of a leaver who is still active in Ditio: listings show such people first (rule L6)."""

STUCK_AFTER = timedelta(hours=24)
"""A person due for longer than this is listed as `stuck-delivery`; they are never dropped (rule R3)."""

SAME_WRITE = timedelta(milliseconds=50)
"""How far apart one write may read the clock for the user and for the due mark."""

HELD = frozenset(
    {Reason.incomplete, Reason.claimed, Reason.guard, Reason.no_operation, Reason.hands_off, Reason.paused}
)


NOT_THERE = frozenset({Reason.gone, Reason.stranger})
"""With these reasons the employee is unknown, until one is found that is this person (rule P5)."""


def state_of(reason: Reason) -> State:
    """Return the state that goes with a reason."""
    return State.held if reason in HELD else State.parked


class Marked(Protocol):
    """The state of a person's delivery, as it is stored."""

    @property
    def state(self) -> str: ...
    @property
    def detail(self) -> str | None: ...
    @property
    def delivered_at(self) -> datetime | None: ...
    @property
    def state_since(self) -> datetime: ...
    @property
    def due_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """What the read-only attributes of the Ditio extension show."""

    state: State
    detail: str | None = None
    delivered_at: datetime | None = None
    moved_at: datetime | None = field(default=None, compare=False)
    """When the state may last have changed; None where it was not looked up."""

    @classmethod
    def of(cls, row: "Marked") -> "DeliveryView":
        """Return the view of a person as they are stored."""
        # A retry changes the time of the next try, and the detail, but not the state.
        moved_at = max(row.state_since, row.due_at or row.state_since)
        return cls(State(row.state), row.detail, row.delivered_at, moved_at)

    def may_differ_since(self, written_at: datetime) -> bool:
        """Return whether a client that read the user as written then may have seen another state.

        A write makes its person due in the same transaction; every later state comes after it.
        """
        if self.moved_at is None:
            return True
        if self.state is State.due:
            return self.moved_at > written_at + SAME_WRITE
        return self.moved_at >= written_at


@dataclass(frozen=True, slots=True)
class Explanation:
    """Words for the operator who asks why a person is missing in Ditio."""

    meaning: str
    cure: str
    """What to do about it; commands are written without `scim-bridge` before them."""


DUE = Explanation(
    meaning="waiting for delivery; if this lasts, no worker runs, or Ditio is slow or out of reach: the detail says "
    "which",
    cure="nothing to do if a worker runs; `doctor` says whether one does, and what is wrong with Ditio",
)

BY_REASON: Mapping[str, Explanation] = {
    "incomplete": Explanation(
        meaning="a required value is missing or unusable; the detail names it",
        cure="correct the value in Entra: its next cycle sends it, and the person is delivered then",
    ),
    "claimed": Explanation(
        meaning="another user already has this employee number or phone; the detail names that user, "
        "or the users who swap theirs",
        cure="correct one of the two, in Entra, or in Ditio if the other has left or they swap; then `outbox retry`, "
        "which checks Ditio first",
    ),
    "guard": Explanation(
        meaning="more employments would end, or more people be created or changed, within an hour than the settings "
        "in the detail allow",
        cure="if it is a mistake, correct it in Entra: what is held is then dropped; if it is intended, "
        "`outbox release` sends it; to keep Ditio as it is, `outbox drop` withdraws it",
    ),
    "hands-off": Explanation(
        meaning="an operator stopped deliveries to this person, the end of employment included",
        cure="`people hands-off NUMBER --clear`, or wait until the day that was set is over",
    ),
    "paused": Explanation(
        meaning="deliveries are paused",
        cure="`outbox resume`; if the setting `DELIVERY__PAUSED` pauses them, remove it first",
    ),
    "no-operation": Explanation(
        meaning="Ditio does not know the operation, or it is switched off",
        cure="correct the setting that the detail names, or do it by hand in Ditio; then `outbox retry`",
    ),
    "refused": Explanation(
        meaning="Ditio refused, in the words of the detail, or another person there has this number, phone or e-mail",
        cure="correct it in Entra or in Ditio; then `outbox retry`; if the employee there is this user, "
        "`adopt --accept EMPLOYEE_NUMBER USER_NAME`",
    ),
    "gone": Explanation(
        meaning="the employee was delivered earlier and is no longer in Ditio; no new employee is created instead",
        cure="find out in Ditio what became of the employee; then `outbox retry`; each `reconcile` looks again by "
        "itself",
    ),
    "stranger": Explanation(
        meaning="the employee number of this person now belongs to another person in Ditio; nothing is sent",
        cure="correct the number in Ditio or in Entra, then `outbox retry`; if the employee is this user after all, "
        "`adopt --accept EMPLOYEE_NUMBER USER_NAME`",
    ),
    "not-converging": Explanation(
        meaning="Ditio keeps changing a value that was sent; the detail names the field",
        cure="enter it in Entra as Ditio shows it, or leave the field to Ditio (`MAPPING__FIELDS`, owner `ditio`); "
        "then `outbox retry`",
    ),
    "out-of-reach": Explanation(
        meaning="Ditio refuses the bridge's API client for this employee only",
        cure="check in Ditio that the emulation user of the API client may change this employee; then `outbox retry`",
    ),
}
"""Every reason of rule D3 by its name, whether or not this version can hold or park a person for it."""


def explained(state: State, reason: Reason | None) -> Explanation | None:
    """Return what a person's state means; None for a delivered person."""
    if reason is not None:
        return BY_REASON[reason.value]
    return DUE if state is State.due else None


CAP_SECONDS = 3600.0


"""The longest that a person waits for the next attempt, and that a company waits because Ditio asked for it."""


BASE_SECONDS = 2.0
LEAST_SECONDS = 0.25

LONGEST_QUIET_SECONDS = 30.0
"""How long deliveries stop after a 429 that does not say how long to wait."""


class Fault(StrEnum):
    """What a failure tells about Ditio as a whole."""

    none = ""
    """Nothing."""

    of_person = "of-person"
    """Perhaps something: the breaker opens when it happens to different people."""

    of_all = "of-all"
    """Every call fails: the breaker opens."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows from an attempt that did not finish."""

    after_seconds: float
    """When the next attempt for this person may begin."""

    fault: Fault = Fault.none
    is_failure: bool = True
    """Whether this counts as a failed attempt; running out of a request's time does not."""

    quiet_seconds: float = 0.0
    """How long all deliveries stop because Ditio asked for it. The bridge obeys; it is no fault."""


def decide(error: DeliveryError, attempts: int, jitter: float) -> Retry:
    """Return what to do after a failure that may pass.

    A refused API client was tested before (rule R2), so its failure concerns all people.

    :param attempts: How many attempts have failed before this one.
    :param jitter: A random number, 0.0-1.0: full jitter, so that many people are not retried at the same time.
    """
    delay = delay_seconds(error, attempts, jitter)
    match error:
        case BudgetSpent() | Paused():
            return Retry(delay, is_failure=False)
        case RateLimited(retry_after_seconds=None):
            return Retry(delay, quiet_seconds=min(LONGEST_QUIET_SECONDS, delay))
        case RateLimited():
            return Retry(delay, quiet_seconds=delay)
        case CredentialsRefused() | Unreached():
            return Retry(delay, Fault.of_all)
        case NotYet(retry_after_seconds=float()):
            return Retry(delay, is_failure=False)  # It is known how long there is nothing to try.
        case NotYet() | TransientError(cut_short=True):
            return Retry(delay)
        case TransientError():
            return Retry(delay, Fault.of_person)
        case _:
            return Retry(delay)


def delay_seconds(error: DeliveryError, attempts: int, jitter: float) -> float:
    """Return the seconds until the next attempt for the same person; `decide` explains the parameters."""
    if isinstance(error, BudgetSpent | Paused):
        return 0.0  # Nothing failed: the request ran out of time, or deliveries are paused; a worker continues at once.
    if isinstance(error, TransientError) and error.retry_after_seconds is not None:
        wanted = error.retry_after_seconds + jitter * min(error.retry_after_seconds + 1.0, BASE_SECONDS)
    else:
        wanted = jitter * BASE_SECONDS * 2.0 ** min(attempts, 30)
    # A person whose attempts keep failing is retried once an hour, and never dropped (rule R3).
    return min(CAP_SECONDS, max(LEAST_SECONDS, wanted))


MAX_DETAIL = 1000
"""Longest `deliveryDetail` in characters; Ditio's own words are shortened before."""

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
"""Of several reasons the first in this order is the person's; the detail lists all of them."""


def printable(text: str) -> str:
    """Return a text that any database can store and any terminal can show: shortened, without control characters."""
    return "".join(char if char.isprintable() else " " for char in text[:MAX_DETAIL])


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused, in words for Entra's provisioning log; used once the write is undone (rule R1)."""

    text: str
    """What was refused, and why."""

    cure: str
    """What to do about it."""

    fields: tuple[Field, ...] = ()
    """Which fields are, or may be, at fault; empty where nothing names any."""

    is_duplicate: bool = False
    """Whether another person already has the value: 409 towards Entra; every other refusal is 400."""


@dataclass(frozen=True, slots=True)
class Undone:
    """A write that was taken back, described for Entra's provisioning log."""

    detail: str
    """What was refused, the attribute, and the cure."""

    is_duplicate: bool
    attribute: str
    """The SCIM attribute at fault; empty if none is known."""

    value: str


class IncompleteRefused(BridgeError):
    """`DELIVERY__ON_INCOMPLETE` is `refuse`, and required values are missing or unusable (rule H3)."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Note:
    """Something that an administrator should know; with a reason, something that is not delivered."""

    text: str
    reason: Reason | None = None
    refusal: Refusal | None = None
    """The answer to Entra instead, where the write that caused it is undone."""


@dataclass(frozen=True, slots=True)
class Settled:
    """All that could be done is done."""

    notes: tuple[Note, ...] = ()
    should_be_inactive: bool = False
    """Whether a leaver is still active in Ditio (rule L6): the detail begins with it."""

    @property
    def reason(self) -> Reason | None:
        """Return the weightiest reason why something is not delivered; None if all is delivered."""
        reasons = {note.reason for note in self.notes}
        return next((reason for reason in WEIGHT if reason in reasons), None)

    @property
    def state(self) -> State:
        """Return the person's state now."""
        return state_of(self.reason) if self.reason else State.delivered

    @property
    def detail(self) -> str | None:
        """Return all notes as one text, the weightiest first."""
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


def remarks(person: Person, desired: DesiredEmployee, *, last_day: date | None) -> list[Note]:
    """Return notes on values that were not used, for a linked person who has a user.

    For any person a leave date that leaves doubt is noted.

    :param last_day: The day that has to be over before the employment ends, where an ending waits (rule L5).
    """
    if person.days.is_doubtful:
        return [_doubtful(person)]
    if person.employee_number is None or person.is_tombstone:
        return []
    awaited = [] if last_day is None else [Note(f"the employment ends when {last_day}, its last day, is over")]
    return [*awaited, *(_unusable(problem) for problem in desired.problems), *_left_over(person, desired)]


def _doubtful(person: Person) -> Note:
    """Return the note on a leave date that had already passed when the user was first seen (rule L3)."""
    return Note(
        f"employmentEndDate {person.days.leave} has passed, the user is active, and no employmentStartDate is after "
        "it. Nothing is created, enabled or ended in Ditio. Correct the dates in Entra, or block the user there",
        Reason.incomplete,
    )


def _unusable(problem: Problem) -> Note:
    """Return the note on an unusable value. An unreadable day holds the person: an ending may depend on it (T1)."""
    is_day = problem.field in (Field.end_date, Field.start_date, Field.birth_date)
    return Note(problem.message, Reason.incomplete if is_day else None)


def _left_over(person: Person, desired: DesiredEmployee) -> list[Note]:
    """Return notes on dates left over from an earlier employment: Entra does not send cleared values (rule L3)."""
    notes: list[Note] = []
    ended_on, start, leave = person.acknowledged.ended_on, desired.day(Field.start_date), person.days.leave
    if person.days.leave_is_stale and leave is not None:
        notes.append(Note(f"employmentEndDate {leave} is left over from an earlier employment: ignored"))
    is_leave_late = leave is not None and ended_on is not None and leave < ended_on
    if is_leave_late and not person.days.leave_is_stale and person.acknowledged.employed is False:
        notes.append(Note(f"employmentEndDate {leave} was sent after the ending on {ended_on}: ignored"))
    is_start_old = start is not None and ended_on is not None and start <= ended_on
    if (
        person.days.active
        and person.acknowledged.employed
        and is_start_old
        and Field.start_date not in desired.defaulted
    ):
        notes.append(Note(f"employmentStartDate {start} is left over from an earlier employment: ignored"))
    return notes
