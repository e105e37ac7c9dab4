"""The table of what the guard on the live stream has counted, held and dropped (rule L8)."""

from sqlalchemy import Column, Index, Table, Text

from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.types import UtcDateTime, exact_text

guarded = Table(
    "guarded",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("kind", exact_text(), primary_key=True),
    Column("person_id", exact_text(), primary_key=True),
    # The occasion, and the moment by which it counts. It is the person's present one where `people` says the same.
    Column("said_at", UtcDateTime, primary_key=True),
    Column("verdict", exact_text(), nullable=False),
    # Figures and settings, for the operator; of what is held.
    Column("why", Text),
    Column("decided_at", UtcDateTime, nullable=False),
)
Index("ix_guarded_said_at", guarded.c.tenant, guarded.c.kind, guarded.c.said_at)
Index("ix_guarded_person", guarded.c.tenant, guarded.c.person_id)
Index("ix_guarded_decided_at", guarded.c.tenant, guarded.c.decided_at)
