"""The first tables; the database refuses to change rows of the audit trail."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

# Databases that fourteen earlier steps made are here already.
revision = "0014"
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
        "access_tokens",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("secret_hash", _exact(), nullable=False),
        sa.Column("client_id", _exact(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("expires_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "secret_hash", name=op.f("pk_access_tokens")),
    )
    op.create_index("ix_access_tokens_client", "access_tokens", ["tenant", "client_id"], unique=False)
    op.create_index("ix_access_tokens_expires_at", "access_tokens", ["tenant", "expires_at"], unique=False)
    op.create_table(
        "acknowledged",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("field", _exact(), nullable=False),
        sa.Column("value", _json(), nullable=True),
        sa.Column("acknowledged_at", _instant(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("source", _exact(), nullable=True),
        sa.Column("taken_at", _instant(), nullable=True),
        sa.Column("before", _json(), nullable=True),
        sa.Column("shown", _json(), nullable=True),
        sa.Column("form", _json(), nullable=True),
        sa.Column("is_confirmed", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("rounds", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person_id", "field", name=op.f("pk_acknowledged")),
    )
    op.create_table(
        "adoption_pairs",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("run_id", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("by", _exact(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("contends", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run_id", "person_id", "employee_number", name=op.f("pk_adoption_pairs")),
    )
    op.create_index(
        "ix_adoption_pairs_employee", "adoption_pairs", ["tenant", "run_id", "employee_number"], unique=False
    )
    op.create_table(
        "adoption_permissions",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=False),
        sa.Column("user_name_key", _exact(), nullable=False),
        sa.Column("granted_at", _instant(), nullable=False),
        sa.Column("expires_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "employee_number", "user_name_key", name=op.f("pk_adoption_permissions")),
    )
    op.create_table(
        "adoption_runs",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("started_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_adoption_runs")),
    )
    op.create_table(
        "audit",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("actor", _exact(), nullable=False),
        sa.Column("actor_id", _exact(), nullable=True),
        sa.Column("action", _exact(), nullable=False),
        sa.Column("resource_type", _exact(), nullable=False),
        sa.Column("resource_id", _exact(), nullable=True),
        sa.Column("person_id", _exact(), nullable=True),
        sa.Column("attributes", _json(), nullable=True),
        sa.Column("detail", _exact(), nullable=True),
        sa.Column("request_id", _exact(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_audit")),
    )
    op.create_table(
        "breakers",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("opened_at", _instant(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("next_probe_at", _instant(), nullable=True),
        sa.Column("probes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("probe_person_id", _exact(), nullable=True),
        sa.Column("probe_lease", _exact(), nullable=True),
        sa.Column("suspects", _json(), nullable=True),
        sa.Column("on_trial", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("quiet_until", _instant(), nullable=True),
        sa.Column("paused_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_breakers")),
    )
    op.create_table(
        "certificate_entries",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("holder_kind", _exact(), nullable=False),
        sa.Column("holder", _exact(), nullable=False),
        sa.Column("type", _exact(), nullable=False),
        sa.Column("source", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("issued", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("wins", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("last_modified_at", _instant(), nullable=False),
        sa.Column("external_id", _exact(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_certificate_entries")),
    )
    op.create_index("ix_certificate_entries_number", "certificate_entries", ["tenant", "employee_number"], unique=False)
    op.create_index(
        "ix_certificate_entries_valid_until", "certificate_entries", ["tenant", "valid_until"], unique=False
    )
    op.create_index(
        "uq_certificate_entries_source",
        "certificate_entries",
        ["tenant", "holder_kind", "holder", "type", "source"],
        unique=True,
    )
    op.create_index(
        "uq_certificate_entries_winner",
        "certificate_entries",
        ["tenant", "holder_kind", "holder", "type"],
        unique=True,
        sqlite_where=sa.text("wins"),
        postgresql_where=sa.text("wins"),
    )
    op.create_table(
        "certificate_ledger",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("holder_kind", _exact(), nullable=False),
        sa.Column("holder", _exact(), nullable=False),
        sa.Column("type", _exact(), nullable=False),
        sa.Column("acknowledged_at", _instant(), nullable=True),
        sa.Column("acknowledged_under", _exact(), nullable=True),
        sa.Column("acknowledged_number", sa.Text(), nullable=True),
        sa.Column("acknowledged_issued", sa.Date(), nullable=True),
        sa.Column("acknowledged_valid_until", sa.Date(), nullable=True),
        sa.Column("acknowledged_notes", sa.Text(), nullable=True),
        sa.Column("is_withdrawn", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("is_stale", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("sending", sa.Date(), nullable=True),
        sa.Column("reason", _exact(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "holder_kind", "holder", "type", name=op.f("pk_certificate_ledger")),
    )
    op.create_index(
        "ix_certificate_ledger_acknowledged_at", "certificate_ledger", ["tenant", "acknowledged_at"], unique=False
    )
    op.create_table(
        "claim_waiters",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("value", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("reads_holder", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
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
        "client_secrets",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("secret_hash", _exact(), nullable=False),
        sa.Column("client_id", _exact(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("expires_at", _instant(), nullable=True),
        sa.Column("last_used_at", _instant(), nullable=True),
        sa.Column("revoked_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "secret_hash", name=op.f("pk_client_secrets")),
    )
    op.create_index("ix_client_secrets_client", "client_secrets", ["tenant", "client_id"], unique=False)
    op.create_table(
        "clients",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.Column("last_used_at", _instant(), nullable=True),
        sa.Column("revoked_at", _instant(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_clients")),
    )
    op.create_table(
        "guarded",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("said_at", _instant(), nullable=False),
        sa.Column("verdict", _exact(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("decided_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "person_id", "said_at", name=op.f("pk_guarded")),
    )
    op.create_index("ix_guarded_decided_at", "guarded", ["tenant", "decided_at"], unique=False)
    op.create_index("ix_guarded_person", "guarded", ["tenant", "person_id"], unique=False)
    op.create_index("ix_guarded_said_at", "guarded", ["tenant", "kind", "said_at"], unique=False)
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
    op.create_index("ix_history_at", "history", ["tenant", "at"], unique=False)
    op.create_index("ix_history_person", "history", ["tenant", "person_id", "at"], unique=False)
    op.create_table(
        "in_sync",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state_since", _instant(), nullable=False),
        sa.Column("digest", _exact(), nullable=False),
        sa.Column("basis", _exact(), nullable=False),
        sa.Column("is_at_work", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "person_id", name=op.f("pk_in_sync")),
    )
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
        sa.Column("leave_is_stale", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("provisioned_on", sa.Date(), nullable=True),
        sa.Column("wakes_on", sa.Date(), nullable=True),
        sa.Column("hands_off", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("hands_off_until", sa.Date(), nullable=True),
        sa.Column("ending_said_at", _instant(), nullable=True),
        sa.Column("creation_said_at", _instant(), nullable=True),
        sa.Column("phone_said_at", _instant(), nullable=True),
        sa.Column("employee_number_said_at", _instant(), nullable=True),
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
        sa.Column("scope", _json(), nullable=True),
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
    op.create_index(
        "ix_people_hands_off_until",
        "people",
        ["tenant", "hands_off_until"],
        unique=False,
        sqlite_where=sa.text("hands_off_until IS NOT NULL"),
        postgresql_where=sa.text("hands_off_until IS NOT NULL"),
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
        "plan_items",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("plan_id", _exact(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("cause", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=True),
        sa.Column("employee_number", _exact(), nullable=True),
        sa.Column("field", _exact(), nullable=True),
        sa.Column("listed", sa.Text(), nullable=True),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("wanted", _json(), nullable=True),
        sa.Column("found", _json(), nullable=True),
        sa.Column("acknowledged", _json(), nullable=True),
        sa.Column("is_blank", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "plan_id", "position", name=op.f("pk_plan_items")),
    )
    op.create_index("ix_plan_items_number", "plan_items", ["tenant", "plan_id", "employee_number"], unique=False)
    op.create_index("ix_plan_items_person", "plan_items", ["tenant", "person_id"], unique=False)
    op.create_table(
        "plan_outcomes",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("plan_id", _exact(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at", _instant(), nullable=False),
        sa.Column("skipped", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "plan_id", "position", name=op.f("pk_plan_outcomes")),
    )
    op.create_table(
        "quirks",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("name", _exact(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("first_seen", _instant(), nullable=False),
        sa.Column("last_seen", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", name=op.f("pk_quirks")),
    )
    op.create_table(
        "reconcile_runs",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("plan_id", _exact(), nullable=False),
        sa.Column("started_at", _instant(), nullable=False),
        sa.Column("finished_at", _instant(), nullable=True),
        sa.Column("exit", sa.Integer(), nullable=True),
        sa.Column("shown", sa.Integer(), nullable=True),
        sa.Column("is_believed", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("is_whole", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("linked", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("at_work", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("people", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("in_sync", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("by_kind", _json(), nullable=True),
        sa.Column("new", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("applied", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("stopped", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_reconcile_runs")),
    )
    op.create_index("ix_reconcile_runs_started", "reconcile_runs", ["tenant", "started_at"], unique=False)
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
        "schedules",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("task", _exact(), nullable=False),
        sa.Column("started_at", _instant(), nullable=True),
        sa.Column("alive_until", _instant(), nullable=True),
        sa.Column("holder", _exact(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "task", name=op.f("pk_schedules")),
    )
    op.create_table(
        "secrets",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("name", _exact(), nullable=False),
        sa.Column("value", _exact(), nullable=False),
        sa.Column("created_at", _instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "snapshot",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("run_id", _exact(), nullable=False),
        sa.Column("employee_number", _exact(), nullable=False),
        sa.Column("number_key", _exact(), nullable=False),
        sa.Column("phone_key", _exact(), nullable=True),
        sa.Column("email_key", _exact(), nullable=True),
        sa.Column("company", _exact(), nullable=True),
        sa.Column("shown", _exact(), nullable=False),
        sa.Column("digest", _exact(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "run_id", "employee_number", name=op.f("pk_snapshot")),
    )
    op.create_index("ix_snapshot_email_key", "snapshot", ["tenant", "run_id", "email_key"], unique=False)
    op.create_index("ix_snapshot_number_key", "snapshot", ["tenant", "run_id", "number_key"], unique=False)
    op.create_index("ix_snapshot_phone_key", "snapshot", ["tenant", "run_id", "phone_key"], unique=False)
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

    # Old rows are removed (`RETENTION__DAYS`), so DELETE stays possible.
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
