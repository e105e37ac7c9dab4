"""Deliver a person's certificates to Ditio, in one batch (rules K1-K5)."""

from collections.abc import Sequence

from scim_bridge.certificates.entries import give_to, outranked
from scim_bridge.certificates.sending import Refused, send_narrowing, store_refusal
from scim_bridge.delivery.attempt import CERTIFICATES, Attempt
from scim_bridge.domain.certificate import CertificateToSend, Holder, Line, Unsendable, body_of, outstanding
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import Note, Reason, printable
from scim_bridge.errors import BudgetSpent, NotYet, OperationMissing
from scim_bridge.plan.readback import is_recent
from scim_bridge.storage.database import Session


def deliver_certificates(attempt: Attempt) -> None:
    """Send what Ditio has not acknowledged. What can't be sent is noted, and the rest is still sent.

    Nothing is sent for a person without an employee, or for one who has left (rule K2).

    :raises DeliveryError: to be tried again; what Ditio accepted so far is acknowledged.
    """
    person, number = attempt.person, attempt.person.employee_number
    is_not_theirs = any(note.reason in (Reason.gone, Reason.stranger) for note in attempt.notes)
    if number is None or is_not_theirs or not person.days.wants_employment(attempt.today):
        return
    lines = _lines(attempt, number)
    owed = outstanding(lines, number, attempt.tenant.certificates)
    attempt.notes += [*outranked(lines), *held_up(owed)]
    shipments = [each for each in owed if isinstance(each, CertificateToSend)]
    if shipments:
        _send(attempt, number, shipments)


def _lines(attempt: Attempt, number: EmployeeNumber) -> list[Line]:
    """Return the person's lines of the ledger. First assign to them what is under their number as unclaimed."""
    own, known = Holder.of_person(attempt.person.id), attempt.facts.lines
    is_linked_since = attempt.facts.record.person.linked_at != attempt.person.linked_at
    if known is not None and known[0] == number and not (is_linked_since and known[1]):
        found = list(known[1])
    else:  # A new link may have changed what the ledger says.
        found = attempt.write(lambda s: s.ledger.lines_under(own, Holder.of_number(number)))
    if all(line.holder == own for line in found):
        return found

    def take_over(s: Session) -> list[Line]:
        give_to(s, attempt.person.id, number)
        return s.ledger.lines(own)

    return attempt.write(take_over)


def _send(attempt: Attempt, number: EmployeeNumber, shipments: list[CertificateToSend]) -> None:
    _begin(attempt, shipments)
    try:
        # Send earlier refused certificates apart, so they don't make Ditio refuse the batch of new ones.
        known = [each for each in shipments if each.line.reason is not None]
        fresh = [each for each in shipments if each.line.reason is None]
        batches = [batch for batch in (fresh, known) if batch]
        most = attempt.tenant.certificates.max_per_request
        refused = [each for batch in batches for each in send_narrowing(lambda some: _post(attempt, some), batch, most)]
    except OperationMissing as error:
        # A 404 means a missing operation only while the employee can be read (rule R1).
        if attempt.get(number) is None:
            raise NotYet(f"Ditio does not show employee {number} just now", status=error.status) from error
        attempt.notes.append(Note(f"{error}; certificates are not delivered", Reason.no_operation))
        return
    if refused and _is_new(attempt):
        raise NotYet(f"employee {number} was created just now, and Ditio may not accept certificates for them yet")
    for each in refused:
        _park(attempt, each)


def _begin(attempt: Attempt, shipments: Sequence[CertificateToSend]) -> None:
    if not attempt.budget.allows_write():
        raise BudgetSpent("the request's time ran out before the certificates; the worker continues")
    attempt.write(lambda s: s.certificate_deliveries.begin(shipments))


def _post(attempt: Attempt, batch: Sequence[CertificateToSend]) -> None:
    """Send one request, and keep what Ditio accepted.

    :raises DeliveryError: Ditio refused it, or the call failed.
    """
    items = [body_of(each) for each in batch]
    attempt.ask(CERTIFICATES, lambda within: attempt.tenant.ditio.post_certificates(items, within=within))
    attempt.keep(lambda s: s.certificate_deliveries.acknowledge(batch), attempt.person)
    attempt.mark_answered()


def _is_new(attempt: Attempt) -> bool:
    """Return whether the employee is so new that not all of Ditio's stores may have them yet."""
    linked_at = attempt.person.linked_at
    return linked_at is not None and is_recent(linked_at, attempt.now(), attempt.tenant.read_lag_seconds)


def _park(attempt: Attempt, refused: Refused[CertificateToSend]) -> None:
    attempt.write(lambda s: store_refusal(s, refused, refused.items))
    types = ", ".join(each.line.type for each in refused.items)
    attempt.notes.append(Note(f"certificate {types}: {printable(refused.why)}", Reason.refused))


def held_up(owed: Sequence[CertificateToSend | Unsendable]) -> list[Note]:
    """Return a note for each certificate that can't be sent as it is (rule K1)."""
    return [
        Note(f"certificate {each.line.type}: {each.why}", Reason.incomplete)
        for each in owed
        if isinstance(each, Unsendable)
    ]
