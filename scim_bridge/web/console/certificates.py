"""The pages of certificates: what ends, by type and department; who lacks what on a day; and a calendar file."""

from collections.abc import Mapping
from datetime import date

from flask import request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from scim_bridge.domain.certificate import type_of
from scim_bridge.operator.certificates import (
    LISTED,
    MOST,
    MOST_EVENTS,
    MOST_TYPES,
    Choice,
    by_type,
    calendar,
    ending,
    expiries_of,
    lacking,
)
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

DAYS = (30, 90, 365)
"""The choices of how far ahead the list looks."""

MOST_DEPARTMENTS = 200

LONGEST = 400
"""Characters of a type or a department."""

WINDOWS: Mapping[str, str] = {"expired": "has ended", "30 days": "within 30 days", "90 days": "in 31 to 90 days"}


def show(place: Place) -> str:
    """Show what ends, and how many of each type."""
    choice = _choice()
    with place.tenant.read() as s:
        expiries, today = expiries_of(s, place.settings), place.tenant.today(s.now)
        found = ending(expiries, choice, today)
        counted, types = by_type(expiries, today), expiries.types(MOST_TYPES)
        departments = s.directory.departments(MOST_DEPARTMENTS)
    asked = {"within": choice.within_days, "type": choice.type or "", "department": choice.department or ""}
    return place.render(
        "certificates.html",
        found=found,
        most=MOST,
        counted=counted,
        types=types,
        departments=departments,
        asked=asked,
        given={name: value for name, value in asked.items() if value},
        choices=DAYS,
        windows={name: gettext(WINDOWS[name]) for name in LISTED},
    )


def download(place: Place) -> Response:
    """Answer the chosen certificates as a calendar."""
    choice = _choice()
    with place.tenant.read() as s:
        expiries = expiries_of(s, place.settings)
        rows = ending(expiries, choice, place.tenant.today(s.now), most=MOST_EVENTS).rows
        text = "".join(calendar(rows, s.now, place.tenant.name))
    answer = Response(text, content_type="text/calendar; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="certificates.ics"'
    return answer


def show_lacking(place: Place) -> str:
    """Show who lacks a required certificate on a day; without a type, only the form."""
    required = list(dict.fromkeys(type_of(_plain(each)) for each in request.args.getlist("required") if each.strip()))
    department = _plain(request.args.get("department", ""))
    with place.tenant.read() as s:
        on = _day(request.args.get("on", "")) or place.tenant.today(s.now)
        expiries = expiries_of(s, place.settings)
        found = lacking(expiries, on, required, department or None) if required else None
        types, unknown = expiries.types(MOST_TYPES), expiries.unknown(required)
        departments = s.directory.departments(MOST_DEPARTMENTS)
    return place.render(
        "lacking.html",
        found=found,
        most=MOST,
        on=on,
        required=required,
        # A type that was asked for stays to be seen, even if no certificate has it.
        types=[*types, *(each for each in required if each not in types)],
        unknown=unknown,
        department=department,
        departments=departments,
    )


def _choice() -> Choice:
    days = request.args.get("within", type=int)
    kind, department = (_plain(request.args.get(name, "")) for name in ("type", "department"))
    return Choice(days if days in DAYS else DAYS[0], type_of(kind) if kind else None, department or None)


def _plain(text: str) -> str:
    return text.replace("\0", "").strip()[:LONGEST]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest(gettext("Write the day as yyyy-MM-dd.")) from None
