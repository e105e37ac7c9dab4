"""Entra's side, as Microsoft Graph shows it: the provisioning job."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0021"
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
