"""The tables of certificates: what each source says, and what Ditio acknowledged (rule K1)."""

from sqlalchemy import Boolean, Column, Date, Index, Integer, Table, Text, text

from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.types import UtcDateTime, exact_text

certificate_entries = Table(
    "certificate_entries",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    # The id of the SCIM resource, whatever the way in.
    Column("id", exact_text(), primary_key=True),
    # `person` and his id, or `employee-number` and a number that nobody is linked to.
    Column("holder_kind", exact_text(), nullable=False),
    Column("holder", exact_text(), nullable=False),
    Column("type", exact_text(), nullable=False),
    Column("source", exact_text(), nullable=False),
    # The number that the holder has, as far as it is known: what lists and filters show.
    Column("employee_number", exact_text()),
    Column("number", Text),
    Column("issued", Date, nullable=False),
    # Empty where no end was said.
    Column("valid_until", Date),
    Column("notes", Text),
    # Whether this is what Ditio is to have.
    Column("wins", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_modified_at", UtcDateTime, nullable=False),
    # The client's own id of it: `/Certificates` alone has one (RFC 7643 §3.1).
    Column("external_id", exact_text()),
)
_line = (certificate_entries.c.tenant, certificate_entries.c.holder_kind, certificate_entries.c.holder)
Index("uq_certificate_entries_source", *_line, certificate_entries.c.type, certificate_entries.c.source, unique=True)
Index(
    "uq_certificate_entries_winner",
    *_line,
    certificate_entries.c.type,
    unique=True,
    sqlite_where=certificate_entries.c.wins,
    postgresql_where=certificate_entries.c.wins,
)
Index("ix_certificate_entries_number", certificate_entries.c.tenant, certificate_entries.c.employee_number)
Index("ix_certificate_entries_valid_until", certificate_entries.c.tenant, certificate_entries.c.valid_until)

certificate_ledger = Table(
    "certificate_ledger",
    metadata,
    # One line for each holder and type; there as long as a source says something, or Ditio has it.
    Column("tenant", exact_text(), primary_key=True),
    Column("holder_kind", exact_text(), primary_key=True),
    Column("holder", exact_text(), primary_key=True),
    Column("type", exact_text(), primary_key=True),
    # What Ditio took with a 2xx, when, and under which employee number; empty before that.
    Column("acknowledged_at", UtcDateTime),
    Column("acknowledged_under", exact_text()),
    Column("acknowledged_number", Text),
    Column("acknowledged_issued", Date),
    Column("acknowledged_valid_until", Date),
    Column("acknowledged_notes", Text),
    # Whether that was a withdrawal (rule K5), and whether all of it has to be sent again (rule K2).
    Column("is_withdrawn", Boolean, nullable=False, server_default=text("false")),
    Column("is_stale", Boolean, nullable=False, server_default=text("false")),
    # When the certificate was issued that was about to be POSTed, until its outcome is known (rule R4).
    Column("sending", Date),
    # Held or parked, with Ditio's words.
    Column("reason", exact_text()),
    Column("detail", Text),
)
Index("ix_certificate_ledger_acknowledged_at", certificate_ledger.c.tenant, certificate_ledger.c.acknowledged_at)
