"""One attempt to deliver one person: calls to Ditio under a lease, within the time budget, kept for the history."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from http import HTTPStatus
from typing import TypeVar

from sqlalchemy import Connection

from scim_bridge.ditio.actual import employee_from_ditio
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
)
from scim_bridge.domain.outcome import Note, Reason, Refusal
from scim_bridge.domain.person import Creating, GuardedChange, Person, Verdict
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BudgetSpent, DeliveryError, LeaseLost, Paused, PermanentError, TransientError
from scim_bridge.storage.breaker import Breakers
from scim_bridge.storage.database import Database, repeated
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.plans import Scope
from scim_bridge.tenant import Budget, Tenant

CERTIFICATES = "certificates"
"""What sending certificates is called where operations have their names."""

T = TypeVar("T")

REREADS = 3
"""How often something is read that an answer which was lost may have changed: reads may lag (rule R4)."""


@dataclass(slots=True)
class Attempt:
    """One attempt to deliver one person: what is known, and the only way to call Ditio for him.

    `person` is kept up to date as calls are acknowledged; every acknowledgement is committed at once, so that a
    crash between two steps loses nothing.
    """

    database: Database
    tenant: Tenant
    person: Person
    desired: DesiredEmployee
    revision: int
    today: date
    lease: str
    budget: Budget
    cause: str
    request_id: str | None
    user_name: str
    leased_until: float
    """When the lease ends, on the budget's monotonic clock."""

    attempts: int = 0
    jitter: float = 0.0
    is_probe: bool = False
    """Whether the breaker is open, and this is the one who is tried (rule D2)."""

    has_called: bool = False
    is_at_peace: bool = False
    """Whether the breaker has nothing to learn from a delivery that went well, as its last transaction saw."""

    notes: list[Note] = field(default_factory=list)
    last_day: date | None = None
    """The day that has to be over before the employment is ended (rule L5); None where nothing waits for a day."""

    scope: Scope | None = None
    """The rows of a plan that this is about, and nothing else (rule Q3); None for the person as a whole."""

    verdicts: dict[GuardedChange, Verdict] = field(default_factory=dict)
    """What the guard on the live stream said of this attempt's changes (rule L8)."""

    outcomes: dict[int, str | None] = field(default_factory=dict)
    """What became of those rows: None for one that is as wanted now, else why it was skipped."""

    unsettled: list[str] = field(default_factory=list)
    """The writes that were sent, in their order, and of which it is not stored yet what Ditio made of them (C5)."""

    posted: Creating | None = None
    """What such a write may have created."""

    answered: ActualEmployee | None = None
    """The person's employee as Ditio showed it last, in an answer or to a read (rule P5)."""

    unwritten: list[Entry] = field(default_factory=list)
    """History that goes into the next transaction."""

    @property
    def waits_for_claim(self) -> bool:
        """Whether another has something that is wanted for this person (rule P3)."""
        return any(note.reason is Reason.claimed for note in self.notes)

    def get(self, number: EmployeeNumber) -> ActualEmployee | None:
        """Read an employee by exact number. :raises PermanentError: Ditio spells it otherwise (rule P4)."""
        found = self.look_up(number)
        if found is not None and found.employee_number != number:
            raise PermanentError(
                f"Ditio answers to employee number {number} with employee {found.employee_number}",
                words="numbers that differ in case or leading zeros are never taken for one: "
                "write it in Entra as Ditio does",
                field=Field.employee_number.value,
            )
        return found

    def look_up(self, number: EmployeeNumber) -> ActualEmployee | None:
        """Read the employee whom Ditio shows for a number, however it spells that number itself."""
        with self.permit():
            answer = self.tenant.ditio.get(number, within=self._keep_lease())
        return None if answer is None or answer.body is None else self._read(answer.body)

    def search(self, text: str) -> list[ActualEmployee]:
        """Find employees by free text; not exact."""
        with self.permit():
            rows = self.tenant.ditio.search(text, within=self._keep_lease())
        return [self._read(row) for row in rows if _has_number(row)]

    def check(self, *, renews: bool = True) -> None:
        """Read something that concerns nobody. :raises DeliveryError: what is wrong with Ditio as a whole (rule R2)."""
        with self.permit():
            self.tenant.ditio.check(within=self._keep_lease(), renews=renews)

    def send(
        self,
        operation: Operation,
        number: EmployeeNumber,
        *,
        store: Callable[[Connection, datetime], None] | None = None,
    ) -> Mapping[Field, Value | None]:
        """Do something to an employee. What is acknowledged afterwards is committed together with the history.

        :param store: Renews the lease, and keeps what has to be known should the answer be lost; done at the very end.
        Returns what the answer shows of the employee afterwards; nothing where it has no body.

        :raises LeaseLost: somebody else delivers this person now.
        :raises BudgetSpent: too little time is left; nothing was sent.
        :raises Paused: deliveries were paused since the attempt began; nothing was sent.
        :raises DeliveryError: Ditio's answer.
        """
        call = call_for(operation, number)
        answer = self.ask(call.name, lambda within: self.tenant.ditio.send(call, within=within), store=store)
        if answer.body is None or not _has_number(answer.body):
            return {}
        self.answered = self._read(answer.body)
        return self.answered.values

    def ask(
        self, what: str, ask: Callable[[float], Answer], *, store: Callable[[Connection, datetime], None] | None = None
    ) -> Answer:
        """Have Ditio change something, and remember how it answered; raises what `send` does.

        :param ask: Makes the call, which may take so many seconds.
        """
        with self.permit():
            if not self.budget.allows_write():
                raise BudgetSpent("the request's time was spent before this step; a worker goes on")
            if store is None:
                with self.database.read() as connection:
                    self._stop_if_paused(connection, self.database.now(connection))
                within = self._keep_lease()
            else:
                self.write(lambda connection, now: self._store(connection, now, store))
                within = self._time_left()  # Of this very lease: what is stored counts from its beginning.
            self.unsettled.append(what)
            try:
                answer = ask(within)
            except DeliveryError as error:
                if not (isinstance(error, TransientError) and error.ambiguous):
                    self.unsettled.pop()  # Certainly not applied.
                self._remember(what, type(error).__name__, error.status, error.request_id, error.seconds)
                raise
        self._remember(what, "done", answer.status, answer.request_id, answer.seconds)
        return answer

    def is_settled(self) -> None:
        """What became of the write that was answered last is stored."""
        self.unsettled.pop()
        self.posted = None

    def now(self) -> datetime:
        """What time it is by the database's clock."""
        return self.database.now_alone()

    def _read(self, body: dict[str, object]) -> ActualEmployee:
        return employee_from_ditio(body, region=self.tenant.rules.phone_region, zone=self.tenant.rules.zone)

    def _store(self, connection: Connection, now: datetime, store: Callable[[Connection, datetime], None]) -> None:
        self._stop_if_paused(connection, now)
        store(connection, now)

    def _stop_if_paused(self, connection: Connection, now: datetime) -> None:
        """:raises Paused: deliveries are paused, which also stops a delivery that has begun at its next write (D4)."""
        if Breakers(connection, self.tenant.name, now).get().is_paused:
            raise Paused("deliveries were paused before this step")

    def permit(self) -> AbstractContextManager[None]:
        """The right to call Ditio. Others' calls may have to end first; the lease is looked after meanwhile.

        Each call takes it by itself; first takes it whose last word before the call must not grow old in the wait.
        """
        return self.tenant.ditio.permit(within=self.budget.left(), meanwhile=self._keep_lease)

    def _keep_lease(self) -> float:
        """See that the lease outlasts the next call. Seconds that this may take with all that belongs to it.

        Its token, and its repetition with another one, belong to it: it ends before somebody else may take the person.

        :raises LeaseLost: somebody else has it.
        """
        self.has_called = True
        left = self.budget.left()
        longest = self.tenant.call_seconds if left is None else min(self.tenant.call_seconds, left)
        if self._leased_for() < longest:
            self.write(lambda connection, now: None)
        return self._time_left()

    def _time_left(self) -> float:
        """Seconds until the lease or the budget ends, whichever is first."""
        left = self.budget.left()
        return self._leased_for() if left is None else min(left, self._leased_for())

    def _leased_for(self) -> float:
        """Seconds until the lease ends, all but one: a call that is cut off takes a moment to end."""
        return self.leased_until - self.budget.monotonic() - 1

    def write(self, work: Callable[[Connection, datetime], T]) -> T:
        """Do something in one transaction, which renews the lease; once more where another was in its way.

        :param work: Given the connection and what time it is; it changes nothing but the database.
        :raises LeaseLost: another process has the lease.
        """
        return repeated(lambda: self._write(work))

    def _write(self, work: Callable[[Connection, datetime], T]) -> T:
        with self.database.write(self.tenant.name) as connection:
            began, now, seconds = self.budget.monotonic(), self.database.now(connection), self.tenant.lease_seconds
            if not Outbox(connection, self.tenant.name, now).renew(self.person.id, self.lease, seconds):
                raise LeaseLost(f"another process now delivers person {self.person.id}")
            History(connection, self.tenant.name, now).add(self.person.id, *self.unwritten)
            done = work(connection, now)
        self.leased_until = began + seconds  # Another transaction may have had the row since.
        self.unwritten.clear()
        return done

    def _remember(
        self, what: str, outcome: str, status: int | None, ditio_request_id: str | None, seconds: float
    ) -> None:
        """Put a call into the history, with the next transaction (rule D5)."""
        entry = Entry(
            what=what,
            outcome=outcome,
            cause=self.cause,
            status=status,
            request_id=self.request_id,
            ditio_request_id=ditio_request_id,
            seconds=seconds,
        )
        self.unwritten.append(entry)


def _has_number(row: dict[str, object]) -> bool:
    try:
        employee_from_ditio(row)
    except ValueError:
        return False
    return True


def refusal(error: PermanentError, operation: Operation | None = None) -> Note:
    """Ditio's words. About a field that was not sent they mean missing data, not a refusal (rule H3).

    :param operation: What was refused; None for a read.
    """
    is_missing = error.field is not None and operation is not None and error.field not in _sent(operation)
    text = f"{error}: {error.words}"
    cure = (
        "Fill it in for this user in Entra"
        if is_missing
        else "Correct the value in Entra, or what stands in its way in Ditio"
    )
    told = Refusal(text, cure, _at_fault(error, operation), is_duplicate=error.status == HTTPStatus.CONFLICT)
    return Note(text, Reason.incomplete if is_missing else Reason.refused, told)


def _at_fault(error: PermanentError, operation: Operation | None) -> tuple[Field, ...]:
    """The field that Ditio named, else those that it may mean; never guessed from its words."""
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
            # What no two employees may share.
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
