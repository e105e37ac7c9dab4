"""The history by time, for the charts: what Entra wrote, and the calls to Ditio."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema. The rows stay as they are."""
    counted = sa.text("(duration_ms IS NOT NULL OR (what >= 'user-' AND what < 'user.'))")
    op.create_index(
        "ix_history_activity",
        "history",
        ["tenant", "at", "what", "outcome"],
        sqlite_where=counted,
        postgresql_where=counted,
    )
