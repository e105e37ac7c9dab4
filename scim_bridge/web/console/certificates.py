"""The pages of certificates: what ends, as a calendar too; who lacks what on a day; and the import of a file."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import date
from threading import Lock

from flask import request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from scim_bridge.domain.certificate import type_of
from scim_bridge.errors import BridgeError
from scim_bridge.operator.certificate_import import MOST_BYTES as MOST_FILE_BYTES
from scim_bridge.operator.certificate_import import MOST_LINES, Upload, import_upload
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
from scim_bridge.web.console.place import Place, alone

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


MOST_FORM_BYTES = MOST_FILE_BYTES * 4 // 3 + 16 * 1024
"""Of a form: the file as text, and the other fields."""

LONGEST_NAME = 100

WAIT_SECONDS = 10.0
"""How long an import waits for another one; its own limits of size and lines keep it shorter than that."""

_import_running = Lock()
"""One import at a time in each process: a workbook of a few KiB may hold as much work as a large file."""


def show_import(place: Place) -> str:
    """Show the form for a file."""
    return _import_page(place)


def check_import(place: Place) -> Response | str:
    """Show what the import of a file would do; nothing is changed.

    The file comes back with the form that confirms it, so that nothing of it is kept here.
    """
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise BadRequest(gettext("Choose a file first."))
    upload = Upload(_file_name(sent.filename), sent.stream.read(MOST_FILE_BYTES + 1))
    return _imported(place, upload, applies=False)


def apply_import(place: Place) -> Response | str:
    """Import the file that was checked. The same file again changes nothing."""
    try:
        content = urlsafe_b64decode(request.form.get("content", "").encode("ascii", "strict"))
    except (UnicodeError, binascii.Error):
        content = b""
    if not content:
        raise BadRequest(gettext("Choose a file first."))
    upload = Upload(_file_name(request.form.get("name", "")), content)
    return _imported(place, upload, applies=True)


def _imported(place: Place, upload: Upload, *, applies: bool) -> Response | str:
    """Import a file, or check it, when no other one is. :raises BridgeError: others take too long."""
    busy = gettext("Another file is being imported: try again in half a minute.")
    with alone(_import_running, busy, within=WAIT_SECONDS):
        try:
            found = import_upload(place.tenant, place.author(), upload, applies=applies)
        except BridgeError as error:  # The file can't be read: its form stands there for the next one.
            return Response(_import_page(place, trouble=str(error)), 409, mimetype="text/html")
    content = "" if applies else urlsafe_b64encode(upload.content).decode()
    return _import_page(place, found=found, name=upload.name, content=content, is_done=applies)


def _import_page(place: Place, **shown: object) -> str:
    nothing = {"found": None, "name": "", "content": "", "is_done": False, "trouble": ""}
    return place.render(
        "certificate_import.html", **{**nothing, **shown}, most_kib=MOST_FILE_BYTES >> 10, most_lines=MOST_LINES
    )


def _file_name(name: str) -> str:
    """Return the last part of a file's name, for messages only."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[-LONGEST_NAME:] or "?"
