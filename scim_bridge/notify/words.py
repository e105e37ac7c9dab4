"""A notice in words and figures: title, lines, commands to type, counts and ids; never a name or a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from scim_bridge.domain.operations import OperationName
from scim_bridge.domain.outcome import State, explained, reason_of, state_of
from scim_bridge.domain.person import GuardedChange
from scim_bridge.storage.expiries import EXPIRED, SOON
from scim_bridge.storage.figures import Figures
from scim_bridge.storage.notices import MOST_IDS, Refused, Waiters
from scim_bridge.storage.outbox import Status
from scim_bridge.storage.runs import Run


class Kind(StrEnum):
    """What a notice is about."""

    waiting = "waiting"
    """People who have waited for delivery for long."""

    refused = "refused"
    """Writes of Entra that are refused at every try."""

    guard = "guard"
    """The guard holds changes."""

    ditio = "ditio"
    """Ditio is not called because of trouble with it; or it is called again."""

    drift = "drift"
    """A run of `reconcile` found differences."""

    stopped = "stopped"
    """A run of `reconcile` was stopped by a guard."""

    overdue = "overdue"
    """No comparison has succeeded for too long."""

    daily = "daily"
    test = "test"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is sent, whatever the channel."""

    kind: Kind
    title: str
    lines: Sequence[str] = ()
    commands: Sequence[str] = ()
    """What to type next, without `scim-bridge` before it."""

    counts: Mapping[str, int] = field(default_factory=dict)
    ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The first people, or users, by what `counts` counts."""


TEST = Notice(
    Kind.test,
    "This is a test",
    ["Notices reach this place. Each is sent once: when something begins to need an operator."],
)


def of_waiters(waiters: Sequence[Waiters], seconds: float, status: Status) -> Notice:
    """Return the notice about people who wait. :param status: All who wait now, those of earlier notices included."""
    counts = {each.cause: each.count for each in waiters}
    lines = [line for each in waiters for line in _waiter_lines(each)]
    lines.append(f"All who wait now: {status.due} due, {status.held} held, {status.parked} parked.")
    title = f"{_people(sum(counts.values()))} waited for more than {_span(seconds)}"
    ids = {each.cause: list(each.ids) for each in waiters}
    return Notice(Kind.waiting, title, lines, ["outbox list", "people show ID"], counts, ids)


def _waiter_lines(waiters: Waiters) -> list[str]:
    reason = reason_of(waiters.cause)
    state = State.due if reason is None else state_of(reason)
    words = explained(state, reason)
    name = f"{state}" if reason is None else f"{state}, {reason}"
    return [f"{waiters.count} {name}: {words.meaning if words else ''}.", _ids(waiters.ids, waiters.count)]


def of_refused(refused: Sequence[Refused]) -> Notice:
    """Return the notice about people whose writes are refused at every try."""
    users = [each.user_id for each in refused if each.user_id is not None]
    lines = [
        "Entra was answered 400 or 409 again. The write changed nothing here or in Ditio, and Entra repeats it until "
        "its cause is corrected. The answer says what to correct."
    ]
    if users:
        lines.append(_ids(users[:MOST_IDS], len(users)))
    if len(users) < len(refused):
        lines.append(f"{len(refused) - len(users)} of them would create a user, who has no id yet.")
    title = f"Entra's writes about {_people(len(refused), verb='')} are refused at every try"
    commands = ["outbox list", "activity --kind refused"]
    return Notice(Kind.refused, title, lines, commands, {"refused": len(refused)}, {"refused": users[:MOST_IDS]})


_GUARDED = {
    GuardedChange.ending: ("ending", "endings"),
    GuardedChange.creation: ("creation", "creations"),
    GuardedChange.phone: ("change of phone", "changes of phone"),
    GuardedChange.employee_number: ("change of employee number", "changes of employee number"),
}


def of_guard(kind: GuardedChange, held: Sequence[str]) -> Notice:
    """Return the notice about changes that the guard holds. :param held: The ids of the people."""
    one, several = _GUARDED[kind]
    count = len(held)
    lines = [
        "More was asked for within an hour than the limits allow. What is held is not sent before an operator decides; "
        "further changes of this kind are held too.",
        "If it was a mistake, correct it in Entra. If it was intended, release it. To keep Ditio as it is, drop it.",
        _ids(held[:MOST_IDS], count),
    ]
    title = f"The guard holds {count} {one if count == 1 else several}"
    commands = ["outbox list", "outbox release", "outbox drop"]
    return Notice(Kind.guard, title, lines, commands, {kind.value: count}, {kind.value: list(held[:MOST_IDS])})


def of_trouble(since: datetime) -> Notice:
    """Return the notice that Ditio is not called."""
    lines = [
        f"Since {_instant(since)} Ditio has not answered as it should, and only one person is tried now and then. "
        "What Entra sends is kept, and delivered once Ditio answers."
    ]
    return Notice(Kind.ditio, "Ditio is out of reach, or refuses the bridge", lines, ["outbox status", "doctor"])


def of_recovery(since: datetime, until: datetime) -> Notice:
    """Return the notice that Ditio is called again."""
    lines = [f"The trouble lasted from {_instant(since)} to {_instant(until)}. Who waited is delivered now."]
    return Notice(Kind.ditio, "Ditio works again", lines, ["outbox status"])


def of_drift(run: Run) -> Notice:
    """Return the notice about what a run of `reconcile` found."""
    total = sum(run.by_kind.values())
    lines = [f"{kind}: {count}" for kind, count in sorted(run.by_kind.items()) if count]
    lines.append(f"{run.new} are new since the run before, and {run.applied} were repaired.")
    title = f"reconcile found {total} {'difference' if total == 1 else 'differences'} between Entra and Ditio"
    return Notice(Kind.drift, title, lines, [f"reconcile show {run.plan_id}"], dict(run.by_kind))


def of_stopped(run: Run) -> Notice:
    """Return the notice that a guard stopped a run of `reconcile`."""
    lines = [f"{run.stopped}." if run.stopped else "Its plan goes beyond a limit.", "Nothing was sent to Ditio."]
    title = "A run of reconcile was stopped by its limits"
    return Notice(Kind.stopped, title, lines, [f"reconcile show {run.plan_id}", "reconcile runs"], dict(run.by_kind))


def of_overdue(since: datetime, allowed_seconds: float) -> Notice:
    """Return the notice that comparisons do not run, or fail.

    :param since: When the last one that succeeded began; the first one if none did.
    """
    lines = [
        f"None has succeeded after the one of {_instant(since)}, more than {_span(allowed_seconds)} ago. Either none "
        "was started (RECONCILE__EVERY, or the timer), or each failed: often Ditio was out of reach."
    ]
    return Notice(Kind.overdue, "No comparison with Ditio has succeeded for long", lines, ["reconcile runs", "doctor"])


_DONE = {
    OperationName.create: ("hired", "hired"),
    OperationName.end_employment: ("ended", "employments ended"),
    OperationName.disable: ("disabled", "logins closed"),
    OperationName.create_employment: ("returned", "employed again"),
    OperationName.patch: ("changed", "profiles changed"),
}
"""What the daily summary counts, by operation: its key, and its words."""


def of_day(figures: Figures, done: Mapping[str, int], *, is_paused: bool) -> Notice:
    """Return the daily summary. :param done: For how many people each operation was done in Ditio in a day."""
    status, run = figures.status, figures.reconciled
    counts = {key: done.get(operation, 0) for operation, (key, _) in _DONE.items()}
    lines = ["In the last 24 hours: " + ", ".join(f"{done.get(each, 0)} {words}" for each, (_, words) in _DONE.items())]
    reasons = {**figures.held, **figures.parked}
    why = f" ({', '.join(f'{name} {count}' for name, count in sorted(reasons.items()))})" if reasons else ""
    lines.append(f"Waiting: {status.due} due, {status.held} held, {status.parked} parked{why}")
    lines.append(f"Refused, and told to Entra: {figures.refused}")
    if is_paused:
        lines.append("Deliveries are paused.")
    if figures.is_open:
        lines.append("Ditio is not called, except for a test now and then.")
    if run is None:
        lines.append("No comparison with Ditio has succeeded yet.")
    else:
        found = sum(run.by_kind.values())
        lines.append(
            f"The last comparison, {_instant(run.started_at)}: {run.people} people, {found} differences, "
            f"{run.applied} repaired"
        )
    for what, seconds in (("token", figures.token_seconds), ("client secret", figures.client_seconds)):
        if seconds is not None and seconds < _SOON_SECONDS:
            lines.append(f"The last valid {what} expires in {_span(seconds)}.")
    ended, ending = (
        sum(count for (_, window), count in figures.certificates.items() if window == asked)
        for asked in (EXPIRED, SOON)
    )
    commands = ["outbox list", "activity --since 24h"]
    if ended or ending:
        lines.append(f"Certificates of people at work: {ended} have ended, {ending} end within {SOON}")
        commands.append("certificates expiring")
    counts |= {"due": status.due, "held": status.held, "parked": status.parked, "refused": figures.refused}
    counts |= {"certificates_ended": ended, "certificates_ending": ending}
    title = f"Summary of the day: {status.due + status.held + status.parked} people wait"
    return Notice(Kind.daily, title, lines, commands, counts)


_SOON_SECONDS = 30 * 86400.0


def _people(count: int, *, verb: str = " has| have") -> str:
    one, _, several = verb.partition("|")
    return f"1 person{one}" if count == 1 else f"{count} people{several}"


def _ids(ids: Sequence[str], count: int) -> str:
    more = f" and {count - len(ids)} more" if count > len(ids) else ""
    return f"{'Id' if count == 1 else 'Ids'}: {', '.join(ids)}{more}"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds:.0f} seconds"


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
