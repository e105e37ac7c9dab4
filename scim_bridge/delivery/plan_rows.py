"""Deliver only some rows of a plan, while both sides are still as the plan saw them (rule Q3)."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.attempt import Errand
from scim_bridge.delivery.certificates import deliver_certificates
from scim_bridge.delivery.create import hire
from scim_bridge.delivery.stale_claims import is_theirs
from scim_bridge.delivery.update import align, believed_now, carry_out, confirm_absence
from scim_bridge.domain.drift import LOGIN, Drift, Kind
from scim_bridge.domain.employee import Field, FoundEmployee, Value
from scim_bridge.domain.outcome import Settled, State
from scim_bridge.domain.person import Acknowledged
from scim_bridge.domain.values import same
from scim_bridge.plan.drift import Facts, as_shown, drift_of, restricted
from scim_bridge.storage.guard import kept_back
from scim_bridge.storage.people import People
from scim_bridge.storage.plans import PlanItems, Scope, Scopes

BLANKED = "its values were blanked: make a new plan"
STRANGER = "Ditio moved: the employee number belongs to another person now"
GONE = "Ditio moved: the employee is not found any more"
FOUND_ELSEWHERE = "Ditio moved: the person is there under another number"
FOUND_AGAIN = "Ditio moved: the employee is there again"
DITIO_MOVED = "Ditio moved: it shows something else now"
WANTED_ELSE = "something else is wanted now, by the settings or because a day has come: make a new plan"
ALREADY = "it is as wanted already"
NOT_TAKEN = "it did not settle: `outbox list` says why"


def bring_about_rows(errand: Errand, scope: Scope) -> None:
    """Send what these rows are about, as far as they still hold, and note what became of each.

    :raises DeliveryError: as any delivery does; the rows are tried again then.
    """
    there = {item.position for item in scope.items}
    errand.outcomes = {position: BLANKED for position in scope.positions if position not in there}
    missing = [item for item in scope.items if item.kind is Kind.missing]
    others = [item for item in scope.items if item.kind is not Kind.missing]
    for item in missing:
        _note(errand, item, _create_again(errand))
    if others:
        _repair(errand, others)


def settle_rows(
    connection: Connection, errand: Errand, scope: Scope, outcome: Settled, now: datetime, *, moved_on: bool
) -> None:
    """Note what became of the rows. What else was held or parked before is so again.

    :param moved_on: Whether Entra said something meanwhile; the person is then due as a whole.
    """
    name = errand.tenant.name
    PlanItems(connection, name, scope.plan_id).settle(errand.outcomes.items(), now)
    if moved_on:
        return
    state, reason, detail = scope.state, scope.reason, scope.detail
    if outcome.reason is not None or _is_created(errand, scope):
        state, reason, detail = outcome.state, outcome.reason, outcome.detail
    # The lease of a probe says that it is under way until the breaker has learned of it.
    gives_back = not errand.is_probe
    Scopes(connection, name, now).settle(
        errand.person.id, state=state, reason=reason, detail=detail, gives_back=gives_back
    )


def _repair(errand: Errand, items: list[Drift]) -> None:
    number = errand.person.employee_number
    found = errand.get(number) if number is not None and errand.person.renumbering is None else None
    if found is None:
        errand.outcomes |= {_place(item): GONE for item in items}
        return
    if not is_theirs(errand, found):
        errand.outcomes |= {_place(item): STRANGER for item in items}
        return
    found = believed_now(errand, found)
    known = errand.person
    now = drift_of(known, errand.wish, found, errand.tenant.policy, _facts(errand), today=errand.today)
    current = {(item.kind, item.field): item for item in now.items}
    kept: list[Drift] = []
    for item in items:
        reason = _why_moved(item, current.get((item.kind, item.field)), found)
        if reason is None:
            kept.append(item)
        else:
            _note(errand, item, reason)
    if not kept:
        return
    errand.person = as_shown(known, found)
    carry_out(errand, found, restricted(now.plan, tuple(kept)))
    settled = errand.person.acknowledged
    for item in kept:
        _note(errand, item, None if _is_settled(item, settled, errand.person.employee_number) else NOT_TAKEN)


def _why_moved(item: Drift, now: Drift | None, found: FoundEmployee) -> str | None:
    if now is None:
        return ALREADY
    if not _same(item.field, item.found, now.found):
        return DITIO_MOVED
    return now.listed if _same(item.field, item.wanted, now.wanted) else WANTED_ELSE


def _is_settled(item: Drift, known: Acknowledged, number: str | None) -> bool:
    """Whether Ditio took what the row wants."""
    if item.kind is Kind.field:
        acknowledged = number if item.field == Field.employee_number else known.values.get(Field(item.field or ""))
        return _same(item.field, item.wanted, acknowledged)
    wants_open = item.kind is Kind.should_be_active
    return (known.login if item.field == LOGIN else known.employed) is wants_open


def _create_again(errand: Errand) -> str | None:
    """Create an employee who was delivered and is gone, or was never there. None once it is done."""
    number = errand.person.employee_number
    if number is not None:
        if errand.get(number) is not None:
            return FOUND_AGAIN
        if confirm_absence(errand, number):
            return FOUND_ELSEWHERE
        # Nobody else may have the number meanwhile: the claims stay.
        with errand.database.write() as connection:
            People(connection, errand.tenant.name).unlink(errand.person.id)
        errand.person = replace(errand.person, employee_number=None, linked_at=None, acknowledged=Acknowledged())
    found = hire(errand)
    if found is not None:
        align(errand, found)
    deliver_certificates(errand)  # A new employee has none (rule K2).
    return None if errand.person.employee_number is not None else NOT_TAKEN


def _is_created(errand: Errand, scope: Scope) -> bool:
    created = {item.position for item in scope.items if item.kind is Kind.missing}
    return any(place in created and skipped is None for place, skipped in errand.outcomes.items())


def _facts(errand: Errand) -> Facts:
    """Enough to compare; causes were decided by the plan. What was held or withdrawn since is not sent (rule L8)."""
    with errand.database.read() as connection:
        since = kept_back(connection, errand.tenant.name, errand.person.id)
    return Facts(State.delivered, None, errand.revision, None, None, kept_back=since)


def _same(name: str | None, one: Value | None, other: Value | None) -> bool:
    if name is None or name == LOGIN:
        return one == other
    return same(Field(name), one, other)


def _note(errand: Errand, item: Drift, skipped: str | None) -> None:
    errand.outcomes[_place(item)] = skipped


def _place(item: Drift) -> int:
    if item.position is None:
        raise AssertionError("a row of a stored plan has a position")
    return item.position
