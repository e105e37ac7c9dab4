"""What a CSV file said before: compared with its next lines, most of which say the same again."""

from collections.abc import Iterable

from sqlalchemy import Connection, select, tuple_

from scim_bridge.domain.certificate import CertificateType, Entry, Source
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.storage.certificate_rows import entry_in
from scim_bridge.storage.certificate_tables import certificate_entries as entries

Pair = tuple[EmployeeNumber, CertificateType]


def said_in_files(connection: Connection, tenant: str, pairs: Iterable[Pair]) -> dict[Pair, Entry]:
    """What files have said under some numbers of some types."""
    query = select(entries).where(
        entries.c.tenant == tenant,
        entries.c.source == Source.csv,
        tuple_(entries.c.employee_number, entries.c.type).in_(list(pairs)),
    )
    found = [entry_in(row) for row in connection.execute(query)]
    return {(each.employee_number, each.certificate.type): each for each in found if each.employee_number is not None}
