"""Drift marks: a person is due for some rows of a plan, and for nothing else (rule Q3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, null, or_, update

from scim_bridge.domain.drift import Drift
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.person_rows import NOT_DUE, Record
from scim_bridge.storage.plan_items import PlanItems
from scim_bridge.storage.tables import people


@dataclass(frozen=True, slots=True)
class Scope:
    """What a drift mark is about."""

    plan_id: str
    items: tuple[Drift, ...]
    """The rows as the plan saw them; those that were blanked since are missing."""

    positions: tuple[int, ...]
    state: State
    """The state before the mark: what else is held or parked stays so."""

    reason: Reason | None
    detail: str | None


class Scopes:
    """The drift marks of one tenant, within one transaction."""

    def __init__(self, connection: Connection, tenant: str, now: datetime) -> None:
        self._connection = connection
        self._tenant = tenant
        self._now = now

    def mark(self, record: Record, plan_id: str, items: Sequence[Drift], lease: str, seconds: float) -> bool:
        """Make a person due for these rows only, leased to the caller. Whether it was possible.

        Somebody who is due already, or whom Entra changed since, is never given a scope.
        """
        free = or_(people.c.leased_until.is_(None), people.c.leased_until <= self._now)
        scope = {
            "plan": plan_id,
            "rows": [item.position for item in items],
            "kinds": sorted({item.kind.value for item in items}),
            "fields": sorted({item.field for item in items if item.field}),
            "state": record.state.value,
            "reason": record.reason.value if record.reason else None,
            "detail": record.detail,
        }
        marked = self._connection.execute(
            update(people)
            .where(
                people.c.tenant == self._tenant,
                people.c.id == record.person.id,
                people.c.revision == record.revision,
                people.c.state != State.due,
                free,
            )
            .values(
                scope=scope,
                state=State.due,
                reason=None,
                detail=None,
                state_since=self._now,
                due_since=self._now,
                due_at=self._now,
                attempts=0,
                lease=lease,
                leased_until=self._now + timedelta(seconds=seconds),
            )
        )
        return marked.rowcount == 1

    def settle(
        self, person_id: PersonId, *, state: State, reason: Reason | None, detail: str | None, gives_back: bool
    ) -> None:
        """Take the mark away, say how far the person is now, and perhaps give the lease back."""
        self._connection.execute(
            update(people)
            .where(people.c.tenant == self._tenant, people.c.id == person_id)
            .values(
                scope=null(),
                state=state,
                reason=reason,
                detail=detail,
                state_since=self._now,
                **NOT_DUE,
                **({"lease": None, "leased_until": None} if gives_back else {}),
            )
        )


def scope_of(connection: Connection, tenant: str, stored: Mapping[str, Any]) -> Scope:
    """A stored scope, with the rows of its plan."""
    positions = tuple(int(place) for place in stored["rows"])
    return Scope(
        plan_id=stored["plan"],
        items=tuple(PlanItems(connection, tenant, stored["plan"]).of(positions)),
        positions=positions,
        state=State(stored["state"]),
        reason=Reason(stored["reason"]) if stored["reason"] else None,
        detail=stored["detail"],
    )
