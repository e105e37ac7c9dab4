"""Entra's side beside the SCIM users: what differs, since when it counts, and when nothing is believed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from scim_bridge.domain.certificate import Slot
from scim_bridge.domain.drift import Cause, Kind
from scim_bridge.domain.employee import REQUIRED, Field, Owner
from scim_bridge.domain.entra import DirectoryUser, EntraReading, Job, JobState, Stored
from scim_bridge.domain.values import JsonObject, Unusable, canonical, nfc, value_of
from scim_bridge.plan.entra_mapping import ObjectMapping, direct_sources, folded, formatted_dates
from scim_bridge.plan.limits import FEW, Limits
from scim_bridge.scim.mapping import Rules
from scim_bridge.scim.reading import DITIO_URN, SourcePath, active_of, read

LEAVE_DATE = "employeeLeaveDateTime"

FULL_AGAIN = timedelta(days=6)
"""How long a mark is used: it lasts seven days, and changes may be missing in it, so all is read anew now and then."""

REPLICATION = timedelta(minutes=20)
"""A cycle that begins this long after a difference was first seen has had the chance to send it."""

WITHOUT_JOB = timedelta(hours=3)
"""How far two reads are apart where the job can't be read."""

TWICE = 2

LEAST_SHARE = 0.9
"""Fewer users than this share of what Graph counts are no complete read."""

CLEARED_SHARE = 0.2
"""More than this share of the people who have a value can't all have been cleared at once."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One attribute of a SCIM user that comes from one attribute of Entra, as it is."""

    path: SourcePath
    attribute: str
    """Entra's name of it, in provisioning."""

    field: Field | None
    """The field of Ditio that it feeds; None for a certificate slot."""

    is_formatted: bool = False
    """Whether Entra formats it as a date: then only an empty one is compared, because the day depends on the zone."""

    @property
    def name(self) -> str:
        """Return the name in reports: that of Ditio's field, or the attribute of the slot."""
        return self.field.value if self.field is not None else self.path.attribute

    @property
    def is_required(self) -> bool:
        """Whether Ditio requires a value, so that none is ever cleared by itself."""
        return self.field in REQUIRED


def compared_of(users: ObjectMapping, rules: Rules, slots: Sequence[Slot]) -> tuple[Compared, ...]:
    """Return what can be compared: an expression, or a default value, proves nothing."""
    direct, formatted = direct_sources(users), formatted_dates(users)
    paths = [
        (source, name)
        for name, rule in rules.by_field.items()
        if rule.owner is not Owner.ditio
        for source in rule.sources
        if folded(source.text) != "username"
    ]
    slotted = [(SourcePath(f"{DITIO_URN}:{each}", DITIO_URN, each), None) for slot in slots for each in slot.attributes]
    found: dict[str, Compared] = {}
    for path, name in (*paths, *slotted):
        key = folded(path.text)
        if (attribute := direct.get(key) or formatted.get(key)) is not None:
            found.setdefault(key, Compared(path, attribute, name, is_formatted=key not in direct))
    return tuple(found.values())


def same_form(compared: Compared, raw: object, rules: Rules) -> str | None:
    """Return a value in the form in which both sides are compared; None for an empty one."""
    text = str(raw).strip() if raw is not None else ""
    if not text:
        return None
    if compared.field is None:
        return nfc(text)
    value = value_of(compared.field, raw, rules.phone_region, rules.zone)
    return nfc(text) if isinstance(value, Unusable) else str(canonical(compared.field, value) or "") or None


class Shown(StrEnum):
    """What Entra shows of a user that the bridge has as active."""

    unassigned = "unassigned"
    disabled = "disabled"
    deleted = "deleted"
    out_of_scope = "out of scope"


CAUSES = {
    Shown.unassigned: Cause.unassigned,
    Shown.disabled: Cause.disabled_in_entra,
    Shown.deleted: Cause.deleted_in_entra,
    Shown.out_of_scope: Cause.out_of_scope,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of one person, before it counts."""

    kind: Kind
    cause: Cause
    field: str = ""
    detail: str | None = None
    """What Entra shows, in a word without a value."""


@dataclass(frozen=True, slots=True)
class Believed:
    """What is believed of a read, and how it is compared."""

    compared: tuple[Compared, ...]
    rules: Rules
    hashed: Callable[[str, str], str]
    """Returns the keyed hash of an attribute's value in its compared form."""

    all_users: bool
    """Whether no user needs an assignment."""

    values_proved: bool
    """Whether an empty value is believed: without its permission, Graph shows every value as empty."""

    dates_proved: bool
    """Whether an empty leave date is believed, too."""

    assignments_known: bool
    filter_proved: bool = False
    """Whether a verdict of the scoping filter is believed: what was not read passes no filter, either."""

    present: frozenset[str] = frozenset()
    """The attributes in which at least one user has a value: only these were really read."""


def shown_of(stored: Stored, is_assigned: bool, believed: Believed) -> Shown | None:
    """Return why Entra would have this user inactive; None if they should be active, or that is not known."""
    if stored.removed is not None:
        return Shown.deleted
    if stored.enabled is False:
        return Shown.disabled
    if not is_assigned and not believed.all_users and believed.assignments_known:
        return Shown.unassigned
    if stored.passes_filter is False and believed.filter_proved:
        return Shown.out_of_scope
    return None


def in_scope(stored: Stored, is_assigned: bool, believed: Believed) -> bool | None:
    """Return whether Entra provisions a user; None where that is not known."""
    if shown_of(stored, is_assigned, believed) is not None:
        return False
    if not is_assigned and not believed.all_users:
        return None
    return True if stored.passes_filter and stored.enabled else None


def differences(document: JsonObject, stored: Stored, is_assigned: bool, believed: Believed) -> Iterator[Difference]:
    """Yield what differs between a SCIM user and Entra's user."""
    is_active = active_of(document)
    shown = shown_of(stored, is_assigned, believed)
    if is_active and shown is not None:
        day = f" {stored.removed_on}" if shown is Shown.deleted and stored.removed_on is not None else ""
        yield Difference(Kind.left_without_notice, CAUSES[shown], "", f"{shown}{day}")
        return
    if in_scope(stored, is_assigned, believed) is not True:
        return
    if not is_active:
        yield Difference(Kind.returned, Cause.never_seen)
        return
    for compared in serving(document, stored, believed):
        yield from _of_attribute(document, stored, compared, believed)


def serving(document: JsonObject, stored: Stored, believed: Believed) -> Iterator[Compared]:
    """Yield what is compared for one user: of the sources of a field, the one that serves.

    That is the first with a value here. If none has one, it is the first that has a value in Entra.
    """
    by_field: dict[Field, list[Compared]] = {}
    for each in believed.compared:
        if each.field is None:
            yield each
        else:
            by_field.setdefault(each.field, []).append(each)
    for name, group in by_field.items():
        sources = believed.rules.by_field[name].sources
        served = next((source for source in sources if read(document, source) is not None), None)
        if served is None:
            yield from [each for each in group if stored.hashes.get(each.attribute) is not None][:1]
        else:
            # A source that is mapped by an expression serves, too, and can't be compared.
            yield from (each for each in group if each.path.text == served.text)


def _of_attribute(document: JsonObject, stored: Stored, compared: Compared, believed: Believed) -> Iterator[Difference]:
    attribute = compared.attribute
    if attribute not in stored.hashes or attribute not in believed.present:
        return
    theirs = stored.hashes[attribute]
    ours = same_form(compared, read(document, compared.path), believed.rules)
    if theirs is None:
        is_proved = believed.values_proved and (attribute != LEAVE_DATE or believed.dates_proved)
        if ours is not None and is_proved:
            yield Difference(Kind.cleared_in_entra, Cause.entra_sends_no_nulls, compared.name)
    elif not compared.is_formatted and (ours is None or believed.hashed(attribute, ours) != theirs):
        yield Difference(Kind.differs_from_entra, Cause.lost_change, compared.name)


# When a difference counts.

NOT_RUNNING = frozenset({JobState.paused, JobState.never_run, JobState.quarantine, JobState.late, JobState.unknown})


class Counts(StrEnum):
    """Whether a difference is drift yet."""

    no = "no"
    """Entra may still send it."""

    yes = "yes"
    on_review = "on-review"
    """The job does not run: it is shown, and repaired only from a plan that was read."""


def counts(first_seen: datetime, looks: int, job: Job | None, now: datetime) -> Counts:
    """Return whether a difference counts: seen in two complete reads, and a cycle has passed it over."""
    if looks < TWICE:
        return Counts.no
    if job is None:
        return Counts.yes if now - first_seen >= WITHOUT_JOB else Counts.no
    if job.state(now) in NOT_RUNNING:
        return Counts.on_review
    began = job.last.began_at
    if began is None or job.last.state not in ("Succeeded", "EntryLevelErrors"):
        return Counts.no
    return Counts.yes if began >= first_seen + REPLICATION else Counts.no


def cause_of(kind: Kind, cause: Cause, job: Job | None, count: Counts) -> Cause:
    """Return why a difference is there: a job that stands still explains it better than anything else."""
    if count is not Counts.on_review:
        return cause
    quarantine = job.quarantine if job is not None else None
    if kind is Kind.left_without_notice and quarantine is not None and quarantine.reason == "TooManyDeletes":
        return Cause.entra_guard
    return Cause.job_not_running


# When nothing is believed.


@dataclass(slots=True)
class Tally:
    """What one comparison of all people found, in figures."""

    known: int = 0
    """Active people whose `externalId` is the object id of a user that Entra has shown, now or earlier."""

    active: int = 0
    """Inactive people may be long gone in Entra: they do not tell whether this is the right tenant."""

    leaving: int = 0
    having: dict[str, int] = field(default_factory=dict)
    """By field: how many active people have a value in SCIM."""

    cleared: dict[str, int] = field(default_factory=dict)
    differing: dict[str, int] = field(default_factory=dict)

    def count(self, difference: Difference) -> None:
        self.leaving += difference.kind is Kind.left_without_notice
        by_kind = {Kind.cleared_in_entra: self.cleared, Kind.differs_from_entra: self.differing}
        if (counted := by_kind.get(difference.kind)) is not None:
            counted[difference.field] = counted.get(difference.field, 0) + 1


MOST_ALONE = 2
"""Of so few people, all may leave."""

CHECK = "If Entra provisions all users, set ENTRA__SCOPE to all"

SHOWN = "Graph shows"
"""How a sentence begins that says that too little was shown; an operator may confirm it with `--force`."""

CONFIRMED = "if that is right, read this run's plan, and confirm it with `reconcile --apply --plan ID --force`"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a comparison stops the run, with figure and limit."""

    words: str
    is_excess: bool = False
    """Whether it is believed, and only too much: then an operator may repair it after reading the plan."""


def doubts_of_read(
    reading: EntraReading, counted: int | None, linked: int, *, all_users: bool, users_before: int = 0
) -> Iterator[str]:
    """Yield why a read is not believed, each with figure and limit.

    :param counted: How many users Graph counts; None where it does not say.
    :param users_before: How many users the last complete read showed.
    :param linked: How many people have a SCIM user.
    """
    if counted is not None and reading.users < LEAST_SHARE * counted:
        yield f"Graph showed {reading.users} users and counts {counted}: that is no complete read"
    elif counted is None and reading.users * 2 < users_before:
        yield f"{SHOWN} {reading.users} users, fewer than half of the {users_before} of the last complete read"
    if all_users or reading.doubts:
        return
    if reading.assigned == 0 and linked:
        yield f"Graph has no assignment at all, and {linked} people were provisioned"
    elif reading.assigned_before is not None and reading.assigned * 2 < reading.assigned_before:
        yield (
            f"{SHOWN} {reading.assigned} assigned users, fewer than half of the {reading.assigned_before} of the "
            "last complete read"
        )


def doubts_of_comparison(tally: Tally, limits: Limits) -> Iterator[Stop]:
    """Yield why what a comparison found is not believed, each with figure and limit."""
    wrong = tally.known * 2 < tally.active if tally.active >= FEW else tally.active > 0 and tally.known == 0
    if wrong:
        yield Stop(
            f"Entra knows {tally.known} of the {tally.active} active people by `externalId`, fewer than half: check "
            "ENTRA__TENANT_ID, and that `externalId` is mapped from objectId"
        )
    for name, count in sorted(tally.cleared.items()):
        have = tally.having.get(name, 0)
        # Of few people, as many may be cleared as of `FEW`.
        if count > CLEARED_SHARE * max(have, FEW):
            yield Stop(f"{name} looks cleared for {count} of {have} people, more than {CLEARED_SHARE:.0%} at once")
    if tally.active >= FEW and tally.leaving > limits.max_ended_fraction * tally.active:
        yield Stop(
            f"{tally.leaving} of {tally.active} active people would leave, more than the share of "
            f"{limits.max_ended_fraction:g} that RECONCILE__MAX_ENDED_FRACTION allows. {CHECK}",
            is_excess=True,
        )
    elif tally.leaving * 2 > tally.active > MOST_ALONE:
        yield Stop(
            f"{tally.leaving} of {tally.active} active people would leave, more than half. {CHECK}", is_excess=True
        )


def mapping_differs(tally: Tally, name: str) -> bool:
    """Return whether so many people differ in a field that the mapping must be the reason."""
    have = tally.having.get(name, 0)
    return have >= FEW and tally.differing.get(name, 0) > CLEARED_SHARE * have


def hashes_of(
    user: DirectoryUser, believed_forms: Mapping[str, Compared], rules: Rules, hashed: Callable[[str, str], str]
) -> dict[str, str | None]:
    """Return what is stored of a user's values.

    :param believed_forms: By attribute, one comparison that reads it.
    """
    found: dict[str, str | None] = {}
    for attribute, value in user.values.items():
        compared = believed_forms.get(attribute)
        if compared is not None:
            form = same_form(compared, value, rules)
            found[attribute] = None if form is None else hashed(attribute, form)
    return found
