"""A person: the join of a user and an employee, what was acknowledged, and when their changes were requested."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NewType

from scim_bridge.domain.employee import Days, EmployeeNumber, Field, Value
from scim_bridge.domain.values import UserId

HOUR = timedelta(hours=1)
"""The time over which the guard counts changes."""


class GuardedChange(StrEnum):
    """A kind of change that the guard limits within an hour; each kind is counted apart."""

    ending = "ending"
    creation = "creation"
    phone = "phone"
    employee_number = "employee-number"


class Verdict(StrEnum):
    """What the guard or the operator decided about one change."""

    counted = "counted"
    """It may be sent, and counts; so does one that the operator released."""

    held = "held"
    dropped = "dropped"
    """The operator withdrew it: it is not sent until Entra changes it."""


@dataclass(frozen=True, slots=True)
class RequestedAt:
    """When each change that is still to come was requested: in which hour it counts, and which change it is.

    All are aware times in UTC: the commit of the write, or the end of the day that a leave date names. None where
    there is no such change, or no time was stored.
    """

    ending: datetime | None = None
    """From when the person is no longer at work. It lies ahead where a leave date does, and stays afterwards."""

    is_announced: bool = False
    """Whether the leave date of the ending was stored at least a day before it passes: no surprise."""

    creation: datetime | None = None
    """Since when a person without an employee may be created."""

    phone: datetime | None = None
    """Since when Entra wants a phone other than the acknowledged one; `employee_number` likewise."""

    employee_number: datetime | None = None

    def with_time(self, kind: GuardedChange, said_at: datetime) -> "RequestedAt":
        """Return the same with the time of one kind."""
        match kind:
            case GuardedChange.ending:
                return replace(self, ending=said_at)
            case GuardedChange.creation:
                return replace(self, creation=said_at)
            case GuardedChange.phone:
                return replace(self, phone=said_at)
            case GuardedChange.employee_number:
                return replace(self, employee_number=said_at)

    def of(self, kind: GuardedChange) -> datetime | None:
        match kind:
            case GuardedChange.ending:
                return self.ending
            case GuardedChange.creation:
                return self.creation
            case GuardedChange.phone:
                # A difference found at adoption was requested by the write that created the user.
                return self.phone or self.creation
            case GuardedChange.employee_number:
                return self.employee_number or self.creation


PersonId = NewType("PersonId", str)


class ClaimKind(StrEnum):
    """What only one person at a time may have (rule P3)."""

    employee_number = "employee-number"
    phone = "phone"


@dataclass(frozen=True, slots=True)
class Claim:
    """A person's right to a value; the value is normalised (trimmed number, E.164 phone)."""

    kind: ClaimKind
    value: str


@dataclass(frozen=True, slots=True)
class Creating:
    """What was about to be POSTed, stored before the POST (rule P6)."""

    employee_number: EmployeeNumber
    phone: str
    email: str | None = None
    at: datetime | None = None
    """When the POST was about to be sent: a read soon after it may lag (rule R4)."""


class Lifecycle(StrEnum):
    """Login and employment: what Entra's `active` and dates decide, apart from the fields (rule C4)."""

    login = "login"
    employment = "employment"


@dataclass(frozen=True, slots=True)
class SentValue:
    """A value that Ditio accepted with a 2xx, and how it reads back (rule C2). None marks what is unknown."""

    at: datetime
    """When Ditio last accepted it: for a while after that a read may still show the old value (rule C5)."""

    before: Value | None = None
    """What Ditio showed before this value was sent for the first time."""

    shown: Value | None = None
    """What Ditio showed instead of the value at the last read."""

    form: Value | None = None
    """Ditio's form of the value, once reads have shown it; the value itself where Ditio shows it as sent."""

    is_confirmed: bool = False
    """Whether a read has shown the value or its form since Ditio accepted it."""

    rounds: int = 0
    """How often Ditio accepted the value, and showed neither it nor a form of it."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Field by field, what Ditio accepted with a 2xx, or what a read showed to be as desired."""

    values: Mapping[Field, Value | None] = field(default_factory=dict)
    login: bool | None = None
    """Whether the login is open (True) or closed (False), as last acknowledged; None before that."""

    sources: Mapping[Field, str] = field(default_factory=dict)
    """Which SCIM attribute each value came from (rule C3)."""

    employed: bool | None = None
    """Whether an employment is open, as last acknowledged; None before that."""

    uncertain: frozenset[Lifecycle] = frozenset()
    """What was about to change, until the outcome is known. Until then the value above is None."""

    sent_values: Mapping[Field, SentValue] = field(default_factory=dict)
    """The values that were sent, and how they read back; a value that was only read to agree is not here."""

    changed_at: Mapping[Lifecycle, datetime] = field(default_factory=dict)
    """When Ditio last accepted a change of login or employment from the bridge (rule C5)."""

    linked: Mapping[Lifecycle, bool] = field(default_factory=dict)
    """Login and employment as `adopt` acknowledged them and nothing changed since: whether Ditio showed otherwise."""

    def after(
        self,
        values: Mapping[Field, Value | None],
        *,
        sources: Mapping[Field, str],
        sent_values: Mapping[Field, SentValue | None],
        login: bool | None,
        employed: bool | None,
        changed_at: datetime | None,
    ) -> "Acknowledged":
        """Return the same with what is acknowledged now.

        :param sent_values: How values read back; None removes what was known of a field.
        :param login: None leaves the login as it was; likewise `employed`.
        :param changed_at: When Ditio accepted it from the bridge; None where it was only read.
        """
        said = {Lifecycle.login: login, Lifecycle.employment: employed}
        settled = {lifecycle for lifecycle, value in said.items() if value is not None}
        return Acknowledged(
            values={**self.values, **values},
            sources={**self.sources, **sources},
            login=self.login if login is None else login,
            employed=self.employed if employed is None else employed,
            uncertain=self.uncertain - settled,
            sent_values={name: sent for name, sent in {**self.sent_values, **sent_values}.items() if sent is not None},
            changed_at={
                **{name: at for name, at in self.changed_at.items() if name not in settled},
                **({} if changed_at is None else dict.fromkeys(settled, changed_at)),
            },
            linked={name: differed for name, differed in self.linked.items() if name not in settled},
        )

    def uncertain_about(self, lifecycle: Lifecycle) -> "Acknowledged":
        """Return the same before a change of login or employment, whose outcome is not known yet."""
        is_login = lifecycle is Lifecycle.login
        return replace(
            self,
            login=None if is_login else self.login,
            employed=self.employed if is_login else None,
            uncertain=self.uncertain | {lifecycle},
        )

    def day(self, name: Field) -> date | None:
        """Return a day's value, or None."""
        value = self.values.get(name)
        return value if isinstance(value, date) else None

    @property
    def phone(self) -> str | None:
        """The phone number that Ditio last acknowledged."""
        value = self.values.get(Field.phone)
        return value if isinstance(value, str) else None

    @property
    def ended_on(self) -> date | None:
        """Last day of the employment that ended last, as far as it is known."""
        return self.day(Field.end_date)


@dataclass(frozen=True, slots=True)
class HandsOff:
    """An operator stopped deliveries to this person: the bridge neither writes nor reads them (rule D6)."""

    until: date | None = None
    """The last day of it, in the company's time zone; None until an operator clears it."""

    def lasts(self, today: date) -> bool:
        """Return whether it is in force on this day."""
        return self.until is None or today <= self.until


@dataclass(frozen=True, slots=True)
class Person:
    """A SCIM user and a Ditio employee, joined; either side may be missing."""

    id: PersonId
    user_id: UserId | None
    """None once Entra has deleted the user: the person stays as a tombstone."""

    days: Days
    employee_number: EmployeeNumber | None = None
    """The link: the employee's number as acknowledged. None before there is one."""

    linked_at: datetime | None = None
    """When the person was linked: reads soon after it may lag (rules C5, R4)."""

    company_profile_id: str | None = None
    """Ditio's id of the linked employee's profile; None where it has shown none yet (rule P5)."""

    linked_as: Mapping[Field, Value] = field(default_factory=dict)
    """Phone, e-mail, birth date and last name of an employee that an operator linked although none agreed (H1)."""

    creating: Creating | None = None
    renumbering: EmployeeNumber | None = None
    """The number that a change-employee-number was about to give, until its outcome is known (rule P6)."""

    doubted_at: datetime | None = None
    """When a write of unknown outcome was last sent; None once a later read has shown the outcome (rule C5)."""

    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    provisioned_on: date | None = None
    """The day of provisioning: the start of an employment for which Entra sends none (rule H4)."""

    hands_off: HandsOff | None = None
    occasions: RequestedAt = field(default_factory=RequestedAt)
    """When the changes that are still to be sent were requested (rule L8)."""

    @property
    def is_tombstone(self) -> bool:
        """Whether Entra has deleted the user."""
        return self.user_id is None
