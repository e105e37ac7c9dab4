"""Clients of the token endpoint, their secrets, and the access tokens that they were given (design, section 10)."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _moment(name: str, *, nullable: bool) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "clients",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("last_used_at", nullable=True),
        _moment("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_clients"),
    )
    op.create_table(
        "client_secrets",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("secret_hash", _exact(), nullable=False),
        sa.Column("client_id", _exact(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("expires_at", nullable=True),
        _moment("last_used_at", nullable=True),
        _moment("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("tenant", "secret_hash", name="pk_client_secrets"),
    )
    op.create_index("ix_client_secrets_client", "client_secrets", ["tenant", "client_id"])
    op.create_table(
        "access_tokens",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("secret_hash", _exact(), nullable=False),
        sa.Column("client_id", _exact(), nullable=False),
        _moment("created_at", nullable=False),
        _moment("expires_at", nullable=False),
        sa.PrimaryKeyConstraint("tenant", "secret_hash", name="pk_access_tokens"),
    )
    op.create_index("ix_access_tokens_expires_at", "access_tokens", ["tenant", "expires_at"])
    op.create_index("ix_access_tokens_client", "access_tokens", ["tenant", "client_id"])
