"""Why the rows of a plan are not repaired any more: what became of their person since it was made (rule Q3)."""

from collections.abc import Iterable

from sqlalchemy import Connection

from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.outcome import State
from scim_bridge.storage.history import said_since
from scim_bridge.storage.people import Record
from scim_bridge.storage.runs import Runs

ENTRA_MOVED = "Entra moved: it said something since the plan was made"
CREATED = "it is as wanted already: the employee was created or linked since the plan was made"
DELIVERED = "he was delivered since the plan was made: the next run tells what differs still"
TRIED = "he was tried since the plan was made: `outbox list` says what keeps it"


def what_happened(connection: Connection, tenant: str, plan_id: str, record: Record, rows: Iterable[Drift]) -> str:
    """What is told of rows whose person was due since the plan was made.

    By a write of Entra's, or by the end of a pause, a retry, a day that came.
    """
    person = record.person
    was_never_there = all(row.kind is Kind.missing and row.acknowledged is None for row in rows)
    if was_never_there and person.employee_number is not None:
        return CREATED
    plan = Runs(connection, tenant).get(plan_id)
    if plan is None or said_since(connection, tenant, person.id, plan.started_at):
        return ENTRA_MOVED
    return DELIVERED if record.state is State.delivered else TRIED
