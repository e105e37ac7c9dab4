"""Send certificates under a lease on each holder, and narrow down a refused batch (rules D1, K4)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, Protocol, TypeVar

from scim_bridge.domain.certificate import CertificateToSend, Holder
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import NOT_THERE, Reason, printable
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import PermanentError
from scim_bridge.storage.certificate_queries import Key
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.tenant import Tenant

T = TypeVar("T")

BISECTED = frozenset({400, 409, 422})
"""Refusals that one item may cause; any other refusal is about the whole batch."""

LEVELS = 3
"""After how many levels in a row with two failed halves to stop: then the fault is not in single items."""


@dataclass(frozen=True, slots=True)
class Refused(Generic[T]):
    """Items that Ditio refuses together, and that were not split any further."""

    items: Sequence[T]
    error: PermanentError

    @property
    def why(self) -> str:
        """Return what Ditio said; for several items, also another possible cause."""
        said = f"{self.error}: {self.error.words}"
        count = len(self.items)
        # How many items Ditio accepts at a time is not documented ([U]).
        too_many = f". {count} were sent together: if that is too many, lower CERTIFICATES__MAX_PER_REQUEST"
        return said if count == 1 else said.rstrip(".") + too_many


def send_narrowing(post: Callable[[Sequence[T]], None], items: Sequence[T], most: int) -> list[Refused[T]]:
    """Post items in as few requests as it takes for Ditio to accept every good one. Return the refused ones.

    :param post: Posts some items. Ditio accepts all of them, or it raises `PermanentError`.
    :param most: How many items one request may have.
    :raises DeliveryError: any other error of `post`; what Ditio accepted before stays accepted.
    """
    batches = (items[start : start + most] for start in range(0, len(items), most))
    return [refused for batch in batches for refused in _sent(post, batch)]


def _sent(post: Callable[[Sequence[T]], None], items: Sequence[T]) -> list[Refused[T]]:
    error = _posted(post, items)
    return [] if error is None else _narrowed(post, items, error, 0)


def _narrowed(
    post: Callable[[Sequence[T]], None], items: Sequence[T], error: PermanentError, failed_levels: int
) -> list[Refused[T]]:
    if len(items) == 1 or not _may_be_of_one(error):
        return [Refused(items, error)]
    middle = len(items) // 2
    halves = items[:middle], items[middle:]
    errors = [_posted(post, half) for half in halves]
    failed = [(half, each) for half, each in zip(halves, errors, strict=True) if each is not None]
    failed_levels = failed_levels + 1 if len(failed) == len(halves) else 0
    if failed_levels == LEVELS:
        return [Refused(half, each) for half, each in failed]
    return [refused for half, each in failed for refused in _narrowed(post, half, each, failed_levels)]


def _may_be_of_one(error: PermanentError) -> bool:
    """Return whether one item may cause an error. Errors within a 2xx do: the other items can safely be sent again."""
    status = error.status or 0
    return status in BISECTED or 200 <= status <= 299


def _posted(post: Callable[[Sequence[T]], None], items: Sequence[T]) -> PermanentError | None:
    try:
        post(items)
    except PermanentError as error:
        return error
    return None


def store_refusal(s: Session, refused: Refused[CertificateToSend], items: Sequence[CertificateToSend]) -> None:
    """Store in the ledger that Ditio refused certificates.

    :param items: Those of them to store it for.
    """
    is_certain = len(refused.items) == 1 and refused.items[0].line.sending is None
    s.certificate_deliveries.refuse(items, Reason.refused, printable(refused.why), is_certain=is_certain)


PAUSED = "deliveries are paused: `outbox resume` first"
NOT_AT_REST = "this person waits for delivery, is being delivered, or is hands-off: their own delivery sends it"
HAS_LEFT = "this person has left: certificates wait until they return"
NOT_THEIRS = "Ditio shows no employee, or another one, under this person's number: see `outbox list`"
ELSEWHERE = "another process sends it just now"

UNCLAIMED = "unclaimed-certificates"
"""The name of the task that one process at a time does."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Why a certificate is not sent."""

    why: str


class Hold(Protocol):
    """The exclusive right to send certificates of some holders, for one request."""

    def look(self, s: Session, keys: Sequence[Key]) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Return the number that each would be sent under now, or why it is not sent. This leases nothing."""

    def take(self, s: Session, keys: Sequence[Key]) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Lease the holders. Return the number that each is to be sent under, or why it is not sent."""

    def note(self, s: Session, shipments: Sequence[CertificateToSend], entry: Entry) -> None:
        """Put a call into the history of the people that it was about (rule D5)."""

    def park(self, s: Session, refused: Refused[CertificateToSend]) -> None:
        """Park the people whose certificates Ditio refused."""

    def give_back(self, s: Session, holders: Collection[Holder]) -> Collection[Holder]:
        """Give the leases back. Return the holders that were still leased until now."""


@dataclass(frozen=True, slots=True)
class PersonLeases:
    """A lease on each of some people who are at rest: not due, not being delivered, not hands-off."""

    tenant: Tenant
    lease: str

    def look(self, s: Session, keys: Sequence[Key]) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Return the numbers of people who are at rest, and why the others are not sent."""
        today = self.tenant.today(s.now)
        at_rest = s.rest_leases.at_rest(_people({key[0] for key in keys}), today)
        return _numbers(keys, at_rest, today)

    def take(self, s: Session, keys: Sequence[Key]) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Lease the people who are at rest. Return their numbers, and why the others are not sent."""
        asked, today = _people({key[0] for key in keys}), self.tenant.today(s.now)
        return _numbers(keys, s.rest_leases.take(asked, self.lease, self.tenant.lease_seconds, today), today)

    def note(self, s: Session, shipments: Sequence[CertificateToSend], entry: Entry) -> None:
        """Add a row to the history of each person."""
        whose = _people({each.line.holder for each in shipments})
        s.history.add_for_all(whose, entry)

    def park(self, s: Session, refused: Refused[CertificateToSend]) -> None:
        """Park each person, with the types of their certificates and Ditio's words."""
        types: dict[PersonId, list[str]] = {}
        for each in refused.items:
            if (person_id := each.line.holder.person_id) is not None:
                types.setdefault(person_id, []).append(each.line.type)
        for person_id, refused_types in types.items():
            detail = f"certificate {', '.join(refused_types)}: {refused.why}"
            s.rest_leases.park(person_id, self.lease, printable(detail))

    def give_back(self, s: Session, holders: Collection[Holder]) -> Collection[Holder]:
        """Give our leases back. Return the holders whose lease was still ours."""
        ours = s.rest_leases.give_back(_people(holders), self.lease)
        return {Holder.of_person(person_id) for person_id in ours}


@dataclass(frozen=True, slots=True)
class UnclaimedHold:
    """One lease on all numbers that no person is linked to, as there is no person to lease."""

    tenant: Tenant
    lease: str

    def look(self, s: Session, keys: Sequence[Key]) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Return the number of each."""
        return {key: EmployeeNumber(key[0].value) for key in keys}

    def take(self, s: Session, keys: Sequence[Key]) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Lease the task of sending them. Return the number of each, or that another process sends them."""
        if not s.schedules.take(UNCLAIMED, self.lease, every_seconds=0, alive_seconds=self.tenant.lease_seconds):
            return {key: NotSent(ELSEWHERE) for key in keys}
        return {key: EmployeeNumber(key[0].value) for key in keys}

    def note(self, s: Session, shipments: Sequence[CertificateToSend], entry: Entry) -> None:
        """Do nothing: there is no person with a history. The ledger has what was acknowledged."""

    def park(self, s: Session, refused: Refused[CertificateToSend]) -> None:
        """Do nothing: there is no person to park. The ledger has the refusal."""

    def give_back(self, s: Session, holders: Collection[Holder]) -> Collection[Holder]:
        """Give the task back, so that another process may do it."""
        s.schedules.done(UNCLAIMED, self.lease)
        return holders


def _people(holders: Collection[Holder]) -> list[PersonId]:
    return sorted(person_id for holder in holders if (person_id := holder.person_id) is not None)


def _numbers(
    keys: Sequence[Key], at_rest: Sequence[PersonRecord], today: date
) -> Mapping[Key, EmployeeNumber | NotSent]:
    people = {record.person.id: record.person for record in at_rest}
    not_there = {record.person.id for record in at_rest if record.reason in NOT_THERE}
    found: dict[Key, EmployeeNumber | NotSent] = {}
    for key in keys:
        person = people.get(PersonId(key[0].value))
        if person is None or person.employee_number is None:
            found[key] = NotSent(NOT_AT_REST)
        elif person.id in not_there:
            found[key] = NotSent(NOT_THEIRS)
        elif not person.days.wants_employment(today):
            found[key] = NotSent(HAS_LEFT)
        else:
            found[key] = person.employee_number
    return found
