"""The pages that repair a plan: what would be done, and about which people; the approval; how far it is."""

from collections.abc import Mapping

from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response

from scim_bridge import errors
from scim_bridge.domain.drift import Kind
from scim_bridge.operator import repair
from scim_bridge.operator.repair import Effect, Selection
from scim_bridge.operator.waiting import is_paused
from scim_bridge.plan.limits import Limits
from scim_bridge.reconcile.report import find_plan
from scim_bridge.storage.database import Session
from scim_bridge.web.console import drift
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import REFRESH_SECONDS, Place

MOST = 200
"""How many people of one effect are named; the plan has the others."""

EFFECTS: Mapping[Effect, str] = {
    Effect.ends: "Employments that end, and logins that are closed",
    Effect.opens: "Employments that begin again, and logins that are opened",
    Effect.creates: "Employees who are created",
    Effect.changes: "Values that are changed",
    Effect.certificates: "Certificates that are sent or withdrawn",
    Effect.tries: "Deliveries that are tried again",
}


def confirm(place: Place, plan: str) -> str:
    """Show what would be repaired, with the names, and ask for the reason."""
    selection = _selection(request.args)
    with place.tenant.read() as s:
        found = _choice(place, s, plan, selection)
        groups = [
            (gettext(EFFECTS[effect]), effect, len(people), repair.named(s, people[:MOST]))
            for effect, people in found.people_by_effect().items()
        ]
        going_on, has_worker = repair.repair_of(s), repair.has_worker(s)
        paused = is_paused(s, by_setting=place.settings.delivery.paused)
    return place.render(
        "repair.html",
        found=found,
        groups=groups,
        selection=selection,
        going_on=going_on,
        has_worker=has_worker,
        paused=paused,
        most=MOST,
        sentence=drift.sentence,
        found_of=drift.found_of,
        wanted_of=drift.wanted_of,
    )


def approve(place: Place, plan: str) -> Response:
    """Approve the repair that the page before has shown."""
    why = place.reason()
    selection = _selection(request.form)
    seen, force = request.form.get("seen", ""), request.form.get("force") == "yes"

    def work(s: Session) -> int:
        return repair.approve(
            s,
            place.author(),
            _id(plan),
            selection,
            _limits(place),
            seen=seen,
            force=force,
            paused_by_setting=place.settings.delivery.paused,
            why=why,
        )

    try:
        approved = place.tenant.transact(work)
    except errors.NotFound as error:
        raise _no_plan() from error
    except repair.NotApproved as error:
        raise errors.BridgeError(gettext(str(error))) from error
    if not approved:
        return place.done("confirmed", 0, "drift")
    return place.done("approved", approved, "plan_progress", plan=plan)


def stop(place: Place, plan: str) -> Response:
    """Withdraw the approval of what was not repaired yet."""
    why = place.reason()
    try:
        withdrawn = place.tenant.transact(lambda s: repair.stop_repair(s, place.author(), _id(plan), why=why))
    except errors.NotFound as error:
        raise _no_plan() from error
    return place.done("repair-stopped", withdrawn, "plan", plan=plan)


def progress(place: Place, plan: str) -> Response:
    """Show how far the repair is. While it goes on, the browser asks again by itself, without any script."""
    try:
        with place.tenant.read() as s:
            run = find_plan(s, _id(plan))
            found = repair.progress_of(s, run.id)
            repaired, skipped = s.plan(run.id).count_outcomes()
    except errors.NotFound as error:
        raise _no_plan() from error
    refreshes = found.asked is not None and request.args.get("refresh") != "no"
    page = place.render(
        "repairing.html",
        run=run,
        found=found,
        repaired=repaired,
        skipped=skipped,
        refreshes=refreshes,
        seconds=REFRESH_SECONDS,
    )
    # Without the notice of the approval, which a screen reader would read again each time.
    return place.refreshed(page, "plan_progress", refreshes, plan=run.id)


def compare(place: Place) -> Response:
    """Ask for a comparison of all people."""
    place.tenant.transact(lambda s: repair.ask_to_compare(s, place.author()))
    return place.done("comparing", 0, "first_day" if request.form.get("back") == "first_day" else "drift")


def _selection(form: MultiDict[str, str]) -> Selection:
    """Return what a form asks for. :raises BadRequest: it names no one."""
    chosen = frozenset(each for each in form.getlist("who", type=int) if 0 <= each < drift.MOST_ROWS)
    people = None if form.get("all") else chosen
    if people is not None and not people:
        raise BadRequest(gettext("Choose at least one person."))
    kind = form.get("kind", "")
    return Selection(people, Kind(kind) if kind in set(Kind) else None)


def _id(plan: str) -> str:
    """Return the id of a plan as PostgreSQL can look for it."""
    return plan.replace("\0", "")


def _choice(place: Place, s: Session, plan: str, selection: Selection) -> repair.Choice:
    try:
        return repair.choice(s, _id(plan), selection, _limits(place))
    except errors.NotFound as error:
        raise _no_plan() from error


def _limits(place: Place) -> Limits:
    section = place.settings.reconcile
    return Limits(section.max_ended_fraction, section.max_changes)


def _no_plan() -> NotFound:
    return NotFound(gettext(drift.NO_PLAN))
