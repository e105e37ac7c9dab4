"""Reconciliation: what Ditio showed, plans, what became of their rows, and drift marks (rules Q1-Q5)."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _json() -> sa.types.TypeEngine[Any]:
    return sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def _instant() -> sa.types.TypeEngine[Any]:
    return sa.DateTime(timezone=True)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), server_default=sa.text("false"), nullable=False)


def _count(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)


def upgrade() -> None:
    """Add to the schema."""
    op.add_column("people", sa.Column("scope", _json(), nullable=True))
    op.create_table(
        "reconcile_runs",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("id", _exact(), nullable=False),
        sa.Column("plan_id", _exact(), nullable=False),
        sa.Column("started_at", _instant(), nullable=False),
        sa.Column("finished_at", _instant(), nullable=True),
        sa.Column("exit", sa.Integer(), nullable=True),
        sa.Column("shown", sa.Integer(), nullable=True),
        _flag("is_believed"),
        _flag("is_whole"),
        _count("linked"),
        _count("at_work"),
        _count("people"),
        _count("in_sync"),
        sa.Column("by_kind", _json(), nullable=True),
        _count("new"),
        _count("applied"),
        sa.Column("stopped", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_reconcile_runs")),
    )
    op.create_index("ix_reconcile_runs_started", "reconcile_runs", ["tenant", "started_at"], unique=False)

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
        _flag("is_blank"),
        sa.PrimaryKeyConstraint("tenant", "plan_id", "position", name=op.f("pk_plan_items")),
    )
    op.create_index("ix_plan_items_person", "plan_items", ["tenant", "person_id"], unique=False)
    op.create_index("ix_plan_items_number", "plan_items", ["tenant", "plan_id", "employee_number"], unique=False)

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
    for name in ("number_key", "phone_key", "email_key"):
        op.create_index(f"ix_snapshot_{name}", "snapshot", ["tenant", "run_id", name], unique=False)

    op.create_table(
        "schedules",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("task", _exact(), nullable=False),
        sa.Column("started_at", _instant(), nullable=True),
        sa.Column("alive_until", _instant(), nullable=True),
        sa.Column("holder", _exact(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "task", name=op.f("pk_schedules")),
    )
