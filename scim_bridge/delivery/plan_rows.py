"""Deliver only some rows of a plan, while both sides are still as the plan saw them (rule Q3)."""

from dataclasses import replace

from scim_bridge.delivery.attempt import Attempt
from scim_bridge.delivery.certificates import deliver_certificates
from scim_bridge.delivery.create import create_employee
from scim_bridge.delivery.update import believed_now, carry_out, confirm_absence, update_employee
from scim_bridge.domain.drift import LOGIN, Drift, Kind
from scim_bridge.domain.employee import ActualEmployee, Field, Value
from scim_bridge.domain.outcome import Settled, State
from scim_bridge.domain.person import Acknowledged
from scim_bridge.domain.values import same
from scim_bridge.plan.drift import DriftFacts, as_shown, drift_of, only_rows
from scim_bridge.storage.database import Session
from scim_bridge.storage.guard import held_or_dropped
from scim_bridge.storage.plans import Scope

BLANKED = "its values were blanked: make a new plan"
STRANGER = "Ditio moved: the employee number belongs to another person now"
GONE = "Ditio moved: the employee is no longer in Ditio"
FOUND_ELSEWHERE = "Ditio moved: the employee has another number now"
FOUND_AGAIN = "Ditio moved: the employee is in Ditio again"
DITIO_MOVED = "Ditio moved: it shows something else now"
WANTED_ELSE = "something else is wanted now, by the settings or because a day has come: make a new plan"
ALREADY = "it is as wanted already"
NOT_TAKEN = "it did not settle: `outbox list` says why"


def deliver_rows(attempt: Attempt, scope: Scope) -> None:
    """Repair these rows, as far as they still hold, and note the outcome of each.

    :raises DeliveryError: as in any delivery; the rows are then tried again.
    """
    there = {item.position for item in scope.items}
    attempt.outcomes = {position: BLANKED for position in scope.positions if position not in there}
    missing = [item for item in scope.items if item.kind is Kind.missing]
    others = [item for item in scope.items if item.kind is not Kind.missing]
    for item in missing:
        _note(attempt, item, _create_again(attempt))
    if others:
        _repair(attempt, others)


def settle_rows(s: Session, attempt: Attempt, scope: Scope, outcome: Settled, *, moved_on: bool) -> None:
    """Store the outcomes of the rows, and restore the state that the person had before them.

    :param moved_on: Whether Entra sent a change meanwhile; the person is then due as a whole.
    """
    s.plan(scope.plan_id).settle(attempt.outcomes.items())
    if moved_on:
        return
    state, reason, detail = scope.state, scope.reason, scope.detail
    if outcome.reason is not None or _is_created(attempt, scope):
        state, reason, detail = outcome.state, outcome.reason, outcome.detail
    # A probe keeps its lease until the breaker knows its result.
    gives_back = not attempt.facts.is_probe
    s.scopes.settle(attempt.person.id, state=state, reason=reason, detail=detail, gives_back=gives_back)


def _repair(attempt: Attempt, items: list[Drift]) -> None:
    number = attempt.person.employee_number
    found = attempt.get(number) if number is not None and attempt.person.renumbering is None else None
    if found is None:
        attempt.outcomes |= {_place(item): GONE for item in items}
        return
    if not attempt.is_theirs(found):
        attempt.outcomes |= {_place(item): STRANGER for item in items}
        return
    found = believed_now(attempt, found)
    known = attempt.person
    now = drift_of(known, attempt.desired, found, attempt.tenant.policy, _facts(attempt), today=attempt.today)
    current = {(item.kind, item.field): item for item in now.items}
    kept: list[Drift] = []
    for item in items:
        reason = _why_moved(item, current.get((item.kind, item.field)), found)
        if reason is None:
            kept.append(item)
        else:
            _note(attempt, item, reason)
    if not kept:
        return
    attempt.person = as_shown(known, found)
    carry_out(attempt, found, only_rows(now.plan, tuple(kept)))
    settled = attempt.person.acknowledged
    for item in kept:
        _note(attempt, item, None if _is_settled(item, settled, attempt.person.employee_number) else NOT_TAKEN)


def _why_moved(item: Drift, now: Drift | None, found: ActualEmployee) -> str | None:
    if now is None:
        return ALREADY
    if not _same(item.field, item.found, now.found):
        return DITIO_MOVED
    return now.listed if _same(item.field, item.wanted, now.wanted) else WANTED_ELSE


def _is_settled(item: Drift, known: Acknowledged, number: str | None) -> bool:
    """Return whether Ditio accepted what the row wants."""
    if item.kind is Kind.field:
        acknowledged = number if item.field == Field.employee_number else known.values.get(Field(item.field or ""))
        return _same(item.field, item.wanted, acknowledged)
    wants_open = item.kind is Kind.should_be_active
    return (known.login if item.field == LOGIN else known.employed) is wants_open


def _create_again(attempt: Attempt) -> str | None:
    """Create an employee who is gone, or was never there. Return why it was skipped; None once it is done."""
    number = attempt.person.employee_number
    if number is not None:
        if attempt.get(number) is not None:
            return FOUND_AGAIN
        if confirm_absence(attempt, number):
            return FOUND_ELSEWHERE
        # Keep the claims, so that no other person gets the number meanwhile.
        with attempt.tenant.write() as s:
            s.unlink(attempt.person.id)
        attempt.person = replace(attempt.person, employee_number=None, linked_at=None, acknowledged=Acknowledged())
    found = create_employee(attempt)
    if found is not None:
        update_employee(attempt, found)
    deliver_certificates(attempt)  # A new employee has none (rule K2).
    return None if attempt.person.employee_number is not None else NOT_TAKEN


def _is_created(attempt: Attempt, scope: Scope) -> bool:
    created = {item.position for item in scope.items if item.kind is Kind.missing}
    return any(place in created and skipped is None for place, skipped in attempt.outcomes.items())


def _facts(attempt: Attempt) -> DriftFacts:
    """Return the facts for a comparison; the plan has decided the causes.

    Changes that were held or withdrawn since are not sent (rule L8).
    """
    with attempt.tenant.read() as s:
        since = held_or_dropped(s, attempt.person.id)
    return DriftFacts(State.delivered, None, attempt.facts.record.revision, None, None, held_or_dropped=since)


def _same(name: str | None, one: Value | None, other: Value | None) -> bool:
    if name is None or name == LOGIN:
        return one == other
    return same(Field(name), one, other)


def _note(attempt: Attempt, item: Drift, skipped: str | None) -> None:
    attempt.outcomes[_place(item)] = skipped


def _place(item: Drift) -> int:
    if item.position is None:
        raise AssertionError("a row of a stored plan has a position")
    return item.position
