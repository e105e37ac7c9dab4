"""Notices: what operators were told, and what is still to be sent."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "notices",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("key", _exact(), nullable=False),
        sa.Column("figure", _exact(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True)),
        sa.Column("over_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant", "kind", "key", name="pk_notices"),
    )
    op.create_table(
        "notice_messages",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("channel", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("message", _json(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", "channel", "id", name="pk_notice_messages"),
    )
