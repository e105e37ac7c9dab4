"""No row of the audit trail is replaced; PostgreSQL never empties the table as a whole."""

from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema."""
    if op.get_bind().dialect.name == "sqlite":
        # INSERT OR REPLACE deletes the row that is in its way, and fires no trigger of UPDATE or DELETE. It may name
        # the key or the rowid; -1 stands for a rowid that SQLite chooses.
        op.execute(
            "CREATE TRIGGER audit_is_never_replaced BEFORE INSERT ON audit "
            "WHEN EXISTS (SELECT 1 FROM audit WHERE tenant = NEW.tenant AND id = NEW.id) "
            "OR (NEW.rowid <> -1 AND EXISTS (SELECT 1 FROM audit WHERE rowid = NEW.rowid)) "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )
        return
    # ON CONFLICT DO UPDATE and MERGE fire the trigger of UPDATE (migration 0012).
    op.execute(
        "CREATE TRIGGER audit_is_never_truncated BEFORE TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
    )
