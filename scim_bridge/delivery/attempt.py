"""One attempt to deliver one person: calls Ditio under a lease, within the time budget, and records the history."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from http import HTTPStatus
from typing import TypeVar

from scim_bridge.domain.certificate import Holder, Line
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field, Value
from scim_bridge.domain.operations import (
    Answer,
    ChangeEmployeeNumber,
    ChangePhoneNumber,
    CreateEmployee,
    Operation,
    UpdateEmployee,
    UpdateEmployment,
    call_for,
    name_of,
)
from scim_bridge.domain.outcome import Note, Reason, Refusal
from scim_bridge.domain.person import Creating, GuardedChange, Person, Verdict
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BudgetSpent, DeliveryError, LeaseLost, Paused, PermanentError, TransientError
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.plans import Scope
from scim_bridge.tenant import NOTHING_DESIRED, Budget, Tenant

CERTIFICATES = "certificates"
"""The name for sending certificates, beside the names of the operations."""

T = TypeVar("T")

REREADS = 3
"""How often to read what a write may have changed whose answer was lost: reads may lag (rule R4)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What one transaction knows of a person who is about to be delivered."""

    record: PersonRecord
    desired: DesiredEmployee
    user_name: str
    today: date
    clock: tuple[datetime, float]
    """The database's time, and the monotonic clock at that moment."""

    lines: tuple[EmployeeNumber, tuple[Line, ...]] | None = None
    """Lines of the ledger, for the person under this employee number; None if they were not read."""

    notes: tuple[Note, ...] = ()
    scope: Scope | None = None
    """The only rows of a plan to deliver (rule Q3); None for the person as a whole."""

    is_probe: bool = False
    """Whether the breaker is open, and this person is the probe (rule D2)."""


def facts_of(s: Session, tenant: Tenant, record: PersonRecord, document: JsonObject | None) -> Facts:
    """Return the facts about a person. :param document: The SCIM user; None for a deleted one."""
    person, today = record.person, tenant.today(s.now)
    desired = tenant.desired(document, person, today) if document is not None else NOTHING_DESIRED
    user_name = str(document.get("userName")) if document is not None else "a deleted user"
    return Facts(record, desired, user_name, today, (s.now_again, tenant.monotonic()))


def with_lines(s: Session, facts: Facts) -> Facts:
    """Return the facts with the person's lines of the ledger, once their slots are kept."""
    person = facts.record.person
    number = person.employee_number or facts.desired.employee_number
    if number is None or not person.days.wants_employment(facts.today):
        return facts
    found = s.ledger.lines_under(Holder.of_person(person.id), Holder.of_number(number))
    return replace(facts, lines=(number, tuple(found)))


@dataclass(slots=True)
class Attempt:
    """One attempt to deliver one person: what is known, and the only way to call Ditio for them.

    `person` is kept up to date as calls are acknowledged. Every answer of Ditio is stored before the next call, so a
    crash between two steps loses nothing.
    """

    tenant: Tenant
    facts: Facts
    lease: str
    leased_until: float
    """When the lease ends, on the budget's monotonic clock."""

    budget: Budget
    cause: str
    person: Person = field(init=False)
    """The person, with what Ditio has answered so far."""

    stored: Person = field(init=False)
    """The person as the database has them."""

    clock: tuple[datetime, float] = field(init=False)
    """The database's time in the last transaction, and the monotonic clock at that moment."""

    jitter: float = 0.0
    has_called: bool = False
    is_at_peace: bool = False
    """Whether the breaker has nothing to learn from a delivery that went well, as its last transaction saw."""

    notes: list[Note] = field(default_factory=list)
    last_day: date | None = None
    """The day that has to be over before the employment is ended (rule L5); None if nothing waits for a day."""

    verdicts: dict[GuardedChange, Verdict] = field(default_factory=dict)
    """What the guard decided about this attempt's changes (rule L8)."""

    outcomes: dict[int, str | None] = field(default_factory=dict)
    """What became of the rows of `scope`: None for a row that is repaired, else why it was skipped."""

    unanswered: list[str] = field(default_factory=list)
    """The writes that were sent, in order, and whose outcome is not stored yet (rule C5)."""

    posted: Creating | None = None
    """The employee that an unanswered write may have created."""

    last_shown: ActualEmployee | None = None
    """The person's employee as Ditio last showed it, in the answer to a write or to a read (rule P5)."""

    unwritten: list[Entry] = field(default_factory=list)
    """Rows of the history that the next transaction writes."""

    to_store: list[Callable[[Session], None]] = field(default_factory=list)
    """Stores what Ditio has answered: in the next transaction, which is before the next call."""

    renewed: tuple[float, tuple[datetime, float]] = field(init=False)
    """The end of the lease and the time, by a transaction that is not committed yet."""

    is_answered: bool = False
    """Whether the answer to the last unanswered write is in `to_store`."""

    def __post_init__(self) -> None:
        self.person = self.stored = self.facts.record.person
        self.clock, self.notes = self.facts.clock, list(self.facts.notes)

    @property
    def desired(self) -> DesiredEmployee:
        """Return the employee that the user asks for."""
        return self.facts.desired

    @property
    def today(self) -> date:
        """Return the day of this attempt, in the company's time zone."""
        return self.facts.today

    @property
    def waits_for_claim(self) -> bool:
        """Whether another person has a claim that this person needs (rule P3)."""
        return any(note.reason is Reason.claimed for note in self.notes)

    def is_theirs(self, found: ActualEmployee) -> bool:
        """Return whether the employee just read under the person's number is still this person (rule P5)."""
        return self.tenant.is_theirs(self.person, self.desired, found)

    def is_permitted(self, number: EmployeeNumber) -> bool:
        """Return whether an operator permitted this link with `adopt --accept`. A permission is valid for one link."""
        with self.tenant.read() as s:
            return s.permissions.allows(number, self.facts.user_name)

    def get(self, number: EmployeeNumber) -> ActualEmployee | None:
        """Read an employee by exact number. :raises PermanentError: Ditio spells the number differently (rule P4)."""
        found = self.look_up(number)
        if found is not None and found.employee_number != number:
            raise PermanentError(
                f"Ditio returns employee {found.employee_number} for employee number {number}",
                words="numbers that differ in case or leading zeros are different numbers: "
                "write it in Entra exactly as Ditio does",
                field=Field.employee_number.value,
            )
        return found

    def look_up(self, number: EmployeeNumber) -> ActualEmployee | None:
        """Read the employee that Ditio returns for a number, even if Ditio spells the number differently."""
        with self.permit():
            return self.tenant.ditio.get(number, within=self._keep_lease())

    def search(self, text: str) -> list[ActualEmployee]:
        """Find employees by free text; not exact. An employee is read if the search shows too little ([U])."""
        with self.permit():
            found = self.tenant.ditio.search(text, within=self._keep_lease())
        return [self._as_read(each, text) for each in found]

    def _as_read(self, found: ActualEmployee, text: str) -> ActualEmployee:
        is_told = {Field.phone, Field.email} <= found.values.keys() or text in found.values.values()
        if is_told or not found.employee_number:
            return found
        try:
            return self.look_up(found.employee_number) or found
        except ValueError:
            return found  # No URL can have this number (rule P7).

    def check(self, *, renews: bool = True) -> None:
        """Read something that concerns no person. :raises DeliveryError: Ditio as a whole has a problem (rule R2)."""
        with self.permit():
            self.tenant.ditio.check(within=self._keep_lease(), renews=renews)

    def send(
        self, operation: Operation, number: EmployeeNumber, *, store: Callable[[Session], None] | None = None
    ) -> Mapping[Field, Value | None]:
        """Send one operation for an employee, and return the employee's values from the answer; empty without a body.

        The caller's acknowledgement is committed together with the history.

        :param store: Renews the lease, and stores what has to be known if the answer is lost. It runs last before the
            call.
        :raises LeaseLost: another process now delivers this person.
        :raises BudgetSpent: too little time is left; nothing was sent.
        :raises Paused: deliveries were paused since the attempt began; nothing was sent.
        :raises DeliveryError: Ditio refused the operation, or the call failed.
        """
        ditio = self.tenant.ditio
        answer = self.ask(name_of(operation), lambda within: ditio.send(operation, number, within=within), store=store)
        if answer.employee is None:
            return {}
        self.last_shown = answer.employee
        return self.last_shown.values

    def ask(
        self, what: str, ask: Callable[[float], Answer], *, store: Callable[[Session], None] | None = None
    ) -> Answer:
        """Ask Ditio to change something, and remember the answer for the history. Raises the same errors as `send`.

        :param ask: Makes the call; its argument is how many seconds the call may take.
        """
        with self.permit():
            if not self.budget.allows_write():
                raise BudgetSpent("the request's time ran out before this step; the worker continues")
            if store is None:
                with self.tenant.read() as s:
                    self._stop_if_paused(s)
                within = self._keep_lease()
            else:
                self.write(lambda s: self._store(s, store))
                within = self._time_left()  # The lease was just renewed: the stored time is its beginning.
            self.unanswered.append(what)
            try:
                answer = ask(within)
            except DeliveryError as error:
                if not (isinstance(error, TransientError) and error.ambiguous):
                    self.unanswered.pop()  # Ditio certainly did not apply it.
                self._remember(what, type(error).__name__, error)
                raise
        self._remember(what, "done", answer)
        return answer

    def mark_answered(self) -> None:
        """Note that the answer to the last write is kept."""
        self.is_answered = True

    def keep(self, answer: Callable[[Session], None], person: Person) -> None:
        """Keep an answer of Ditio, to be stored before the next call, or as the attempt settles.

        :param person: The person after it.
        """
        self.to_store.append(answer)
        self.person = person

    def now(self) -> datetime:
        """Return the time by the database's clock."""
        then, at = self.clock
        return then + timedelta(seconds=self.tenant.monotonic() - at)

    @property
    def in_doubt(self) -> list[str]:
        """Return the writes whose answers are neither stored nor kept."""
        return self.unanswered[:-1] if self.is_answered else self.unanswered

    def _store(self, s: Session, store: Callable[[Session], None]) -> None:
        self._stop_if_paused(s)
        store(s)

    def _stop_if_paused(self, s: Session) -> None:
        """Stop before a write, even in the middle of an attempt (rule D4). :raises Paused: deliveries are paused."""
        if s.breaker.lately().is_paused:
            raise Paused("deliveries were paused before this step: `outbox resume` continues them")

    def permit(self) -> AbstractContextManager[None]:
        """Return the right to call Ditio, as a context. Entering may wait for other calls, and renews the lease then.

        Each call takes the right by itself. Take it earlier if a check before the call must still be true after the
        wait.
        """
        return self.tenant.ditio.permit(within=self.budget.left(), meanwhile=self._keep_lease)

    def _keep_lease(self) -> float:
        """Renew the lease if it may end during the next call. Return how many seconds that call may take.

        Getting a token, and repeating the call with a new token, count as part of the call. So the call ends before
        another process may take the person.

        :raises LeaseLost: another process has the lease.
        """
        self.has_called = True
        left = self.budget.left()
        longest = self.tenant.call_seconds if left is None else min(self.tenant.call_seconds, left)
        if self.to_store or self._leased_for() < longest:
            self.write(lambda s: None)
        return self._time_left()

    def _time_left(self) -> float:
        """Return the seconds until the lease or the budget ends, whichever is first."""
        left = self.budget.left()
        return self._leased_for() if left is None else min(left, self._leased_for())

    def _leased_for(self) -> float:
        """Return the seconds until the lease ends, less one: a call that is cut off takes a moment to end."""
        return self.leased_until - self.tenant.monotonic() - 1

    def write(self, work: Callable[[Session], T]) -> T:
        """Do something in one transaction, which renews the lease. Repeat it if another transaction was in its way.

        :param work: May change only the database, because it may run more than once.
        :raises LeaseLost: another process has the lease.
        """

        def once(s: Session) -> T:
            self.store(s)
            return work(s)

        done = self.tenant.transact(once)
        self.mark_stored()
        return done

    def store(self, s: Session, *entries: Entry) -> None:
        """Renew the lease, and store what is kept. Call `mark_stored` once it is committed.

        :param entries: More rows of the history.
        :raises LeaseLost: another process has the lease.
        """
        # The lease's end and the time are from before the row's lock, for which the transaction may wait.
        at, seconds = self.tenant.monotonic(), self.tenant.lease_seconds
        if not s.renew(self.person.id, self.lease, seconds):
            raise LeaseLost(f"another process now delivers person {self.person.id}")
        self.renewed = at + seconds, (s.now, at)
        s.history.add(self.person.id, *self.unwritten, *entries)
        for answer in self.to_store:
            answer(s)

    def mark_stored(self) -> None:
        """Note that the transaction of `store` is committed."""
        self.leased_until, self.clock = self.renewed
        self.unwritten.clear()
        self.to_store.clear()
        self.stored = self.person
        if self.is_answered:
            self.unanswered.pop()
            self.posted, self.is_answered = None, False

    def _remember(self, what: str, outcome: str, told: Answer | DeliveryError) -> None:
        """Keep a call for the history, which the next transaction writes (rule D5)."""
        entry = Entry(
            what=what,
            outcome=outcome,
            cause=self.cause,
            status=told.status,
            request_id=self.facts.record.request_id,
            ditio_request_id=told.request_id,
            seconds=told.seconds,
        )
        self.unwritten.append(entry)


def refusal(error: PermanentError, operation: Operation | None = None) -> Note:
    """Return the note for Ditio's refusal. A refusal about a field that was not sent means missing data (rule H3).

    :param operation: The operation that Ditio refused; None for a read.
    """
    is_missing = error.field is not None and operation is not None and error.field not in _sent(operation)
    text = f"{error}: {error.words}"
    cure = (
        "Fill it in for this user in Entra"
        if is_missing
        else "Correct the value in Entra, or what conflicts with it in Ditio"
    )
    told = Refusal(text, cure, _at_fault(error, operation), is_duplicate=error.status == HTTPStatus.CONFLICT)
    return Note(text, Reason.incomplete if is_missing else Reason.refused, told)


def _at_fault(error: PermanentError, operation: Operation | None) -> tuple[Field, ...]:
    """Return the field that Ditio named, else those that it may mean; never guess from the text of the answer."""
    if error.field in set(Field):
        return (Field(error.field),)
    match operation:
        case ChangeEmployeeNumber():
            return (Field.employee_number,)
        case ChangePhoneNumber():
            return (Field.phone,)
        case UpdateEmployment(fields=fields) | UpdateEmployee(fields=fields):
            return tuple(fields)
        case CreateEmployee(fields=fields) if error.status == HTTPStatus.CONFLICT:
            # No two employees may share these.
            return tuple(name for name in (Field.employee_number, Field.phone, Field.email) if name in fields)
        case _:
            return ()


def _sent(operation: Operation) -> frozenset[str]:
    return frozenset(_names(call_for(operation, EmployeeNumber("0")).body)) | {"employeeNumber"}


def _names(body: JsonObject) -> Iterator[str]:
    for name, value in body.items():
        yield name
        if isinstance(value, dict):
            yield from _names(value)
