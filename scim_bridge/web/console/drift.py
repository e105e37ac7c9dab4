"""The pages of drift: runs of `reconcile`, their schedule, and a plan as a readable list of differences by person."""

from collections.abc import Mapping
from datetime import date

from flask import request
from werkzeug.exceptions import NotFound

from scim_bridge import errors
from scim_bridge.domain.drift import LOGIN, OF_ENTRA, Drift, Kind
from scim_bridge.domain.employee import Field
from scim_bridge.operator import repair
from scim_bridge.operator.drift import apply_command, plan_page, runs, schedule
from scim_bridge.reconcile.report import CAUSES, DRIFT, FAILED, IN_SYNC, STOPPED, find_plan
from scim_bridge.web.console import language, words
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

KINDS: Mapping[str, str] = {
    Kind.should_be_inactive: "should not be active",
    Kind.should_be_active: "should be active",
    Kind.missing: "missing in Ditio",
    Kind.field: "another value",
    Kind.certificate: "certificate",
    Kind.stuck_delivery: "stuck delivery",
    Kind.renumbered: "renumbered",
    Kind.duplicate_identity: "may be one person twice",
    Kind.unmanaged: "no person linked",
    Kind.left_without_notice: "left without notice",
    Kind.cleared_in_entra: "cleared in Entra",
    Kind.differs_from_entra: "differs from Entra",
    Kind.not_sent: "not sent by Entra",
    Kind.returned: "returned without notice",
}

ENDS: Mapping[int | None, tuple[str, str]] = {
    None: ("not finished", "due"),
    IN_SYNC: ("in sync, or repaired", "delivered"),
    FAILED: ("failed", "parked"),
    DRIFT: ("something differs", "held"),
    STOPPED: ("stopped by a guard", "parked"),
}
"""How a run ended, by its exit code: in words, and the look of the badge."""

SENTENCES: Mapping[str, str] = {
    "login-open": "The login is open, and should be closed.",
    "employed": "The employment runs, and should end.",
    "login-closed": "The login is closed, and should be open.",
    "unemployed": "No employment runs, and a new one should start.",
    "gone": "The employee was delivered earlier, and is no longer in Ditio.",
    "missing": "The employee is not in Ditio yet.",
    "stuck": "The delivery is stuck.",
    "renumbered": "The employee has another number now.",
    "similar-number": "An employee has a number that differs only in case or leading zeros.",
    "same-value": "An employee has the same value: %(field)s.",
    "withdrawn": "Certificate %(field)s is withdrawn, but Ditio has it.",
    "certificate": "Certificate %(field)s is not as Ditio accepted it last.",
    "unmanaged": "No person is linked to this employee.",
    "left-without-notice": "The user has left in Entra, which never said so, and is active here.",
    "cleared-in-entra": "Cleared in Entra, but not here: %(field)s.",
    "differs-from-entra": "Entra has another value: %(field)s.",
    "not-sent": "Entra should provision this user, and never sent them.",
    "returned": "Entra has this user assigned and enabled, and the user is inactive here.",
}

NO_PLAN = "There is no such plan, its run failed, or its rows were removed after RECONCILE__KEEP_DAYS."

MOST_ROWS = 10**7
"""No plan has as many rows; a larger position would not fit into the database."""


def show(place: Place) -> str:
    """Show the last runs and the schedule."""
    with place.tenant.read() as s:
        found, when = runs(s), schedule(s, place.settings.reconcile.every)
        asked, going_on, has_worker = repair.comparison(s), repair.repair_of(s), repair.has_worker(s)
    return place.render(
        "drift.html",
        runs=found,
        schedule=when,
        asked=asked,
        going_on=going_on,
        has_worker=has_worker,
        reconcile=place.settings.reconcile,
        ends=_ends(),
        kinds=_kinds(),
    )


def show_plan(place: Place, plan: str) -> str:
    """Show a stored plan, or the differences of one kind in it."""
    asked = request.args.get("kind", "")
    kind = Kind(asked) if asked in set(Kind) else None
    skip = min(max(request.args.get("skip", type=int) or 0, 0), MOST_ROWS)
    try:
        with place.tenant.read() as s:
            run = find_plan(s, plan.replace("\0", ""))
            found, going_on = plan_page(s, run.id, kind, skip=skip), repair.repair_of(s)
            confirms = not (found.left or found.repaired or found.skipped) and repair.may_be_confirmed(s, run)
    except errors.NotFound as error:
        raise NotFound(gettext(NO_PLAN)) from error
    return place.render(
        "plan.html",
        run=run,
        found=found,
        kind=kind,
        skip=skip,
        going_on=going_on,
        confirms=confirms,
        can_choose=place.is_operator and going_on is None,
        may_be_chosen=lambda rows: any(
            row.may_be_repaired(reviewed=True) and found.outcomes.get(row.position or 0, "") is not None for row in rows
        ),
        command=apply_command(run.id, place.tenant.name, force=run.stopped is not None),
        kinds=_kinds(),
        sentence=sentence,
        found_of=found_of,
        wanted_of=wanted_of,
        cause=lambda row: gettext(CAUSES[row.cause]),
        is_private=lambda row: place.hides(row.field),
    )


def _ends() -> Mapping[int | None, tuple[str, str]]:
    return {exit: (gettext(said), look) for exit, (said, look) in ENDS.items()}


def _kinds() -> Mapping[str, str]:
    return {kind: gettext(said) for kind, said in KINDS.items()}


def sentence(row: Drift) -> str:
    """Return what differs, in words and without the values."""
    said = _sentence(row)
    if said is None:
        return words.field(row.field or "")
    field = row.field or ""
    return gettext(SENTENCES[said]) % {"field": field if row.kind is Kind.certificate else words.field(field)}


def _sentence(row: Drift) -> str | None:
    match row.kind:
        case Kind.should_be_inactive:
            return "login-open" if row.field == LOGIN else "employed"
        case Kind.should_be_active:
            return "login-closed" if row.field == LOGIN else "unemployed"
        case Kind.missing:
            return "missing" if row.acknowledged is None else "gone"
        case Kind.stuck_delivery:
            return "stuck"
        case Kind.renumbered:
            return "renumbered"
        case Kind.duplicate_identity:
            return "similar-number" if row.field == Field.employee_number else "same-value"
        case Kind.certificate:
            return "withdrawn" if row.wanted is None else "certificate"
        case Kind.unmanaged:
            return "unmanaged"
        case Kind.field:
            return None
        case _:  # Of Entra's side.
            return row.kind.value


def found_of(row: Drift) -> object:
    """Return what Ditio has, where that says more than the sentence; of a certificate, what it accepted last."""
    if row.field == LOGIN or row.kind in OF_ENTRA - {Kind.cleared_in_entra} | {Kind.missing, Kind.stuck_delivery}:
        return None
    return _certificate(row.acknowledged) if row.kind is Kind.certificate else row.found


def wanted_of(row: Drift) -> object:
    """Return what is wanted, where that says more than the sentence."""
    says_more = row.kind in (Kind.field, Kind.certificate, Kind.should_be_inactive, Kind.should_be_active)
    wanted = _certificate(row.wanted) if row.kind is Kind.certificate else row.wanted
    return wanted if says_more and row.field != LOGIN else None


def _certificate(packed: object) -> object:
    """Return a certificate in words, from the one text that a plan has for it."""
    parts = str(packed).split(";", 3)
    try:
        number, issued, until, notes = parts
        days = [language.day(date.fromisoformat(issued)), language.day(date.fromisoformat(until)) if until else ""]
    except ValueError:
        return packed
    said = [
        gettext("number %(number)s") % {"number": number} if number else "",
        gettext("issued on %(day)s") % {"day": days[0]},
        gettext("valid until %(day)s") % {"day": days[1]} if days[1] else "",
        notes,
    ]
    return ", ".join(filter(None, said))
