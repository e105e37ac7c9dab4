"""Undo: take back a write that Ditio refuses while its request still waits, as a whole or not at all (rule R1)."""

from dataclasses import dataclass, replace
from http import HTTPStatus

from scim_bridge.certificates.entries import SlotEntries
from scim_bridge.delivery.attempt import Attempt
from scim_bridge.delivery.claims import claim_wanted, forget_person, settle_claims
from scim_bridge.delivery.guard import uncount_undone
from scim_bridge.domain.audit import BY_UNDO, Action, AuditEvent
from scim_bridge.domain.employee import Field
from scim_bridge.domain.outcome import Note, Outcome, Reason, Refusal, Settled, State, Undone, printable
from scim_bridge.domain.values import UserId
from scim_bridge.plan.steps import wakes_on
from scim_bridge.storage.database import Session
from scim_bridge.storage.history import Entry
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import StoredResource, Taken
from scim_bridge.tenant import Tenant

LONGEST_WHY = 600
"""Characters of what was refused. Attribute and cure follow it, and must not be cut off."""

LONGEST_VALUE = 100


def undone_of(refusals: list[Refusal], attempt: Attempt, *, is_creation: bool) -> Undone:
    """Describe what was refused, the attribute and the cure, in one text that fits into the answer."""
    fields = tuple(dict.fromkeys(name for each in refusals for name in each.fields))
    why = "; ".join(dict.fromkeys(each.text for each in refusals))
    cures = "; ".join(dict.fromkeys(each.cure for each in refusals))
    kept = "Nothing of this user was stored" if is_creation else "All of this change was undone"
    why = _cut(why, LONGEST_WHY).rstrip(".")
    detail = f"{why}. {_at_fault(attempt, fields)}. {cures}. {kept}; Entra tries again by itself"
    first = fields[0] if fields else None
    return Undone(
        detail=printable(detail),
        is_duplicate=all(each.is_duplicate for each in refusals),
        attribute=_attribute(attempt, first) if first else "",
        value=_value(attempt, first) if first else "",
    )


def _at_fault(attempt: Attempt, fields: tuple[Field, ...]) -> str:
    if not fields:
        return "Ditio names no field"
    named = [f'{_attribute(attempt, name)} "{_value(attempt, name)}" (in Ditio: {name.value})' for name in fields]
    return f"The attribute is {named[0]}" if len(named) == 1 else f"The attribute is one of {', '.join(named)}"


def _attribute(attempt: Attempt, name: Field) -> str:
    """Return the SCIM attribute that the value came from, else the first that it could come from."""
    rule = attempt.tenant.rules.by_field[name]
    return attempt.desired.sources.get(name) or rule.sources[0].text


def _value(attempt: Attempt, name: Field) -> str:
    value = attempt.desired.values.get(name)
    return _cut("" if value is None else str(value), LONGEST_VALUE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


USER = "User"


@dataclass(frozen=True, slots=True)
class Undoable:
    """A write that may be taken back, and what was before it."""

    user_id: UserId
    person: PersonRecord | None = None
    """The person before the write; None if the write created them."""

    document: StoredResource | None = None
    """The document before the write; None if the write created it."""

    version: int = 1
    """The version that the write gave the document. While it is unchanged, there was no later write."""


class Undo:
    """Takes one write back, at most once, in the transaction in which its delivery would settle.

    So no claim changes hands in between: the person still has what the write gave up.
    """

    def __init__(self, tenant: Tenant, write: Undoable) -> None:
        self._tenant = tenant
        self._write = write
        self._attempted: Undone | None = None
        self.undone: Undone | None = None
        """What was taken back; set after the commit."""

        self.was_to_come = False
        """Whether the delivery left something out because the write was about to be taken back."""

    @property
    def is_uncertain(self) -> bool:
        """Return whether the write was being taken back, and the result of the commit is unknown."""
        return self._attempted is not None and self.undone is None

    def is_to_come(self, attempt: Attempt) -> bool:
        """Return whether the write will probably be taken back, as far as its delivery shows so far.

        Nothing more is then sent for it, as each of Entra's retries would send it and bring it back again.
        """
        self.was_to_come = False
        if self._write.document is None or self.undone is not None or attempt.budget.left() == 0:
            return False  # The write created the person: nothing is sent for them before they are in Ditio.
        if not self._of_this_write(attempt, Settled(tuple(attempt.notes))):
            return False
        with self._tenant.read() as s:
            stored = s.resources.get(USER, self._write.user_id)
        self.was_to_come = stored is not None and stored.version == self._write.version
        return self.was_to_come

    def begin(self, s: Session, attempt: Attempt, outcome: Outcome) -> Undone | None:
        """Return what to answer Entra, if this outcome is to be reported and no later write changed the document.

        Call this before the person is locked: intake also locks the document first.
        """
        self._attempted = None
        if self.undone is not None or not isinstance(outcome, Settled) or attempt.budget.left() == 0:
            return None
        refusals = self._of_this_write(attempt, outcome)
        if not refusals:
            return None
        stored = s.resources.lock(USER, self._write.user_id)
        if stored is None or stored.version != self._write.version:
            return None
        return undone_of(refusals, attempt, is_creation=self._write.document is None)

    def take_back(self, s: Session, attempt: Attempt, record: PersonRecord, undone: Undone) -> bool:
        """Put back the state before the write. Return False if that can't be: the delivery then settles as it is.

        :param record: The person now, locked.
        """
        write = self._write
        if write.person is None and (record.person.employee_number is not None or record.person.creating is not None):
            return False  # The employee may exist.
        if write.document is None:
            s.resources.delete(USER, write.user_id)
        elif not self._put_back(s, write.document):
            return False
        uncount_undone(s, attempt)
        if write.person is None:
            forget_person(s, self._tenant, record.person.id)
        elif write.document is not None:
            self._restore(s, attempt, record, write.person, write.document)
        status = HTTPStatus.CONFLICT if undone.is_duplicate else HTTPStatus.BAD_REQUEST
        entry = Entry("undo", "undone", cause=attempt.cause, status=status, request_id=attempt.facts.record.request_id)
        s.history.add(record.person.id, entry)
        deed = AuditEvent(Action.undone, USER, write.user_id, record.person.id)
        s.audit.add(deed, replace(BY_UNDO, request_id=attempt.facts.record.request_id))
        self._attempted = undone
        return True

    def confirm(self) -> None:
        """Note that the transaction is committed."""
        if self._attempted is not None:
            self.undone = self._attempted

    def _put_back(self, s: Session, before: StoredResource) -> bool:
        """Put the document back with a new version: a client that read the refused one must see that it changed."""
        again = replace(before, version=self._write.version + 1, last_modified_at=s.now)
        try:
            s.resources.replace(again)
        except Taken:
            return False  # Another user has the user name by now.
        return True

    def _restore(
        self, s: Session, attempt: Attempt, record: PersonRecord, before: PersonRecord, document: StoredResource
    ) -> None:
        """Put back days and claims, and mark the person due: delivery then reverts what Ditio already accepted."""
        tenant, days, today = self._tenant, before.person.days, attempt.today
        person = replace(record.person, days=days)
        people = s.people
        people.set_days(
            person.id,
            days,
            before.person.occasions,
            wakes_on=wakes_on(person, tenant.policy, today),
            external_id=before.external_id,
        )
        desired = tenant.desired(document.document, person, today)
        claim_wanted(s, tenant, person, desired, today)
        settle_claims(s, tenant, person, desired, today, keep_all=False)
        SlotEntries(s, tenant).keep(person, document.document, desired.employee_number)
        s.outbox.mark_due(person.id)

    def _of_this_write(self, attempt: Attempt, outcome: Settled) -> list[Refusal]:
        told = [note.refusal for note in outcome.notes if note.refusal is not None and self._is_reported(note, attempt)]
        before, document = self._write.person, self._write.document
        if before is None or document is None:
            return told
        was = self._tenant.desired(document.document, before.person, attempt.today).values
        wanted = attempt.desired.values
        changed = {name for name in was.keys() | wanted.keys() if was.get(name) != wanted.get(name)}
        if before.person.days != attempt.person.days:
            # A return sends these, although Entra did not change them.
            changed |= {Field.start_date, Field.end_date, Field.payroll}
        return [each for each in told if _is_new(each, changed, before)]

    def _is_reported(self, note: Note, attempt: Attempt) -> bool:
        if note.reason is Reason.incomplete:
            # Missing data is not a refusal: report it only for a person who is not in Ditio yet (rule H3).
            return self._tenant.refuse_incomplete and attempt.person.employee_number is None
        return self._tenant.report_refused


def _is_new(refusal: Refusal, changed: set[Field], before: PersonRecord) -> bool:
    """Return whether this change caused the refusal. An earlier refusal must not make every later change fail."""
    if changed.intersection(refusal.fields):
        return True
    if before.person.employee_number is not None and refusal.fields:
        return False
    return before.state is not State.due and before.reason is not Reason.refused
