"""The first day of a company that is in Ditio already: how far it is, and what the console asks for and decides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from scim_bridge.adopt.decide import Deciding
from scim_bridge.adopt.run import Dispute, Found, Newcomer
from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.domain.drift import Decision, Pair
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.errors import BridgeError
from scim_bridge.operator.overview import last_call
from scim_bridge.operator.repair import comparison, has_worker
from scim_bridge.operator.waiting import is_paused, told_apart
from scim_bridge.storage.asked import FIND, LINK, AskedRun
from scim_bridge.storage.database import Session
from scim_bridge.storage.pairs import Kept, kept_pairs
from scim_bridge.storage.runs import Run
from scim_bridge.tenant import Tenant

STEPS = ("pause", "users", "find", "decide", "link", "plan", "resume", "repair")
"""The steps, in their order."""

GOES_ON = "Pairs are looked for or linked at this moment: wait until that has ended."
NO_PAIRS = "No pairs are kept: look for them first. They are kept for a day."
OTHER_PAIRS = "The pairs are not those that you saw: look at them again."

WHY_NOT = (GOES_ON, NO_PAIRS, OTHER_PAIRS)
"""Why a step can't be taken."""


class NotNow(BridgeError):
    """A step can't be taken; nothing was stored. Its words are one of `WHY_NOT`."""


@dataclass(frozen=True, slots=True)
class FirstDay:
    """How far the first day is, as the stored state tells."""

    paused: bool
    linked: int
    """People who have an employee."""

    unlinked: int
    entra_called_at: datetime | None
    kept: Kept | None
    exact: int
    disputed: int
    """Users whose pairs are disputed."""

    asked: AskedRun | None
    """The run that looks for pairs, or links them, and has not ended."""

    comparing: AskedRun | None
    """The comparison that was asked for, and has not ended."""

    failed_at: datetime | None
    """When such a run ended with an error, if that was the last one."""

    compared: Run | None
    """The last comparison of all people, if there was one since the pairs were found."""

    left: int
    """Rows of it that can be repaired, and were not."""

    has_worker: bool

    @property
    def goes_on(self) -> bool:
        """Whether a worker is to do something, or at it."""
        return self.asked is not None or self.comparing is not None

    def is_done(self, step: str) -> bool:
        """Return whether a step is done. :param step: One of `STEPS`."""
        match step:
            case "pause":
                return self.paused or self.linked > 0
            case "users":
                return self.linked + self.unlinked > 0
            case "find":
                return self.kept is not None or self.linked > 0
            case "decide":
                return self.is_done("find") and self.disputed == 0
            case "link":
                return self.is_done("find") and self.exact == 0
            case "plan":
                return self.is_done("link") and self.compared is not None
            case "resume":
                return self.is_done("plan") and not self.paused
        return self.is_done("plan") and self.left == 0

    @property
    def next_step(self) -> str | None:
        """The first step that is not done; None: all are."""
        return next((step for step in STEPS if not self.is_done(step)), None)


def first_day(s: Session, *, paused_by_setting: bool) -> FirstDay:
    """Return how far the first day is; only reads."""
    kept, compared = kept_pairs(s), s.runs.last(compared=True)
    exact, disputed = s.pairs(kept.run_id).counts() if kept is not None else (0, 0)
    if compared is not None and kept is not None and compared.started_at < kept.at:
        compared = None
    return FirstDay(
        paused=is_paused(s, by_setting=paused_by_setting),
        linked=s.people.count(linked=True),
        unlinked=s.people.count(linked=False),
        entra_called_at=last_call(s),
        kept=kept,
        exact=exact,
        disputed=disputed,
        asked=_asked(s),
        comparing=comparison(s),
        failed_at=max((at for name in (FIND, LINK) if (at := s.asked.failed_at(name)) is not None), default=None),
        compared=compared,
        left=s.plan(compared.id).count_left() if compared is not None else 0,
        has_worker=has_worker(s),
    )


def _asked(s: Session) -> AskedRun | None:
    return next((each for each in s.asked.all() if each.name in (FIND, LINK)), None)


def ask_to_find(s: Session, author: Author) -> None:
    """Ask for a run that pairs users with employees; it links nothing.

    :raises NotNow: such a run has not ended.
    """
    s.asked.serialise()
    if _asked(s) is not None or not s.asked.ask(FIND, author.actor.id or ""):
        raise NotNow(GOES_ON)


def ask_to_link(s: Session, author: Author, *, run_id: str, seen: str, why: str) -> int:
    """Ask for a run that pairs anew, follows the decisions, and links what is exact. Return how many pairs are.

    :param run_id: The run whose pairs the administrator saw.
    :param seen: `PairsPage.seen`.
    :raises NotNow: it can't be; nothing was stored.
    """
    s.asked.serialise()
    kept = kept_pairs(s)
    if kept is None:
        raise NotNow(NO_PAIRS)
    exact = list(s.pairs(run_id).exact())
    if kept.run_id != run_id or _seen(exact) != seen:
        raise NotNow(OTHER_PAIRS)
    if _asked(s) is not None or not s.asked.ask(LINK, author.actor.id or ""):
        raise NotNow(GOES_ON)
    # Before any is linked; each link has a row of its own too.
    s.audit.add(AuditEvent(Action.linked, "employee", detail=why), author)
    return len(exact)


def _seen(exact: Iterable[Pair]) -> str:
    return told_apart(f"{pair.person_id} {pair.employee_number}" for pair in exact)


def decide(s: Session, tenant: Tenant, run_id: str, number: EmployeeNumber, user_name: str, *, is_link: bool) -> None:
    """Store a decision about a pair that is kept; linking follows it later.

    :raises NotNow: these pairs are not kept any more, or a run is about to use them.
    :raises WrongDecisions: it does not fit.
    """
    s.asked.serialise()
    if _asked(s) is not None:
        raise NotNow(GOES_ON)
    kept = kept_pairs(s)
    if kept is None:
        raise NotNow(NO_PAIRS)
    record = s.people.of_user_name(user_name)
    if record is not None and not is_link and s.pairs(run_id).is_skipped(record.person.id, number):
        return  # The form was sent twice.
    proposed = s.pairs(run_id).of_person(record.person.id) if record is not None else ()
    # Only what the page shows: a user is never linked with an employee that no run proposed.
    if kept.run_id != run_id or number not in [pair.employee_number for pair in proposed]:
        raise NotNow(OTHER_PAIRS)
    Deciding(tenant, run_id, s.now).take_one(s, Decision(1, number, user_name, is_link))


def newcomers(tenant: Tenant, *, most: int, among: int) -> Sequence[Newcomer] | None:
    """Return the users that deliveries create in Ditio as soon as they are resumed; None if no pairs are kept.

    :param most: How many.
    :param among: At how many users to look.
    """
    with tenant.read() as s:
        kept, now = kept_pairs(s), s.now
    if kept is None:
        return None
    return list(islice(Found(tenant, kept.run_id, now, 0, 0).newcomers(among=among), most))


@dataclass(frozen=True, slots=True)
class PairsPage:
    """The pairs that are kept, as far as a page shows them."""

    kept: Kept
    exact: Sequence[Pair]
    """The first of them."""

    seen: str
    """Tells the exact pairs, those beyond the first too, from any others."""

    disputes: Sequence[Dispute]
    decided: Sequence[tuple[Pair, bool]]


def pairs_page(tenant: Tenant, *, most: int) -> PairsPage | None:
    """Return the pairs that are kept; None without any. :param most: How many of each sort."""
    with tenant.read() as s:
        kept = kept_pairs(s)
        if kept is None:
            return None
        decided = s.pairs(kept.run_id).decided()
        shown, now = s.snapshot(kept.run_id).count(), s.now
        exact = list(s.pairs(kept.run_id).exact())
    found = Found(tenant, kept.run_id, now, shown, 0)
    return PairsPage(kept, exact[:most], _seen(exact), list(islice(found.disputes(), most)), decided)
