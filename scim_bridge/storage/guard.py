"""What the guard on the live stream counts, holds and drops, and the occasions that it goes by (rule L8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, text, update

from scim_bridge.domain.person import HOUR, GuardedChange, PersonId, Verdict
from scim_bridge.storage.engine import insert_if_absent
from scim_bridge.storage.tables import guarded, people

_SAID = {
    GuardedChange.ending: people.c.ending_said_at,
    GuardedChange.creation: people.c.creation_said_at,
    GuardedChange.phone: people.c.phone_said_at,
    GuardedChange.employee_number: people.c.employee_number_said_at,
}


@dataclass(frozen=True, slots=True)
class GuardDecision:
    """What became of one change, and why."""

    verdict: Verdict
    why: str | None = None


class Guard:
    """The guard of one tenant, within one transaction. `now` is the database's clock."""

    def __init__(self, connection: Connection, tenant: str, now: datetime) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now

    def serialise(self) -> None:
        """See that nobody else of this tenant counts before this transaction ends.

        Lock people before this, never after it. SQLite's write transaction shuts everybody else out anyway.
        """
        if self._connection.dialect.name == "postgresql":
            digest = blake2b(f"guard:{self._tenant}".encode(), digest_size=8).digest()
            key = int.from_bytes(digest, "big", signed=True)
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    def note_occasion(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> None:
        """Keep when a change was said of which nobody noted it; what is noted stays."""
        column = _SAID[kind]
        self._connection.execute(
            update(people).where(self._is_person(person_id), column.is_(None)).values({column.name: said_at})
        )

    def settle_occasion(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> None:
        """Ditio has what was said then: nothing of it is still to be sent."""
        column = _SAID[kind]
        self._connection.execute(
            update(people).where(self._is_person(person_id), column == said_at).values({column.name: None})
        )

    def forgive(self, kind: GuardedChange, person_id: PersonId) -> None:
        """Nothing of the kind is owed any more: what was held or dropped of it is not."""
        held_or_dropped = guarded.c.verdict.in_([Verdict.held, Verdict.dropped])
        self._connection.execute(
            delete(guarded).where(
                self._is_mine(), guarded.c.kind == kind, guarded.c.person_id == person_id, held_or_dropped
            )
        )

    def decided(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> GuardDecision | None:
        """What became of a change before; None for one that never met the guard."""
        row = self._connection.execute(
            select(guarded.c.verdict, guarded.c.why).where(self._is(kind, person_id, said_at))
        ).first()
        return GuardDecision(Verdict(row.verdict), row.why) if row is not None else None

    def decide(self, kind: GuardedChange, person_id: PersonId, said_at: datetime, decided: GuardDecision) -> None:
        """Note what became of a change."""
        row = {"tenant": self._tenant, "kind": kind, "person_id": person_id, "said_at": said_at}
        values = {"verdict": decided.verdict, "why": decided.why, "decided_at": self._now}
        insert_if_absent(self._connection, guarded, {**row, **values})

    def uncount(self, kind: GuardedChange, person_id: PersonId, said_at: datetime) -> None:
        """One that was counted never came about, and is not owed any more."""
        self._connection.execute(delete(guarded).where(self._is(kind, person_id, said_at)))

    def how_many_around(self, kind: GuardedChange, said_at: datetime) -> int:
        """How many were counted less than an hour before or after a moment."""
        query = select(func.count()).select_from(guarded).where(self._is_near(kind, said_at))
        return self._connection.execute(query).scalar_one()

    def moments_around(self, kind: GuardedChange, said_at: datetime) -> list[datetime]:
        """When those were said."""
        return list(self._connection.execute(select(guarded.c.said_at).where(self._is_near(kind, said_at))).scalars())

    def at_work(self, since: datetime, *, most: int | None = None) -> int:
        """Linked people who are active, or were at that moment: those who ended since are among them.

        :param most: How many are enough to know; None to count all of them.
        """
        is_at_work = or_(people.c.ending_said_at.is_(None), people.c.ending_said_at > since)
        is_linked = and_(people.c.tenant == self._tenant, people.c.employee_number.is_not(None))
        some = select(people.c.id).where(is_linked, is_at_work).limit(most).subquery()
        return self._connection.execute(select(func.count()).select_from(some)).scalar_one()

    def release(self, person_id: PersonId | None = None) -> list[PersonId]:
        """Let through what is held now, of everybody or of one person; it counts. Whose; the caller marks them due."""
        return self._pass_sentence(Verdict.counted, person_id)

    def drop(self, person_id: PersonId | None = None) -> list[PersonId]:
        """Withdraw what is held now. Whose; the caller marks them due."""
        return self._pass_sentence(Verdict.dropped, person_id)

    def forget_before(self, moment: datetime, *, limit: int) -> int:
        """Remove what was decided earlier and is nobody's present change, at most so many rows. How many."""
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

    def _pass_sentence(self, verdict: Verdict, person_id: PersonId | None) -> list[PersonId]:
        of_one = people.c.id == person_id if person_id is not None else people.c.id.is_not(None)
        held = self._connection.execute(
            _present(self._tenant, Verdict.held).where(of_one).order_by(people.c.id).with_for_update(of=people)
        ).all()
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
    """Whether a row is about what the person still has to be sent, and not about an earlier occasion."""
    return or_(*(and_(guarded.c.kind == kind, guarded.c.said_at == column) for kind, column in _SAID.items()))


def _present(tenant: str, *verdicts: Verdict) -> Any:
    """Rows of people's present changes."""
    return (
        select(guarded.c.kind, guarded.c.person_id, guarded.c.said_at, guarded.c.verdict)
        .join(people, and_(people.c.tenant == guarded.c.tenant, people.c.id == guarded.c.person_id))
        .where(guarded.c.tenant == tenant, guarded.c.verdict.in_(verdicts), _is_present())
    )


def held_or_dropped(connection: Connection, tenant: str, person_id: PersonId) -> Mapping[GuardedChange, Verdict]:
    """What of a person's present changes is held or dropped, by kind."""
    query = _present(tenant, Verdict.held, Verdict.dropped).where(guarded.c.person_id == person_id)
    return {GuardedChange(row.kind): Verdict(row.verdict) for row in connection.execute(query)}
