"""Pages of the console that read an index instead of a table: plans, types of certificates, and audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema. The rows stay as they are."""
    op.create_index(
        "ix_plan_items_order",
        "plan_items",
        ["tenant", "plan_id", "kind", "employee_number", "person_id", "position", "cause"],
    )
    listed = sa.text("(listed IS NOT NULL OR is_blank)")
    op.create_index(
        "ix_plan_items_listed",
        "plan_items",
        ["tenant", "plan_id", "kind"],
        sqlite_where=listed,
        postgresql_where=listed,
    )
    # The first index serves all that this one did.
    op.drop_index("ix_plan_items_number", "plan_items")
    wins = sa.text("wins")
    op.create_index(
        "ix_certificate_entries_type",
        "certificate_entries",
        ["tenant", "type"],
        sqlite_where=wins,
        postgresql_where=wins,
    )
    op.create_index("ix_audit_person", "audit", ["tenant", "person_id"])
