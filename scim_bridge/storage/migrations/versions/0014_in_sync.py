"""Who was found in sync, so that the next comparison looks at whoever has moved since."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "in_sync",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", _exact(), nullable=False),
        sa.Column("basis", _exact(), nullable=False),
        sa.Column("is_at_work", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person_id", name="pk_in_sync"),
    )
