"""How a delivery ended: states, reasons, notes in words, and when it is tried again (rules D3, R1-R3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from scim_bridge.domain.employee import DesiredEmployee, Field, Problem
from scim_bridge.domain.person import Person
from scim_bridge.errors import (
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


BASE_SECONDS = 2.0
LEAST_SECONDS = 0.25

LONGEST_QUIET_SECONDS = 30.0
"""How long nobody is delivered after a 429 that does not say how long to wait."""


class Fault(StrEnum):
    """What a failure tells of Ditio as a whole."""

    none = ""
    """Nothing."""

    of_person = "of-person"
    """Perhaps something: the breaker opens when it happens to different people."""

    of_all = "of-all"
    """Nobody gets through: the breaker opens."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows from a try that did not come to its end."""

    after_seconds: float
    """When this person is tried again."""

    fault: Fault = Fault.none
    is_failure: bool = True
    """Whether it counts as a try that failed; running out of a request's time does not."""

    quiet_seconds: float = 0.0
    """For how long nobody is delivered, because Ditio asked for it; that is obeyed, and no fault."""


def decide(error: DeliveryError, attempts: int, jitter: float) -> Retry:
    """What to do after a failure that may pass. A refused client was tested before (rule R2): it is everybody's.

    :param attempts: How many tries have failed before this one.
    :param jitter: A random number, 0.0-1.0: full jitter, so that a crowd does not come back at once.
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
            return Retry(delay, is_failure=False)  # It is known for how long there is nothing to try.
        case NotYet() | TransientError(cut_short=True):
            return Retry(delay)
        case TransientError():
            return Retry(delay, Fault.of_person)
        case _:
            return Retry(delay)


def delay_seconds(error: DeliveryError, attempts: int, jitter: float) -> float:
    """Seconds until the next try of the same person; `decide` explains the parameters."""
    if isinstance(error, BudgetSpent | Paused):
        return 0.0  # Nothing failed: the request ran out of time, or nobody is delivered; a worker goes on at once.
    if isinstance(error, TransientError) and error.retry_after_seconds is not None:
        wanted = error.retry_after_seconds + jitter * min(error.retry_after_seconds + 1.0, BASE_SECONDS)
    else:
        wanted = jitter * BASE_SECONDS * 2.0 ** min(attempts, 30)
    # One person's endless trouble is tried once an hour, and never dropped (rule R3).
    return min(CAP_SECONDS, max(LEAST_SECONDS, wanted))


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


def remarks(person: Person, desired: DesiredEmployee, *, last_day: date | None) -> list[Note]:
    """Values that were not used, for a linked person whose user exists; for any person a leave date that leaves doubt.

    :param last_day: The day that has to be over before the employment is ended, where an ending waits (rule L5).
    """
    if person.days.is_doubtful:
        return [_doubtful(person)]
    if person.employee_number is None or person.is_tombstone:
        return []
    awaited = [] if last_day is None else [Note(f"the employment ends when {last_day}, its last day, is over")]
    return [*awaited, *(_told(problem) for problem in desired.problems), *_left_over(person, desired)]


def _doubtful(person: Person) -> Note:
    """A leave date that had passed when the user was first seen (rule L3)."""
    return Note(
        f"employmentEndDate {person.days.leave} has passed, the user is active, and no employmentStartDate is after "
        "it. Nothing is created, enabled or ended in Ditio. Correct the dates in Entra, or block the user there",
        Reason.incomplete,
    )


def _told(problem: Problem) -> Note:
    """A day that can't be read is waited for: somebody's leaving may hang on it (rule T1)."""
    is_day = problem.field in (Field.end_date, Field.start_date, Field.birth_date)
    return Note(problem.message, Reason.incomplete if is_day else None)


def _left_over(person: Person, desired: DesiredEmployee) -> list[Note]:
    """Entra does not send cleared values, so dates of an earlier employment stay (rule L3)."""
    notes: list[Note] = []
    ended_on, start, leave = person.acknowledged.ended_on, desired.day(Field.start_date), person.days.leave
    if person.days.leave_is_stale and leave is not None:
        notes.append(Note(f"employmentEndDate {leave} is left over from an earlier employment: ignored"))
    is_leave_late = leave is not None and ended_on is not None and leave < ended_on
    if is_leave_late and not person.days.leave_is_stale and person.acknowledged.employed is False:
        notes.append(Note(f"employmentEndDate {leave} was said after the ending on {ended_on}: ignored"))
    is_start_old = start is not None and ended_on is not None and start <= ended_on
    if (
        person.days.active
        and person.acknowledged.employed
        and is_start_old
        and Field.start_date not in desired.defaulted
    ):
        notes.append(Note(f"employmentStartDate {start} is left over from an earlier employment: ignored"))
    return notes
