"""One company: its mapping, its rules of delivery and its Ditio."""

from dataclasses import dataclass, field
from datetime import date, datetime

from scim_bridge.delivery.budget import LEASE_MARGIN_SECONDS
from scim_bridge.delivery.ports import Ditio
from scim_bridge.domain.certificate import CertificatePolicy, Slot, Terms
from scim_bridge.domain.employee import Field, Wish
from scim_bridge.domain.person import Claim, ClaimKind, Person
from scim_bridge.domain.values import CURE, JsonObject
from scim_bridge.plan.limits import HourlyLimits
from scim_bridge.plan.matching import Adopt
from scim_bridge.plan.steps import Policy
from scim_bridge.scim.mapping import Rules, wish_from_user
from scim_bridge.storage.candidates import Candidate


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

    def certificate_terms(self, today: date, *, cure: str = CURE) -> Terms:
        """What decides whether a certificate that is sent in can be used.

        :param cure: What to do about a date that can't be read; `WRITE_IT` where it does not come from Entra.
        """
        return Terms(self.rules.zone, today, self.certificates.missing_expiry, cure)

    def today(self, now: datetime) -> date:
        """The calendar day in the company's time zone."""
        return now.astimezone(self.rules.zone).date()

    def wish(self, document: JsonObject, person: Person | None, today: date) -> Wish:
        """The employee that a SCIM document asks for."""
        return wish_of(document, self.rules, person, today)


def wish_of(document: JsonObject, rules: Rules, person: Person | None, today: date) -> Wish:
    """The employee that a SCIM document asks for, with what is known of its person; None for somebody new."""
    if person is None:
        return wish_from_user(document, rules, today=today)
    served = person.acknowledged.sources if person.employee_number is not None else None
    # Somebody who was inactive at first is provisioned on the day on which he is to be hired (rules H2, H4).
    first_day = person.days.active_since or person.provisioned_on
    return wish_from_user(document, rules, today=today, provisioned_on=first_day, served=served)


EMPTY_WISH = Wish(values={})
"""What a deleted user wishes."""


def wanted_claims(wish: Wish) -> frozenset[Claim]:
    """The claims of a person who is to be employed (rule P3)."""
    values = ((ClaimKind.employee_number, wish.employee_number), (ClaimKind.phone, wish.text(Field.phone)))
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


def wish_of_candidate(candidate: Candidate, tenant: Tenant, today: date) -> Wish:
    """The employee that Entra wants; an empty one of a deleted user."""
    if candidate.document is None:
        return EMPTY_WISH
    return tenant.wish(candidate.document, candidate.record.person, today)
