"""A person's history in words: what Entra said, what was asked of Ditio and what it answered, oldest first."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC

from scim_bridge.cli.paragraphs import paragraph
from scim_bridge.domain.delivery_state import Reason, State, state_of
from scim_bridge.domain.operations import OperationName
from scim_bridge.storage.history import Entry

SAID: Mapping[str, str] = {
    "user-created": "Entra created the user",
    "user-changed": "Entra changed the user",
    "user-repeated": "Entra sent the user again, unchanged",
    "user-deleted": "Entra deleted the user",
    "user-continued": "Another user, who waited for the number, continues this person",
}

ALSO: Mapping[str, str] = {
    "hands-off": "An operator put the person aside",
    "hands-off-cleared": "An operator took the person up again",
    "adopt-accepted": "An operator said that this is the employee in Ditio",
    "adopted": "Linked by adopt to the employee in Ditio",
    "guard-released": "An operator released what the guard held",
    "guard-dropped": "An operator withdrew what the guard held",
    "claim": "Gave up a number or phone that Ditio no longer shows",
    "certificate-put": "A certificate came by /Certificates or from a file",
    "certificate-changed": "A certificate was changed in /Certificates",
    "certificate-withdrawn": "A certificate was withdrawn",
    "certificate-repeated": "A certificate that Ditio had refused was sent by its source again",
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
    "certificates": "take certificates",
}

ANSWERED: Mapping[str, str] = {
    "done": "done",
    "refused": "refused",
    "PermanentError": "refused",
    "OperationMissing": "Ditio does not know this operation, or it is switched off",
    "CredentialsRefused": "the API client was refused",
    "RateLimited": "Ditio asked to wait",
    "BudgetSpent": "too little of the request's time was left; nothing was sent",
    "TransientError": "no usable answer",
}

_INDENT = " " * 23


def told(entries: Iterable[Entry]) -> Iterator[str]:
    """The lines of a time line, indented; instants in UTC."""
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
        return "What Entra said was undone, and Entra was told why"
    return f"{entry.what}: {entry.outcome}"


def _result(outcome: str) -> str:
    if outcome == "try-again":
        return "Left to be tried again"
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
