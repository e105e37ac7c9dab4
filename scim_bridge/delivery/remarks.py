"""What an administrator should know of somebody who is delivered all the same (rules C3, L3)."""

from datetime import date

from scim_bridge.delivery.outcome import Note
from scim_bridge.domain.employee import Field, Problem, Wish
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import Person


def remarks(person: Person, wish: Wish, *, last_day: date | None) -> list[Note]:
    """Values that were not used, for a linked person whose user exists; for any person a leave date that leaves doubt.

    :param last_day: The day that has to be over before the employment is ended, where an ending waits (rule L5).
    """
    if person.days.is_doubtful:
        return [_doubtful(person)]
    if person.employee_number is None or person.is_tombstone:
        return []
    awaited = [] if last_day is None else [Note(f"the employment ends when {last_day}, its last day, is over")]
    return [*awaited, *(_told(problem) for problem in wish.problems), *_left_over(person, wish)]


def _doubtful(person: Person) -> Note:
    """A leave date that had passed when the user was first seen (rule L3)."""
    return Note(
        f"employmentEndDate {person.days.leave} has passed, the user is active, and no employmentStartDate is after "
        "it. Nothing is created, enabled or ended in Ditio. Correct the dates in Entra, or block the user there",
        Reason.incomplete,
    )


def _told(problem: Problem) -> Note:
    """A day that can't be read is waited for: somebody's leaving may hang on it (rule T1)."""
    is_day = problem.field in (Field.end_date, Field.start_date, Field.birth_date)
    return Note(problem.message, Reason.incomplete if is_day else None)


def _left_over(person: Person, wish: Wish) -> list[Note]:
    """Entra does not send cleared values, so dates of an earlier employment stay (rule L3)."""
    notes: list[Note] = []
    ended_on, start, leave = person.acknowledged.ended_on, wish.day(Field.start_date), person.days.leave
    if person.days.leave_is_stale and leave is not None:
        notes.append(Note(f"employmentEndDate {leave} is left over from an earlier employment: ignored"))
    is_leave_late = leave is not None and ended_on is not None and leave < ended_on
    if is_leave_late and not person.days.leave_is_stale and person.acknowledged.employed is False:
        notes.append(Note(f"employmentEndDate {leave} was said after the ending on {ended_on}: ignored"))
    is_start_old = start is not None and ended_on is not None and start <= ended_on
    if person.days.active and person.acknowledged.employed and is_start_old and Field.start_date not in wish.defaulted:
        notes.append(Note(f"employmentStartDate {start} is left over from an earlier employment: ignored"))
    return notes
