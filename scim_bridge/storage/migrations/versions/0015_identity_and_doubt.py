"""Who an employee was when they were linked, and since when the outcome of a write is in doubt (rules P5, C5)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema."""
    exact = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("people", sa.Column("company_profile_id", exact, nullable=True))
    op.add_column("people", sa.Column("linked_as", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True))
    op.add_column("people", sa.Column("doubted_at", sa.DateTime(timezone=True), nullable=True))
