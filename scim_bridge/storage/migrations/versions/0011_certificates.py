"""Certificates: what each source says, and what Ditio acknowledged (rule K1)."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _exact(), nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "certificate_entries",
        _text("tenant"),
        _text("id"),
        _text("holder_kind"),
        _text("holder"),
        _text("type"),
        _text("source"),
        _text("employee_number", nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("issued", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("wins", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _moment("created_at"),
        _moment("last_modified_at"),
        _text("external_id", nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_certificate_entries"),
    )
    line = ["tenant", "holder_kind", "holder", "type"]
    op.create_index("uq_certificate_entries_source", "certificate_entries", [*line, "source"], unique=True)
    op.create_index(
        "uq_certificate_entries_winner",
        "certificate_entries",
        line,
        unique=True,
        sqlite_where=sa.text("wins"),
        postgresql_where=sa.text("wins"),
    )
    op.create_index("ix_certificate_entries_number", "certificate_entries", ["tenant", "employee_number"])
    op.create_index("ix_certificate_entries_valid_until", "certificate_entries", ["tenant", "valid_until"])
    op.create_table(
        "certificate_ledger",
        _text("tenant"),
        _text("holder_kind"),
        _text("holder"),
        _text("type"),
        _moment("acknowledged_at", nullable=True),
        _text("acknowledged_under", nullable=True),
        sa.Column("acknowledged_number", sa.Text(), nullable=True),
        sa.Column("acknowledged_issued", sa.Date(), nullable=True),
        sa.Column("acknowledged_valid_until", sa.Date(), nullable=True),
        sa.Column("acknowledged_notes", sa.Text(), nullable=True),
        sa.Column("is_withdrawn", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("is_stale", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("sending", sa.Date(), nullable=True),
        _text("reason", nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(*line, name="pk_certificate_ledger"),
    )
    op.create_index("ix_certificate_ledger_acknowledged_at", "certificate_ledger", ["tenant", "acknowledged_at"])
