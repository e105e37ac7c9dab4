"""One run of `adopt`: load the employees of Ditio, pair them with users, decide, and link."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import islice

from scim_bridge.adopt.decide import Deciding
from scim_bridge.adopt.link import link
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.drift import By, Decision, Misfit, Pair
from scim_bridge.domain.employee import ActualEmployee, DesiredEmployee, EmployeeNumber, Field
from scim_bridge.errors import UntrustedRoster
from scim_bridge.logs import get_logger
from scim_bridge.plan.limits import CompanySize, roster_doubt
from scim_bridge.plan.matching import CONTENDED, PossibleEmployees, is_doubtful, proposals
from scim_bridge.reconcile.load import RosterLoading
from scim_bridge.scim.mapping import is_sent
from scim_bridge.storage.asked import LINK
from scim_bridge.storage.candidates import Candidate, unlinked
from scim_bridge.storage.database import Session
from scim_bridge.storage.pairs import Pairs, forget_abandoned, kept_pairs
from scim_bridge.storage.resources import document_of
from scim_bridge.storage.snapshot import Snapshot
from scim_bridge.tenant import Tenant, wanted_claims

log = get_logger(__name__)


PAIR_BATCH = 500
"""Users that are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """Find the pairs of one run, and store them. Link nothing."""

    tenant: Tenant
    run_id: str
    now: datetime

    def pair(self, progress: Callable[[int], None]) -> None:
        """Pair every user that is not linked. :param progress: Called with the number of users done."""
        after, done = "", 0
        while batch := self._next(after):
            after, done = batch[-1].record.person.id, done + len(batch)
            with self.tenant.read() as s:
                found = [pair for each in self._found(s, batch) for pair in each]
            with self.tenant.write() as s:
                self._pairs(s).add(found)
            progress(done)
        with self.tenant.write() as s:
            self._pairs(s).dispute_contended(CONTENDED)

    def _next(self, after: str) -> list[Candidate]:
        with self.tenant.read() as s:
            return unlinked(s, after=after, limit=PAIR_BATCH)

    def _found(self, s: Session, batch: Sequence[Candidate]) -> list[list[Pair]]:
        # A creation may have reached Ditio: that person's own delivery finds out (rule P6).
        users = [(each, self._desired(each)) for each in batch if each.record.person.creating is None]
        numbers = [desired.employee_number for _, desired in users if desired.employee_number is not None]
        snapshot = s.snapshot(self.run_id)
        shown, similar = snapshot.of(numbers), snapshot.similar_numbers(numbers)
        linked = snapshot.linked_among(shown)
        return [self._pairs_of(s, snapshot, candidate, desired, shown, similar, linked) for candidate, desired in users]

    def _pairs_of(
        self,
        s: Session,
        snapshot: Snapshot,
        candidate: Candidate,
        desired: DesiredEmployee,
        shown: dict[str, ActualEmployee],
        similar: dict[str, list[str]],
        linked: frozenset[str],
    ) -> list[Pair]:
        number, user_name = desired.employee_number, _user_name(candidate)
        around = PossibleEmployees(shown.get(number or ""), similar.get(number or "", ()), linked=linked)
        is_permitted = False
        if around.same_number is None and not around.similar_numbers:
            alike = snapshot.look_alikes(desired.text(Field.phone), desired.text(Field.email))
            around = PossibleEmployees(
                look_alikes=alike, linked=snapshot.linked_among(each.employee_number for each in alike)
            )
        elif around.same_number is not None and is_doubtful(desired, around):
            is_permitted = self._is_permitted(s, around.same_number.employee_number, user_name)
        sends_number = is_sent(candidate.document or {}, Field.employee_number, self.tenant.rules)
        record = candidate.record
        return [
            Pair(record.person.id, user_name, record.revision, proposal)
            for proposal in proposals(desired, around, sends_number=sends_number, is_permitted=is_permitted)
        ]

    def _is_permitted(self, s: Session, number: EmployeeNumber, user_name: str) -> bool:
        return s.permissions.allows(number, user_name)

    def _desired(self, candidate: Candidate) -> DesiredEmployee:
        return self.tenant.desired(candidate.document or {}, candidate.record.person, self.tenant.today(self.now))

    def _pairs(self, s: Session) -> Pairs:
        return s.pairs(self.run_id)


def _user_name(candidate: Candidate) -> str:
    return str((candidate.document or {}).get("userName") or "")


BATCH = 50
"""Pairs that are linked in one transaction."""

SIDES = (
    Field.employee_number,
    Field.first_name,
    Field.last_name,
    Field.phone,
    Field.email,
    Field.birth_date,
    Field.work_title,
)
"""The fields shown of both sides of a disputed pair; they are never read back."""

BY: Mapping[By, str] = {By.number: "by number", By.email: "by e-mail", By.phone: "by phone", By.decision: "as decided"}
"""How a pair was found, in words."""

SIDES_AT_ONCE = 200
"""Disputed pairs whose two sides are in memory at a time."""

ABANDONED_AFTER = timedelta(days=1)
"""Age at which the rows that an unfinished run loaded are removed."""

Progress = Callable[[str, int, int | None], None]
"""Called with what is done now, how many are done, and of how many; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """A disputed pair with both sides, for the operator who decides."""

    pair: Pair
    desired: DesiredEmployee
    found: ActualEmployee | None

    @property
    def why(self) -> str | None:
        """Return why an operator has to decide, and what a link would do to the employee's number."""
        why = self.pair.proposal.why
        return why and "; ".join(filter(None, (why, _renumbered(self.pair, self.desired))))


def _renumbered(pair: Pair, desired: DesiredEmployee) -> str:
    number = desired.employee_number
    if number is None or number == pair.employee_number:
        return ""
    return f"a link would change the number in Ditio from {pair.employee_number} to {number}, as Entra has it"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A user who is no employee in Ditio yet."""

    employee_number: EmployeeNumber
    user_name: str
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a run has found. It is read from the database as it is needed, and removed when the run ends."""

    tenant: Tenant
    run_id: str
    now: datetime
    shown: int
    """How many employees Ditio showed."""

    linked: int
    """How many people this run has linked."""

    @property
    def is_disputed(self) -> bool:
        """Whether an operator has to decide anything."""
        with self.tenant.read() as s:
            return s.pairs(self.run_id).is_any_disputed()

    def pairs(self) -> Iterator[Pair]:
        """Yield the exact pairs: linked, or to be linked."""
        with self.tenant.read() as s:
            yield from s.pairs(self.run_id).exact()

    def renumbered(self, pair: Pair) -> str:
        """Return what a link does to the employee's number, if anything, in words."""
        return next(_renumbered(pair, each.desired) for each in self._with_sides([pair]))

    def newcomers(self, *, among: int | None = None) -> Iterator[Newcomer]:
        """Yield the users without an employee in Ditio: deliveries create one, as soon as they are not paused.

        :param among: Look at about so many users; None for all.
        """
        after, today, looked = "", self.tenant.today(self.now), 0
        while (among is None or looked < among) and (batch := self._unlinked(after)):
            after, looked = batch[-1].record.person.id, looked + len(batch)
            with self.tenant.read() as s:
                found = list(self._newcomers(s, batch, today))
            yield from found

    def _unlinked(self, after: str) -> list[Candidate]:
        with self.tenant.read() as s:
            return unlinked(s, after=after, limit=PAIR_BATCH)

    def _newcomers(self, s: Session, batch: Sequence[Candidate], today: date) -> Iterator[Newcomer]:
        snapshot = s.snapshot(self.run_id)
        paired = s.pairs(self.run_id).paired([each.record.person.id for each in batch])
        users = [(each, self.tenant.desired(each.document or {}, each.record.person, today)) for each in batch]
        shown = snapshot.of(desired.employee_number for _, desired in users if desired.employee_number is not None)
        for candidate, desired in users:
            person, number = candidate.record.person, desired.employee_number
            if number is None or desired.missing() or person.creating is not None:
                continue
            if person.days.is_doubtful or not person.days.wants_employment(today):
                continue
            if person.hands_off is not None and person.hands_off.lasts(today):
                continue
            # Who looks like an employee is paired or disputed, and is not created before an operator has decided.
            if number in shown or person.id in paired:
                continue
            if any(s.claims.holder(claim) not in (None, person.id) for claim in wanted_claims(desired)):
                continue
            if snapshot.look_alikes(desired.text(Field.phone), desired.text(Field.email)):
                continue
            names = (desired.text(Field.first_name), desired.text(Field.last_name))
            yield Newcomer(number, _user_name(candidate), " ".join(filter(None, names)))

    def disputed(self) -> Iterator[Pair]:
        """Yield all other pairs, the pairs of one user together."""
        with self.tenant.read() as s:
            yield from s.pairs(self.run_id).disputed()

    def disputes(self) -> Iterator[Dispute]:
        """Yield the disputed pairs with both sides."""
        disputed = self.disputed()
        while batch := list(islice(disputed, SIDES_AT_ONCE)):
            yield from self._with_sides(batch)

    def _with_sides(self, batch: Sequence[Pair]) -> Iterator[Dispute]:
        today = self.tenant.today(self.now)
        with self.tenant.read() as s:
            found = s.snapshot(self.run_id).of(pair.employee_number for pair in batch)
            for pair in batch:
                record = s.people.get(pair.person_id)
                user_id = record.person.user_id if record is not None else None
                document = document_of(s, user_id) if user_id is not None else None
                desired = self.tenant.desired(document or {}, record.person if record else None, today)
                yield Dispute(pair, desired, found.get(pair.employee_number))


def _drop(s: Session, run_id: str) -> None:
    s.snapshot(run_id).drop()
    s.pairs(run_id).end()


@dataclass(frozen=True, slots=True)
class Adoption:
    """Pair the users of one tenant with employees. Create, change and end nothing in Ditio."""

    tenant: Tenant
    roster: Callable[[date], Iterator[ActualEmployee]]

    @contextmanager
    def run(
        self,
        *,
        apply_for: Author | None,
        decisions: Iterable[Decision | Misfit] = (),
        progress: Progress = lambda stage, done, total: None,
        keep: bool = False,
    ) -> Iterator[Found]:
        """Pair every user that is not linked, follow the decisions, and link if asked.

        :param apply_for: The operator who has the exact pairs linked; None: they are not.
        :param keep: Whether what it has found is kept for the console, in place of what was kept before. Only pairs
            that were kept as exact are linked then: an administrator has seen no others.
        :raises WrongDecisions: a decision does not fit; nothing was linked.
        :raises UntrustedRoster: Ditio shows too few employees to be believed; nothing was linked.
        :raises DeliveryError: Ditio can't be read; nothing was linked.
        """
        run_id = self.tenant.new_id()
        with self.tenant.write() as s:
            now = s.now
            abandoned = now - ABANDONED_AFTER
            forget_abandoned(s, abandoned)
            seen = kept_pairs(s) if keep else None
            s.pairs(run_id).begin()
            s.snapshot(run_id).drop_abandoned(abandoned)
        log.info("adopt.started", run=run_id, apply=apply_for is not None)
        linked, is_whole = 0, False
        try:
            loading = RosterLoading(self.tenant, run_id, self.tenant.today(now))
            shown = loading.load(self.roster(loading.today), lambda done: progress("reading Ditio", done, None))
            self._refuse_too_few(shown)
            self._pair(run_id, now, progress)
            Deciding(self.tenant, run_id, now).take(decisions)
            among = (seen.run_id if seen is not None else "") if keep else None
            linked = self._link(run_id, apply_for, progress, among) if apply_for is not None else 0
            yield Found(self.tenant, run_id, now, shown, linked)
            is_whole = True
        finally:
            with self.tenant.write() as s:
                before = kept_pairs(s) if keep and is_whole else None
                if keep and is_whole:
                    s.pairs(run_id).keep()
                    if apply_for is not None:
                        # Begun again, it would link pairs of this run, which no administrator has seen.
                        s.asked.done(LINK)
                else:
                    _drop(s, run_id)
                if before is not None:
                    _drop(s, before.run_id)
            log.info("adopt.finished", run=run_id, linked=linked)

    def _refuse_too_few(self, shown: int) -> None:
        """Refuse a roster that is too short: a shared phone or e-mail address may look like one employee's alone."""
        with self.tenant.read() as s:
            linked = s.people.count(linked=True)
            before = s.runs.shown_before()
        if (doubt := roster_doubt(CompanySize(shown, linked, 0, before))) is not None:
            raise UntrustedRoster(
                f"{doubt}: nothing was linked. See in Ditio what became of them, then run `adopt` again"
            )

    def _pair(self, run_id: str, now: datetime, progress: Progress) -> None:
        with self.tenant.read() as s:
            total = s.people.count(linked=False)
        Pairing(self.tenant, run_id, now).pair(lambda done: progress("comparing", done, total))

    def _link(self, run_id: str, author: Author, progress: Progress, among: str | None) -> int:
        with self.tenant.read() as s:
            total = s.pairs(run_id).count_exact()
        after, done, linked = "", 0, 0
        while batch := self._next(run_id, after, among):
            after, done = batch[-1].person_id, done + len(batch)
            linked += self.tenant.transact(partial(self._link_batch, run_id, batch, author))
            progress("linking", done, total)
        if linked:
            with self.tenant.read() as s:
                s.audit.tell_of_many(Action.linked, "employee", author, linked)
        return linked

    def _next(self, run_id: str, after: str, among: str | None) -> list[Pair]:
        with self.tenant.read() as s:
            return s.pairs(run_id).exact_after(after, BATCH, among=among)

    def _link_batch(self, run_id: str, batch: Sequence[Pair], author: Author, s: Session) -> int:
        """Link these pairs. Return how many were linked; the others are disputed from now on."""
        linked = 0
        shown = s.snapshot(run_id).of(pair.employee_number for pair in batch)
        for pair in batch:
            why = link(s, self.tenant, pair, shown.get(pair.employee_number))
            if why is not None:
                s.pairs(run_id).dispute(pair, why)
                continue
            linked += 1
            event = AuditEvent(Action.linked, "employee", pair.employee_number, pair.person_id)
            s.audit.add(event, author, is_one_of_many=True)
        return linked
