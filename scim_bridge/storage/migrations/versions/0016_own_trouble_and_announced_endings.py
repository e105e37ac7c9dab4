"""People whose trouble is their own (R3), and leave dates that are known a day before they pass (L8)."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the schema."""
    for name in ("fails_alone", "ending_is_announced"):
        op.add_column("people", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.text("false")))
    _announce_leave_dates()


def _announce_leave_dates() -> None:
    """Leave dates that lie ahead are known already: they pass at least a day from now, in any time zone."""
    people = sa.table(
        "people",
        sa.column("active", sa.Boolean()),
        sa.column("leave_date", sa.Date()),
        sa.column("leave_is_stale", sa.Boolean()),
        sa.column("ending_is_announced", sa.Boolean()),
    )
    known = datetime.now(UTC).date() + timedelta(days=2)
    ahead = sa.and_(people.c.active, sa.not_(people.c.leave_is_stale), people.c.leave_date >= known)
    op.get_bind().execute(sa.update(people).where(ahead).values(ending_is_announced=True))
