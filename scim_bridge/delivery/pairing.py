"""Every user who is linked to nobody beside the employees that Ditio showed: exact pairs, and disputed ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.tenant import Tenant
from scim_bridge.domain.drift import Pair
from scim_bridge.domain.employee import EmployeeNumber, Field, FoundEmployee, Wish
from scim_bridge.plan.matching import CONTENDED, Around, is_doubtful, proposals
from scim_bridge.scim.mapping import is_sent
from scim_bridge.storage.candidates import Candidate, unlinked
from scim_bridge.storage.database import Database
from scim_bridge.storage.pairs import Pairs
from scim_bridge.storage.people import Permissions
from scim_bridge.storage.snapshot import Snapshot

BATCH = 500
"""Users who are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Finds the pairs of one run, and stores them. Nothing is linked."""

    database: Database
    tenant: Tenant
    run_id: str
    now: datetime

    def pair(self, progress: Callable[[int], None]) -> None:
        """Look at everybody. :param progress: Told how many users have been looked at."""
        after, done = "", 0
        while batch := self._next(after):
            after, done = batch[-1].record.person.id, done + len(batch)
            with self.database.read() as connection:
                found = [pair for each in self._found(connection, batch) for pair in each]
            with self.database.write() as connection:
                self._pairs(connection).add(found)
            progress(done)
        with self.database.write() as connection:
            self._pairs(connection).dispute_contended(CONTENDED)

    def _next(self, after: str) -> list[Candidate]:
        with self.database.read() as connection:
            return unlinked(connection, self.tenant.name, after=after, limit=BATCH)

    def _found(self, connection: Connection, batch: Sequence[Candidate]) -> list[list[Pair]]:
        # A creation that may have reached Ditio is found out by that person's own delivery (rule P6).
        users = [(each, self._wish(each)) for each in batch if each.record.person.creating is None]
        numbers = [wish.employee_number for _, wish in users if wish.employee_number is not None]
        snapshot = Snapshot(connection, self.tenant.name, self.run_id)
        shown, similar = snapshot.of(numbers), snapshot.similar_numbers(numbers)
        linked = snapshot.linked_among(shown)
        return [
            self._pairs_of(connection, snapshot, candidate, wish, shown, similar, linked) for candidate, wish in users
        ]

    def _pairs_of(
        self,
        connection: Connection,
        snapshot: Snapshot,
        candidate: Candidate,
        wish: Wish,
        shown: dict[str, FoundEmployee],
        similar: dict[str, list[str]],
        linked: frozenset[str],
    ) -> list[Pair]:
        number, user_name = wish.employee_number, _user_name(candidate)
        around = Around(shown.get(number or ""), similar.get(number or "", ()), linked=linked)
        is_permitted = False
        if around.same_number is None and not around.similar_numbers:
            alike = snapshot.look_alikes(wish.text(Field.phone), wish.text(Field.email))
            around = Around(look_alikes=alike, linked=snapshot.linked_among(each.employee_number for each in alike))
        elif around.same_number is not None and is_doubtful(wish, around):
            is_permitted = self._is_permitted(connection, around.same_number.employee_number, user_name)
        sends_number = is_sent(candidate.document or {}, Field.employee_number, self.tenant.rules)
        record = candidate.record
        return [
            Pair(record.person.id, user_name, record.revision, proposal)
            for proposal in proposals(wish, around, sends_number=sends_number, is_permitted=is_permitted)
        ]

    def _is_permitted(self, connection: Connection, number: EmployeeNumber, user_name: str) -> bool:
        return Permissions(connection, self.tenant.name).allows(number, user_name, now=self.now)

    def _wish(self, candidate: Candidate) -> Wish:
        return self.tenant.wish(candidate.document or {}, candidate.record.person, self.tenant.today(self.now))

    def _pairs(self, connection: Connection) -> Pairs:
        return Pairs(connection, self.tenant.name, self.run_id)


def _user_name(candidate: Candidate) -> str:
    return str((candidate.document or {}).get("userName") or "")
