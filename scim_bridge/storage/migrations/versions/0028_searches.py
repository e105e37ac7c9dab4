"""Searches of the console that read an index instead of all rows: names, and the rarer deeds of the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema. The rows stay as they are."""
    if op.get_bind().dialect.name == "sqlite":
        names = [f"""json_extract("keys", '$."name"."{name}"')""" for name in ("givenName", "familyName")]
        find = "instr"
    else:
        names = [
            f"jsonb_extract_path_text(keys, 'name', '{name}') COLLATE \"C\"" for name in ("givenName", "familyName")
        ]
        find = "strpos"
    is_other = " OR ".join(f"{find}(coalesce(display_name_key, ''), coalesce({name}, '')) = 0" for name in names)
    op.execute(
        f"CREATE INDEX ix_resources_other_names ON resources (tenant, resource_type, user_name_key) WHERE ({is_other})"
    )
    is_rare = sa.text("action NOT IN ('created', 'changed')")
    op.create_index(
        "ix_audit_rare", "audit", ["tenant", "action", "id"], sqlite_where=is_rare, postgresql_where=is_rare
    )
