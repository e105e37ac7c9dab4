"""Writes that Entra was told 400 or 409 for, and the user names of deleted users, so that operators find both."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0019"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "refused_writes",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("subject", _exact(), nullable=False),
        sa.Column("user_id", _exact()),
        sa.Column("external_id", _exact()),
        sa.Column("user_name", sa.Text()),
        sa.Column("user_name_key", _exact()),
        sa.Column("employee_number", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("scim_type", _exact()),
        sa.Column("detail", sa.Text()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", _exact()),
        sa.PrimaryKeyConstraint("tenant", "subject", name="pk_refused_writes"),
    )
    op.add_column("people", sa.Column("deleted_user_name", sa.Text()))
