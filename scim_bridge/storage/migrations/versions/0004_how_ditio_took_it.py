"""How Ditio took the values that were sent: its own form of them, and the rounds (rules C2, C5)."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.add_column("acknowledged", sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True))
    for name in ("before", "shown", "form"):
        op.add_column("acknowledged", sa.Column(name, _json(), nullable=True))
    op.add_column(
        "acknowledged", sa.Column("is_confirmed", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.add_column("acknowledged", sa.Column("rounds", sa.Integer(), nullable=False, server_default=sa.text("0")))
