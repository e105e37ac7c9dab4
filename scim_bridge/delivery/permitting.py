"""Whether a change may be sent: a new number or phone needs its claim, and a phone that is free (rules P3, P4)."""

from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.holders import wait_where_given_up_just_now
from scim_bridge.delivery.outcome import Note, Refusal
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.operations import ChangeEmployeeNumber, ChangePhoneNumber, Operation
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import Claim, ClaimKind
from scim_bridge.plan.matching import holders_of
from scim_bridge.storage.claims import Claims
from scim_bridge.storage.people import Permissions


def may_send(errand: Errand, operation: Operation, number: EmployeeNumber) -> bool:
    """A new number or phone needs its claim, and a phone nobody else in Ditio may have it (rules P3, P4)."""
    match operation:
        case ChangeEmployeeNumber(employee_number=wanted):
            return has_claim(errand, Claim(ClaimKind.employee_number, wanted))
        case ChangePhoneNumber(phone=phone):
            return has_claim(errand, Claim(ClaimKind.phone, phone)) and _phone_is_free(errand, phone, number)
        case _:
            return True


def has_claim(errand: Errand, claim: Claim) -> bool:
    """Return whether the person has this claim.

    A leaver takes it only now, and only if no other person wants it (rule L7); so does a person whose renumbering
    was sent, and took effect after Entra had named a third number (rule P6).
    """
    is_to_work = errand.person.days.wants_employment(errand.today)
    may_take = not is_to_work or claim.value == errand.person.renumbering

    def take(connection: Connection, _: datetime) -> bool:
        claims = Claims(connection, errand.tenant.name)
        if claims.holder(claim) == errand.person.id:
            return True
        return may_take and claims.take_if_unwanted(errand.person.id, claim)

    if errand.write(take):
        return True
    if is_to_work:
        return False  # The note that names the holder was written when the claim was asked for.
    text = f"{claim.kind} {claim.value} is another's, or wanted by another: a leaver keeps the old one"
    errand.notes.append(Note(text))
    return False


def is_permitted(errand: Errand, number: EmployeeNumber) -> bool:
    """Whether an operator said that this employee is this user (`adopt --accept`); linking uses that up."""
    with errand.database.read() as connection:
        now = errand.database.now(connection)
        return Permissions(connection, errand.tenant.name).allows(number, errand.user_name, now=now)


def _phone_is_free(errand: Errand, phone: str, number: EmployeeNumber) -> bool:
    for holder in holders_of(Field.phone, phone, errand.search(phone)):
        if holder.employee_number != number:
            wait_where_given_up_just_now(errand, Field.phone, holder, phone)
            why = f"phone {phone} belongs to employee {holder.employee_number} in Ditio"
            told = Refusal(why, "Correct it on either side", (Field.phone,), is_duplicate=True)
            kept = f"so employee {number} keeps the old one: correct it on either side, then run"
            errand.notes.append(Note(f"{why}, {kept} `scim-bridge outbox retry`.", Reason.refused, told))
            return False
    return True
