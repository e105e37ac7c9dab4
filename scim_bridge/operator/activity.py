"""What happened to people since a moment: hired, changed, ended, …, with the cause and who asked."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import partial

from scim_bridge.domain.operations import OperationName
from scim_bridge.domain.outcome import Reason, State, state_of
from scim_bridge.domain.person import PersonId
from scim_bridge.operator.find import found_of
from scim_bridge.operator.history import ASKED, SAID, Changed, asked_for, changed_attributes
from scim_bridge.scim.mapping import Rules
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.refusals import RefusedWrite


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
