"""One company (tenant): its mapping, delivery rules and Ditio; and the time budget of a request."""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

from scim_bridge.domain.certificate import CertificatePolicy, CertificateRules, Slot
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field
from scim_bridge.domain.entra import (
    DirectoryGroup,
    DirectoryUser,
    Job,
    LogEntry,
    Member,
    Permission,
    Principal,
    ServicePrincipal,
)
from scim_bridge.domain.operations import Answer, Operation, OperationName
from scim_bridge.domain.person import Claim, ClaimKind, Person
from scim_bridge.domain.values import CURE, JsonObject
from scim_bridge.errors import SettingsError
from scim_bridge.plan.limits import HourlyLimits
from scim_bridge.plan.matching import Adopt, is_still_ours
from scim_bridge.plan.steps import Policy
from scim_bridge.scim.mapping import Rules, desired_from_user, rules_from
from scim_bridge.settings import Settings
from scim_bridge.storage.candidates import Candidate
from scim_bridge.storage.database import Database, Session

T = TypeVar("T")

WRITE_NEEDS_SECONDS = 0.5
"""With less time than this left, no write to Ditio starts: it could be cut short, and its outcome unknown."""

LEASE_MARGIN_SECONDS = 10.0
"""How much longer than a call's time-out, or a request's budget, a lease lasts (rules A4, D1)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A deadline on the monotonic clock; without one (in the worker) only the time-outs of Ditio's client apply."""

    monotonic: Callable[[], float]
    deadline: float | None = None

    def left(self) -> float | None:
        """Return the seconds left, never negative; None if there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self.monotonic())

    def allows_write(self) -> bool:
        """Return whether a write may still start."""
        left = self.left()
        return left is None or left >= WRITE_NEEDS_SECONDS


class Ditio(Protocol):
    """The calls to Ditio that delivery needs. Every method raises the `DeliveryError` that says what went wrong.

    `within` is how many seconds are left for the call; None means that only the client's own time-out applies.
    """

    def permit(
        self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[None]:
        """Return the right to call in a block. The settings limit how many a process has at a time (rule D2).

        Each call takes the right by itself. Take it earlier if something has to be checked after the wait.

        :param within: How many seconds to wait for it at most.
        :param meanwhile: Called every second of the wait.
        """

    def get(self, number: EmployeeNumber, *, within: float | None = None) -> ActualEmployee | None:
        """Return the employee that Ditio shows for this employee number, or None if there is no such employee."""

    def search(self, text: str, *, within: float | None = None) -> list[ActualEmployee]:
        """Find employees by free text. The search is not exact, so filter its result."""

    def check(self, *, within: float | None = None, renews: bool = True) -> None:
        """Read something cheap that concerns no person, to see if Ditio accepts this API client at all (rule R2).

        :param renews: Whether to renew the token after a 401.
        """

    def send(self, operation: Operation, number: EmployeeNumber, *, within: float | None = None) -> Answer:
        """Send one operation for an employee.

        :param number: The employee's number as Ditio knows it now; for a create, the one it will have.
        """

    def is_off(self, name: OperationName) -> bool:
        """Return whether a setting switches an operation off, so that it is never sent."""

    def post_certificates(self, items: Sequence[JsonObject], *, within: float | None = None) -> Answer:
        """Upsert certificates of any employees. If this raises, Ditio may still have accepted some of them."""


class Entra(Protocol):
    """What the bridge reads of Entra through Microsoft Graph. Every method raises `EntraError` where it can't be read.

    Nothing is ever written there. Nothing that a user waits for calls it.
    """

    @property
    def source(self) -> str:
        """Return which directory and application is read, in one text."""

    def permissions(self) -> frozenset[Permission]:
        """Return which application permissions are granted."""

    def service_principal(self) -> ServicePrincipal | None:
        """Return the enterprise application; None if there is none with the object id in the settings."""

    def job(self) -> Job:
        """Return the provisioning job."""

    def schema(self, job_id: str) -> JsonObject:
        """Return the job's attribute mapping."""

    def provisioning_secrets(self) -> Mapping[str, str]:
        """Return the settings beside the job; none where they may not be read."""

    def mark(self, attributes: Collection[str]) -> str | None:
        """Return a mark of the present state: what changes from now on is shown by `changes`."""

    def users(self, attributes: Collection[str]) -> Iterator[list[DirectoryUser]]:
        """Yield all users who are not deleted, page by page."""

    def count(self) -> int | None:
        """Return how many users there are, from an index that lags; None where it is not shown."""

    def changes(self, mark: str, attributes: Collection[str]) -> Iterator[tuple[list[DirectoryUser], str | None]]:
        """Yield what changed since a mark, page by page; the last page has the next mark."""

    def user(self, object_id: str, attributes: Collection[str]) -> DirectoryUser | None:
        """Return one user now, by object id or user principal name; None for a deleted one."""

    def users_of(
        self, object_ids: Sequence[str], attributes: Collection[str]
    ) -> Iterator[list[tuple[str, DirectoryUser | None]]]:
        """Yield some users as they are now, a few at a time; None for one who is not there."""

    def deleted(self) -> Iterator[tuple[str, date | None]]:
        """Yield the users in the recycle bin, each with the day of the deletion."""

    def assigned(self) -> Iterator[Principal]:
        """Yield the users and groups that are assigned to the application."""

    def group(self, group_id: str) -> DirectoryGroup | None:
        """Return what is known of a group; None for a deleted one."""

    def members(self, group_id: str) -> Iterator[Member]:
        """Yield the direct members of a group."""

    def nested(self, group_id: str) -> Iterator[str]:
        """Yield the users of a group and of the groups inside it: only to explain."""

    def target_of(self, job_id: str, object_id: str) -> str | None:
        """Return the id of the SCIM user to which Entra links one of its users; None if it shows none."""

    def limited(self, seconds: float) -> AbstractContextManager[None]:
        """Give all calls of this thread within the block so long together."""

    def log_of(self, object_id: str, *, since: datetime | None = None, most: int = 100) -> list[LogEntry]:
        """Return what the provisioning log says of one user, newest first."""


def new_id() -> str:
    """Return a new identifier: a random UUID."""
    return str(uuid4())


ENTRA_NOT_SET = "Entra is not read: set the settings of [entra], as `scim-bridge settings example` explains"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One company: its settings, its Ditio, its database, and where its clock and ids come from."""

    name: str
    rules: Rules
    policy: Policy
    ditio: Ditio
    database: Database
    adopt: Adopt = Adopt.verify
    refuse_incomplete: bool = False
    report_refused: bool = True
    """Whether to answer Entra with Ditio's refusal, and take the write back, while the request waits (rule R1)."""

    inline_seconds: float = 5.0
    read_lag_seconds: float = 5.0
    """For how many seconds after a write a read may still show the old values (rule R4)."""

    call_seconds: float = 20.0
    """The longest that one call to Ditio may take, including its wait for the pace; a lease lasts longer (D1)."""

    is_paused: bool = False
    """Whether the setting pauses all deliveries (rule D4); a pause by the command is in the database."""

    places: int = 8
    """How many people one worker process delivers at a time; fewer of them call Ditio at once (rule D2)."""

    limits: HourlyLimits = field(default_factory=HourlyLimits)
    """How many endings, creations and key changes may pass the guard within an hour (rule L8)."""

    retention_days: int = 365
    """For how many days history is kept."""

    plan_days: int = 30
    """For how many days the rows of a run of `reconcile` are kept (rule Q5)."""

    slots: tuple[Slot, ...] = ()
    """The attributes in which Entra sends certificates."""

    certificates: CertificatePolicy = field(default_factory=CertificatePolicy)
    entra: Entra | None = None
    """The way to Entra; None where the settings have none."""

    entra_all_users: bool = False
    """Whether Entra provisions all users, assigned or not."""

    new_id: Callable[[], str] = new_id
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    """Return a number from 0.0 to 1.0, for the jitter of the back-off."""

    def read(self) -> AbstractContextManager[Session]:
        """Open a transaction of this company that only reads."""
        return self.database.read(self.name)

    def write(self) -> AbstractContextManager[Session]:
        """Open a writing transaction of this company. See `Database.write`."""
        return self.database.write(self.name)

    def transact(self, work: Callable[[Session], T]) -> T:
        """Do some work in a writing transaction of this company. See `Database.transact`."""
        return self.database.transact(self.name, work)

    @property
    def lease_seconds(self) -> float:
        """Return how long a lease is: longer than a call, and what is written before and after it (rule D1)."""
        return self.call_seconds + LEASE_MARGIN_SECONDS

    @property
    def longest_lease_seconds(self) -> float:
        """Return the longest that any lease lasts, even a request's, or one of a process with longer time-outs."""
        return 2 * self.lease_seconds + self.inline_seconds

    def certificate_terms(self, today: date, *, cure: str = CURE) -> CertificateRules:
        """Return the rules that decide whether a certificate that is sent in can be used.

        :param cure: What to do about a date that can't be read; `WRITE_IT` if it does not come from Entra.
        """
        return CertificateRules(self.rules.zone, today, self.certificates.missing_expiry, cure)

    def today(self, now: datetime) -> date:
        """Return the calendar day in the company's time zone."""
        return now.astimezone(self.rules.zone).date()

    def desired(self, document: JsonObject, person: Person | None, today: date) -> DesiredEmployee:
        """Return the employee that a SCIM document asks for."""
        return desired_of(document, self.rules, person, today)

    def is_theirs(self, person: Person, desired: DesiredEmployee, found: ActualEmployee) -> bool:
        """Return whether the employee just read under a person's number is still this person (rule P5)."""

        def has_phone_of_another() -> bool:
            with self.read() as s:
                return belongs_to_another(s, person, found)

        return is_still_ours(person, desired, found, has_phone_of_another)


def build_rules(settings: Settings) -> Rules:
    """Build the mapping from a company's settings. :raises SettingsError: the mapping can't be used."""
    mapping = settings.mapping
    try:
        return rules_from(
            mapping.fields,
            phone_region=mapping.phone_region,
            payroll=None if mapping.payroll == "omit" else mapping.payroll,
            zone=ZoneInfo(settings.ditio.time_zone),
        )
    except ValueError as exc:
        raise SettingsError(f"{settings.whose}{exc}") from exc


def desired_of(document: JsonObject, rules: Rules, person: Person | None, today: date) -> DesiredEmployee:
    """Return the employee that a SCIM document asks for.

    :param person: The person of the document; None for a new one.
    """
    if person is None:
        return desired_from_user(document, rules, today=today)
    served = person.acknowledged.sources if person.employee_number is not None else None
    # A person who was inactive at first counts as provisioned on the day of hiring (rules H2, H4).
    first_day = person.days.active_since or person.provisioned_on
    return desired_from_user(document, rules, today=today, provisioned_on=first_day, served=served)


NOTHING_DESIRED = DesiredEmployee(values={})
"""The desired employee of a deleted user."""


def wanted_claims(desired: DesiredEmployee) -> frozenset[Claim]:
    """Return the claims of a person who is to be employed (rule P3)."""
    values = ((ClaimKind.employee_number, desired.employee_number), (ClaimKind.phone, desired.text(Field.phone)))
    return frozenset(Claim(kind, value) for kind, value in values if value)


def belongs_to_another(s: Session, person: Person, found: ActualEmployee) -> bool:
    """Return whether an employee's phone is acknowledged for another person: renumbered by hand (rule P5)."""
    phone = found.values.get(Field.phone)
    if not isinstance(phone, str):
        return False
    holder_id = s.claims.holder(Claim(ClaimKind.phone, phone))
    holder = s.people.get(holder_id) if holder_id is not None else None
    return holder is not None and holder.person.id != person.id and holder.person.acknowledged.phone == phone


def acknowledged_claims(person: Person) -> frozenset[Claim]:
    """Return claims to what Ditio has, or may have accepted without our knowing: no other person may get them."""
    return frozenset(_acknowledged(person))


def _acknowledged(person: Person) -> list[Claim]:
    claims: list[Claim] = []
    for number in (person.employee_number, person.renumbering):
        if number:
            claims.append(Claim(ClaimKind.employee_number, number))
    phone = person.acknowledged.phone
    if phone:
        claims.append(Claim(ClaimKind.phone, phone))
    if person.creating is not None:
        claims.append(Claim(ClaimKind.employee_number, person.creating.employee_number))
        claims.append(Claim(ClaimKind.phone, person.creating.phone))
    return claims


def desired_of_candidate(candidate: Candidate, tenant: Tenant, today: date) -> DesiredEmployee:
    """Return the desired employee of a candidate; an empty one for a deleted user."""
    if candidate.document is None:
        return NOTHING_DESIRED
    return tenant.desired(candidate.document, candidate.record.person, today)
