"""People whose trouble is their own, so that their faults are no witness against Ditio (R3)."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema."""
    op.add_column("people", sa.Column("fails_alone", sa.Boolean(), nullable=False, server_default=sa.text("false")))
