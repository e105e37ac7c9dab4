"""The guard on live changes: what it counts, holds and drops, and when each change was requested (rule L8)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from scim_bridge.domain.person import HOUR, GuardedChange, PersonId, Verdict
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.prepared import insert_if_absent
from scim_bridge.storage.tables import guarded, people

_SAID = {
    GuardedChange.ending: people.c.ending_said_at,
    GuardedChange.creation: people.c.creation_said_at,
    GuardedChange.phone: people.c.phone_said_at,
    GuardedChange.employee_number: people.c.employee_number_said_at,
}


@dataclass(frozen=True, slots=True)
class GuardDecision:
    """What the guard decided about one change, and why."""

    verdict: Verdict
    why: str | None = None


class Guard(Repository):
    """The guard of one tenant, within one transaction. `now` is the database's clock."""

    def serialise(self) -> None:
        """Let no other transaction of this tenant count before this one ends.

        Lock people before this call, never after it.
        """
        self._s.serialise("guard")

    def note_occasion(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> None:
        """Store when a change was requested, unless a time is stored already."""
        column = _SAID[kind]
        self._connection.execute(
            update(people).where(self._is_person(person_id), column.is_(None)).values({column.name: said_at})
        )

    def settle_occasion(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> None:
        """Clear the time of a change that Ditio has: nothing of it is still to be sent."""
        column = _SAID[kind]
        self._connection.execute(
            update(people).where(self._is_person(person_id), column == said_at).values({column.name: None})
        )

    def forgive(self, kind: GuardedChange, person_id: PersonId) -> None:
        """Remove held and dropped changes of a kind, because nothing of that kind is still to be sent."""
        held_or_dropped = guarded.c.verdict.in_([Verdict.held, Verdict.dropped])
        self._connection.execute(
            delete(guarded).where(
                self._is_mine(), guarded.c.kind == kind, guarded.c.person_id == person_id, held_or_dropped
            )
        )

    def decided(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> GuardDecision | None:
        """Return what was decided about a change before, or None if it never met the guard."""
        row = self._connection.execute(
            select(guarded.c.verdict, guarded.c.why).where(self._is(kind, person_id, said_at))
        ).first()
        return GuardDecision(Verdict(row.verdict), row.why) if row is not None else None

    def decide(self, kind: GuardedChange, person_id: PersonId, said_at: datetime, decided: GuardDecision) -> None:
        """Store what was decided about a change."""
        row = {"tenant": self._tenant, "kind": kind, "person_id": person_id, "said_at": said_at}
        values = {"verdict": decided.verdict, "why": decided.why, "decided_at": self._now}
        insert_if_absent(self._connection, guarded, {**row, **values})

    def uncount(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> None:
        """Remove a counted change that was never made, and is no longer to be sent."""
        self._connection.execute(delete(guarded).where(self._is(kind, person_id, said_at)))

    def how_many_around(self, kind: GuardedChange, said_at: datetime) -> int:
        """Return how many changes were counted less than an hour before or after a moment."""
        query = select(func.count()).select_from(guarded).where(self._is_near(kind, said_at))
        return self._connection.execute(query).scalar_one()

    def moments_around(self, kind: GuardedChange, said_at: datetime) -> list[datetime]:
        """Return when these changes were requested."""
        return list(self._connection.execute(select(guarded.c.said_at).where(self._is_near(kind, said_at))).scalars())

    def at_work(self, since: datetime, *, most: int | None = None) -> int:
        """Return how many linked people are active, or were at a moment; those who ended since are counted too.

        :param most: Count no further than this; None to count all of them.
        """
        is_at_work = or_(people.c.ending_said_at.is_(None), people.c.ending_said_at > since)
        is_linked = and_(people.c.tenant == self._tenant, people.c.employee_number.is_not(None))
        some = select(people.c.id).where(is_linked, is_at_work).limit(most).subquery()
        return self._connection.execute(select(func.count()).select_from(some)).scalar_one()

    def held(self) -> dict[PersonId, dict[GuardedChange, datetime]]:
        """Return what is held now, by person, and when each change was requested."""
        held: dict[PersonId, dict[GuardedChange, datetime]] = {}
        for row in self._connection.execute(_present(self._tenant, Verdict.held).order_by(people.c.employee_number)):
            held.setdefault(PersonId(row.person_id), {})[GuardedChange(row.kind)] = row.said_at
        return held

    def release(self, whose: Collection[PersonId] | None = None) -> list[PersonId]:
        """Release and count what is held now, of all people or of some. The caller marks the returned people due."""
        return self._decide_held(Verdict.counted, whose)

    def drop(self, whose: Collection[PersonId] | None = None) -> list[PersonId]:
        """Withdraw what is held now, of all people or of some. The caller marks the returned people due."""
        return self._decide_held(Verdict.dropped, whose)

    def forget_before(self, moment: datetime, *, limit: int) -> int:
        """Remove older decisions that are about no person's present change, at most `limit`. Return how many."""
        is_present = (
            select(people.c.id)
            .where(people.c.tenant == guarded.c.tenant, people.c.id == guarded.c.person_id, _is_present())
            .exists()
        )
        old = (
            select(guarded.c.kind, guarded.c.person_id, guarded.c.said_at)
            .where(self._is_mine(), guarded.c.decided_at < moment, ~is_present)
            .limit(limit)
        )
        rows = self._connection.execute(old).all()
        for row in rows:
            self._connection.execute(
                delete(guarded).where(self._is(GuardedChange(row.kind), PersonId(row.person_id), row.said_at))
            )
        return len(rows)

    def _decide_held(self, verdict: Verdict, whose: Collection[PersonId] | None) -> list[PersonId]:
        rows = self._connection.execute(
            _present(self._tenant, Verdict.held).order_by(people.c.id).with_for_update(of=people)
        ).all()
        held = [row for row in rows if whose is None or row.person_id in whose]
        self.serialise()
        for row in held:
            self._connection.execute(
                update(guarded)
                .where(self._is(GuardedChange(row.kind), PersonId(row.person_id), row.said_at))
                .values(verdict=verdict, decided_at=self._now)
            )
        return list(dict.fromkeys(PersonId(row.person_id) for row in held))

    def _is_near(self, kind: GuardedChange, said_at: datetime) -> ColumnElement[bool]:
        return and_(
            self._is_mine(),
            guarded.c.kind == kind,
            guarded.c.verdict == Verdict.counted,
            guarded.c.said_at > said_at - HOUR,
            guarded.c.said_at < said_at + HOUR,
        )

    def _is(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> ColumnElement[bool]:
        return and_(
            self._is_mine(),
            guarded.c.kind == kind,
            guarded.c.person_id == person_id,
            guarded.c.said_at == said_at,
        )

    def _is_mine(self) -> ColumnElement[bool]:
        return guarded.c.tenant == self._tenant

    def _is_person(self, person_id: PersonId) -> ColumnElement[bool]:
        return and_(people.c.tenant == self._tenant, people.c.id == person_id)


def _is_present() -> ColumnElement[bool]:
    """Return a condition: whether a row is about a change that is still to be sent, and not about an earlier one."""
    return or_(*(and_(guarded.c.kind == kind, guarded.c.said_at == column) for kind, column in _SAID.items()))


def _present(tenant: str, *verdicts: Verdict) -> Any:
    """Select the rows of people's present changes."""
    return (
        select(guarded.c.kind, guarded.c.person_id, guarded.c.said_at, guarded.c.verdict)
        .join(people, and_(people.c.tenant == guarded.c.tenant, people.c.id == guarded.c.person_id))
        .where(guarded.c.tenant == tenant, guarded.c.verdict.in_(verdicts), _is_present())
    )


def held_or_dropped(s: Transaction, person_id: PersonId) -> Mapping[GuardedChange, Verdict]:
    """Return which of a person's present changes are held or dropped, by kind."""
    query = _present(s.tenant, Verdict.held, Verdict.dropped).where(guarded.c.person_id == person_id)
    return {GuardedChange(row.kind): Verdict(row.verdict) for row in s.connection.execute(query)}
