"""The table of the breakers, one row for each tenant (rules R3, D2)."""

from sqlalchemy import Boolean, Column, Integer, Table, Text, text

from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.types import UtcDateTime, exact_text, json_column

breakers = Table(
    "breakers",
    metadata,
    # One row for each tenant, shared by all processes (rule D2).
    Column("tenant", exact_text(), primary_key=True),
    Column("opened_at", UtcDateTime),
    # For the operator; ids, no personal data.
    Column("why", Text),
    # The one person who is tried while it is open: his lease is the probe's.
    Column("next_probe_at", UtcDateTime),
    Column("probes", Integer, nullable=False, server_default=text("0")),
    Column("probe_person_id", exact_text()),
    Column("probe_lease", exact_text()),
    # Who has met a fault since a delivery last went well (rule R3).
    Column("suspects", json_column()),
    Column("on_trial", Boolean, nullable=False, server_default=text("false")),
    Column("quiet_until", UtcDateTime),
    # Since when the operator has nobody delivered (rule D4): read wherever the breaker is.
    Column("paused_at", UtcDateTime),
)
