"""The guard on the live stream, and history by age (rule L8; `RETENTION__DAYS`)."""

from datetime import UTC, datetime, time, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SAID = ("ending_said_at", "creation_said_at", "phone_said_at", "employee_number_said_at")


def _exact() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _moment(name: str, *, nullable: bool) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Add to the schema."""
    op.create_table(
        "guarded",
        sa.Column("tenant", _exact(), nullable=False),
        sa.Column("kind", _exact(), nullable=False),
        sa.Column("person_id", _exact(), nullable=False),
        _moment("said_at", nullable=False),
        sa.Column("verdict", _exact(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        _moment("decided_at", nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kind", "person_id", "said_at", name="pk_guarded"),
    )
    op.create_index("ix_guarded_said_at", "guarded", ["tenant", "kind", "said_at"])
    op.create_index("ix_guarded_person", "guarded", ["tenant", "person_id"])
    op.create_index("ix_guarded_decided_at", "guarded", ["tenant", "decided_at"])
    op.create_index("ix_history_at", "history", ["tenant", "at"])
    for name in _SAID:
        op.add_column("people", _moment(name, nullable=True))
    _say_when_people_left()


def _say_when_people_left() -> None:
    """Who has left, or will on a known day, is not at work from then on: the guard's share is of those who are."""
    people = sa.table(
        "people",
        sa.column("tenant", sa.Text()),
        sa.column("id", sa.Text()),
        sa.column("active", sa.Boolean()),
        sa.column("leave_date", sa.Date()),
        sa.column("leave_is_stale", sa.Boolean()),
        sa.column("due_since", sa.DateTime(timezone=True)),
        sa.column("state_since", sa.DateTime(timezone=True)),
        sa.column("ending_said_at", sa.DateTime(timezone=True)),
    )
    connection = op.get_bind()
    connection.execute(
        sa.update(people)
        .where(sa.not_(people.c.active))
        .values(ending_said_at=sa.func.coalesce(people.c.due_since, people.c.state_since))
    )
    leaving = sa.select(people.c.tenant, people.c.id, people.c.leave_date).where(
        people.c.active, people.c.leave_date.is_not(None), sa.not_(people.c.leave_is_stale)
    )
    for row in connection.execute(leaving).all():
        # The company's time zone is a setting: midnight UTC is near enough for who left before the upgrade.
        over = datetime.combine(row.leave_date + timedelta(days=1), time(), UTC)
        connection.execute(
            sa.update(people).where(people.c.tenant == row.tenant, people.c.id == row.id).values(ending_said_at=over)
        )
