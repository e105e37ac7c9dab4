"""What `adopt` finds, while it runs: users and employees who seem to be the same."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "adoption_runs",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_adoption_runs"),
    )
    op.create_table(
        "adoption_pairs",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("run_id", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("by", _exact(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("contends", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run_id", "person_id", "employee_number", name="pk_adoption_pairs"),
    )
    op.create_index("ix_adoption_pairs_employee", "adoption_pairs", ["tenant", "run_id", "employee_number"])
