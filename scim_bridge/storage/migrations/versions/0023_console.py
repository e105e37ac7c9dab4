"""The console: who is signed in; and users are listed by department."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add to the schema. The rows stay as they are."""
    op.create_table(
        "console_sessions",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("secret_hash", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("role", _exact(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "secret_hash", name="pk_console_sessions"),
    )
    # An entry is short, because PostgreSQL refuses one beyond 2,704 bytes.
    if op.get_bind().dialect.name == "sqlite":
        beginning = f"""substr(json_extract("keys", '$."{_URN}"."department"'), 1, 200)"""
    else:
        beginning = f"substr(jsonb_extract_path_text(keys, '{_URN}', 'department'), 1, 200) COLLATE \"C\""
    op.execute(f"CREATE INDEX ix_resources_department ON resources (tenant, resource_type, {beginning}, user_name_key)")
