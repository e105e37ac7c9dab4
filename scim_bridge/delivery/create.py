"""A person without an employee: find, adopt or create one, never twice (rules H1-H3, P4, P6, R4)."""

from scim_bridge.delivery.acknowledge import acknowledge, begin_creating, store_creating
from scim_bridge.delivery.attempt import REREADS, Attempt, refusal
from scim_bridge.delivery.claims import ensure_claim, wait_where_given_up_just_now
from scim_bridge.delivery.guard import ask_guard
from scim_bridge.domain.employee import (
    REQUIRED,
    ActualEmployee,
    DesiredEmployee,
    EmployeeNumber,
    Field,
    Owner,
    Value,
    open_employment,
)
from scim_bridge.domain.operations import CreateEmployee
from scim_bridge.domain.outcome import Note, Reason, Refusal
from scim_bridge.domain.person import Claim, ClaimKind, Creating
from scim_bridge.domain.values import same
from scim_bridge.errors import DeliveryError, NotYet, OperationMissing, PermanentError, TransientError
from scim_bridge.plan.matching import agreeing_fields, holders_of, how_to_adopt, is_what_we_created, may_adopt, why_not
from scim_bridge.plan.readback import Write

NEEDED_AT_FIRST = (*REQUIRED, Field.start_date)
"""The fields that every new employee needs."""


def create_employee(attempt: Attempt) -> ActualEmployee | None:
    """Find or create the employee of a person who is to be employed.

    No earlier POST is known to have created one (see `find_created`).
    Return the employee that was found and linked, to be updated. Return None if there is nothing to compare: the
    employee was just created, or the person is held or parked, as the attempt's notes then say.
    """
    desired = attempt.desired
    if missing := desired.missing():
        attempt.notes += [Note(problem.message, Reason.incomplete) for problem in missing]
        return None
    if (number := desired.employee_number) is None:
        raise AssertionError("a complete desired employee has an employee number")
    _wait_for_certainty(attempt, number)
    found = attempt.get(number)
    if found is not None:
        return _adopt(attempt, found)
    if _is_another_employee(attempt, number):
        return None
    creating = attempt.person.creating
    # Ditio refuses a second employee with the same phone. With another phone it would create the person twice.
    if creating is not None and creating.phone != desired.text(Field.phone) and _has_moved(attempt):
        return None
    return _create(attempt, number)


def _wait_for_certainty(attempt: Attempt, number: EmployeeNumber) -> None:
    """Stop a creation under another number while Ditio may still have applied an earlier POST.

    :raises TransientError: it is too early to tell.
    """
    creating = attempt.person.creating
    if creating is None or creating.employee_number == number:
        return
    _search_for_created(attempt, creating)


def find_created(attempt: Attempt) -> ActualEmployee | None:
    """Return the employee that an earlier POST created whose answer was lost: ours, even if changed since."""
    creating = attempt.person.creating
    if creating is None:
        return None
    for number in _numbers(attempt, creating):
        found = next(filter(None, (attempt.get(number) for _ in range(REREADS))), None)
        if found is None or not is_what_we_created(creating, found):
            continue
        if not ensure_claim(attempt, Claim(ClaimKind.employee_number, number)):
            continue  # An employee is linked to at most one person (rule P2), and another has the claim to this one.
        values = _created_values(attempt.desired, creating, found)
        acknowledge(attempt, values, login=True, employed=True, link=number, employee=found)
        return found
    return None


def _numbers(attempt: Attempt, creating: Creating) -> list[EmployeeNumber]:
    """Return the stored number, and every number desired since. For a deleted user only claims show them (H2)."""
    with attempt.tenant.read() as s:
        claims, desired = s.claims, attempt.desired.employee_number
        claimed = {claim for claim in claims.held_by(attempt.person.id) if claim.kind is ClaimKind.employee_number}
        if desired is not None and claims.holder(Claim(ClaimKind.employee_number, desired)) is None:
            claimed.add(Claim(ClaimKind.employee_number, desired))
    others = sorted(claim.value for claim in claimed)
    return [EmployeeNumber(number) for number in dict.fromkeys((creating.employee_number, *others))]


def settle_absence(attempt: Attempt) -> None:
    """Settle a person who is not to be employed, and whose earlier POST made no employee: nothing to do (rule H2).

    :raises TransientError: a POST was sent so recently that finding no employee proves nothing.
    """
    creating = attempt.person.creating
    if creating is not None:
        if _has_moved(attempt):
            return
        store_creating(attempt, None)
    if not attempt.person.is_tombstone:
        why = "inactive in Entra" if not attempt.person.days.active else "the leave date has passed"
        attempt.notes.append(Note(f"{why}: no employee is created in Ditio"))


def _search_for_created(attempt: Attempt, creating: Creating) -> list[EmployeeNumber]:
    """Search by phone for the employee of an earlier POST, as a second witness after no read showed it (rule P5).

    Return the numbers of employees who seem to be the one that it created, and who now have another number.

    :raises NotYet: it is too early, or the search shows what the reads did not.
    """
    numbers = _numbers(attempt, creating)
    found = attempt.search(creating.phone) if _must_show(attempt, creating) else None
    if found is None or any(each.employee_number in numbers and is_what_we_created(creating, each) for each in found):
        raise NotYet("it is not certain yet whether Ditio applied an earlier creation")
    return [
        each.employee_number
        for each in found
        if is_what_we_created(creating, each) and not _is_linked(attempt, each.employee_number)
    ]


def _has_moved(attempt: Attempt) -> bool:
    """Return whether the employee of an earlier POST seems to have got another number by hand. A note says so (P6).

    :raises NotYet: it is too early to tell.
    """
    creating = attempt.person.creating
    moved = _search_for_created(attempt, creating) if creating is not None else []
    if creating is None or not moved:
        return False
    text = (
        f"the answer to creating employee {creating.employee_number} was lost, and Ditio now shows the same phone "
        f"with employee {' and '.join(moved)}. If they are one person, correct the number there or in Entra; "
        "if not, correct the phone. The person may still be active in Ditio"
    )
    attempt.notes.append(Note(f"{text}. Then run `scim-bridge outbox retry`.", Reason.gone))
    return True


def _is_linked(attempt: Attempt, number: EmployeeNumber) -> bool:
    """Return whether an employee is linked to a person already."""
    with attempt.tenant.read() as s:
        return s.people.linked_to(number) is not None


def _must_show(attempt: Attempt, creating: Creating) -> bool:
    """Return whether reads must show a POST by now: its lease has ended, and the lag of reads is over."""
    if creating.at is None:
        return True
    age = (attempt.now() - creating.at).total_seconds()
    return age > attempt.tenant.lease_seconds + attempt.tenant.read_lag_seconds


def _created_values(desired: DesiredEmployee, creating: Creating, found: ActualEmployee) -> dict[Field, Value | None]:
    """Return what that POST certainly set: what agrees now, and what was stored before it (so it can be cleared)."""
    stored: dict[Field, Value | None] = {Field.phone: creating.phone, Field.email: creating.email}
    given = {field: value for field, value in stored.items() if value and same(field, value, found.values.get(field))}
    current = open_employment(found.employments or ())
    start: dict[Field, Value | None] = {Field.start_date: current.start} if current is not None else {}
    return {**start, **given, **agreeing_fields(desired, found)}


def _adopt(attempt: Attempt, found: ActualEmployee) -> ActualEmployee | None:
    if not may_adopt(attempt.desired, found, attempt.tenant.adopt) and not attempt.is_permitted(found.employee_number):
        attempt.notes.append(_refused_link(attempt, found))
        return None
    agreed, number = agreeing_fields(attempt.desired, found), found.employee_number
    acknowledge(attempt, agreed, link=number, employee=found)
    return found


def _refused_link(attempt: Attempt, found: ActualEmployee) -> Note:
    """Return the note of a refused adoption, which names both sides and the cure, like a refusal by Ditio (H1)."""
    why, name = why_not(attempt.desired, found, attempt.facts.user_name), attempt.facts.user_name
    stored = how_to_adopt(found, name, then="the bridge then delivers the person")
    undone = how_to_adopt(found, name, then="Entra's next try uses it")
    told = Refusal(why, undone, (Field.employee_number,), is_duplicate=True)
    return Note(f"{why}. {stored}", Reason.refused, told)


def _is_another_employee(attempt: Attempt, number: EmployeeNumber) -> bool:
    """Return whether phone or e-mail belong to an employee with another number: then create no employee (rule P4).

    :raises NotYet: the search shows the number that the read did not show: one of the two is wrong (rule P5).
    """
    for field in (Field.phone, Field.email):
        value = attempt.desired.text(field)
        if value is None:
            continue
        for holder in holders_of(field, value, attempt.search(value)):
            if holder.employee_number == number:
                raise NotYet(f"Ditio contradicts itself: a read shows no employee {number}, but a search does")
            wait_where_given_up_just_now(attempt, field, holder, value)
            attempt.notes.append(_taken(field, value, holder, number))
            return True
    return False


def _taken(field: Field, value: str, holder: ActualEmployee, number: EmployeeNumber) -> Note:
    if holder.employee_number:
        why = f"{field} {value} belongs to employee {holder.employee_number} in Ditio"
        number_cure = f"set the employee number in Entra to {holder.employee_number} (or correct it in Ditio)"
    else:
        why = f"{field} {value} belongs to an employee without a number in Ditio"
        number_cure = f"give that employee the number {number} in Ditio"
    why = f"{why}, so employee {number} was not created"
    cure = f"If they are one person, {number_cure}; if not, correct the {field} on either side"
    told = Refusal(why, cure, (field,), is_duplicate=True)
    return Note(f"{why}. {cure}. Then run `scim-bridge outbox retry`.", Reason.refused, told)


def _create(attempt: Attempt, number: EmployeeNumber) -> ActualEmployee | None:
    desired, earlier = attempt.desired, attempt.person.creating
    phone = desired.text(Field.phone)
    if phone is None:
        raise AssertionError("a complete desired employee has a phone number")
    fields = _given(attempt)
    operation = CreateEmployee(number, fields)
    if not ask_guard(attempt, operation):
        return None
    try:
        # The stored time starts the wait in which Ditio may still apply the POST.
        creating = Creating(number, phone, desired.text(Field.email))
        attempt.posted = creating
        after = attempt.send(operation, number, store=begin_creating(attempt, creating))
    except PermanentError as error:
        attempt.posted = None
        return _refused(attempt, error, operation, earlier)
    except DeliveryError as error:
        if not (isinstance(error, TransientError) and error.ambiguous):
            attempt.posted = None
            store_creating(attempt, earlier)  # Ditio certainly did not apply it: no new doubt.
        if isinstance(error, OperationMissing) and (earlier is None or _must_show(attempt, earlier)):
            # Only a setting can cure this, so waiting does not help. No employee exists yet to be read (rule R1).
            attempt.notes.append(Note(str(error), Reason.no_operation))
            return None
        raise
    write = Write(after=after)
    acknowledge(attempt, fields, login=True, employed=True, link=number, employee=attempt.last_shown, write=write)
    attempt.mark_answered()
    return None


def _given(attempt: Attempt) -> dict[Field, Value]:
    """Return the fields of a new employee: Ditio's own fields only if every employee needs them (rule H5)."""
    owners = attempt.tenant.policy.owners
    return {
        field: value
        for field, value in attempt.desired.values.items()
        if field is not Field.end_date and (field in NEEDED_AT_FIRST or owners.get(field) is not Owner.ditio)
    }


def _refused(
    attempt: Attempt, error: PermanentError, operation: CreateEmployee, earlier: Creating | None
) -> ActualEmployee | None:
    """Read again before a refused POST is believed: the duplicate may be our own, applied late (rule R4).

    :param earlier: A POST before this one that was never answered. No refusal is believed until reads must show it.
    """
    created = find_created(attempt)
    if created is not None:
        return created
    is_believed = earlier is None or _must_show(attempt, earlier)
    store_creating(attempt, None if is_believed else earlier)
    if not is_believed:
        raise NotYet(f"Ditio never answered an earlier creation, and refused this one ({error.words})")
    attempt.notes.append(refusal(error, operation))
    return None
