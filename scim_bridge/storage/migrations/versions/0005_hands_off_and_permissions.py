"""People put aside (D6), holders to be looked at (P3), and permissions to adopt an employee (H1)."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.add_column("people", sa.Column("hands_off", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    op.add_column("people", sa.Column("hands_off_until", sa.Date(), nullable=True))
    op.create_index(
        "ix_people_hands_off_until",
        "people",
        ["tenant", "hands_off_until"],
        sqlite_where=sa.text("hands_off_until IS NOT NULL"),
        postgresql_where=sa.text("hands_off_until IS NOT NULL"),
    )
    op.add_column(
        "claim_waiters", sa.Column("reads_holder", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.create_table(
        "adoption_permissions",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=False),
        sa.Column("user_name_key", _exact(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "employee_number", "user_name_key", name=op.f("pk_adoption_permissions")),
    )
