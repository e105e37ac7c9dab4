"""Since when a tenant's deliveries are paused by the operator (rule D4)."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema."""
    op.add_column("breakers", sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True))
