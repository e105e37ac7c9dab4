"""A client's own ids of the certificates that it keeps in `/Certificates` (RFC 7643 §3.1): no part of what is said."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, update

from scim_bridge.domain.certificate import Entry
from scim_bridge.storage.certificate_tables import certificate_entries as entries


def with_external_id(
    connection: Connection, tenant: str, entry: Entry, external_id: str | None, *, version: int, now: datetime
) -> Entry:
    """Keep a client's id of an entry that was just written.

    :param version: The one that the entry has now; another than before, if the id alone changes.
    """
    values: dict[str, object] = {"external_id": external_id, "version": version}
    if version != entry.version:
        values |= {"last_modified_at": now}
    statement = update(entries).where(entries.c.tenant == tenant, entries.c.id == entry.id)
    connection.execute(statement.values(**values))
    return replace(
        entry,
        external_id=external_id,
        version=version,
        last_modified_at=entry.last_modified_at if version == entry.version else now,
    )
