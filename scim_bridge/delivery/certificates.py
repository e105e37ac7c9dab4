"""A person's certificates follow them to Ditio, in one batch (rules K1-K5)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from scim_bridge.certificates.entries import beaten, give_to
from scim_bridge.certificates.sending import Refused, send_narrowing
from scim_bridge.delivery.attempt import CERTIFICATES, Errand
from scim_bridge.domain.certificate import Holder, Line, Shipment, Unsendable, body_of, outstanding
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import Note, Reason, printable
from scim_bridge.errors import BudgetSpent, NotYet, OperationMissing
from scim_bridge.plan.readback import is_recent
from scim_bridge.storage.ledger import CertificateDeliveries, Ledger


def deliver_certificates(errand: Errand) -> None:
    """Send what Ditio has not acknowledged. What can't be sent is noted, and the rest flows on.

    Nothing is sent for somebody without an employee, or who has left (rule K2).

    :raises DeliveryError: to be tried again; what was taken so far is acknowledged.
    """
    person, number = errand.person, errand.person.employee_number
    is_not_theirs = any(note.reason in (Reason.gone, Reason.stranger) for note in errand.notes)
    if number is None or is_not_theirs or not person.days.wants_employment(errand.today):
        return
    lines = _lines(errand, number)
    owed = outstanding(lines, number, errand.tenant.certificates)
    errand.notes += [*beaten(lines), *held_up(owed)]
    shipments = [each for each in owed if isinstance(each, Shipment)]
    if shipments:
        _send(errand, number, shipments)


def _lines(errand: Errand, number: EmployeeNumber) -> list[Line]:
    """His lines of the ledger, with what was said under his number before he was known."""
    name, his = errand.tenant.name, Holder.of_person(errand.person.id)
    with errand.database.read() as connection:
        found = Ledger(connection, name).lines_under(his, Holder.of_number(number))
    if all(line.holder == his for line in found):
        return found

    def take_over(connection: Connection, _: datetime) -> list[Line]:
        give_to(connection, name, errand.person.id, number)
        return Ledger(connection, name).lines(his)

    return errand.write(take_over)


def _send(errand: Errand, number: EmployeeNumber, shipments: list[Shipment]) -> None:
    _begin(errand, shipments)
    try:
        # What was refused before does not make what is new be narrowed down with it.
        known = [each for each in shipments if each.line.reason is not None]
        fresh = [each for each in shipments if each.line.reason is None]
        batches = [batch for batch in (fresh, known) if batch]
        most = errand.tenant.certificates.max_per_request
        refused = [each for batch in batches for each in send_narrowing(lambda some: _post(errand, some), batch, most)]
    except OperationMissing as error:
        # A 404 means a missing operation only while the employee can be read (rule R1).
        if errand.get(number) is None:
            raise NotYet(f"employee {number} can't be read just now", status=error.status) from error
        errand.notes.append(Note(f"{error}; certificates are not delivered", Reason.no_operation))
        return
    if refused and _is_new(errand):
        raise NotYet(f"employee {number} was created just now, and may not be known to the certificates yet")
    for each in refused:
        _park(errand, each)


def _begin(errand: Errand, shipments: Sequence[Shipment]) -> None:
    if not errand.budget.allows_write():
        raise BudgetSpent("the request's time was spent before the certificates; a worker goes on")
    errand.write(lambda connection, _: CertificateDeliveries(connection, errand.tenant.name).begin(shipments))


def _post(errand: Errand, batch: Sequence[Shipment]) -> None:
    """One request. What Ditio took is committed at once.

    :raises DeliveryError: Ditio's answer.
    """
    items, name = [body_of(each) for each in batch], errand.tenant.name
    errand.ask(CERTIFICATES, lambda within: errand.tenant.ditio.post_certificates(items, within=within))
    errand.write(lambda connection, now: CertificateDeliveries(connection, name).acknowledge(batch, now))
    errand.is_settled()


def _is_new(errand: Errand) -> bool:
    """Whether the employee is so new that Ditio may not know him everywhere: its writes span several stores."""
    linked_at = errand.person.linked_at
    return linked_at is not None and is_recent(linked_at, errand.now(), errand.tenant.read_lag_seconds)


def _park(errand: Errand, refused: Refused[Shipment]) -> None:
    detail = printable(refused.why)
    is_certain = len(refused.items) == 1 and refused.items[0].line.sending is None

    def refuse(connection: Connection, _: datetime) -> None:
        stored = CertificateDeliveries(connection, errand.tenant.name)
        stored.refuse(refused.items, Reason.refused, detail, is_certain=is_certain)

    errand.write(refuse)
    types = ", ".join(each.line.type for each in refused.items)
    errand.notes.append(Note(f"certificate {types}: {detail}", Reason.refused))


def held_up(owed: Sequence[Shipment | Unsendable]) -> list[Note]:
    """A note for each certificate that can't be sent as it is (rule K1)."""
    return [
        Note(f"certificate {each.line.type}: {each.why}", Reason.incomplete)
        for each in owed
        if isinstance(each, Unsendable)
    ]
