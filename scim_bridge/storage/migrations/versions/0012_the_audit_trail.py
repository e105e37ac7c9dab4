"""Who did what to whom (design, section 10): a table whose rows nobody changes, the database's own word for it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "audit",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", _exact(), nullable=False),
        sa.Column("actor_id", _exact(), nullable=True),
        sa.Column("action", _exact(), nullable=False),
        sa.Column("resource_type", _exact(), nullable=False),
        sa.Column("resource_id", _exact(), nullable=True),
        sa.Column("person_id", _exact(), nullable=True),
        sa.Column("attributes", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=True),
        sa.Column("detail", _exact(), nullable=True),
        sa.Column("request_id", _exact(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_audit"),
    )
    # Rows that are too old are removed (`RETENTION__DAYS`), so DELETE stays possible.
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_is_append_only BEFORE UPDATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )
