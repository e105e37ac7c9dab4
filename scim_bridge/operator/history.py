"""History in words: of one person what was said, asked and answered; of all people who was hired, changed or ended."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from scim_bridge.domain.operations import OperationName
from scim_bridge.domain.outcome import Reason, State, state_of
from scim_bridge.domain.person import PersonId
from scim_bridge.operator.find import found_of
from scim_bridge.scim.mapping import Rules
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.refusals import RefusedWrite

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


# Of all people, since a moment


class Kind(StrEnum):
    """What happened to a person."""

    hired = "hired"
    """An employee was created in Ditio."""

    changed = "changed"
    ended = "ended"
    """The login was closed or the employment ended."""

    returned = "returned"
    """The login was opened again or another employment began."""

    repaired = "repaired"
    """`reconcile` corrected a field or a certificate."""

    linked = "linked"
    """`adopt` linked the user to an employee."""

    held = "held"
    parked = "parked"
    refused = "refused"
    """Ditio refused, or Entra's write was answered 400 or 409."""


class By(StrEnum):
    """Who asked for it."""

    entra = "entra"
    reconcile = "reconcile"
    operator = "operator"
    certificates = "certificates"
    """A competence system, by `/Certificates` or a file."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to one person."""

    at: datetime
    kind: Kind
    user_name: str | None
    employee_number: str | None
    name: str | None
    by: By
    detail: str


_KINDS = {
    OperationName.create: Kind.hired,
    OperationName.disable: Kind.ended,
    OperationName.end_employment: Kind.ended,
    OperationName.enable: Kind.returned,
    OperationName.create_employment: Kind.returned,
}
"""What an operation means; every other changes something."""

_WEIGHT = (Kind.hired, Kind.ended, Kind.returned, Kind.repaired, Kind.changed)
"""Of several kinds in one attempt, the first in this order counts; the detail names all operations."""

_ASKS = {
    **dict.fromkeys((*SAID, "user-continued"), By.entra),
    **dict.fromkeys(("hands-off", "hands-off-cleared", "adopt-accepted", "adopted"), By.operator),
    **dict.fromkeys(("guard-released", "guard-dropped"), By.operator),
    "entra-repaired": By.reconcile,
    **dict.fromkeys(
        ("certificate-put", "certificate-changed", "certificate-withdrawn", "certificate-repeated"), By.certificates
    ),
}
"""The events that make a person due, and who asks by them."""

DELIVERY = "delivery"

Before = Callable[[datetime], tuple[Entry | None, Changed]]
"""Return the last event before a moment that asked for something, if it was not delivered since; and its attributes."""


def activity(s: Session, rules: Rules, since: datetime, kinds: Collection[Kind] = ()) -> list[Happening]:
    """Return what happened at a moment or since, oldest first. :param kinds: Only these kinds; all if empty."""
    histories: dict[PersonId, list[Entry]] = {}
    for person_id, entry in s.history.since(since):
        histories.setdefault(person_id, []).append(entry)
    refused = s.refused_writes.all(since=since)
    told = {each.request_id for each in refused}
    changed = changed_attributes(s, histories)
    found: list[Happening] = []
    for listed in s.directory.of(list(histories)):
        story = _Story(histories[listed.id], changed, partial(_asked_before, s, listed.id))
        person = found_of(listed, s, rules)
        for event in story.events():
            if event.kind is Kind.refused and event.is_undone and event.request_id in told:
                continue  # The refused write says more.
            detail = event.detail
            if event.reason is not None and event.reason is listed.reason and listed.detail:
                detail = f"{detail}: {listed.detail}"
            who = person.user_name, person.employee_number, person.name
            found.append(Happening(event.at, event.kind, *who, event.by, detail))
    found += map(_refused, refused)
    return sorted((each for each in found if not kinds or each.kind in kinds), key=lambda each: each.at)


def _refused(write: RefusedWrite) -> Happening:
    assert write.at is not None
    detail = f"Entra was answered {write.status}: {write.detail}"
    return Happening(write.at, Kind.refused, write.user_name, write.employee_number, write.name, By.entra, detail)


def _asked_before(s: Session, person_id: PersonId, at: datetime) -> tuple[Entry | None, Changed]:
    ask = s.history.last_before(person_id, at, _ASKS)
    delivery = s.history.last_before(person_id, at, {DELIVERY})
    is_over = delivery is not None and delivery.outcome == State.delivered
    if ask is None or (is_over and delivery is not None and _at(ask) <= _at(delivery)):
        return None, {}
    return ask, changed_attributes(s, {person_id: [ask]})


@dataclass(frozen=True, slots=True)
class _Event:
    at: datetime
    kind: Kind
    by: By
    detail: str
    reason: Reason | None = None
    request_id: str | None = None
    is_undone: bool = False


@dataclass(slots=True)
class _Story:
    """The events of one person, out of the history since a moment."""

    entries: Sequence[Entry]
    changed: Changed
    before: Before
    asked: Entry | None = None
    is_known: bool = False
    """Whether `asked` is known; at first it is before the moment."""

    calls: list[Entry] = field(default_factory=list)
    """The operations of the attempt so far."""

    reason: str | None = None
    """The outcome of the last attempt."""

    def events(self) -> Iterator[_Event]:
        """Yield the events, oldest first."""
        events: list[_Event] = []
        for entry in self.entries:
            if entry.what in _ASKS:
                self.asked, self.is_known = entry, True
                if entry.what == "adopted":
                    events.append(_Event(_at(entry), Kind.linked, By.operator, asked_for(entry.what, ())))
            elif entry.what in ASKED:
                self.calls.append(entry)
            elif entry.what == "undo":
                events = [_undone(each) if each.request_id == entry.request_id else each for each in events]
            elif entry.what == DELIVERY:
                events += self._attempted(entry)
        events += self._done()  # An attempt that has not ended yet.
        return iter(events)

    def _attempted(self, entry: Entry) -> Iterator[_Event]:
        refused = [each for each in self.calls if each.outcome in ("refused", "PermanentError")]
        yield from self._done()
        reason = Reason(entry.outcome) if entry.outcome in set(Reason) else None
        if reason is not None and self.reason != entry.outcome:
            by, cause = self._cause([entry])
            kind = Kind.refused if reason is Reason.refused else Kind(state_of(reason))
            asked = _named(refused) if reason is Reason.refused else ""
            detail = f"{cause}. {f'Ditio refused to {asked}' if asked else reason}"
            yield _Event(_at(entry), kind, by, detail, reason, entry.request_id)
        if entry.outcome != "try-again":
            self.reason = entry.outcome
        if entry.outcome == State.delivered:
            self.asked, self.is_known = None, True

    def _done(self) -> Iterator[_Event]:
        done = [each for each in self.calls if each.outcome == "done"]
        self.calls = []
        if not done:
            return
        by, cause = self._cause(done)
        kinds = {_kind(each) for each in done}
        kind = next(each for each in _WEIGHT if each in kinds)
        yield _Event(_at(done[-1]), kind, by, f"{cause}. Done in Ditio: {_named(done)}")

    def _cause(self, entries: Sequence[Entry]) -> tuple[By, str]:
        if entries[-1].cause == "reconcile":
            return By.reconcile, "reconcile repaired a difference"
        if not self.is_known:
            self.asked, self.changed = self.before(_at(self.entries[0]))
            self.is_known = True
        if self.asked is None:
            return By.entra, "a day that Entra has sent has come"
        return _ASKS[self.asked.what], asked_for(self.asked.what, self.changed.get(self.asked.request_id or "", ()))


def _undone(event: _Event) -> _Event:
    return replace(event, is_undone=True, detail=f"{event.detail}. The change was undone; Entra sends it again")


def _kind(entry: Entry) -> Kind:
    is_known = entry.what in set(OperationName)
    kind = _KINDS.get(OperationName(entry.what), Kind.changed) if is_known else Kind.changed
    return Kind.repaired if kind is Kind.changed and entry.cause == "reconcile" else kind


def _named(entries: Iterable[Entry]) -> str:
    return ", ".join(dict.fromkeys(ASKED[each.what] for each in entries))


def _at(entry: Entry) -> datetime:
    assert entry.at is not None
    return entry.at
