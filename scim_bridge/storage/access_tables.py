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

clients = Table(
    "clients",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("id", exact_text(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("secret_hash", exact_text(), primary_key=True),
    Column("client_id", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    # Tells which of several Entra has: a rotation ends only those before it.
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)
Index("ix_client_secrets_client", client_secrets.c.tenant, client_secrets.c.client_id)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("tenant", exact_text(), primary_key=True),
    Column("secret_hash", exact_text(), primary_key=True),
    # A client's id, or whom an assertion was about.
    Column("client_id", exact_text(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
Index("ix_access_tokens_expires_at", access_tokens.c.tenant, access_tokens.c.expires_at)
Index("ix_access_tokens_client", access_tokens.c.tenant, access_tokens.c.client_id)
