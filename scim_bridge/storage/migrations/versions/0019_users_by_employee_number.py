"""Users are found by their employee number in an index."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def upgrade() -> None:
    """Add to the schema. The rows stay as they are."""
    # An entry is short, because PostgreSQL refuses one beyond 2,704 bytes.
    if op.get_bind().dialect.name == "sqlite":
        beginning = f"""substr(json_extract("keys", '$."{_URN}"."employeeNumber"'), 1, 200)"""
    else:
        beginning = f"substr(jsonb_extract_path_text(keys, '{_URN}', 'employeeNumber'), 1, 200) COLLATE \"C\""
    op.execute(f"CREATE INDEX ix_resources_employee_number ON resources (tenant, resource_type, {beginning})")
