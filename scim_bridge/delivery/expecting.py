"""What is stored before a call, because nobody could tell it afterwards should the answer be lost (rules C4, P6)."""

from dataclasses import replace

from scim_bridge.delivery.calls import Errand
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
)
from scim_bridge.domain.person import Creating, Standing
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.people import People


def expect(errand: Errand, operation: Operation) -> None:
    """Store what can't be told from what is shown, should the answer be lost."""
    match operation:
        case ChangeEmployeeNumber(employee_number=number):
            store_renumbering(errand, number)
        case Disable() | Enable():
            _doubt(errand, Standing.login)
        case EndEmployment() | CreateEmployment():
            _doubt(errand, Standing.employment)
        case _:
            pass


def begin_creating(errand: Errand, creating: Creating) -> None:
    """Store what is about to be POSTed, before it is, and when (rule P6)."""
    with errand.database.write() as connection:
        begun = replace(creating, at=errand.still_ours(connection))
        People(connection, errand.tenant.name).set_creating(errand.person.id, begun)
    errand.person = replace(errand.person, creating=begun)


def store_creating(errand: Errand, creating: Creating | None) -> None:
    """Store an earlier POST again, whose answer is not known still; None forgets it."""
    with errand.database.write() as connection:
        errand.still_ours(connection)
        People(connection, errand.tenant.name).set_creating(errand.person.id, creating)
    errand.person = replace(errand.person, creating=creating)


def store_renumbering(errand: Errand, number: EmployeeNumber | None) -> None:
    """Store the number that is about to be given, before it is (rule P6); None forgets it."""
    with errand.database.write() as connection:
        errand.still_ours(connection)
        People(connection, errand.tenant.name).set_renumbering(errand.person.id, number)
    errand.person = replace(errand.person, renumbering=number)


def _doubt(errand: Errand, standing: Standing) -> None:
    """Note that login or employment is about to be changed. If the answer is lost, what Entra wants then is
    compared with what Ditio shows, not with what was acknowledged before (rules C4, R4).
    """
    with errand.database.write() as connection:
        now = errand.still_ours(connection)
        Acknowledgements(connection, errand.tenant.name).doubt(
            errand.person.id, standing, revision=errand.revision, now=now
        )
    errand.person = replace(errand.person, acknowledged=errand.person.acknowledged.doubting(standing))
