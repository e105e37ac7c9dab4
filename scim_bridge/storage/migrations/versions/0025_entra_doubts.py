"""Why the last read of Entra did not show as a whole who is assigned."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema."""
    op.add_column("entra_marks", sa.Column("doubts", sa.Text()))
