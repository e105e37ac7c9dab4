"""The ledger: one line for each holder and certificate type, with what each source says (rules K1, K3)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
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
from scim_bridge.storage.engine import insert_if_absent
from scim_bridge.storage.tables import certificate_entries as entries
from scim_bridge.storage.tables import certificate_ledger as ledger
from scim_bridge.storage.tables import claims, people


class CertificateDeliveries:
    """The deliveries of one tenant's certificates, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def begin(self, shipments: Sequence[CertificateToSend]) -> None:
        """Note what is about to be sent: should the answer be lost, Ditio may have it (rule R4)."""
        self._update([(each.line, {"sending": each.certificate.issued}) for each in shipments])

    def acknowledge(self, shipments: Sequence[CertificateToSend], now: datetime) -> None:
        """Note what Ditio took with a 2xx."""
        self._update(
            [
                (
                    each.line,
                    {
                        "acknowledged_at": now,
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
        """Note why certificates are held or parked.

        :param is_certain: Whether Ditio has certainly not taken them; of several that were refused together it may
            have taken some.
        """
        held = {"reason": reason.value, "detail": detail}
        self._update(
            [(each.line, {**held, "sending": None if is_certain else each.certificate.issued}) for each in shipments]
        )

    def mark_stale(self, person_id: PersonId) -> None:
        """All of a person's certificates are to be sent again: he comes back (rule K2)."""
        self._connection.execute(
            update(ledger)
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.person,
                ledger.c.holder == person_id,
                ledger.c.acknowledged_at.is_not(None),
            )
            .values(is_stale=True)
        )

    def forgive_unclaimed(self) -> None:
        """Try again what was refused of employees whom nobody is: there is nobody who could be made due."""
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
        """Remove the certificates of a person who is removed."""
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


def entry_in(row: Row[Any]) -> Entry:
    """The entry of a row of `certificate_entries`."""
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
    """The line of a row of `certificate_ledger`."""
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
    """The holder of a row of either table."""
    return Holder(HolderKind(row.holder_kind), row.holder)


def values_of(entry: Entry) -> dict[str, object]:
    """What of an entry may change, by the columns' names."""
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


class Ledger:
    """The certificates of one tenant, within one transaction.

    A person's lines belong to whoever has locked the person; those of a bare number are locked by `open`.
    """

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def holder_of(self, number: EmployeeNumber, *, lock: bool = False) -> Holder:
        """Whose certificates are said under a number: the linked person's, who is locked if asked, else nobody's."""
        query = select(people.c.id).where(people.c.tenant == self._tenant, people.c.employee_number == number)
        found = self._connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
        return Holder.of_number(number) if found is None else Holder.of_person(PersonId(found))

    def lock(self, holder: Holder) -> None:
        """Lock the person whose lines are looked at; the lines of a bare number are locked by `open`."""
        if holder.person_id is not None:
            is_he = and_(people.c.tenant == self._tenant, people.c.id == holder.value)
            self._connection.execute(select(people.c.id).where(is_he).with_for_update())

    def open(self, holder: Holder, kind: CertificateType) -> Line:
        """The line of a holder and a type, made if there is none, which nobody else changes until the end."""
        key = {"tenant": self._tenant, "holder_kind": holder.kind, "holder": holder.value, "type": kind}
        while True:
            if insert_if_absent(self._connection, ledger, key):
                return Line(holder, kind)
            # Somebody may have given it to a person just now: then it is made again.
            query = select(ledger).where(self._of(ledger, holder), ledger.c.type == kind).with_for_update()
            row = self._connection.execute(query).first()
            if row is not None:
                return self._lines([row])[0]

    def close(self, holder: Holder, kind: CertificateType) -> None:
        """Remove a line of which nobody says anything, and of which Ditio knows nothing."""
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
        """All lines of a holder, by type."""
        query = select(ledger).where(self._of(ledger, holder)).order_by(ledger.c.type)
        return self._lines(self._connection.execute(query.with_for_update() if lock else query).all())

    def lines_under(self, *holders: Holder) -> list[Line]:
        """All lines of several holders."""
        theirs = [(holder.kind.value, holder.value) for holder in holders]
        which = tuple_(ledger.c.holder_kind, ledger.c.holder).in_(theirs)
        query = select(ledger).where(ledger.c.tenant == self._tenant, which).order_by(ledger.c.type)
        return self._lines(self._connection.execute(query).all())

    def has_lines(self, holder: Holder) -> bool:
        """Whether there is a line of a holder."""
        return (
            self._connection.execute(select(ledger.c.type).where(self._of(ledger, holder)).limit(1)).first() is not None
        )

    def lines_of(self, keys: Iterable[tuple[Holder, CertificateType]]) -> list[Line]:
        """Some lines of many holders."""
        wanted = [(holder.kind.value, holder.value, kind) for holder, kind in keys]
        which = tuple_(ledger.c.holder_kind, ledger.c.holder, ledger.c.type).in_(wanted)
        query = select(ledger).where(ledger.c.tenant == self._tenant, which)
        return self._lines(self._connection.execute(query).all())

    def entry(self, entry_id: EntryId) -> Entry | None:
        """What one source says, by the id of the SCIM resource."""
        query = select(entries).where(self._is(entry_id))
        row = self._connection.execute(query).first()
        return entry_in(row) if row is not None else None

    def slots_of(self, person_id: PersonId) -> list[Entry]:
        """What a person's own user says in slots."""
        return self.slots_of_many([person_id]).get(person_id, [])

    def slots_of_many(self, person_ids: Sequence[PersonId]) -> dict[PersonId, list[Entry]]:
        """The same of several people."""
        theirs = and_(entries.c.holder_kind == HolderKind.person, entries.c.holder.in_(person_ids))
        query = select(entries).where(entries.c.tenant == self._tenant, theirs, entries.c.source == Source.slot)
        found: dict[PersonId, list[Entry]] = defaultdict(list)
        for entry in map(entry_in, self._connection.execute(query)):
            found[PersonId(entry.holder.value)].append(entry)
        return found

    def rival(self, number: EmployeeNumber, kind: CertificateType) -> Entry | None:
        """What counts for somebody who wants this number, and is not linked to an employee yet."""
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
        """Store what a source says for the first time."""
        self._connection.execute(
            insert(entries).values(tenant=self._tenant, id=entry.id, created_at=entry.created_at, **values_of(entry))
        )

    def replace(self, entry: Entry) -> None:
        """Store what a source says now, under the same id."""
        self._connection.execute(update(entries).where(self._is(entry.id)).values(**values_of(entry)))

    def remove(self, entry_id: EntryId) -> None:
        """A source says nothing any more."""
        self._connection.execute(delete(entries).where(self._is(entry_id)))

    def set_winner(self, entry_id: EntryId, *, wins: bool) -> None:
        """Say whether an entry is what Ditio is to have; the one before has to be dethroned first."""
        self._connection.execute(update(entries).where(self._is(entry_id)).values(wins=wins))

    def clear(self, line: Line) -> None:
        """What is held or parked of a line is to be tried again."""
        if line.reason is not None:
            mine = and_(self._of(ledger, line.holder), ledger.c.type == line.type)
            self._connection.execute(update(ledger).where(mine).values(reason=None, detail=None))

    def renumber(self, person_id: PersonId, number: EmployeeNumber) -> None:
        """A person has another number: what lists and filters show of his certificates."""
        mine = self._of(entries, Holder.of_person(person_id))
        is_other = or_(entries.c.employee_number.is_(None), entries.c.employee_number != number)
        self._connection.execute(update(entries).where(mine, is_other).values(employee_number=number))

    def inherit(self, line: Line, heir: Holder) -> None:
        """Give what Ditio acknowledged of a bare number's line to its heir, who has none of his own, and remove it."""
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
