"""The tables of `adopt`: what one run has found, while it runs."""

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text

from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.types import UtcDateTime, exact_text

adoption_runs = Table(
    "adoption_runs",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
)

adoption_pairs = Table(
    "adoption_pairs",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("run_id", exact_text(), primary_key=True),
    Column("person_id", exact_text(), primary_key=True),
    Column("employee_number", exact_text(), primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    # What they have in common; `skip` where an operator said that they are not one person.
    Column("by", exact_text(), nullable=False),
    # Why somebody has to decide; empty for an exact pair.
    Column("why", Text),
    Column("contends", Boolean, nullable=False),
)
Index(
    "ix_adoption_pairs_employee",
    adoption_pairs.c.tenant,
    adoption_pairs.c.run_id,
    adoption_pairs.c.employee_number,
)
