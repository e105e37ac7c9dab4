"""A person: the join of a user and an employee, what was acknowledged, and when their changes were requested."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NewType

from scim_bridge.domain.employee import Days, EmployeeNumber, Field, Value
from scim_bridge.domain.values import UserId

HOUR = timedelta(hours=1)
"""Over which changes are counted."""


class GuardedChange(StrEnum):
    """A kind of change of which only so many pass within an hour, each kind counted apart."""

    ending = "ending"
    creation = "creation"
    phone = "phone"
    employee_number = "employee-number"


class Verdict(StrEnum):
    """What became of one change that met the guard."""

    counted = "counted"
    """It may be sent, and counts: also one that the operator released."""

    held = "held"
    dropped = "dropped"
    """The operator withdrew it: it is not sent until Entra changes it."""


@dataclass(frozen=True, slots=True)
class RequestedAt:
    """When a person's changes were said that are still to come: which hour they count in, and which change it is.

    All are aware instants in UTC: the commit of the write, or the end of the day that a leave date names. None where
    there is nothing of the kind, or nobody noted when.
    """

    ending: datetime | None = None
    """From when the person is not at work any more; it lies ahead where a leave date does, and stays afterwards."""

    is_announced: bool = False
    """Whether the ending comes on a leave date that was stored at least a day before it passes: no surprise."""

    creation: datetime | None = None
    """Since when a person without an employee may be hired."""

    phone: datetime | None = None
    """Since when another phone is wanted than Ditio acknowledged; likewise the number."""

    employee_number: datetime | None = None

    def with_time(self, kind: GuardedChange, said_at: datetime) -> "RequestedAt":
        """The same, with the occasion of one kind."""
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
        """That of one kind."""
        match kind:
            case GuardedChange.ending:
                return self.ending
            case GuardedChange.creation:
                return self.creation
            case GuardedChange.phone:
                # What is found to differ when somebody is adopted was said by the write that hired him.
                return self.phone or self.creation
            case GuardedChange.employee_number:
                return self.employee_number or self.creation


PersonId = NewType("PersonId", str)


class ClaimKind(StrEnum):
    """What one person at a time may have (rule P3)."""

    employee_number = "employee-number"
    phone = "phone"


@dataclass(frozen=True, slots=True)
class Claim:
    """A person's right to a value; the value is normalised (trimmed number, E.164 phone)."""

    kind: ClaimKind
    value: str


@dataclass(frozen=True, slots=True)
class Creating:
    """What was about to be POSTed, stored before it was (rule P6)."""

    employee_number: EmployeeNumber
    phone: str
    email: str | None = None
    at: datetime | None = None
    """When the POST was about to be sent: a read soon after it may lag (rule R4)."""


class Lifecycle(StrEnum):
    """What Entra's `active` and dates decide, apart from the fields (rule C4)."""

    login = "login"
    employment = "employment"


@dataclass(frozen=True, slots=True)
class SentValue:
    """How Ditio took a value that was sent to it with a 2xx (rule C2). Whatever is empty is None."""

    at: datetime
    """When it was taken last: for a while after that a read may still show what was before (rule C5)."""

    before: Value | None = None
    """What was shown before this value was sent for the first time."""

    shown: Value | None = None
    """What was shown instead of the value when it was looked at last."""

    form: Value | None = None
    """Ditio's form of the value, once reads have told it; the value itself where Ditio shows it as it was sent."""

    is_confirmed: bool = False
    """Whether a read has shown the value or its form since it was taken."""

    rounds: int = 0
    """How often Ditio took the value, and showed neither it nor a form of it."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Field by field, what Ditio took with a 2xx or was read to equal the wish."""

    values: Mapping[Field, Value | None] = field(default_factory=dict)
    login: bool | None = None
    """Whether the login is open (True) or closed (False), as last acknowledged; None before that."""

    sources: Mapping[Field, str] = field(default_factory=dict)
    """Which SCIM attribute each value came from (rule C3)."""

    employed: bool | None = None
    """Whether an employment is open, as last acknowledged; None before that."""

    uncertain: frozenset[Lifecycle] = frozenset()
    """What was about to be changed, until the outcome is known: then it is None above, and neither is believed."""

    sent_values: Mapping[Field, SentValue] = field(default_factory=dict)
    """How Ditio took the values that were sent; nothing for a value that was only read to agree."""

    changed_at: Mapping[Lifecycle, datetime] = field(default_factory=dict)
    """When Ditio last took a change of login or employment from us (rule C5)."""

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
        """The same, and what is acknowledged now.

        :param sent_values: How Ditio took values; None forgets what was known of one.
        :param login: None where nothing is said of the login; likewise `employed`.
        :param changed_at: When Ditio took it from us; None where it was only read.
        """
        said = {Lifecycle.login: login, Lifecycle.employment: employed}
        settled = {lifecycle for lifecycle, value in said.items() if value is not None}
        return Acknowledged(
            values={**self.values, **values},
            sources={**self.sources, **sources},
            login=self.login if login is None else login,
            employed=self.employed if employed is None else employed,
            uncertain=self.uncertain - settled,
            sent_values={
                name: taking for name, taking in {**self.sent_values, **sent_values}.items() if taking is not None
            },
            changed_at={
                **{name: at for name, at in self.changed_at.items() if name not in settled},
                **({} if changed_at is None else dict.fromkeys(settled, changed_at)),
            },
        )

    def uncertain_about(self, lifecycle: Lifecycle) -> "Acknowledged":
        """The same before a change of login or employment, whose outcome is not known yet."""
        is_login = lifecycle is Lifecycle.login
        return replace(
            self,
            login=None if is_login else self.login,
            employed=self.employed if is_login else None,
            uncertain=self.uncertain | {lifecycle},
        )

    def day(self, name: Field) -> date | None:
        """A day's value, or None."""
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
    """Somebody put this person aside: nothing is sent for him, and he is not read (rule D6)."""

    until: date | None = None
    """The last day of it, in the company's time zone; None until it is cleared."""

    def lasts(self, today: date) -> bool:
        """Whether it is in force on this day."""
        return self.until is None or today <= self.until


@dataclass(frozen=True, slots=True)
class Person:
    """A SCIM user and a Ditio employee, joined; either side may be missing."""

    id: PersonId
    user_id: UserId | None
    """None once Entra has deleted the user: the person stays, a tombstone."""

    days: Days
    employee_number: EmployeeNumber | None = None
    """The link: the employee's number as acknowledged. None before there is one."""

    linked_at: datetime | None = None
    """When the link was made: reads soon after it may lag (rules C5, R4)."""

    company_profile_id: str | None = None
    """Ditio's id of the linked employee's profile; None where it has shown none yet (rule P5)."""

    linked_as: Mapping[Field, Value] = field(default_factory=dict)
    """Phone, e-mail, birth date and last name of an employee whom an operator linked although none agreed (H1)."""

    creating: Creating | None = None
    renumbering: EmployeeNumber | None = None
    """The number that a change-employee-number was about to give, until its outcome is known (rule P6)."""

    doubted_at: datetime | None = None
    """When a write was last sent whose outcome is not known; None once a later read has told it (rule C5)."""

    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    provisioned_on: date | None = None
    """The day of provisioning: the start of an employment for which Entra sends none (rule H4)."""

    hands_off: HandsOff | None = None
    occasions: RequestedAt = field(default_factory=RequestedAt)
    """When what is still to be sent for him was said (rule L8)."""

    @property
    def is_tombstone(self) -> bool:
        """Whether Entra has deleted the user."""
        return self.user_id is None
