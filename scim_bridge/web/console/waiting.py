"""The pages of people who wait: grouped by cause, with the names; and what an operator decides about them."""

from collections import Counter
from dataclasses import dataclass

from flask import request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response

from scim_bridge.domain.audit import Action
from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import BridgeError
from scim_bridge.operator import actions
from scim_bridge.operator.waiting import Waiting, guarded, is_as_seen, is_paused, refused, waiting
from scim_bridge.storage.database import Session
from scim_bridge.storage.outbox import RETRIED, Cause
from scim_bridge.storage.refusals import REFUSED
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

FIRST = 5
"""How many people of one cause are named on the page of all causes."""

MOST = 200
"""How many people the page of one cause names."""

NO_REASON = "-"
"""Stands in a path for the absence of a reason."""

DECISIONS = {"release": Action.released, "drop": Action.dropped}


@dataclass(frozen=True, slots=True)
class Group:
    """People who wait for one cause."""

    state: str
    reason: str | None
    count: int
    people: list[Waiting]
    """The first of them."""

    @property
    def detail(self) -> str | None:
        """What all of them wait for, if it is the same for each."""
        details = {each.detail for each in self.people}
        return next(iter(details)) if len(details) == 1 and len(self.people) > 1 else None

    @property
    def can_retry(self) -> bool:
        """Whether trying again may help."""
        return self.state in (State.due, State.parked) or self.reason in RETRIED

    @property
    def path_reason(self) -> str:
        """The reason as a part of a path."""
        return self.reason or NO_REASON


def show(place: Place) -> str:
    """Show all causes, the first people of each, and those who were refused."""
    rules = place.tenant.rules
    with place.tenant.read() as s:
        paused = is_paused(s, by_setting=place.settings.delivery.paused)
        groups: Counter[Cause] = Counter()
        for cause, count in s.outbox.causes().items():
            groups[Cause(State.held, Reason.paused) if paused and cause.state is State.due else cause] += count
        found = [
            Group(cause.state, cause.reason, count, waiting(s, rules, paused=paused, cause=cause, most=FIRST))
            for cause, count in groups.items()
        ]
        others = refused(s)
    if others:
        found.append(Group(REFUSED, None, len(others), others[:FIRST]))
    return place.render("waiting.html", groups=found)


def show_cause(place: Place, state: str, reason: str) -> str:
    """Show the people of one cause."""
    is_known = state in (*State, REFUSED) and (reason == NO_REASON or reason in set(Reason))
    if not is_known or state == State.delivered:
        raise NotFound
    why = None if reason == NO_REASON else Reason(reason)
    with place.tenant.read() as s:
        if state == REFUSED:
            people = refused(s)
            group = Group(state, None, len(people), people[:MOST])
        else:
            cause = Cause(State(state), why)
            paused = is_paused(s, by_setting=place.settings.delivery.paused)
            people = waiting(s, place.tenant.rules, paused=paused, cause=cause, most=MOST)
            group = Group(state, why, s.outbox.causes().get(cause, 0), people)
    return place.render("waiting_cause.html", group=group)


def retry(place: Place) -> Response:
    """Try the chosen people again now, or all whose cause may have gone."""
    named = None if request.form.get("all") else _named()
    paused = place.settings.delivery.paused
    done = place.tenant.transact(lambda s: actions.retry(s, place.author(), named, paused_by_setting=paused))
    return place.done("retried-paused" if done.is_paused else "retried", done.count, "waiting")


def confirm(place: Place) -> str:
    """Show the people whose held changes are to be released or withdrawn, and ask for the reason."""
    decision = request.args.get("decision", "")
    if decision not in DECISIONS:
        raise NotFound
    named = [PersonId(each) for each in request.args.getlist("person")]
    with place.tenant.read() as s:
        held = guarded(s, named or None)
    return place.render("decide.html", held=held, decision=decision)


def decide(place: Place) -> Response:
    """Release or withdraw the held changes of the people who were named, as they were seen, and no others."""
    decision, why = request.form.get("decision", ""), place.reason()
    seen = {PersonId(who): what for who, _, what in (each.partition(":") for each in _named())}
    if decision not in DECISIONS:
        raise BadRequest
    paused, action = place.settings.delivery.paused, DECISIONS[decision]

    def work(s: Session) -> actions.Done:
        if not is_as_seen(s, seen):
            raise BridgeError(gettext("What the guard holds of these people is not what you saw: look at it again."))
        return actions.decide(s, place.author(), action, seen, paused_by_setting=paused, why=why)

    done = place.tenant.transact(work)
    return place.done(action, done.count, "waiting")


def _named() -> list[PersonId]:
    """Return the people that a form names. :raises BadRequest: it names none."""
    named = [PersonId(each) for each in dict.fromkeys(request.form.getlist("person")) if "\0" not in each]
    if not named:
        raise BadRequest(gettext("Choose at least one person."))
    return named
