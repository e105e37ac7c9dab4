"""The ledger: one line for each holder and certificate type, with the entry of each source (rules K1, K3)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from scim_bridge.domain.certificate import (
    AcknowledgedCertificate,
    Certificate,
    CertificateToSend,
    CertificateType,
    Entry,
    EntryId,
    Holder,
    HolderKind,
    Line,
    Source,
)
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import ClaimKind, PersonId
from scim_bridge.storage.engine import Repository
from scim_bridge.storage.prepared import Prepared, insert_if_absent
from scim_bridge.storage.tables import certificate_entries as entries
from scim_bridge.storage.tables import certificate_ledger as ledger
from scim_bridge.storage.tables import claims, people


@cache
def _lines_of(count: int) -> Prepared:
    """Return the statement that reads the lines of so many holders, by type."""
    theirs = [
        and_(ledger.c.holder_kind == bindparam(f"kind_{n}"), ledger.c.holder == bindparam(f"holder_{n}"))
        for n in range(count)
    ]
    return Prepared(select(ledger).where(ledger.c.tenant == bindparam("tenant"), or_(*theirs)).order_by(ledger.c.type))


LINE_UNDER_THEIR_NUMBER = Prepared(
    select(ledger.c.type)
    .join(
        people,
        and_(
            people.c.tenant == ledger.c.tenant,
            people.c.employee_number == ledger.c.holder,
            ledger.c.holder_kind == HolderKind.number,
        ),
    )
    .where(people.c.tenant == bindparam("tenant"), people.c.id == bindparam("person_id"))
    .limit(1)
)
"""Finds a certificate that came under the number of a person's employee."""


class CertificateDeliveries(Repository):
    """The deliveries of one tenant's certificates, within one transaction."""

    def begin(self, shipments: Sequence[CertificateToSend]) -> None:
        """Store what is about to be sent: if the answer is lost, Ditio may still have it (rule R4)."""
        self._update([(each.line, {"sending": each.certificate.issued}) for each in shipments])

    def acknowledge(self, shipments: Sequence[CertificateToSend]) -> None:
        """Store what Ditio accepted with a 2xx."""
        self._update(
            [
                (
                    each.line,
                    {
                        "acknowledged_at": self._now,
                        "acknowledged_under": each.employee_number,
                        "acknowledged_number": each.certificate.number,
                        "acknowledged_issued": each.certificate.issued,
                        "acknowledged_valid_until": each.certificate.valid_until,
                        "acknowledged_notes": each.certificate.notes,
                        "is_withdrawn": each.is_withdrawal,
                        "is_stale": False,
                        "sending": None,
                        "reason": None,
                        "detail": None,
                    },
                )
                for each in shipments
            ]
        )

    def refuse(self, shipments: Sequence[CertificateToSend], reason: Reason, detail: str, *, is_certain: bool) -> None:
        """Store why certificates are held or parked.

        :param is_certain: Whether Ditio has certainly not accepted them. If it refused several together, it may have
            accepted some.
        """
        held = {"reason": reason.value, "detail": detail}
        self._update(
            [(each.line, {**held, "sending": None if is_certain else each.certificate.issued}) for each in shipments]
        )

    def mark_stale(self, person_id: PersonId) -> None:
        """Mark all certificates of a person to be sent again, because the person returns (rule K2)."""
        self._s.later(_MARK_STALE, {"of_tenant": self._tenant, "person_id": person_id})

    def forgive_unclaimed(self) -> None:
        """Retry refused certificates of employee numbers without a person: no person can be made due for them."""
        self._connection.execute(
            update(ledger)
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.number,
                ledger.c.reason.is_not(None),
            )
            .values(reason=None, detail=None)
        )

    def forget(self, person_id: PersonId) -> None:
        """Remove the certificates of a person who is being removed."""
        for table in (entries, ledger):
            self._connection.execute(
                delete(table).where(
                    table.c.tenant == self._tenant,
                    table.c.holder_kind == HolderKind.person,
                    table.c.holder == person_id,
                )
            )

    def _update(self, changes: Sequence[tuple[Line, dict[str, object]]]) -> None:
        if not changes:
            return
        statement = update(ledger).where(
            ledger.c.tenant == self._tenant,
            ledger.c.holder_kind == bindparam("of_kind"),
            ledger.c.holder == bindparam("of_holder"),
            ledger.c.type == bindparam("of_type"),
        )
        rows = [{**_key(line.holder), "of_type": line.type, **values} for line, values in changes]
        self._connection.execute(statement.values({name: bindparam(name) for name in changes[0][1]}), rows)


def _key(holder: Holder) -> dict[str, object]:
    return {"of_kind": holder.kind.value, "of_holder": holder.value}


_MARK_STALE = Prepared(
    update(ledger)
    .where(
        ledger.c.tenant == bindparam("of_tenant"),
        ledger.c.holder_kind == HolderKind.person,
        ledger.c.holder == bindparam("person_id"),
        ledger.c.acknowledged_at.is_not(None),
    )
    .values(is_stale=True)
)


def counting(tenant: str) -> ColumnElement[bool]:
    """Return the condition for the winning entries of a tenant."""
    return and_(entries.c.tenant == tenant, entries.c.wins)


def entry_in(row: Row[Any]) -> Entry:
    """Return the entry of a row of `certificate_entries`."""
    return Entry(
        id=EntryId(row.id),
        holder=holder_in(row),
        source=Source(row.source),
        certificate=Certificate(CertificateType(row.type), row.issued, row.valid_until, row.number, row.notes),
        wins=row.wins,
        employee_number=EmployeeNumber(row.employee_number) if row.employee_number else None,
        version=row.version,
        created_at=row.created_at,
        last_modified_at=row.last_modified_at,
        external_id=row.external_id,
    )


def line_in(row: Row[Any], said: Iterable[Entry]) -> Line:
    """Return the line of a row of `certificate_ledger`."""
    return Line(
        holder=holder_in(row),
        type=CertificateType(row.type),
        entries=tuple(sorted(said, key=lambda entry: entry.source)),
        acknowledged=_acknowledged(row),
        sending=row.sending,
        reason=row.reason,
        detail=row.detail,
    )


def _acknowledged(row: Row[Any]) -> AcknowledgedCertificate | None:
    if row.acknowledged_at is None:
        return None
    return AcknowledgedCertificate(
        certificate=Certificate(
            CertificateType(row.type),
            row.acknowledged_issued,
            row.acknowledged_valid_until,
            row.acknowledged_number,
            row.acknowledged_notes,
        ),
        employee_number=EmployeeNumber(row.acknowledged_under),
        at=row.acknowledged_at,
        is_withdrawn=row.is_withdrawn,
        is_stale=row.is_stale,
    )


def holder_in(row: Row[Any]) -> Holder:
    """Return the holder of a row of either table."""
    return Holder(HolderKind(row.holder_kind), row.holder)


def values_of(entry: Entry) -> dict[str, object]:
    """Return the values of an entry that may change, by the names of the columns."""
    certificate = entry.certificate
    return {
        "holder_kind": entry.holder.kind,
        "holder": entry.holder.value,
        "type": certificate.type,
        "source": entry.source,
        "employee_number": entry.employee_number,
        "number": certificate.number,
        "issued": certificate.issued,
        "valid_until": certificate.valid_until,
        "notes": certificate.notes,
        "wins": entry.wins,
        "version": entry.version,
        "last_modified_at": entry.last_modified_at,
    }


_ACKNOWLEDGED = tuple(column for column in ledger.c if column.name.startswith(("acknowledged_", "is_")))


class Ledger(Repository):
    """The certificates of one tenant, within one transaction.

    Lock the person before changing a person's lines. The lines of an employee number without a person are locked by
    `open`.
    """

    def holder_of(self, number: EmployeeNumber, *, lock: bool = False) -> Holder:
        """Return the holder of a number's certificates: the linked person, locked if asked, or the number itself."""
        query = select(people.c.id).where(people.c.tenant == self._tenant, people.c.employee_number == number)
        found = self._connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
        return Holder.of_number(number) if found is None else Holder.of_person(PersonId(found))

    def lock(self, holder: Holder) -> None:
        """Lock the person who holds lines; the lines of a number without a person are locked by `open`."""
        if holder.person_id is not None:
            is_holder = and_(people.c.tenant == self._tenant, people.c.id == holder.value)
            self._connection.execute(select(people.c.id).where(is_holder).with_for_update())

    def open(self, holder: Holder, kind: CertificateType) -> Line:
        """Return the line of a holder and a type, locked until the transaction ends, and new if there was none."""
        key = {"tenant": self._tenant, "holder_kind": holder.kind, "holder": holder.value, "type": kind}
        while True:
            if insert_if_absent(self._connection, ledger, key):
                return Line(holder, kind)
            # Another transaction may just have assigned the line to a person: then the loop makes it again.
            query = select(ledger).where(self._of(ledger, holder), ledger.c.type == kind).with_for_update()
            row = self._connection.execute(query).first()
            if row is not None:
                return self._lines([row])[0]

    def close(self, holder: Holder, kind: CertificateType) -> None:
        """Remove a line if no source has an entry for it, and Ditio knows nothing of it."""
        said = select(entries.c.id).where(self._of(entries, holder), entries.c.type == kind)
        self._connection.execute(
            delete(ledger).where(
                self._of(ledger, holder),
                ledger.c.type == kind,
                ledger.c.acknowledged_at.is_(None),
                ledger.c.sending.is_(None),
                ~said.exists(),
            )
        )

    def lines(self, holder: Holder, *, lock: bool = False) -> list[Line]:
        """Return all lines of a holder, by type."""
        query = select(ledger).where(self._of(ledger, holder)).order_by(ledger.c.type)
        return self._lines(self._connection.execute(query.with_for_update() if lock else query).all())

    def lines_under(self, *holders: Holder) -> list[Line]:
        """Return all lines of several holders, by type."""
        return self._lines(self._rows_under(*holders))

    def has_lines(self, holder: Holder) -> bool:
        """Return whether a holder has any line."""
        return bool(self._rows_under(holder))

    def _rows_under(self, *holders: Holder) -> list[Any]:
        asked: dict[str, object] = {"tenant": self._tenant}
        for n, holder in enumerate(holders):
            asked |= {f"kind_{n}": holder.kind.value, f"holder_{n}": holder.value}
        (rows,) = self._s.answers([(_lines_of(len(holders)), asked)])
        return rows

    def lines_of(self, keys: Iterable[tuple[Holder, CertificateType]]) -> list[Line]:
        """Return the lines with these holders and types."""
        wanted = [(holder.kind.value, holder.value, kind) for holder, kind in keys]
        which = tuple_(ledger.c.holder_kind, ledger.c.holder, ledger.c.type).in_(wanted)
        query = select(ledger).where(ledger.c.tenant == self._tenant, which)
        return self._lines(self._connection.execute(query).all())

    def entry(self, entry_id: EntryId) -> Entry | None:
        """Return the entry of one source, by the id of the SCIM resource."""
        query = select(entries).where(self._is(entry_id))
        row = self._connection.execute(query).first()
        return entry_in(row) if row is not None else None

    def slots_of(self, person_id: PersonId) -> list[Entry]:
        """Return the entries that a person's user has in slots."""
        return self.slots_of_many([person_id]).get(person_id, [])

    def slots_of_many(self, person_ids: Sequence[PersonId]) -> dict[PersonId, list[Entry]]:
        """Return the same for several people."""
        theirs = and_(entries.c.holder_kind == HolderKind.person, entries.c.holder.in_(person_ids))
        query = select(entries).where(entries.c.tenant == self._tenant, theirs, entries.c.source == Source.slot)
        found: dict[PersonId, list[Entry]] = defaultdict(list)
        for entry in map(entry_in, self._connection.execute(query)):
            found[PersonId(entry.holder.value)].append(entry)
        return found

    def rival(self, number: EmployeeNumber, kind: CertificateType) -> Entry | None:
        """Return the winning entry of the person who claims this number and is not linked to an employee yet."""
        query = (
            select(entries)
            .join(claims, and_(claims.c.tenant == entries.c.tenant, claims.c.person_id == entries.c.holder))
            .where(
                entries.c.tenant == self._tenant,
                claims.c.kind == ClaimKind.employee_number,
                claims.c.value == number,
                entries.c.holder_kind == HolderKind.person,
                entries.c.type == kind,
                entries.c.wins,
            )
        )
        row = self._connection.execute(query).first()
        return entry_in(row) if row is not None else None

    def add(self, entry: Entry) -> None:
        """Store a new entry of a source."""
        self._connection.execute(
            insert(entries).values(tenant=self._tenant, id=entry.id, created_at=entry.created_at, **values_of(entry))
        )

    def replace(self, entry: Entry) -> None:
        """Store the new state of an entry, under the same id."""
        self._connection.execute(update(entries).where(self._is(entry.id)).values(**values_of(entry)))

    def remove(self, entry_id: EntryId) -> None:
        """Remove the entry of a source."""
        self._connection.execute(delete(entries).where(self._is(entry_id)))

    def set_winner(self, entry_id: EntryId, *, wins: bool) -> None:
        """Store whether an entry is the one that Ditio should have. Unset the previous winner first."""
        self._connection.execute(update(entries).where(self._is(entry_id)).values(wins=wins))

    def clear(self, line: Line) -> None:
        """Clear the reason why a line is held or parked, so that it is retried."""
        if line.reason is not None:
            mine = and_(self._of(ledger, line.holder), ledger.c.type == line.type)
            self._connection.execute(update(ledger).where(mine).values(reason=None, detail=None))

    def renumber(self, person_id: PersonId, number: EmployeeNumber) -> None:
        """Store a person's new number in their entries, for lists and filters."""
        mine = self._of(entries, Holder.of_person(person_id))
        is_other = or_(entries.c.employee_number.is_(None), entries.c.employee_number != number)
        self._s.later(update(entries).where(mine, is_other).values(employee_number=number))

    def inherit(self, line: Line, heir: Holder) -> None:
        """Move what Ditio acknowledged of a number's line to its heir, if that has nothing, and remove the line."""
        mine = and_(self._of(ledger, line.holder), ledger.c.type == line.type)
        row = self._connection.execute(select(*_ACKNOWLEDGED, ledger.c.sending).where(mine)).one()
        self._connection.execute(
            update(ledger)
            .where(self._of(ledger, heir), ledger.c.type == line.type, ledger.c.acknowledged_at.is_(None))
            .values(**row._mapping)
        )
        self._connection.execute(delete(ledger).where(mine))

    def _is(self, entry_id: EntryId) -> ColumnElement[bool]:
        return and_(entries.c.tenant == self._tenant, entries.c.id == entry_id)

    def _of(self, table: Table, holder: Holder) -> ColumnElement[bool]:
        return and_(table.c.tenant == self._tenant, table.c.holder_kind == holder.kind, table.c.holder == holder.value)

    def _lines(self, rows: Sequence[Row[Any]]) -> list[Line]:
        holders = {(row.holder_kind, row.holder) for row in rows}
        if not holders:
            return []
        query = select(entries).where(
            entries.c.tenant == self._tenant, tuple_(entries.c.holder_kind, entries.c.holder).in_(list(holders))
        )
        said: dict[tuple[Holder, CertificateType], list[Entry]] = defaultdict(list)
        for entry in map(entry_in, self._connection.execute(query)):
            said[entry.holder, entry.certificate.type].append(entry)
        return [line_in(row, said[holder_in(row), CertificateType(row.type)]) for row in rows]
