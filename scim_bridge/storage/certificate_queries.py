"""Queries on the ledger: outstanding certificates, entries of earlier CSV files, a client's own ids (rules K2, K3)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, null, or_, select, true, tuple_, update

from scim_bridge.domain.certificate import CertificateType, Entry, Holder, HolderKind, Source
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import ClaimKind, PersonId
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.ledger import entry_in
from scim_bridge.storage.tables import certificate_entries as entries
from scim_bridge.storage.tables import certificate_ledger as ledger
from scim_bridge.storage.tables import claims, people


def with_external_id(s: Transaction, entry: Entry, external_id: str | None, *, version: int) -> Entry:
    """Store a client's own id of an entry that was just written.

    :param version: The entry's version from now on. It is a new one if only the id changes.
    """
    values: dict[str, object] = {"external_id": external_id, "version": version}
    if version != entry.version:
        values |= {"last_modified_at": s.now}
    statement = update(entries).where(entries.c.tenant == s.tenant, entries.c.id == entry.id)
    s.connection.execute(statement.values(**values))
    return replace(
        entry,
        external_id=external_id,
        version=version,
        last_modified_at=entry.last_modified_at if version == entry.version else s.now,
    )


Pair = tuple[EmployeeNumber, CertificateType]


def said_in_files(s: Transaction, pairs: Iterable[Pair]) -> dict[Pair, Entry]:
    """Return the entries of CSV files for pairs of an employee number and a type."""
    query = select(entries).where(
        entries.c.tenant == s.tenant,
        entries.c.source == Source.csv,
        tuple_(entries.c.employee_number, entries.c.type).in_(list(pairs)),
    )
    found = [entry_in(row) for row in s.connection.execute(query)]
    return {(each.employee_number, each.certificate.type): each for each in found if each.employee_number is not None}


Key = tuple[Holder, CertificateType]

_WINNER = and_(
    entries.c.tenant == ledger.c.tenant,
    entries.c.holder_kind == ledger.c.holder_kind,
    entries.c.holder == ledger.c.holder,
    entries.c.type == ledger.c.type,
    entries.c.wins,
)
_OF_HOLDER = and_(people.c.tenant == ledger.c.tenant, people.c.id == ledger.c.holder)


class CertificateSearches(Repository):
    """Searches in one tenant's ledger, within one transaction. `plan` checks again what they find."""

    def __init__(self, s: Transaction, missing_expiry: date | None = None) -> None:
        super().__init__(s)
        """:param missing_expiry: The day that stands for a missing expiry date."""
        self._far = missing_expiry

    def outstanding_of(self, person_ids: Sequence[PersonId]) -> list[Key]:
        """Return the lines of linked people that Ditio has not acknowledged as they are."""
        query = (
            select(ledger.c.holder_kind, ledger.c.holder, ledger.c.type)
            .join(people, _OF_HOLDER)
            .join(entries, _WINNER, isouter=True)
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.person,
                ledger.c.holder.in_(person_ids),
                people.c.employee_number.is_not(None),
                self._may_be_outstanding(people.c.employee_number),
            )
        )
        return self._keys(query)

    def may_owe(self) -> ColumnElement[bool]:
        """Return a condition on rows of `people`: whether a linked person has such a line."""
        line = (
            select(literal(1))
            .select_from(ledger.join(entries, _WINNER, isouter=True))
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.person,
                ledger.c.holder == people.c.id,
                self._may_be_outstanding(people.c.employee_number),
            )
        )
        return line.correlate(people).exists()

    def unclaimed(self, after: tuple[str, str], limit: int, *, untried: bool = False) -> list[Key]:
        """Return the next such lines of employee numbers that no person is linked to.

        :param after: Number and type of the last line that was returned before.
        :param untried: Leave out the lines that Ditio refused.
        """
        query = (
            select(ledger.c.holder_kind, ledger.c.holder, ledger.c.type)
            .join(entries, _WINNER, isouter=True)
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.number,
                tuple_(ledger.c.holder, ledger.c.type) > tuple_(literal(after[0]), literal(after[1])),
                self._may_be_outstanding(ledger.c.holder),
                ~self._is_claimed(),
                ledger.c.reason.is_(None) if untried else true(),
            )
            .order_by(ledger.c.holder, ledger.c.type)
            .limit(limit)
        )
        return self._keys(query)

    def acknowledged_before(
        self, moment: datetime, after: tuple[str, str, str], limit: int, *, only: PersonId | None = None
    ) -> list[Key]:
        """Return the next lines that Ditio acknowledged before a moment, of delivered people and of unlinked numbers.

        :param after: Kind of holder, holder and type of the last line that was returned before.
        :param only: Only the lines of this person.
        """
        place = (ledger.c.holder_kind, ledger.c.holder, ledger.c.type)
        at_rest = and_(people.c.state == State.delivered, people.c.active)
        is_number = ledger.c.holder_kind == HolderKind.number
        which = or_(is_number, at_rest) if only is None else and_(at_rest, people.c.id == only)
        query = (
            select(*place)
            .join(people, _OF_HOLDER, isouter=True)
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.acknowledged_at <= moment,
                ledger.c.is_withdrawn.is_(False),
                tuple_(*place) > tuple_(*(literal(each) for each in after)),
                which,
            )
            .order_by(*place)
            .limit(limit)
        )
        return self._keys(query)

    def stranded(self, limit: int, today: date) -> list[PersonId]:
        """Return linked people at work whose number has lines that are not assigned to them yet (compare rule K2)."""
        has_left = and_(people.c.leave_date < today, people.c.leave_is_stale.is_(False))
        query = (
            select(people.c.id)
            .join(ledger, and_(ledger.c.tenant == people.c.tenant, ledger.c.holder == people.c.employee_number))
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.number,
                people.c.state == State.delivered,
                people.c.active,
                or_(people.c.leave_date.is_(None), ~has_left),
            )
            .limit(limit)
        )
        return [PersonId(row.id) for row in self._connection.execute(query)]

    def _is_claimed(self) -> ColumnElement[bool]:
        """Return whether a person has claimed the number: then its certificates wait for that person."""
        claimed = select(claims.c.person_id).where(
            claims.c.tenant == ledger.c.tenant,
            claims.c.kind == ClaimKind.employee_number,
            claims.c.value == ledger.c.holder,
        )
        return claimed.exists()

    def _may_be_outstanding(self, number: ColumnElement[Any]) -> ColumnElement[bool]:
        end = func.coalesce(entries.c.valid_until, self._far) if self._far is not None else entries.c.valid_until
        differs = or_(
            ledger.c.is_withdrawn,
            ledger.c.acknowledged_under.is_distinct_from(number),
            ledger.c.acknowledged_number.is_distinct_from(entries.c.number),
            ledger.c.acknowledged_issued.is_distinct_from(entries.c.issued),
            ledger.c.acknowledged_valid_until.is_distinct_from(end),
            ledger.c.acknowledged_notes.is_distinct_from(entries.c.notes),
            end.is_(null()),
        )
        return or_(
            ledger.c.acknowledged_at.is_(None),
            ledger.c.sending.is_not(None),
            ledger.c.is_stale,
            and_(entries.c.id.is_not(None), differs),
            and_(entries.c.id.is_(None), ledger.c.is_withdrawn.is_(False)),
        )

    def _keys(self, query: Select[Any]) -> list[Key]:
        return [
            (Holder(HolderKind(row.holder_kind), row.holder), CertificateType(row.type))
            for row in self._connection.execute(query)
        ]
