"""The table of the audit trail. Rows are never changed: the databases refuse it (migration 0012)."""

from sqlalchemy import Column, Table

from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.types import UtcDateTime, exact_text, json_column

audit = Table(
    "audit",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    # Begins with the instant, so the key alone sorts, finds and ages the rows: one index for a write to keep.
    Column("id", exact_text(), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", exact_text(), nullable=False),
    Column("actor_id", exact_text()),
    Column("action", exact_text(), nullable=False),
    Column("resource_type", exact_text(), nullable=False),
    Column("resource_id", exact_text()),
    Column("person_id", exact_text()),
    # Names, never values.
    Column("attributes", json_column()),
    Column("detail", exact_text()),
    Column("request_id", exact_text()),
)
