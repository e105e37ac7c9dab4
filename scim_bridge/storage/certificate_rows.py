"""Rows of the ledger of certificates as values, and the other way round."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row

from scim_bridge.domain.certificate import (
    AcknowledgedCertificate,
    Certificate,
    CertificateType,
    Entry,
    EntryId,
    Holder,
    HolderKind,
    Line,
    Source,
)
from scim_bridge.domain.employee import EmployeeNumber


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
