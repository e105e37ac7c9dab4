"""Calls to Ditio on behalf of one person: under his lease, within the budget, into his history."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy import Connection

from scim_bridge.delivery.budget import LEASE_MARGIN_SECONDS, Budget
from scim_bridge.delivery.outcome import Note
from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.delivery_state import Reason
from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Value, Wish
from scim_bridge.domain.occasions import Guarded, Verdict
from scim_bridge.domain.operations import Operation
from scim_bridge.domain.person import Person, Taking
from scim_bridge.errors import BudgetSpent, DeliveryError, LeaseLost, Paused, PermanentError
from scim_bridge.mapping.from_ditio import employee_from_ditio
from scim_bridge.mapping.to_ditio import call_for
from scim_bridge.plan.leaving import owes_ending
from scim_bridge.plan.occasions import settled_occasions
from scim_bridge.plan.rounds import Write, takings_of
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.database import Database
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People
from scim_bridge.storage.scopes import Scope

REREADS = 3
"""How often something is read that an answer which was lost may have changed: reads may lag (rule R4)."""


@dataclass(slots=True)
class Errand:
    """One attempt to deliver one person: what is known, and the only way to call Ditio for him.

    `person` is kept up to date as calls are acknowledged; every acknowledgement is committed at once, so that a
    crash between two steps loses nothing.
    """

    database: Database
    tenant: Tenant
    person: Person
    wish: Wish
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

    notes: list[Note] = field(default_factory=list)
    last_day: date | None = None
    """The day that has to be over before the employment is ended (rule L5); None where nothing waits for a day."""

    scope: Scope | None = None
    """The rows of a plan that this is about, and nothing else (rule Q3); None for the person as a whole."""

    verdicts: dict[Guarded, Verdict] = field(default_factory=dict)
    """What the guard on the live stream said of this attempt's changes (rule L8)."""

    outcomes: dict[int, str | None] = field(default_factory=dict)
    """What became of those rows: None for one that is as wanted now, else why it was skipped."""

    unwritten: list[Entry] = field(default_factory=list)
    """History that goes into the next transaction."""

    @property
    def waits_for_claim(self) -> bool:
        """Whether another has something that is wanted for this person (rule P3)."""
        return any(note.reason is Reason.claimed for note in self.notes)

    def get(self, number: EmployeeNumber) -> FoundEmployee | None:
        """Read an employee by exact number."""
        self.keep_lease()
        answer = self.tenant.ditio.get(number, within=self.budget.left())
        if answer is None or answer.body is None:
            return None
        found = self._read(answer.body)
        if found.employee_number != number:
            raise PermanentError(
                f"Ditio answers to employee number {number} with employee {found.employee_number}",
                words="numbers that differ in case or leading zeros are never taken for one: "
                "write it in Entra as Ditio does",
                field=Field.employee_number.value,
            )
        return found

    def search(self, text: str) -> list[FoundEmployee]:
        """Find employees by free text; not exact."""
        self.keep_lease()
        rows = self.tenant.ditio.search(text, within=self.budget.left())
        return [self._read(row) for row in rows if _has_number(row)]

    def check(self, *, renews: bool = True) -> None:
        """Read something that concerns nobody. :raises DeliveryError: what is wrong with Ditio as a whole (rule R2)."""
        self.keep_lease()
        self.tenant.ditio.check(within=self.budget.left(), renews=renews)

    def send(self, operation: Operation, number: EmployeeNumber) -> Mapping[Field, Value | None]:
        """Do something to an employee. What is acknowledged afterwards is committed together with the history.

        Returns what the answer shows of the employee afterwards; nothing where it has no body.

        :raises LeaseLost: somebody else delivers this person now.
        :raises BudgetSpent: too little time is left; nothing was sent.
        :raises Paused: deliveries were paused since the attempt began; nothing was sent.
        :raises DeliveryError: Ditio's answer.
        """
        call = call_for(operation, number)
        if not self.budget.allows_write():
            raise BudgetSpent("the request's time was spent before this step; a worker goes on")
        self.stop_if_paused()
        self.keep_lease()
        try:
            answer = self.tenant.ditio.send(call, within=self.budget.left())
        except DeliveryError as error:
            self.remember(call.name, type(error).__name__, error.status, error.request_id, error.seconds)
            raise
        self.remember(call.name, "done", answer.status, answer.request_id, answer.seconds)
        return self._read(answer.body).values if answer.body is not None and _has_number(answer.body) else {}

    def acknowledge(
        self,
        values: Mapping[Field, Value | None] | None = None,
        *,
        login: bool | None = None,
        employed: bool | None = None,
        link: EmployeeNumber | None = None,
        write: Write | None = None,
        learned: Mapping[Field, Taking] | None = None,
    ) -> None:
        """Keep what Ditio took, or was seen to have, and with `link` whose employee it is. Committed at once.

        :param write: What is known of the write that Ditio took; None for what was only read.
        :param learned: What a read tells of values that Ditio took earlier (rule C2).
        """
        known, learned = self.person.acknowledged, learned or {}
        sources = {name: self.wish.sources[name] for name in values or {} if name in self.wish.sources}
        settled = settled_occasions(self.person, self.wish, values or {})
        with self.database.write() as connection:
            now = self.still_ours(connection)
            takings = {**takings_of(known, values or {}, write, now), **learned}
            if link is not None:
                People(connection, self.tenant.name).link(self.person.id, link, now=now)
            stored = Acknowledgements(connection, self.tenant.name)
            stored.add(
                self.person.id,
                values or {},
                sources=sources,
                takings=takings,
                login=login,
                employed=employed,
                is_written=write is not None,
                revision=self.revision,
                now=now,
            )
            stored.learn(self.person.id, learned)
            self.person = replace(
                self.person,
                acknowledged=known.after(
                    values or {},
                    sources=sources,
                    takings=takings,
                    login=login,
                    employed=employed,
                    changed_at=now if write is not None else None,
                ),
            )
            guard = Guard(connection, self.tenant.name, now)
            for kind, said_at in settled:
                guard.settle_occasion(kind, self.person.id, said_at)
            if False in (login, employed) and not owes_ending(self.person, self.tenant.policy):
                guard.forgive(Guarded.ending, self.person.id)
        if link is not None:
            self.person = replace(self.person, employee_number=link, creating=None, renumbering=None)

    def now(self) -> datetime:
        """What time it is by the database's clock."""
        with self.database.read() as connection:
            return self.database.now(connection)

    def _read(self, body: dict[str, object]) -> FoundEmployee:
        return employee_from_ditio(body, region=self.tenant.rules.phone_region, zone=self.tenant.rules.zone)

    def stop_if_paused(self) -> None:
        """A pause counts from the next write on, also for whoever is in hand (rule D4). :raises Paused: it does."""
        with self.database.read() as connection:
            if Breakers(connection, self.tenant.name, self.database.now(connection)).get().is_paused:
                raise Paused("deliveries were paused before this step")

    def keep_lease(self) -> None:
        """See that the lease outlasts the next call. :raises LeaseLost: somebody else has it."""
        self.has_called = True
        left = self.budget.left()
        longest = self.tenant.call_seconds if left is None else min(self.tenant.call_seconds, left)
        if self.leased_until - self.budget.monotonic() < longest + 1:
            with self.database.write() as connection:
                self.still_ours(connection)

    def still_ours(self, connection: Connection) -> datetime:
        """Renew the lease, in the transaction at hand, and say what time it is. :raises LeaseLost: it is gone."""
        now = self.database.now(connection)
        seconds = self.tenant.call_seconds + LEASE_MARGIN_SECONDS
        if not Outbox(connection, self.tenant.name, now).renew(self.person.id, self.lease, seconds):
            raise LeaseLost(f"somebody else delivers person {self.person.id} now")
        self.leased_until = self.budget.monotonic() + seconds
        History(connection, self.tenant.name, now).add(self.person.id, *self.unwritten)
        self.unwritten.clear()
        return now

    def remember(
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
