"""Compare the SCIM users with what was read of Entra: findings that wait, and rows of the plan once they count."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import Field, Value
from scim_bridge.domain.entra import DirectoryUser, EntraReading, Permission, Stored, is_object_id
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import EntraError
from scim_bridge.plan.entra_side import (
    LEAVE_DATE,
    Believed,
    Compared,
    Counts,
    Tally,
    cause_of,
    counts,
    differences,
    doubts_of_comparison,
    in_scope,
    mapping_differs,
    serving,
)
from scim_bridge.plan.limits import Limits
from scim_bridge.reconcile.entra_read import ALIVE_SECONDS, ENTRA_READ, OTHER_READ, EntraRead, Terms, terms_of
from scim_bridge.scim.reading import active_of, read
from scim_bridge.storage.database import Session
from scim_bridge.storage.entra import Finding, Sides
from scim_bridge.tenant import Entra, Tenant

PAGE = 500
"""People, or findings, that are in memory at a time."""

MOST_READ = 50
"""How many users are read one by one in a run, to show what Entra has: their values are not stored."""

MOST_LOGS = 20
"""For how many users the log is asked: Graph allows five such calls in ten seconds."""

LOOK_SECONDS = 30.0
"""How long one of these reads may take: Graph allows five of the log in ten seconds."""

READ_SECONDS = 3_600.0
"""How long reading a company's Entra may take. A million users are a thousand pages."""

SEND_AGAIN = "press *Provision on demand* for this user in Entra: the bridge writes no value that Entra owns"
LISTED = {
    Cause.nested_group: "the user is only in a group inside an assigned group: assign that group itself",
    Cause.filter: "the scoping filter of the mapping leaves this user out",
    Cause.no_matching_value: "the user has no value in the attribute that Entra matches by",
    Cause.in_escrow: "the bridge refused this user: `entra log` says why; Entra tries again by itself",
    Cause.never_seen: "press *Provision on demand* for this user in Entra, or restart provisioning",
}
MADE_AGAIN = (
    "another user of Entra has this user name or number now, so it may be the same person: check that `objectId` is "
    "mapped to `externalId`, *Always*"
)
GUESSED = f"the mapping may not be read, so this may come from another attribute: grant {Permission.jobs}"
REQUIRED = "Ditio requires a value: fill it in again in Entra, or end the employment there"


@dataclass(slots=True)
class EntraComparison:
    """One comparison of all people with Entra, after a complete read."""

    tenant: Tenant
    entra: Entra
    terms: Terms
    reading: EntraReading
    reader: EntraRead
    believed: Believed
    limits: Limits
    tally: Tally = field(default_factory=Tally)
    pending: int = 0
    """Differences that do not count yet, because Entra may still send them."""

    _reads: int = 0
    _logs: int = 0

    def look(self) -> list[str]:
        """Compare everyone, and store what differs. Return why it is not believed, each with figure and limit."""
        after = ""
        while True:
            with self.tenant.read() as s:
                page = s.entra.sides(after=after, limit=PAGE)
            if not page:
                break
            after = page[-1].person_id
            self._store([finding for sides in page for finding in self._of_person(sides)])
        self._look_for_unsent()
        doubts = list(doubts_of_comparison(self.tally, self.limits))
        with self.reader.writing() as s:
            s.entra.forget_before(self.reading.read_id)
            if any(not each.is_excess for each in doubts):
                s.entra.forget_findings()
        return [each.words for each in doubts]

    def _of_person(self, sides: Sides) -> Iterator[Finding]:
        is_active = active_of(sides.document)
        self.tally.active += is_active
        if sides.stored is None or not is_object_id(sides.external_id):
            return  # Never seen in Entra: that proves nothing, least of all that the user was deleted.
        self.tally.known += is_active
        found = list(differences(sides.document, sides.stored, sides.is_assigned, self.believed))
        if is_active and in_scope(sides.stored, sides.is_assigned, self.believed):
            self._count_values(sides)
        for each in found:
            self.tally.count(each)
            yield Finding(sides.person_id, each.kind, each.field, each.cause, each.detail)

    def _count_values(self, sides: Sides) -> None:
        assert sides.stored is not None
        served = serving(sides.document, sides.stored, self.believed)
        names = {each.name for each in served if read(sides.document, each.path) is not None}
        for name in names:
            self.tally.having[name] = self.tally.having.get(name, 0) + 1

    def _look_for_unsent(self) -> None:
        """Store the users that Entra should provision, and that the bridge does not have."""
        after = ""
        while True:
            with self.tenant.read() as s:
                page = s.entra.unsent(all_users=self.believed.all_users, after=after, limit=PAGE)
            if not page:
                return
            after = page[-1][0]
            self._store(
                [
                    Finding(object_id, Kind.not_sent, "", self._why_unsent(stored, is_nested))
                    for object_id, stored, is_nested in page
                ]
            )

    def _why_unsent(self, stored: Stored, is_nested: bool) -> Cause:
        if is_nested:
            return Cause.nested_group
        matching = self.terms.matching
        if matching is not None and stored.hashes.get(matching.attribute, "") is None:
            return Cause.no_matching_value
        return Cause.filter if stored.passes_filter is False else Cause.never_seen

    def _store(self, found: list[Finding]) -> None:
        if found:
            with self.reader.writing() as s:
                s.entra.found(self.reading.read_id, found)

    # The rows of the plan.

    def rows(self) -> Iterator[list[Drift]]:
        """Yield the differences that count, as rows of a plan."""
        after = ""
        while True:
            with self.tenant.read() as s:
                page = s.entra.findings(after=after, limit=PAGE)
                sides = s.entra.sides_of([each.subject for each in page])
                now = s.now
            if not page:
                return
            after = page[-1].subject
            rows: list[Drift] = []
            for each in page:
                assert each.first_seen is not None
                count = counts(each.first_seen, each.looks, self.terms.job, now)
                if count is Counts.no:
                    self.pending += 1
                elif each.kind == Kind.not_sent:
                    rows += self._unsent(each)
                elif (theirs := sides.get(each.subject)) is not None:
                    rows.append(self._row(each, theirs, count))
            yield rows

    def _row(self, finding: Finding, sides: Sides, count: Counts) -> Drift:
        kind = Kind(finding.kind)
        compared = self._compared(finding, sides)
        cause = cause_of(kind, Cause(finding.cause), self.terms.job, count)
        if cause is Cause.lost_change and mapping_differs(self.tally, finding.field):
            cause = Cause.mapping_differs
        wanted: Value | None = finding.detail
        found: Value | None = "active"
        listed: str | None = None
        match kind:
            case Kind.left_without_notice:
                listed = MADE_AGAIN if finding.cause == Cause.deleted_in_entra and self._is_again(sides) else None
            case Kind.cleared_in_entra:
                wanted, found = None, _text(sides, compared)
                listed = REQUIRED if compared is not None and compared.is_required else None
                listed = GUESSED if self.terms.job is None else listed
            case Kind.differs_from_entra:
                wanted, found, listed = self._live(sides, compared), _text(sides, compared), SEND_AGAIN
            case Kind.returned:
                wanted, found, listed = "active", "inactive", LISTED[Cause.never_seen]
        return Drift(
            kind=kind,
            cause=cause,
            employee_number=sides.employee_number,
            user_name=str(sides.document.get("userName")),
            field=finding.field or None,
            wanted=wanted,
            found=found,
            person_id=sides.person_id,
            revision=sides.revision,
            listed=listed,
        )

    def _compared(self, finding: Finding, sides: Sides) -> Compared | None:
        """Return the attribute that a finding is about."""
        if sides.stored is None:
            return None
        served = serving(sides.document, sides.stored, self.believed)
        return next((each for each in served if each.name == finding.field), None)

    def _is_again(self, sides: Sides) -> bool:
        """Return whether another user of Entra is the same person now, by number or user name.

        By user name as far as users are read one by one.
        """
        with self.tenant.read() as s:
            if is_again(s, sides, self.terms):
                return True
        user = self._user(str(sides.document.get("userName")))
        return user is not None and user.object_id != str(sides.external_id).lower()

    def _live(self, sides: Sides, compared: Compared | None) -> str | None:
        """Return what Entra has now, for a limited number of users; None beyond that, or if it can't be read."""
        if compared is None or (user := self._user(str(sides.external_id))) is None:
            return None
        return user.values.get(compared.attribute)

    def _user(self, object_id: str) -> DirectoryUser | None:
        self._reads += 1
        if self._reads > MOST_READ:
            return None
        try:
            with self.entra.limited(LOOK_SECONDS):
                return self.entra.user(object_id.lower(), self.terms.attributes)
        except EntraError:
            self._reads = MOST_READ  # The plan does not wait for a Graph that is in trouble.
            return None

    def _unsent(self, finding: Finding) -> Iterator[Drift]:
        user = self._user(finding.subject)
        name = user.user_name if user is not None and user.user_name else finding.subject
        with self.tenant.read() as s:
            if s.people.find(name) is not None:
                return  # Sent, with another `externalId`.
        cause, matching = Cause(finding.cause), self.terms.matching
        if (
            cause is Cause.never_seen
            and user is not None
            and matching is not None
            and user.values.get(matching.attribute, "") is None
        ):
            cause = Cause.no_matching_value
        if cause is Cause.never_seen and self._is_in_escrow(finding.subject):
            cause = Cause.in_escrow
        # Not a person of the bridge: the id only keeps the row apart from others, in this plan and the next.
        yield Drift(
            kind=Kind.not_sent,
            cause=cause,
            user_name=name,
            wanted="active",
            person_id=PersonId(finding.subject),
            listed=LISTED[cause],
        )

    def _is_in_escrow(self, object_id: str) -> bool:
        job = self.terms.job
        if job is None or not job.last.escrowed or self._logs >= MOST_LOGS:
            return False
        self._logs += 1
        try:
            with self.entra.limited(LOOK_SECONDS):
                entries = self.entra.log_of(object_id, most=5)
        except EntraError:
            self._logs = MOST_LOGS
            return False
        return bool(entries) and entries[0].status.casefold() == "failure"


def _text(sides: Sides, compared: Compared | None) -> str | None:
    if compared is None:
        return None
    value = read(sides.document, compared.path)
    return None if value is None else str(value)


def is_again(s: Session, sides: Sides, terms: Terms) -> bool:
    """Return whether another user of Entra has the number, or the matching value, of one who is gone."""
    return s.entra.is_again(str(sides.external_id).lower(), telling(sides, terms), all_users=terms.all_users)


def telling(sides: Sides, terms: Terms) -> Mapping[str, str | None]:
    """Return the hashes that tell a person, by attribute: of the number, and of the matching value."""
    names = {each.attribute for each in terms.compared if each.field is Field.employee_number}
    if terms.matching is not None:
        names.add(terms.matching.attribute)
    hashes = sides.stored.hashes if sides.stored is not None else {}
    return {name: found for name, found in hashes.items() if name in names}


def believed_of(s: Session, tenant: Tenant, terms: Terms, reading: EntraReading, reader: EntraRead) -> Believed:
    present = s.entra.present(terms.attributes)
    return Believed(
        compared=terms.compared,
        rules=tenant.rules,
        hashed=reader.hashed,
        all_users=terms.all_users,
        values_proved=Permission.users in terms.granted,
        dates_proved=Permission.leave_dates in terms.granted,
        assignments_known=not reading.doubts,
        filter_proved=Permission.users in terms.granted and terms.filtered <= present,
        present=present,
    )


@dataclass(frozen=True, slots=True)
class EntraSide:
    """What one run found of Entra; nothing where Entra is not read."""

    rows: Callable[[], Iterator[list[Drift]]] = lambda: iter(())
    stops: tuple[str, ...] = ()
    """Why it is not believed, or is too much, each with figure and limit."""

    notes: Callable[[], tuple[str, ...]] = tuple
    """Returns what was left out, and why; complete once the rows were read."""


def entra_side(
    tenant: Tenant, entra: Entra, run_id: str, limits: Limits, progress: Callable[[str, int, int | None], None]
) -> EntraSide:
    """Read Entra and compare all people with it. :raises EntraError: it can't be read as a whole."""
    with entra.limited(READ_SECONDS):
        return _entra_side(tenant, entra, run_id, limits, progress)


def _entra_side(
    tenant: Tenant, entra: Entra, run_id: str, limits: Limits, progress: Callable[[str, int, int | None], None]
) -> EntraSide:
    terms = terms_of(tenant, entra)
    reader = EntraRead(tenant, entra, terms, run_id, progress)
    with tenant.write() as s:
        if not s.schedules.take(ENTRA_READ, run_id, every_seconds=0.0, alive_seconds=ALIVE_SECONDS):
            raise EntraError(OTHER_READ, is_passing=True)
    try:
        reading = reader.run()
        if reading.stops:
            return EntraSide(stops=reading.stops)
        with tenant.read() as s:
            believed = believed_of(s, tenant, terms, reading, reader)
        comparison = EntraComparison(tenant, entra, terms, reading, reader, believed, limits)
        stops = comparison.look()
    finally:
        with tenant.write() as s:
            s.schedules.done(ENTRA_READ, run_id)
    return EntraSide(comparison.rows, tuple(stops), lambda: tuple(_notes(comparison)))


def _notes(comparison: EntraComparison) -> Iterator[str]:
    terms, reading = comparison.terms, comparison.reading
    if comparison.pending:
        when = "with its next cycle" if terms.job is not None else "within three hours"
        yield f"differences that do not count yet: {comparison.pending}. Entra may still send them {when}"
    if comparison.tally.leaving:
        yield from (f"why Entra may not have sent that users left: {why}" for why in terms.sends_no_leaver)
    for doubt in reading.doubts:
        yield f"{doubt}: no user counts as unassigned"
    if terms.job is None:
        yield "the provisioning job may not be read: the mapping is taken to be the one that `entra schema` prints"
    if not comparison.believed.values_proved:
        yield f"{Permission.users} is not granted for certain: no value counts as cleared"
    elif not comparison.believed.dates_proved and any(each.attribute == LEAVE_DATE for each in terms.compared):
        yield f"{Permission.leave_dates} is not granted: no leave date counts as cleared"
