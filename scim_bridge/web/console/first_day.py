"""The pages of the first day: the steps in their order, the pairs with both sides, and what is decided about them."""

from collections.abc import Callable
from typing import TypeVar

from flask import request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from scim_bridge.adopt.run import BY, SIDES
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.errors import BridgeError, WrongDecisions
from scim_bridge.operator import first_day
from scim_bridge.operator.first_day import STEPS, NotNow
from scim_bridge.storage.database import Session
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import REFRESH_SECONDS, Place

T = TypeVar("T")

MOST = 100
"""How many pairs of each sort a page shows. The next ones follow as those are decided."""

AMONG = 2000
"""At how many people without an employee the page looks, to name those who will be created."""

SHOWN = (*SIDES, Field.department)
"""What is shown of both sides of a disputed pair."""


def show(place: Place) -> Response:
    """Show the steps, and which is next. While a worker is at one, the browser asks again by itself."""
    with place.tenant.read() as s:
        found = first_day.first_day(s, paused_by_setting=place.settings.delivery.paused)
    # Before the button that creates them; not each time that the page loads itself.
    is_asked = found.paused and not found.goes_on and found.kept is not None
    newcomers = first_day.newcomers(place.tenant, most=MOST + 1, among=AMONG) if is_asked else None
    page = place.render(
        "first_day.html",
        found=found,
        steps=STEPS,
        seconds=REFRESH_SECONDS,
        newcomers=newcomers,
        most=MOST,
        among=AMONG,
    )
    return place.refreshed(page, "first_day", found.goes_on)


def find(place: Place) -> Response:
    """Ask for a run that looks for pairs."""
    _now_or_never(place, lambda s: first_day.ask_to_find(s, place.author()))
    return place.done("finding", 0, "first_day")


def show_pairs(place: Place, refused: str = "", pair: tuple[str, str] = ("", "")) -> str:
    """Show the pairs that were found: disputed ones with both sides.

    :param refused: Why a decision about a pair was refused. :param pair: Its user name and employee number.
    """
    found = first_day.pairs_page(place.tenant, most=MOST)
    with place.tenant.read() as s:
        progress = first_day.first_day(s, paused_by_setting=place.settings.delivery.paused)
    return place.render(
        "pairs.html",
        found=found,
        progress=progress,
        by={by: gettext(said) for by, said in BY.items()},
        sides=SHOWN,
        refused=refused,
        refused_pair=pair,
        is_private=place.hides,
    )


def decide(place: Place) -> Response:
    """Store that a user and an employee are one person, or two."""
    form = {name: request.form.get(name, "").replace("\0", "") for name in ("run", "number", "user", "decision")}
    if form["decision"] not in ("link", "skip"):
        raise BadRequest
    pair, is_link = (form["run"], EmployeeNumber(form["number"]), form["user"]), form["decision"] == "link"
    try:
        _now_or_never(place, lambda s: first_day.decide(s, place.tenant, *pair, is_link=is_link))
    except WrongDecisions as error:
        return Response(show_pairs(place, str(error), (form["user"], form["number"])), 409, mimetype="text/html")
    return place.done("decided", 0, "first_day_pairs")


def link(place: Place) -> Response:
    """Ask for a run that links the exact pairs, and those decided so."""
    why, run_id = place.reason(), request.form.get("run", "").replace("\0", "")
    seen = request.form.get("seen", "")
    count = _now_or_never(place, lambda s: first_day.ask_to_link(s, place.author(), run_id=run_id, seen=seen, why=why))
    return place.done("linking", count, "first_day")


def _now_or_never(place: Place, work: Callable[[Session], T]) -> T:
    try:
        return place.tenant.transact(work)
    except NotNow as error:
        raise BridgeError(gettext(str(error))) from error
