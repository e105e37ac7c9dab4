"""One person in full: the user, the desired employee, the actual employee, and the history as text."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date

from scim_bridge.cli.output import paragraph
from scim_bridge.domain.certificate import Holder, Line
from scim_bridge.domain.employee import (
    ActualEmployee,
    DesiredEmployee,
    EmployeeNumber,
    Employment,
    Field,
    last_end,
    open_employment,
)
from scim_bridge.domain.operations import OperationName
from scim_bridge.domain.outcome import Reason, State, state_of
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import DeliveryError, NotFound, SettingsError
from scim_bridge.scim.mapping import Rules
from scim_bridge.settings import Settings
from scim_bridge.storage.breaker import PAUSED
from scim_bridge.storage.database import Database
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import document_of
from scim_bridge.tenant import desired_of


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

    @property
    def number_in_ditio(self) -> EmployeeNumber | None:
        """The number to look for in Ditio: the linked one, else the one being created, else the desired one."""
        person = self.record.person
        creating = person.creating.employee_number if person.creating else None
        return person.employee_number or creating or self.desired.employee_number

    def headline(self) -> str:
        """Return who the person is, in one line."""
        who = str(self.user.get("userName")) if self.user else "A user that Entra has deleted"
        person = self.record.person
        if person.employee_number:
            return f"{who} is employee {person.employee_number}"
        return f"{who} is not linked to an employee" + (f" (wants {n})" if (n := self.number_in_ditio) else "")

    def history(self) -> list[dict[str, object]]:
        """Return the history, oldest first."""
        return [{"at": entry.at, **asdict(entry)} for entry in self.entries]

    def document(self, ditio: JsonObject | None) -> JsonObject:
        """Return the whole view as JSON."""
        wanted = {field.value: self.desired.values.get(field) for field in Field} if self.user else None
        return {
            "user": self.user,
            "employee": wanted,
            "ditio": ditio,
            "state": self.record.state,
            "reason": self.record.reason,
            "detail": self.record.detail,
            "history": self.history(),
        }


def view_of(database: Database, tenant: str, rules: Rules, name: str, *, is_paused: bool = False) -> PersonView:
    """Return a person by employee number or user name. :raises NotFound: there is none.

    :param is_paused: Whether the setting pauses deliveries: a due person is then shown as held (rule D4).
    """
    with database.read(tenant) as s:
        now = s.now
        record = s.people.find(name)
        if record is None:
            raise NotFound(f"no user has the employee number or user name {name!r}: check the spelling")
        person = record.person
        document = document_of(s, person.user_id) if person.user_id else None
        entries = s.history.of(person.id)
        if record.state is State.due and (is_paused or s.breaker.get().is_paused):
            record = replace(record, state=State.held, reason=Reason.paused, detail=PAUSED)
        lines = s.ledger.lines(Holder.of_person(person.id))
    desired = DesiredEmployee({})
    if document is not None:
        desired = desired_of(document, rules, person, now.astimezone(rules.zone).date())
    user: JsonObject | None = None if document is None else {"id": person.user_id, **document}
    return PersonView(record, user, desired, entries, lines)


def employee_in_ditio(
    settings: Settings, database: Database, number: EmployeeNumber, tenant: str
) -> JsonObject | str | None:
    """Return the employee as Ditio shows it, None if there is none, or a text that says why it can't be read.

    :param settings: The settings of this tenant, as if there were no other.
    """
    from scim_bridge.bootstrap import build  # noqa: PLC0415 # Large, and a person without an employee does without.

    try:
        found = build(settings, database=database).tenants[tenant].ditio.get(number)
        return None if found is None else _shown(found)
    except (SettingsError, DeliveryError, ValueError) as error:
        return str(error)


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


SAID: Mapping[str, str] = {
    "user-created": "Entra created the user",
    "user-changed": "Entra changed the user",
    "user-repeated": "Entra sent the user again, unchanged",
    "user-deleted": "Entra deleted the user",
    "user-continued": "Another user, who waited for the number, took this person over",
}

ALSO: Mapping[str, str] = {
    "hands-off": "An operator stopped deliveries to this person",
    "hands-off-cleared": "An operator resumed deliveries to this person",
    "adopt-accepted": "An operator confirmed that this is the employee in Ditio",
    "adopted": "Linked by adopt to the employee in Ditio",
    "guard-released": "An operator released what the guard held",
    "guard-dropped": "An operator withdrew what the guard held",
    "claim": "Released a number or phone that Ditio no longer shows",
    "certificate-put": "A certificate came from /Certificates or from a file",
    "certificate-changed": "A certificate was changed in /Certificates",
    "certificate-withdrawn": "A certificate was withdrawn",
    "certificate-repeated": "The source sent a certificate again that Ditio had refused",
}

ASKED: Mapping[str, str] = {
    OperationName.create: "create the employee",
    OperationName.patch: "change the profile",
    OperationName.create_employment: "begin an employment",
    OperationName.update_employment: "change the employment",
    OperationName.end_employment: "end the employment",
    OperationName.disable: "disable the login",
    OperationName.enable: "enable the login",
    OperationName.change_phone_number: "change the phone number",
    OperationName.change_employee_number: "change the employee number",
    "certificates": "accept certificates",
}

ANSWERED: Mapping[str, str] = {
    "done": "done",
    "refused": "refused",
    "PermanentError": "refused",
    "OperationMissing": "Ditio does not know this operation, or it is switched off",
    "CredentialsRefused": "the API client was refused",
    "RateLimited": "Ditio asked to wait",
    "BudgetSpent": "the request's time ran out; nothing was sent",
    "TransientError": "no usable answer",
}

_INDENT = " " * 23


def told(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of a history, indented; instants in UTC."""
    for entry in entries:
        at = entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if entry.at else ""
        yield from paragraph(_sentence(entry), first=f"  {at:<19}  ", indent=_INDENT)


def _sentence(entry: Entry) -> str:
    facts = ", ".join(_facts(entry))
    return _words(entry) + (f" ({facts})" if facts else "")


def _words(entry: Entry) -> str:
    if entry.what in SAID:
        return SAID[entry.what]
    if entry.what in ALSO:
        return ALSO[entry.what]
    if entry.what in ASKED:
        return f"Ditio was asked to {ASKED[entry.what]}: {ANSWERED.get(entry.outcome, entry.outcome)}"
    if entry.what == "delivery":
        by = {"worker": " by a worker", "reconcile": " by reconcile"}.get(entry.cause or "", "")
        return f"{_result(entry.outcome)}{by}"
    if entry.what == "undo":
        return "Entra's change was undone, and Entra got the reason"
    return f"{entry.what}: {entry.outcome}"


def _result(outcome: str) -> str:
    if outcome == "try-again":
        return "To be tried again"
    if outcome in set(Reason):
        return f"{state_of(Reason(outcome)).capitalize()}, {outcome}"
    return "Delivered" if outcome == State.delivered else outcome.capitalize()


def _facts(entry: Entry) -> Iterator[str]:
    if entry.status is not None:
        yield f"status {entry.status}"
    if entry.seconds is not None:
        yield f"{entry.seconds:.1f} s"
    if entry.ditio_request_id is not None:
        yield f"Ditio's request {entry.ditio_request_id}"
    if entry.request_id is not None and entry.what in SAID:
        yield f"request {entry.request_id}"
