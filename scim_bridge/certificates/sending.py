"""Send certificates under a lease on each holder, and narrow down a refused batch (rules D1, K4)."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from scim_bridge.domain.certificate import CertificateToSend, Holder
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.outcome import NOT_THERE, printable
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import PermanentError
from scim_bridge.storage.certificate_queries import Key
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import RestLeases
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.runs import Schedules
from scim_bridge.tenant import Tenant

T = TypeVar("T")

BISECTED = frozenset({400, 409, 422})
"""What may be the fault of one item; any other refusal is about the whole."""

LEVELS = 3
"""How many levels in a row both halves have to fail for their whole to be given up: it is the whole that is wrong."""


@dataclass(frozen=True, slots=True)
class Refused(Generic[T]):
    """Items that Ditio refuses together, and that were not narrowed down any further."""

    items: Sequence[T]
    error: PermanentError

    @property
    def why(self) -> str:
        """What Ditio said; of several, what else it may be."""
        said = f"{self.error}: {self.error.words}"
        count = len(self.items)
        # How many Ditio takes at a time is not documented ([U]).
        too_many = f". {count} were sent together: if that is too many, lower CERTIFICATES__MAX_PER_REQUEST"
        return said if count == 1 else said.rstrip(".") + too_many


def send_narrowing(post: Callable[[Sequence[T]], None], items: Sequence[T], most: int) -> list[Refused[T]]:
    """Post items in as few requests as it takes to have every good one taken. What is refused.

    :param post: Posts some of them; all of them are taken, or it raises `PermanentError`.
    :param most: How many may be in one request.
    :raises DeliveryError: anything else that `post` raises; what was taken before is taken.
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
    """Errors within a 2xx are about items too: the others of it were taken, and are the same when sent again."""
    status = error.status or 0
    return status in BISECTED or 200 <= status <= 299


def _posted(post: Callable[[Sequence[T]], None], items: Sequence[T]) -> PermanentError | None:
    try:
        post(items)
    except PermanentError as error:
        return error
    return None


NOT_AT_REST = "he is due, is being delivered, or hands are off: his own delivery brings it"
HAS_LEFT = "he has left: certificates wait for his return"
NOT_THEIRS = "Ditio shows no employee, or another one, under this person's number: see `outbox list`"
ELSEWHERE = "another process sends it just now"

UNCLAIMED = "unclaimed-certificates"
"""The task of which one process at a time takes care."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Why a certificate is not sent."""

    why: str


class Hold(Protocol):
    """What keeps others away from some holders, for one request."""

    def look(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | NotSent]:
        """The number that each would be sent under now, or why it is not sent; others are not kept away yet."""

    def take(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Keep others away. The number that each is to be sent under, or why it is not sent."""

    def note(self, connection: Connection, now: datetime, shipments: Sequence[CertificateToSend], entry: Entry) -> None:
        """Put a call into the history of whomever it was about (rule D5)."""

    def park(self, connection: Connection, now: datetime, refused: Refused[CertificateToSend]) -> None:
        """Show those who are held up by a refusal."""

    def give_back(self, connection: Connection, now: datetime, holders: Collection[Holder]) -> Collection[Holder]:
        """Let others in again. From which of the holders they were kept away until now."""


@dataclass(frozen=True, slots=True)
class PersonLeases:
    """A lease on each of some people, who are at rest."""

    tenant: Tenant
    lease: str

    def look(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Whoever is at rest."""
        today = self.tenant.today(now)
        at_rest = RestLeases(connection, self.tenant.name, now).at_rest(_people({key[0] for key in keys}), today)
        return _numbers(keys, at_rest, today)

    def take(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Lease whoever is at rest."""
        asked, today = _people({key[0] for key in keys}), self.tenant.today(now)
        leases = RestLeases(connection, self.tenant.name, now)
        return _numbers(keys, leases.take(asked, self.lease, self.tenant.lease_seconds, today), today)

    def note(self, connection: Connection, now: datetime, shipments: Sequence[CertificateToSend], entry: Entry) -> None:
        """A row for each person."""
        whose = _people({each.line.holder for each in shipments})
        History(connection, self.tenant.name, now).add_for_all(whose, entry)

    def park(self, connection: Connection, now: datetime, refused: Refused[CertificateToSend]) -> None:
        """Park each person, with the types of his certificates and Ditio's words."""
        types: dict[PersonId, list[str]] = {}
        for each in refused.items:
            if (person_id := each.line.holder.person_id) is not None:
                types.setdefault(person_id, []).append(each.line.type)
        leases = RestLeases(connection, self.tenant.name, now)
        for person_id, his in types.items():
            detail = f"certificate {', '.join(his)}: {refused.why}"
            leases.park(person_id, self.lease, printable(detail))

    def give_back(self, connection: Connection, now: datetime, holders: Collection[Holder]) -> Collection[Holder]:
        """Give the leases back that are ours."""
        ours = RestLeases(connection, self.tenant.name, now).give_back(_people(holders), self.lease)
        return {Holder.of_person(person_id) for person_id in ours}


@dataclass(frozen=True, slots=True)
class UnclaimedHold:
    """One lease on all numbers that no person is linked to: there is nobody to lease."""

    tenant: Tenant
    lease: str

    def look(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | NotSent]:
        """All of them."""
        return {key: EmployeeNumber(key[0].value) for key in keys}

    def take(
        self, connection: Connection, now: datetime, keys: Sequence[Key]
    ) -> Mapping[Key, EmployeeNumber | NotSent]:
        """Become the one who sends them."""
        schedules = Schedules(connection, self.tenant.name, now)
        if not schedules.take(UNCLAIMED, self.lease, every_seconds=0, alive_seconds=self.tenant.lease_seconds):
            return {key: NotSent(ELSEWHERE) for key in keys}
        return {key: EmployeeNumber(key[0].value) for key in keys}

    def note(self, connection: Connection, now: datetime, shipments: Sequence[CertificateToSend], entry: Entry) -> None:
        """There is nobody whose history it is; the ledger has what was acknowledged."""

    def park(self, connection: Connection, now: datetime, refused: Refused[CertificateToSend]) -> None:
        """There is nobody to park; the ledger has why."""

    def give_back(self, connection: Connection, now: datetime, holders: Collection[Holder]) -> Collection[Holder]:
        """Let another process do it."""
        Schedules(connection, self.tenant.name, now).done(UNCLAIMED, self.lease)
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
