"""The tables of who is let in, and of what only the server knows (design, section 10)."""

from sqlalchemy import Column, Index, Table, Text

from scim_bridge.storage.metadata import metadata
from scim_bridge.storage.types import UtcDateTime, exact_text

tokens = Table(
    "tokens",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)
Index("uq_tokens_secret_hash", tokens.c.secret_hash, unique=True)

secrets = Table(
    "secrets",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("name", exact_text(), primary_key=True),
    # Random, made once, the same for all processes; it never leaves the server.
    Column("value", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
