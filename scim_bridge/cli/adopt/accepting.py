"""`adopt --accept`: an operator says which user an employee of Ditio's is (rule H1)."""

from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.cli.adopt.usage import wrong
from scim_bridge.cli.auditing import note
from scim_bridge.cli.context import Options
from scim_bridge.delivery.tenant import wish_of
from scim_bridge.domain.audit import Action, Deed
from scim_bridge.domain.delivery_state import Reason
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import BridgeError
from scim_bridge.mapping.rules import Rules
from scim_bridge.mapping.values import Unusable, value_of
from scim_bridge.storage.database import Database, repeated
from scim_bridge.storage.documents import document_of
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, user_names
from scim_bridge.storage.permissions import Permissions
from scim_bridge.storage.person_rows import Record


def accept(options: Options, database: Database, tenant: str, rules: Rules, number: str, user_name: str) -> str:
    """Record a one-time permission, and make a stored person due. What became of it, in words.

    :raises BridgeError: it would be of no use; nothing was recorded.
    """
    usable, name = _number(number, rules), user_name.strip()
    if not name:
        wrong("an empty user name")

    def work() -> str:
        with database.write() as connection:
            now = database.now(connection)
            person_id, said = _accept(connection, tenant, usable, name, rules, now)
            note(options, connection, tenant, Deed(Action.accepted, "employee", usable, person_id), now=now)
        return said

    return repeated(work)


def _number(text: str, rules: Rules) -> EmployeeNumber:
    value = value_of(Field.employee_number, text, rules)
    if isinstance(value, Unusable) or not value:
        why = value.why if isinstance(value, Unusable) else "it is empty"
        wrong(f"the employee number can't be used: {why}")
    return EmployeeNumber(str(value))


def _accept(
    connection: Connection, tenant: str, number: EmployeeNumber, user_name: str, rules: Rules, now: datetime
) -> tuple[PersonId | None, str]:
    """Record it. Whose person it is, where there is one, and what is said of it. :raises BridgeError: of no use."""
    people = People(connection, tenant)
    record = people.of_user_name(user_name)
    linked = people.linked_to(number)
    if linked is not None and (record is None or linked.person.id != record.person.id):
        raise BridgeError(f"employee {number} is {_name(connection, tenant, linked)} already: nothing was recorded")
    if record is not None and (why := _why_not(connection, tenant, record, number, rules, now)):
        raise BridgeError(f"{user_name} {why}: nothing was recorded")
    until = Permissions(connection, tenant).grant(number, user_name, now=now)
    said = f"recorded: {user_name} may take employee {number}, once, until {until:%Y-%m-%d}"
    if record is None:
        return None, f"{said}; no user of that name is stored now: Entra's next try to create him uses it"
    Outbox(connection, tenant, now).mark_due(record.person.id)
    History(connection, tenant, now).add(record.person.id, Entry("adopt-accepted", "done", cause="operator"))
    return record.person.id, f"{said}; the person is due"


def _why_not(
    connection: Connection, tenant: str, record: Record, number: EmployeeNumber, rules: Rules, now: datetime
) -> str | None:
    """Why a permission would be of no use to a user who is stored."""
    person = record.person
    if person.employee_number == number and record.reason is Reason.stranger:
        return None  # The one case in which a linked person has to be told apart again (rule P5).
    if person.employee_number is not None:
        return f"is employee {person.employee_number} already"
    document = document_of(connection, tenant, person.user_id) if person.user_id else None
    if document is None:
        return None
    wanted = wish_of(document, rules, person, now.astimezone(rules.zone).date()).employee_number
    if wanted is not None and wanted != number:
        return f"has the employee number {wanted} in Entra, not {number}: correct one of the two first"
    return None


def _name(connection: Connection, tenant: str, record: Record) -> str:
    user_id = record.person.user_id
    names = user_names(connection, tenant, [user_id]) if user_id else {}
    return names.get(user_id, "another user") if user_id else "a deleted user"
