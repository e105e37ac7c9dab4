"""A person's history in words: what Entra said, what was asked of Ditio, and how it ended."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from scim_bridge.domain.operations import OperationName
from scim_bridge.domain.outcome import Reason, State, state_of
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry

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
    "entra-repaired": "The bridge changed the user as Entra shows it: `reconcile --with-entra`",
    "guard-released": "An operator released what the guard held",
    "guard-dropped": "An operator withdrew what the guard held",
    "claim": "Released a number or phone that Ditio no longer shows",
    "certificate-put": "A certificate came from /Certificates or from a file",
    "certificate-changed": "A certificate was changed in /Certificates",
    "certificate-withdrawn": "A certificate was withdrawn",
    "certificate-repeated": "The source sent a certificate again that Ditio had refused",
}

CERTIFICATES = "certificates"

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

Changed = Mapping[str, tuple[str, ...]]
"""The attributes that each of Entra's requests changed, by the id of the request; names only (rule D5)."""


def changed_attributes(s: Session, histories: Mapping[PersonId, Iterable[Entry]]) -> Changed:
    """Return the attributes that Entra changed, from the audit trail. :param histories: The history of each person."""
    moments = {
        entry.at for entries in histories.values() for entry in entries if entry.what == "user-changed" and entry.at
    }
    return {
        row.author.request_id: row.deed.attributes
        for row in s.audit.at(moments)
        if row.author.request_id is not None and row.deed.person_id in histories and row.deed.attributes
    }


Say = Callable[[str], str]
"""Returns a message in the language of the reader."""

PATTERNS = {
    "asked": "Ditio was asked to {what}: {answer}",
    "undone": "Entra's change was undone because it was refused. Entra got the reason, and sends the change again",
    "undone-of": "Entra's change of {what} was undone because it was refused. Entra got the reason, and sends the "
    "change again",
    "by-worker": "{result} by a worker",
    "by-reconcile": "{result} by reconcile",
    "try-again": "To be tried again",
    "delivered": "Delivered",
    "held": "Held, {reason}",
    "parked": "Parked, {reason}",
    "status": "status {status}",
    "ditio-request": "Ditio's request {id}",
    "request": "request {id}",
}
"""The other sentences and facts of a history."""


def sentence(entry: Entry, changed: Changed, say: Say = str) -> str:
    """Return one event of a history in words. :param say: Translates each message."""
    facts = ", ".join(_facts(entry, say))
    return _words(entry, changed.get(entry.request_id or "", ()), say) + (f" ({facts})" if facts else "")


def asked_for(what: str, attributes: Sequence[str], say: Say = str) -> str:
    """Return what a source asked for, in words. :param attributes: The names of the attributes that changed."""
    said = say(SAID.get(what) or ALSO.get(what, what))
    return f"{said}: {', '.join(map(short_name, attributes))}" if attributes and what == "user-changed" else said


def short_name(attribute: str) -> str:
    """Return the name of an attribute without its schema."""
    return attribute.rpartition(":")[2]


def _words(entry: Entry, attributes: Sequence[str], say: Say) -> str:
    if entry.what in SAID:
        return asked_for(entry.what, attributes, say)
    if entry.what in ALSO:
        return say(ALSO[entry.what])
    if entry.what in ASKED:
        answer = say(ANSWERED[entry.outcome]) if entry.outcome in ANSWERED else entry.outcome
        return say(PATTERNS["asked"]).format(what=say(ASKED[entry.what]), answer=answer)
    if entry.what == "delivery":
        result = _result(entry.outcome, say)
        by = f"by-{entry.cause}"
        return say(PATTERNS[by]).format(result=result) if by in PATTERNS else result
    if entry.what == "undo":
        what = ", ".join(map(short_name, attributes))
        return say(PATTERNS["undone-of"]).format(what=what) if what else say(PATTERNS["undone"])
    return f"{entry.what}: {entry.outcome}"


def _result(outcome: str, say: Say) -> str:
    if outcome in ("try-again", State.delivered):
        return say(PATTERNS[outcome])
    if outcome in set(Reason):
        return say(PATTERNS[state_of(Reason(outcome))]).format(reason=say(outcome))
    return outcome.capitalize()


def _facts(entry: Entry, say: Say) -> Iterator[str]:
    if entry.status is not None:
        yield say(PATTERNS["status"]).format(status=entry.status)
    if entry.seconds is not None:
        yield f"{entry.seconds:.1f} s"
    if entry.ditio_request_id is not None:
        yield say(PATTERNS["ditio-request"]).format(id=entry.ditio_request_id)
    if entry.request_id is not None and entry.what in SAID:
        yield say(PATTERNS["request"]).format(id=entry.request_id)
