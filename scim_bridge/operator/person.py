"""One person: shown in full with user, employee, history and what was refused; exported; erased (rule G1)."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import date

from scim_bridge.domain.certificate import Holder, Line
from scim_bridge.domain.employee import (
    ActualEmployee,
    DesiredEmployee,
    EmployeeNumber,
    Employment,
    Field,
    Value,
    last_end,
    open_employment,
)
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject, same
from scim_bridge.errors import BridgeError, DeliveryError, NotFound
from scim_bridge.operator.history import Changed, changed_attributes
from scim_bridge.plan.steps import owes_ending
from scim_bridge.scim.mapping import Rules
from scim_bridge.scim.reading import read
from scim_bridge.storage.database import Session
from scim_bridge.storage.directory import Listed
from scim_bridge.storage.history import Entry
from scim_bridge.storage.outbox import PAUSED
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.personal_data import erase_person, rows_about, rows_about_refused
from scim_bridge.storage.refusals import REFUSED, RefusedWrite
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import Ditio, Tenant, desired_of

LOGIN = "login"
"""The row of the login, beside the fields."""

SUPPLIED = {
    Field.start_date: "the day of provisioning, as no start date is sent",
    Field.payroll: "MAPPING__PAYROLL, as no payroll is sent",
}
"""The source of a value that the bridge supplies itself (rule H4)."""


def rule_of(desired: DesiredEmployee, name: Field) -> str | None:
    """Return the SCIM attribute that a value comes from, or why the bridge supplies it; None without a value."""
    return SUPPLIED[name] if name in desired.defaulted else desired.sources.get(name)


@dataclass(frozen=True, slots=True)
class Compared:
    """One field of one person, on its way from Entra to Ditio."""

    field: str
    """Ditio's name of it, or `login`."""

    said: object
    """What Entra sent, unchanged."""

    rule: str | None
    """See `rule_of`."""

    wanted: Value | bool | None
    """What the bridge makes of it. For the login, whether it is open."""

    found: Value | bool | None
    """What Ditio has now; None if it is empty, or Ditio was not read."""

    acknowledged: Value | bool | None
    """What Ditio acknowledged last."""

    differs: bool
    """Whether Entra and Ditio differ now."""

    problem: str | None = None
    """Why there is no usable value, with what to do about it."""


@dataclass(frozen=True, slots=True)
class PersonView:
    """One person as the bridge stores them, without the employee in Ditio."""

    record: PersonRecord
    user: JsonObject | None
    """None once Entra has deleted the user."""

    desired: DesiredEmployee
    entries: list[Entry]
    lines: list[Line]
    """The person's certificates."""

    listed: Listed
    changed: Changed = field(default_factory=dict)
    refused: RefusedWrite | None = None
    """Entra's last write about the person, if it was answered 400 or 409."""

    @property
    def number_in_ditio(self) -> EmployeeNumber | None:
        """The number to look for in Ditio: the linked one, else the one being created, else the desired one."""
        person = self.record.person
        creating = person.creating.employee_number if person.creating else None
        return person.employee_number or creating or self.desired.employee_number

    def headline(self) -> str:
        """Return who the person is, in one line."""
        who = str(self.user.get("userName")) if self.user else "A user that Entra has deleted"
        if self.user is None and (called := self.listed.user_name or self.listed.acknowledged_name):
            who = f"{called}, a user that Entra has deleted,"
        person = self.record.person
        if person.employee_number:
            return f"{who} is employee {person.employee_number}"
        return f"{who} is not linked to an employee" + (f" (wants {n})" if (n := self.number_in_ditio) else "")

    def history(self) -> list[dict[str, object]]:
        """Return the history, oldest first."""
        return [{"at": entry.at, **asdict(entry), "attributes": self._attributes(entry)} for entry in self.entries]

    def differing(self, ditio: JsonObject | None) -> frozenset[str]:
        """Return the rows in which Entra and Ditio differ now: fields by Ditio's names, and `login`.

        A default of the bridge is no difference, as it is only used to create an employee.
        """
        if ditio is None or self.user is None:
            return frozenset()
        desired = self.desired
        names = {
            name.value
            for name, wanted in desired.values.items()
            if wanted is not None and name not in desired.defaulted and not same(name, wanted, _value(ditio, name))
        }
        disabled = ditio.get("disabled")
        is_login_wrong = isinstance(disabled, bool) and disabled is self.record.person.days.active
        return frozenset(names | ({"login"} if is_login_wrong else set()))

    def compared(self, ditio: JsonObject | None, rules: Rules) -> list[Compared]:
        """Return each field as Entra said it, as the bridge reads it, and as Ditio has it; and the login."""
        acknowledged, differing = self.record.person.acknowledged, self.differing(ditio)
        problems = {each.field: each.message for each in self.desired.problems}
        fields = [
            Compared(
                field=name.value,
                said=self._said(name, rules),
                rule=rule_of(self.desired, name),
                wanted=self.desired.values.get(name),
                found=_value(ditio or {}, name),
                acknowledged=acknowledged.values.get(name),
                differs=name.value in differing,
                problem=problems.get(name),
            )
            for name in Field
        ]
        active, disabled = self.record.person.days.active, (ditio or {}).get("disabled")
        found = not disabled if isinstance(disabled, bool) else None
        said = None if self.user is None else self.user.get("active")
        login = Compared(LOGIN, said, "active", active, found, acknowledged.login, LOGIN in differing)
        return [*fields, login]

    def _said(self, name: Field, rules: Rules) -> object:
        used, rule = self.desired.sources.get(name), rules.by_field.get(name)
        if self.user is None or rule is None:
            return None
        # Without a usable value, what Entra sent shows why.
        known = [source for source in rule.sources if used in (None, source.text)]
        return next((said for source in known if (said := read(self.user, source)) is not None), None)

    def _attributes(self, entry: Entry) -> tuple[str, ...] | None:
        return self.changed.get(entry.request_id or "") if entry.what == "user-changed" else None

    def document(self, ditio: JsonObject | None, entra: JsonObject | None = None) -> JsonObject:
        """Return the whole view as JSON.

        :param entra: Entra's side, as `entra_side_of` returns it; None where Entra is not read.
        """
        wanted = {field.value: self.desired.values.get(field) for field in Field} if self.user else None
        return {
            "user": self.user,
            "employee": wanted,
            "ditio": ditio,
            "state": self.record.state,
            "reason": self.record.reason,
            "detail": self.record.detail,
            "history": self.history(),
            "refused": None if self.refused is None else answer_of(self.refused),
            "entra": entra,
        }


def answer_of(refused: RefusedWrite) -> JsonObject:
    """Return what Entra was answered, as JSON."""
    return {"at": refused.at, "status": refused.status, "scim_type": refused.scim_type, "detail": refused.detail}


def refused_document(refused: RefusedWrite) -> JsonObject:
    """Return a person whose creation was refused, as JSON with the keys of `PersonView.document`."""
    return {
        "user": None,
        "employee": None,
        "ditio": None,
        "state": REFUSED,
        "reason": refused.scim_type,
        "detail": refused.detail,
        "history": [],
        "refused": answer_of(refused),
        "entra": None,
    }


def view_of(s: Session, rules: Rules, record: PersonRecord, *, is_paused: bool = False) -> PersonView:
    """Return a person in full, without the employee in Ditio.

    :param is_paused: Whether the setting pauses deliveries: a due person is then shown as held (rule D4).
    """
    person = record.person
    document = document_of(s, person.user_id) if person.user_id else None
    entries = s.history.of(person.id)
    if record.state is State.due and (is_paused or s.breaker.get().is_paused):
        record = replace(record, state=State.held, reason=Reason.paused, detail=PAUSED)
    (listed,) = s.directory.of([person.id])
    desired = DesiredEmployee({})
    if document is not None:
        desired = desired_of(document, rules, person, s.now.astimezone(rules.zone).date())
    return PersonView(
        record=record,
        user=None if document is None else {"id": person.user_id, **document},
        desired=desired,
        entries=entries,
        lines=s.ledger.lines(Holder.of_person(person.id)),
        listed=listed,
        changed=changed_attributes(s, {person.id: entries}),
        refused=_refused(s, person.user_id, document),
    )


def _refused(s: Session, user_id: str | None, document: JsonObject | None) -> RefusedWrite | None:
    """Return the last refused write about a user: a change, or a creation with the same `externalId`."""
    if user_id is None or document is None:
        return None
    external_id = document.get("externalId")
    about = [
        each
        for each in s.refused_writes.all()
        if each.user_id == user_id or (each.user_id is None and external_id and each.external_id == external_id)
    ]
    return about[-1] if about else None


def employee_in_ditio(ditio: Ditio, number: EmployeeNumber, *, within: float | None = None) -> JsonObject | str | None:
    """Return the employee as Ditio shows it, None if there is none, or a text that says why it can't be read.

    :param within: How many seconds Ditio may take; None for what the settings allow.
    """
    try:
        found = ditio.get(number, within=within)
        return None if found is None else _shown(found)
    except (DeliveryError, ValueError) as error:
        return str(error)


def _value(ditio: JsonObject, name: Field) -> Value | None:
    value = ditio.get(name.value)
    return value if isinstance(value, str | int | date) else None


def _shown(found: ActualEmployee) -> JsonObject:
    """Return the fields by Ditio's names; a field that Ditio does not show is null, like an empty one.

    The days are those of the open employment, or else of the one that ended last.
    """
    employments = found.employments
    current = latest_employment(employments or ())
    days = {Field.start_date: current.start, Field.end_date: current.end} if current else {}
    return {
        **{field.value: days.get(field, found.values.get(field)) for field in Field},
        "disabled": found.disabled,
        "employments": None if employments is None else [asdict(each) for each in in_order(employments)],
    }


def latest_employment(employments: Iterable[Employment]) -> Employment | None:
    """Return the open employment, else the one that ended last."""
    known = tuple(employments)
    return open_employment(known) or next((each for each in known if each.end == last_end(known)), None)


def in_order(employments: Iterable[Employment]) -> list[Employment]:
    """Return the employments, oldest first."""
    return sorted(employments, key=lambda each: (each.start or date.min, each.end or date.max))


class StillOwed(BridgeError):
    """A person can't be erased, because something would be lost."""


def export(s: Session, one: PersonRecord | RefusedWrite) -> JsonObject:
    """Return everything that the bridge stores about a person, by table."""
    rows = rows_about_refused(s, one) if isinstance(one, RefusedWrite) else rows_about(s, one)
    return {"tenant": s.tenant, "exported_at": s.now, **rows}


def erase(s: Session, tenant: Tenant, person_id: PersonId) -> None:
    """Erase a person; see `erase_person`.

    :raises StillOwed: Entra's user is active, or something about the person is still to be delivered.
    """
    found = s.people.get(person_id)
    if found is not None and found.person.user_id is not None:
        s.resources.lock("User", found.person.user_id)  # All transactions lock in this order.
    record = s.people.get(person_id, lock=True)
    if record is None:
        raise NotFound("this person is no longer in the bridge")
    if (why := _why_not(s, tenant, record)) is not None:
        raise StillOwed(why)
    for waiter in erase_person(s, record):
        s.outbox.mark_due(waiter)


def _why_not(s: Session, tenant: Tenant, record: PersonRecord) -> str | None:
    """Return why a person can't be erased now, and what to do; None if they can."""
    person = record.person
    if not person.is_tombstone and person.days.wants_employment(tenant.today(s.now)):
        return "Entra's user is active: remove the user from the app in Entra first, so that the employment ends"
    is_at_rest = record.state is State.delivered and record.due_since is None and record.lease is None
    if not is_at_rest or person.hands_off is not None:
        why = f", {record.reason}" if record.reason else ""
        return (
            f"something is still to be delivered (the person is {record.state}{why}): see `people show`, then try again"
        )
    is_open = person.creating is not None or person.renumbering is not None or person.doubted_at is not None
    if is_open or (person.employee_number is not None and owes_ending(person, tenant.policy)):
        return "the end of the employment has not been delivered yet: see `people show`, then try again"
    return None
