"""What an operator does: retry, release, withdraw, pause, resume, stop deliveries; with a row of the audit trail."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from scim_bridge.delivery import guard
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.operator.waiting import is_paused
from scim_bridge.storage.database import Database, Session


@dataclass(frozen=True, slots=True)
class Done:
    """What an action did."""

    count: int
    """How many people."""

    is_paused: bool
    """Whether they wait until deliveries are resumed."""


def retry(
    s: Session, author: Author, chosen: Collection[PersonId] | None, *, paused_by_setting: bool, why: str | None = None
) -> Done:
    """Make people due now who are due, parked, or held for a claim, an operation or data; see `Outbox.retry`.

    :param chosen: Only these people; None for all.
    """
    # Before any person is locked: all transactions lock in this order.
    s.breaker.close_by_operator()
    if chosen is None:
        retried = s.outbox.retry()
        s.certificate_deliveries.forgive_unclaimed()
        s.audit.add(AuditEvent(Action.retried, "outbox", detail=why), author)
    else:
        retried = 0
        for person_id in sorted(chosen):
            if s.people.get(person_id) is None:
                continue
            retried += s.outbox.retry(person_id)
            s.audit.add(AuditEvent(Action.retried, "outbox", person_id=person_id, detail=why), author)
    return Done(retried, _hold_if_paused(s, paused_by_setting))


DECISIONS: dict[Action, Callable[[Session, Collection[PersonId] | None], int]] = {
    Action.released: guard.release,
    Action.dropped: guard.drop,
}
"""What can be decided about what the guard holds: it is sent, or withdrawn."""


def decide(
    s: Session,
    author: Author,
    action: Action,
    named: Collection[PersonId],
    *,
    paused_by_setting: bool,
    why: str | None = None,
) -> Done:
    """Release or withdraw what the guard holds of the people who were named, and of no one held since.

    :param action: One of `DECISIONS`.
    """
    held = sorted(set(named) & set(s.guard.held()))
    count = DECISIONS[action](s, held) if held else 0
    is_many = len(held) > 1
    for person_id in held:
        s.audit.add(AuditEvent(action, "outbox", person_id=person_id, detail=why), author, is_one_of_many=is_many)
    if is_many:
        s.after_commit(lambda: s.audit.tell_of_many(action, "outbox", author, count))
    return Done(count, _hold_if_paused(s, paused_by_setting))


def pause(s: Session, author: Author, *, why: str | None = None) -> int:
    """Stop all deliveries on all running servers. Return how many people are held for it."""
    was_paused = s.breaker.get().is_paused
    held = s.pauses.pause()
    if held or not was_paused:
        s.audit.add(AuditEvent(Action.paused, "outbox", detail=why), author)
    return held


def resume(s: Session, author: Author, *, why: str | None = None) -> int:
    """End the pause. Return how many people are due; `take_up_all` makes the others due."""
    was_paused = s.breaker.get().is_paused
    resumed = s.pauses.resume()
    if was_paused:
        s.audit.add(AuditEvent(Action.resumed, "outbox", detail=why), author)
    return resumed


def stop_deliveries(s: Session, author: Author, name: str, hands_off: HandsOff, *, why: str | None = None) -> str:
    """Stop deliveries to a person. Return the note about it.

    :param name: An employee number, a user name or a person's id.
    :raises NotFound: there is no such person.
    """
    person_id, said = guard.set_hands_off(s, name, hands_off)
    s.audit.add(AuditEvent(Action.set_hands_off, "person", person_id, person_id, detail=why), author)
    return said


def resume_deliveries(s: Session, author: Author, name: str, *, why: str | None = None) -> bool:
    """Resume deliveries to a person. Return False if they were not stopped.

    :param name: An employee number, a user name or a person's id.
    :raises NotFound: there is no such person.
    """
    person_id = guard.clear_hands_off(s, name)
    if person_id is not None:
        s.audit.add(AuditEvent(Action.hands_off_cleared, "person", person_id, person_id, detail=why), author)
    return person_id is not None


def _hold_if_paused(s: Session, by_setting: bool) -> bool:
    paused = is_paused(s, by_setting=by_setting)
    if paused:
        s.pauses.hold_due()
    return paused


def take_up_all(database: Database, tenant: str) -> int:
    """Make all people due who were held for a pause that has ended, and return how many.

    A worker does the same, more slowly.
    """

    def some(s: Session) -> int:
        return 0 if s.breaker.get().is_paused else s.pauses.take_up()

    count = 0
    while batch := database.transact(tenant, some):
        count += batch
    return count
