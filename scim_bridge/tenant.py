"""One company: its mapping, its rules of delivery, its Ditio, and how much time a request has left for it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from scim_bridge.domain.certificate import CertificatePolicy, CertificateRules, Slot
from scim_bridge.domain.employee import DesiredEmployee, EmployeeNumber, Field
from scim_bridge.domain.operations import Answer, Call, OperationName
from scim_bridge.domain.person import Claim, ClaimKind, Person
from scim_bridge.domain.values import CURE, JsonObject
from scim_bridge.plan.limits import HourlyLimits
from scim_bridge.plan.matching import Adopt
from scim_bridge.plan.steps import Policy
from scim_bridge.scim.mapping import Rules, desired_from_user
from scim_bridge.storage.candidates import Candidate

WRITE_NEEDS_SECONDS = 0.5
"""With less than this left no write to Ditio starts: it would be cut short, and ambiguous."""

LEASE_MARGIN_SECONDS = 10.0
"""How much longer than a call's time-out, or a request's budget, a lease lasts (rules A4, D1)."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A deadline on the monotonic clock; without one only the client's own time-outs count (the worker)."""

    monotonic: Callable[[], float]
    deadline: float | None = None

    def left(self) -> float | None:
        """Seconds left, never negative; None where there is no deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - self.monotonic())

    def allows_write(self) -> bool:
        """Whether a write may still start."""
        left = self.left()
        return left is None or left >= WRITE_NEEDS_SECONDS


class Ditio(Protocol):
    """What delivery asks of Ditio. Every method raises the `DeliveryError` that says what went wrong.

    `within` is how many seconds are left for the call; None means that only the client's own time-out counts.
    """

    def permit(
        self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[None]:
        """The right to call in this block: a process has as many at a time as the settings say (rule D2).

        `within` is how many seconds to wait for it at most, and `meanwhile` is done every second of the wait. Each call
        takes it by itself; first takes it whoever has to look at something when the wait is over.
        """

    def get(self, number: EmployeeNumber, *, within: float | None = None) -> Answer | None:
        """The employee with exactly this number, or None."""

    def search(self, text: str, *, within: float | None = None) -> list[JsonObject]:
        """Employees found by free text; not exact, so filter what comes back."""

    def check(self, *, within: float | None = None, renews: bool = True) -> None:
        """Read something cheap that concerns nobody: whether Ditio accepts this API client at all (rule R2).

        `renews` says whether a 401 has the token renewed.
        """

    def send(self, call: Call, *, within: float | None = None) -> Answer:
        """Do something to an employee."""

    def is_off(self, name: OperationName) -> bool:
        """Whether an operation is switched off by a setting, so that nothing is ever sent for it."""

    def post_certificates(self, items: Sequence[JsonObject], *, within: float | None = None) -> Answer:
        """Upsert certificates of any employees; where it raises, some may have been taken all the same."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Everything that differs between companies, read from the settings once."""

    name: str
    rules: Rules
    policy: Policy
    ditio: Ditio
    adopt: Adopt = Adopt.verify
    refuse_incomplete: bool = False
    report_refused: bool = True
    """Whether Entra is told what Ditio refuses while its request waits, and the write is taken back (rule R1)."""

    inline_seconds: float = 5.0
    read_lag_seconds: float = 5.0
    """For how long a read may still show what was before a write (rule R4)."""

    call_seconds: float = 20.0
    """The longest that one call to Ditio may take, its wait for the pace included; a lease outlasts it (rule D1)."""

    is_paused: bool = False
    """Whether the setting has nobody delivered (rule D4); the command is in the database."""

    places: int = 8
    """How many people one worker process has in hand at a time; fewer of them call Ditio (rule D2)."""

    limits: HourlyLimits = field(default_factory=HourlyLimits)
    """How much may pass within an hour on the live stream (rule L8)."""

    retention_days: int = 365
    """For how many days history is kept."""

    plan_days: int = 30
    """For how many days the rows of a run of `reconcile` are kept (rule Q5)."""

    slots: tuple[Slot, ...] = ()
    """The attributes in which Entra carries certificates."""

    certificates: CertificatePolicy = field(default_factory=CertificatePolicy)

    @property
    def lease_seconds(self) -> float:
        """For how long a lease is taken: it outlasts a call, and what is written before and after it (rule D1)."""
        return self.call_seconds + LEASE_MARGIN_SECONDS

    @property
    def longest_lease_seconds(self) -> float:
        """No lease lasts longer, a request's and that of a process with somewhat longer time-outs included."""
        return 2 * self.lease_seconds + self.inline_seconds

    def certificate_terms(self, today: date, *, cure: str = CURE) -> CertificateRules:
        """What decides whether a certificate that is sent in can be used.

        :param cure: What to do about a date that can't be read; `WRITE_IT` where it does not come from Entra.
        """
        return CertificateRules(self.rules.zone, today, self.certificates.missing_expiry, cure)

    def today(self, now: datetime) -> date:
        """The calendar day in the company's time zone."""
        return now.astimezone(self.rules.zone).date()

    def desired(self, document: JsonObject, person: Person | None, today: date) -> DesiredEmployee:
        """The employee that a SCIM document asks for."""
        return wish_of(document, self.rules, person, today)


def wish_of(document: JsonObject, rules: Rules, person: Person | None, today: date) -> DesiredEmployee:
    """The employee that a SCIM document asks for, with what is known of its person; None for somebody new."""
    if person is None:
        return desired_from_user(document, rules, today=today)
    served = person.acknowledged.sources if person.employee_number is not None else None
    # Somebody who was inactive at first is provisioned on the day on which he is to be hired (rules H2, H4).
    first_day = person.days.active_since or person.provisioned_on
    return desired_from_user(document, rules, today=today, provisioned_on=first_day, served=served)


NOTHING_DESIRED = DesiredEmployee(values={})
"""What a deleted user wishes."""


def wanted_claims(desired: DesiredEmployee) -> frozenset[Claim]:
    """The claims of a person who is to be employed (rule P3)."""
    values = ((ClaimKind.employee_number, desired.employee_number), (ClaimKind.phone, desired.text(Field.phone)))
    return frozenset(Claim(kind, value) for kind, value in values if value)


def acknowledged_claims(person: Person) -> frozenset[Claim]:
    """The claims to what Ditio has, or may have taken without our knowing: nobody else may get these."""
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
    """The employee that Entra wants; an empty one of a deleted user."""
    if candidate.document is None:
        return NOTHING_DESIRED
    return tenant.desired(candidate.document, candidate.record.person, today)
