"""What Ditio shows of one person, without reading everybody: by number, else by phone and e-mail address."""

from collections.abc import Iterator

from sqlalchemy import Connection

from scim_bridge.delivery.tenant import EMPTY_WISH, Tenant
from scim_bridge.domain.employee import EmployeeNumber, Field, Wish
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.storage.database import Database
from scim_bridge.storage.people import People
from scim_bridge.storage.resources import document_of


def rows_about(database: Database, tenant: Tenant, person_id: PersonId) -> Iterator[JsonObject]:
    """The employee under the linked number; else under the wanted one, and whoever looks like him (rule P5).

    :raises DeliveryError: Ditio can't be read.
    """
    with database.read() as connection:
        person, wish = _known(connection, database, tenant, person_id)
    linked, wanted = person.employee_number, wish.employee_number
    if linked is not None and (row := _read(tenant, linked)) is not None:
        yield row
        return
    if wanted is not None and wanted != linked and (row := _read(tenant, wanted)) is not None:
        yield row
        return
    for text in _texts(person, wish):
        # Not exact, but only those with the same phone or address are looked at afterwards.
        yield from tenant.ditio.search(text)


def _known(connection: Connection, database: Database, tenant: Tenant, person_id: PersonId) -> tuple[Person, Wish]:
    record = People(connection, tenant.name).get(person_id)
    if record is None:
        raise AssertionError("somebody who was found a moment ago is there")
    person = record.person
    document = document_of(connection, tenant.name, person.user_id) if person.user_id is not None else None
    if document is None:
        return person, EMPTY_WISH
    return person, tenant.wish(document, person, tenant.today(database.now(connection)))


def _read(tenant: Tenant, number: EmployeeNumber) -> JsonObject | None:
    answer = tenant.ditio.get(number)
    return None if answer is None else answer.body


def _texts(person: Person, wish: Wish) -> list[str]:
    known = person.acknowledged.values
    values = [each.get(field) for field in (Field.phone, Field.email) for each in (wish.values, known)]
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))
