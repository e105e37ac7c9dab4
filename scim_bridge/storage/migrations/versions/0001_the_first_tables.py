"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _instant() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "acknowledged",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("field", _exact(), nullable=False),
        sa.Column("value", _json(), nullable=True),
        sa.Column("acknowledged_at", _instant(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("source", _exact(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "person_id", "field", name=op.f("pk_acknowledged")),
    )
    op.create_table(
        "claim_waiters",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("value", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "value", "person_id", name=op.f("pk_claim_waiters")),
    )
    op.create_index("ix_claim_waiters_person", "claim_waiters", ["tenant", "person_id"], unique=False)

    op.create_table(
        "claims",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("value", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "value", name=op.f("pk_claims")),
    )
    op.create_index("ix_claims_person", "claims", ["tenant", "person_id"], unique=False)

    op.create_table(
        "history",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("what", _exact(), nullable=False),
        sa.Column("cause", _exact(), nullable=True),
        sa.Column("outcome", _exact(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("request_id", _exact(), nullable=True),
        sa.Column("ditio_request_id", _exact(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_history")),
    )
    op.create_index("ix_history_person", "history", ["tenant", "person_id", "at"], unique=False)

    op.create_table(
        "people",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("user_id", _exact(), nullable=True),
        sa.Column("external_id", _exact(), nullable=True),
        sa.Column("employee_number", _exact(), nullable=True),
        sa.Column("linked_at", _instant(), nullable=True),
        sa.Column("creating", _json(), nullable=True),
        sa.Column("renumbering", _exact(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("active_since", sa.Date(), nullable=True),
        sa.Column("inactive_since", sa.Date(), nullable=True),
        sa.Column("leave_date", sa.Date(), nullable=True),
        sa.Column("leave_is_stale", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("provisioned_on", sa.Date(), nullable=True),
        sa.Column("wakes_on", sa.Date(), nullable=True),
        sa.Column("state", _exact(), nullable=False),
        sa.Column("reason", _exact(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("state_since", _instant(), nullable=False),
        sa.Column("delivered_at", _instant(), nullable=True),
        sa.Column("due_since", _instant(), nullable=True),
        sa.Column("due_at", _instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("revision", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("request_id", _exact(), nullable=True),
        sa.Column("lease", _exact(), nullable=True),
        sa.Column("leased_until", _instant(), nullable=True),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("deleted_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_people")),
    )
    op.create_index(
        "ix_people_due",
        "people",
        ["tenant", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'due'"),
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_index("ix_people_state", "people", ["tenant", "state", "reason"], unique=False)
    op.create_index(
        "ix_people_wakes_on",
        "people",
        ["tenant", "wakes_on"],
        unique=False,
        sqlite_where=sa.text("wakes_on IS NOT NULL"),
        postgresql_where=sa.text("wakes_on IS NOT NULL"),
    )
    op.create_index("uq_people_employee", "people", ["tenant", "employee_number"], unique=True)
    op.create_index("uq_people_user", "people", ["tenant", "user_id"], unique=True)

    op.create_table(
        "resources",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("resource_type", _exact(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("keys", _json(), nullable=False),
        sa.Column("user_name_key", _exact(), nullable=True),
        sa.Column("external_id_key", _exact(), nullable=True),
        sa.Column("work_email_key", _exact(), nullable=True),
        sa.Column("display_name_key", _exact(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("last_modified_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_resources")),
    )
    op.create_index(
        "ix_resources_display_name_key", "resources", ["tenant", "resource_type", "display_name_key"], unique=False
    )
    op.create_index(
        "ix_resources_external_id_key", "resources", ["tenant", "resource_type", "external_id_key"], unique=False
    )
    op.create_index("ix_resources_type", "resources", ["tenant", "resource_type", "id"], unique=False)
    op.create_index(
        "ix_resources_work_email_key", "resources", ["tenant", "resource_type", "work_email_key"], unique=False
    )
    op.create_index(
        "uq_resources_user_name",
        "resources",
        ["tenant", "resource_type", "user_name_key"],
        unique=True,
        sqlite_where=sa.text("user_name_key IS NOT NULL"),
        postgresql_where=sa.text("user_name_key IS NOT NULL"),
    )

    op.create_table(
        "tokens",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", _exact(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("expires_at", _instant(), nullable=True),
        sa.Column("last_used_at", _instant(), nullable=True),
        sa.Column("revoked_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_tokens")),
    )
    op.create_index("uq_tokens_secret_hash", "tokens", ["secret_hash"], unique=True)
