"""A row of `people` as values: a person, and how far his delivery has come."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from scim_bridge.domain.employee import Days, EmployeeNumber, Field
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import Acknowledged, Creating, HandsOff, Occasions, Person, PersonId
from scim_bridge.domain.values import UserId
from scim_bridge.storage.values import from_stored


@dataclass(frozen=True, slots=True)
class Record:
    """A person together with how far his delivery has come."""

    person: Person
    state: State
    reason: Reason | None
    detail: str | None
    revision: int
    attempts: int
    delivered_at: datetime | None
    state_since: datetime
    due_since: datetime | None
    due_at: datetime | None
    request_id: str | None
    lease: str | None
    leased_until: datetime | None
    external_id: str | None
    scope: dict[str, Any] | None = None
    """What a drift mark is about (rule Q3), as `storage/scopes.py` keeps it; None for whoever is due as a whole."""


def record_of(row: Row[Any], acknowledged: Acknowledged) -> Record:
    """A row of `people` as values."""
    return Record(
        person=Person(
            id=PersonId(row.id),
            user_id=UserId(row.user_id) if row.user_id else None,
            days=Days(
                active=row.active,
                active_since=row.active_since,
                inactive_since=row.inactive_since,
                leave=row.leave_date,
                leave_is_stale=row.leave_is_stale,
            ),
            employee_number=EmployeeNumber(row.employee_number) if row.employee_number else None,
            linked_at=row.linked_at,
            company_profile_id=row.company_profile_id,
            linked_as={
                Field(name): value
                for name, stored in (row.linked_as or {}).items()
                if (value := from_stored(stored)) is not None
            },
            doubted_at=row.doubted_at,
            creating=_creating(row.creating),
            renumbering=EmployeeNumber(row.renumbering) if row.renumbering else None,
            acknowledged=acknowledged,
            provisioned_on=row.provisioned_on,
            hands_off=HandsOff(row.hands_off_until) if row.hands_off else None,
            occasions=Occasions(
                ending=row.ending_said_at,
                is_announced=row.ending_is_announced,
                creation=row.creation_said_at,
                phone=row.phone_said_at,
                employee_number=row.employee_number_said_at,
            ),
        ),
        state=State(row.state),
        reason=Reason(row.reason) if row.reason else None,
        detail=row.detail,
        revision=row.revision,
        attempts=row.attempts,
        delivered_at=row.delivered_at,
        state_since=row.state_since,
        due_since=row.due_since,
        due_at=row.due_at,
        request_id=row.request_id,
        lease=row.lease,
        leased_until=row.leased_until,
        external_id=row.external_id,
        scope=row.scope,
    )


def _creating(stored: Any) -> Creating | None:
    if not stored:
        return None
    at = datetime.fromisoformat(stored["at"]) if stored.get("at") else None
    return Creating(EmployeeNumber(stored["employeeNumber"]), stored["phone"], stored.get("email"), at)


NOT_DUE: dict[str, object] = {"due_since": None, "due_at": None, "attempts": 0, "fails_alone": False}
"""The columns of the due mark, for a person whose delivery has come to its end."""


def days_columns(days: Days) -> dict[str, object]:
    return {
        "active": days.active,
        "active_since": days.active_since,
        "inactive_since": days.inactive_since,
        "leave_date": days.leave,
        "leave_is_stale": days.leave_is_stale,
    }


def occasion_columns(occasions: Occasions) -> dict[str, object]:
    """Occasions as columns."""
    return {
        "ending_said_at": occasions.ending,
        "ending_is_announced": occasions.is_announced,
        "creation_said_at": occasions.creation,
        "phone_said_at": occasions.phone,
        "employee_number_said_at": occasions.employee_number,
    }
