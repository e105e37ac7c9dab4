"""Claims: only one person at a time may have an employee number or a phone number (rule P3)."""

from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    literal,
    or_,
    select,
    union_all,
    update,
)

from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import Claim, ClaimKind, PersonId
from scim_bridge.storage.engine import Repository
from scim_bridge.storage.prepared import Prepared, insert_if_absent, inserting
from scim_bridge.storage.tables import claim_waiters, claims, people

# Built once, because every delivery reads both.
_HELD = Prepared(
    select(claims.c.kind, claims.c.value).where(
        claims.c.tenant == bindparam("tenant"), claims.c.person_id == bindparam("person_id")
    )
)


def _held_or_awaited(*, of_user: bool) -> Prepared:
    selects = []
    for table, is_held in ((claims, 1), (claim_waiters, 0)):
        query = select(table.c.kind, table.c.value, literal(is_held).label("is_held"))
        if of_user:
            same = and_(people.c.tenant == table.c.tenant, people.c.id == table.c.person_id)
            query = query.join_from(table, people, same).where(people.c.user_id == bindparam("user"))
        else:
            query = query.where(table.c.person_id == bindparam("person_id"))
        selects.append(query.where(table.c.tenant == bindparam("tenant")))
    return Prepared(union_all(*selects))


STANDING, STANDING_OF_USER = _held_or_awaited(of_user=False), _held_or_awaited(of_user=True)
"""The claims that a person has and awaits; by the person, and by their user."""

_holder = select(claims.c.person_id).where(
    claims.c.tenant == bindparam("tenant"),
    claims.c.kind == bindparam("of_kind", type_=claims.c.kind.type),
    claims.c.value == bindparam("claimed"),
)
_LOCKED_HOLDER, _HOLDER = Prepared(_holder.with_for_update(read=True)), Prepared(_holder)


@cache
def _take_free(dialect: str, count: int) -> Prepared:
    rows: list[dict[str, Any]] = [{name: bindparam(f"{name}_{each}") for name in _CLAIM} for each in range(count)]
    return Prepared(
        inserting(dialect, claims).values(rows).on_conflict_do_nothing().returning(claims.c.kind, claims.c.value)
    )


_CLAIM = ("tenant", "kind", "value", "person_id")


class Claims(Repository):
    """The claims of one tenant, within one transaction. The unique constraint decides who has a value."""

    def take(self, person_id: PersonId, claim: Claim, *, waits: bool = True) -> bool:
        """Claim a value. Return whether the person has it now; if not, they wait for it.

        :param waits: Whether they may be waiting for it already.
        """
        self._learned.clear()
        row = {"tenant": self._tenant, "kind": claim.kind, "value": claim.value, "person_id": person_id}
        while not insert_if_absent(self._connection, claims, row):
            insert_if_absent(self._connection, claim_waiters, row)
            waits = True
            # Locked, so that a holder who releases it sees this waiter. If it was just released, the loop tries again.
            holder = self.holder(claim, lock=True)
            if holder == person_id:
                break
            if holder is not None:
                return False
        if waits:
            self._connection.execute(delete(claim_waiters).where(self._waits(person_id, claim)))
        return True

    def take_free(self, person_id: PersonId, wanted: Iterable[Claim]) -> frozenset[Claim]:
        """Claim those of some values that no person has, in one statement. Return them; the person waits for none."""
        self._learned.clear()
        values: dict[str, object] = {}
        claimed = sorted(wanted, key=lambda each: each.kind)
        for number, claim in enumerate(claimed):
            row = (self._tenant, claim.kind, claim.value, person_id)
            values |= {f"{name}_{number}": value for name, value in zip(_CLAIM, row, strict=True)}
        if not claimed:
            return frozenset()
        taken = _take_free(self._s.dialect, len(claimed)).execute(self._connection, values)
        return frozenset(Claim(ClaimKind(kind), value) for kind, value in taken.fetchall())

    def give_back(self, person_id: PersonId, taken: Iterable[Claim]) -> None:
        """Release values that this transaction has just claimed, so no person waits for them yet."""
        self._learned.clear()
        for claim in taken:
            same = and_(claims.c.tenant == self._tenant, claims.c.kind == claim.kind, claims.c.value == claim.value)
            self._connection.execute(delete(claims).where(same, claims.c.person_id == person_id))

    def take_if_unwanted(self, person_id: PersonId, claim: Claim) -> bool:
        """Claim a value for a leaver: only if no other person has it or waits for it (rule L7)."""
        self._learned.clear()
        waiting = select(claim_waiters.c.person_id).where(
            claim_waiters.c.tenant == self._tenant,
            claim_waiters.c.kind == claim.kind,
            claim_waiters.c.value == claim.value,
            claim_waiters.c.person_id != person_id,
        )
        if self._connection.execute(waiting).first() is not None:
            return False
        row = {"tenant": self._tenant, "kind": claim.kind, "value": claim.value, "person_id": person_id}
        return insert_if_absent(self._connection, claims, row) or self.holder(claim) == person_id

    def holder(self, claim: Claim, *, lock: bool = False) -> PersonId | None:
        """Return the person who has a value, or None."""
        asked = {"tenant": self._tenant, "of_kind": claim.kind, "claimed": claim.value}
        found = (_LOCKED_HOLDER if lock else _HOLDER).first(self._connection, asked)
        return PersonId(found.person_id) if found is not None else None

    def standing_of(self, person_id: PersonId) -> tuple[frozenset[Claim], frozenset[Claim]]:
        """Return the claims that a person has, and those they wait for. Lock the person first to keep both stable."""
        rows = self._learned.get(person_id)
        if rows is None:
            rows = STANDING.all(self._connection, {"tenant": self._tenant, "person_id": person_id})
        held = frozenset(Claim(ClaimKind(row.kind), row.value) for row in rows if row.is_held)
        return held, frozenset(Claim(ClaimKind(row.kind), row.value) for row in rows if not row.is_held)

    def learn(self, person_id: PersonId, rows: Sequence[Any]) -> None:
        """Remember what one of these has found for a person, until this transaction changes a claim."""
        self._learned[person_id] = rows

    @cached_property
    def _learned(self) -> dict[PersonId, Sequence[Any]]:
        return {}

    def held_by(self, person_id: PersonId) -> frozenset[Claim]:
        """Return the claims that a person has."""
        if person_id in self._learned:
            return self.standing_of(person_id)[0]
        rows = _HELD.all(self._connection, {"tenant": self._tenant, "person_id": person_id})
        return frozenset(Claim(ClaimKind(row.kind), row.value) for row in rows)

    def awaited_by(self, person_id: PersonId) -> dict[Claim, PersonId | None]:
        """Return the claims that a person waits for, each with its holder; None if it has become free."""
        query = select(claim_waiters.c.kind, claim_waiters.c.value).where(
            claim_waiters.c.tenant == self._tenant, claim_waiters.c.person_id == person_id
        )
        awaited = [Claim(ClaimKind(row.kind), row.value) for row in self._connection.execute(query)]
        return {claim: self.holder(claim) for claim in awaited}

    def waiters_of(self, person_id: PersonId) -> dict[Claim, frozenset[PersonId]]:
        """Return who waits for each claim of this person; claims without waiters are left out."""
        query = (
            select(claims.c.kind, claims.c.value, claim_waiters.c.person_id)
            .join(
                claims,
                and_(
                    claims.c.tenant == claim_waiters.c.tenant,
                    claims.c.kind == claim_waiters.c.kind,
                    claims.c.value == claim_waiters.c.value,
                ),
            )
            .where(claims.c.tenant == self._tenant, claims.c.person_id == person_id)
        )
        found: dict[Claim, frozenset[PersonId]] = {}
        for row in self._connection.execute(query):
            claim = Claim(ClaimKind(row.kind), row.value)
            found[claim] = found.get(claim, frozenset()) | {PersonId(row.person_id)}
        return found

    def waiters_for(self, person_id: PersonId, kind: ClaimKind) -> frozenset[PersonId]:
        """Return the people who wait for a value of this kind that this person has."""
        found = self.waiters_of(person_id)
        return frozenset().union(*(waiters for claim, waiters in found.items() if claim.kind is kind))

    def keep_only(self, person_id: PersonId, kept: Iterable[Claim]) -> frozenset[PersonId]:
        """Release every claim except these. Return the people who waited for them: mark them due at once."""
        released = self.held_by(person_id) - frozenset(kept)
        if released:
            self._learned.clear()
        woken: set[PersonId] = set()
        for claim in released:
            same = and_(claims.c.tenant == self._tenant, claims.c.kind == claim.kind, claims.c.value == claim.value)
            self._connection.execute(delete(claims).where(same, claims.c.person_id == person_id))
            waiting = select(claim_waiters.c.person_id).where(
                claim_waiters.c.tenant == self._tenant,
                claim_waiters.c.kind == claim.kind,
                claim_waiters.c.value == claim.value,
            )
            woken.update(PersonId(row.person_id) for row in self._connection.execute(waiting))
        return frozenset(woken - {person_id})

    def wait_only_for(self, person_id: PersonId, wanted: Iterable[Claim]) -> None:
        """Stop waiting for all values except these."""
        self._learned.clear()
        still = [and_(claim_waiters.c.kind == c.kind, claim_waiters.c.value == c.value) for c in wanted]
        condition = [claim_waiters.c.tenant == self._tenant, claim_waiters.c.person_id == person_id]
        if still:
            condition.append(~or_(*still))
        self._connection.execute(delete(claim_waiters).where(*condition))

    def ask_for_a_look(self, person_ids: Select[Any]) -> None:
        """Request a holder check for these people: the holders are read in Ditio before the next attempt (rule P3)."""
        self._connection.execute(
            update(claim_waiters)
            .where(claim_waiters.c.tenant == self._tenant, claim_waiters.c.person_id.in_(person_ids))
            .values(reads_holder=True)
        )

    def to_look_at(self, person_id: PersonId) -> frozenset[Claim]:
        """Return the claims that a person waits for and whose holder has to be checked first."""
        query = select(claim_waiters.c.kind, claim_waiters.c.value).where(
            claim_waiters.c.tenant == self._tenant,
            claim_waiters.c.person_id == person_id,
            claim_waiters.c.reads_holder,
        )
        return frozenset(Claim(ClaimKind(row.kind), row.value) for row in self._connection.execute(query))

    def looked_at(self, person_id: PersonId, claim: Claim) -> None:
        """Note that the holder was checked."""
        self._connection.execute(update(claim_waiters).where(self._waits(person_id, claim)).values(reads_holder=False))

    def untold(self, person_ids: Iterable[PersonId], text: str) -> list[PersonId]:
        """Return those who are held for a claim and whose detail lacks this text; locked people are left out."""
        query = (
            select(people.c.id)
            .where(people.c.tenant == self._tenant, people.c.id.in_(list(person_ids)))
            .where(people.c.state == State.held, people.c.reason == Reason.claimed)
            .where(~people.c.detail.contains(text, autoescape=True))
            .with_for_update(skip_locked=True)
        )
        return [PersonId(row.id) for row in self._connection.execute(query)]

    def in_hand(self, person_ids: Iterable[PersonId]) -> list[PersonId]:
        """Return those of these people who are being delivered now: their delivery may use facts of a moment ago."""
        query = select(people.c.id).where(
            people.c.tenant == self._tenant,
            people.c.id.in_(list(person_ids)),
            people.c.state == State.due,
            people.c.lease.is_not(None),
        )
        return [PersonId(row.id) for row in self._connection.execute(query)]

    def _waits(self, person_id: PersonId, claim: Claim) -> ColumnElement[bool]:
        return and_(
            claim_waiters.c.tenant == self._tenant,
            claim_waiters.c.kind == claim.kind,
            claim_waiters.c.value == claim.value,
            claim_waiters.c.person_id == person_id,
        )
