"""The rows of a plan are repaired, person by person, by the same delivery as everything else (rules Q2, Q3)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection

from scim_bridge.delivery.breaker import PAUSED, is_paused
from scim_bridge.delivery.budget import Budget
from scim_bridge.delivery.converge import Convergence
from scim_bridge.delivery.meanwhile import what_happened
from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.database import Database
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, Record
from scim_bridge.storage.plans import PlanItems, Scopes

DUE_ALREADY = "he is due already: his own delivery brings it, or says what keeps it"
IN_DELIVERY = "he is being delivered just now"
HANDS_ARE_OFF = "hands are off this person"
GONE = "the bridge does not know this person any more"
NOT_SETTLED = "it did not settle: `outbox list` says why; a worker goes on"


@dataclass(frozen=True, slots=True)
class DriftApplying:
    """Repairs the rows of one stored plan in this process."""

    convergence: Convergence
    plan_id: str
    new_id: Callable[[], str]

    def apply(self, items: Iterable[Drift], progress: Callable[[int], None]) -> None:
        """Repair these rows; what became of each is stored beside the plan.

        :param items: Grouped by person.
        :param progress: Told how many rows are done.
        """
        done = 0
        for person_id, rows in _by_person(items):
            self._repair(person_id, rows)
            done += len(rows)
            progress(done)

    def _repair(self, person_id: PersonId, rows: list[Drift]) -> None:
        lease = self.new_id()
        with self._database.write() as connection:
            record = People(connection, self._tenant).get(person_id, lock=True)
            refusal = self._mark(connection, record, rows, lease)
            if refusal is not None:
                self._skip(connection, rows, refusal)
                return
        self.convergence.deliver(
            person_id,
            lease,
            lease_seconds=self.convergence.tenant.lease_seconds,
            budget=Budget(self.convergence.monotonic),
            cause="reconcile",
        )
        self._look_after(person_id, rows)

    def _mark(self, connection: Connection, record: Record | None, rows: list[Drift], lease: str) -> str | None:
        """Make a person due for these rows, leased to us; or say why not."""
        if record is None:
            return GONE
        now = self._database.now(connection)
        if is_paused(connection, self.convergence.tenant, now):
            return PAUSED  # A mark would only make him due with the rest, and forget the plan (rule D4).
        hands_off = record.person.hands_off
        if hands_off is not None and hands_off.lasts(self.convergence.tenant.today(now)):
            return HANDS_ARE_OFF
        if record.state is State.due:
            is_stuck = any(row.kind is Kind.stuck_delivery for row in rows)
            if not is_stuck:
                return DUE_ALREADY
            # He is due as a whole: all that was wanting is another try, now.
            outbox = Outbox(connection, self._tenant, now)
            return None if outbox.lease(record.person.id, lease, self.convergence.tenant.lease_seconds) else IN_DELIVERY
        if any(row.revision != record.revision for row in rows):
            return what_happened(connection, self._tenant, self.plan_id, record, rows)
        marks = Scopes(connection, self._tenant, now)
        return (
            None
            if marks.mark(record, self.plan_id, rows, lease, self.convergence.tenant.lease_seconds)
            else IN_DELIVERY
        )

    def _look_after(self, person_id: PersonId, rows: list[Drift]) -> None:
        """Rows of which nothing was noted: those of a whole delivery, and those that did not settle."""
        with self._database.write() as connection:
            items = PlanItems(connection, self._tenant, self.plan_id)
            known = items.outcomes_of(_places(rows))
            left = [row for row in rows if row.position is not None and row.position not in known]
            record = People(connection, self._tenant).get(person_id)
            is_whole = any(row.kind is Kind.stuck_delivery for row in rows)
            is_settled = is_whole and (record is None or record.state is State.delivered)
            now = self._database.now(connection)
            for row in left:
                # What was edited in Ditio is no part of a live delivery (rule C4): the next run finds it again.
                is_done = is_settled and row.cause is not Cause.edited_in_ditio
                items.settle([(row.position or 0, None if is_done else NOT_SETTLED)], now)

    def _skip(self, connection: Connection, rows: list[Drift], why: str) -> None:
        items = PlanItems(connection, self._tenant, self.plan_id)
        items.settle([(place, why) for place in _places(rows)], self._database.now(connection))

    @property
    def _database(self) -> Database:
        return self.convergence.database

    @property
    def _tenant(self) -> str:
        return self.convergence.tenant.name


def _by_person(items: Iterable[Drift]) -> Iterator[tuple[PersonId, list[Drift]]]:
    for person_id, rows in groupby(items, key=lambda item: item.person_id):
        if person_id is not None:
            yield person_id, list(rows)


def _places(rows: Iterable[Drift]) -> list[int]:
    return [row.position for row in rows if row.position is not None]
