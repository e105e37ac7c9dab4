"""Entra's side, as Microsoft Graph shows it: the provisioning job, users, assignments, and what differs."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "entra_jobs",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", _exact(), nullable=False),
        sa.Column("quarantined_since", sa.DateTime(timezone=True)),
        sa.Column("escrowed", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("tenant", name="pk_entra_jobs"),
    )
    op.create_table(
        "entra_people",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("object_id", _exact(), nullable=False),
        sa.Column("enabled", sa.Boolean()),
        sa.Column("passes_filter", sa.Boolean()),
        sa.Column("removed", _exact()),
        sa.Column("removed_on", sa.Date()),
        sa.Column("hashes", sa.Text(), nullable=False),
        sa.Column("read_id", _exact(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "object_id", name="pk_entra_people"),
    )
    op.create_table(
        "entra_assignments",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("object_id", _exact(), nullable=False),
        sa.Column("via", _exact(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("is_nested", sa.Boolean(), nullable=False),
        sa.Column("read_id", _exact(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "object_id", "via", name="pk_entra_assignments"),
    )
    op.create_table(
        "entra_marks",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("read_id", _exact(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("basis", _exact(), nullable=False),
        sa.Column("delta_link", sa.Text()),
        sa.Column("users", sa.Integer(), nullable=False),
        sa.Column("assigned", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_entra_marks"),
    )
    op.create_table(
        "entra_findings",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("subject", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("field", _exact(), nullable=False),
        sa.Column("cause", _exact(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("read_id", _exact(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "subject", "kind", "field", name="pk_entra_findings"),
    )
