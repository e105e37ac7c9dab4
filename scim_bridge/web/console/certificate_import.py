"""The pages that import a file of certificates: choose it, read what it would do, then confirm."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from threading import Lock

from flask import request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from scim_bridge.errors import BridgeError
from scim_bridge.operator.certificate_import import MOST_BYTES as MOST_FILE_BYTES
from scim_bridge.operator.certificate_import import MOST_LINES, Upload, import_upload
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place, alone

MOST_BYTES = MOST_FILE_BYTES * 4 // 3 + 16 * 1024
"""Of a form: the file as text, and the other fields."""

LONGEST_NAME = 100

WAIT_SECONDS = 10.0
"""How long an import waits for another one; its own limits of size and lines keep it shorter than that."""

_running = Lock()
"""One import at a time in each process: a workbook of a few KiB may hold as much work as a large file."""

Answer = Response | str


def show(place: Place) -> str:
    """Show the form for a file."""
    return _page(place)


def check(place: Place) -> Answer:
    """Show what the import of a file would do; nothing is changed.

    The file comes back with the form that confirms it, so that nothing of it is kept here.
    """
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise BadRequest(gettext("Choose a file first."))
    upload = Upload(_plain(sent.filename), sent.stream.read(MOST_FILE_BYTES + 1))
    return _imported(place, upload, applies=False)


def apply(place: Place) -> Answer:
    """Import the file that was checked. The same file again changes nothing."""
    try:
        content = urlsafe_b64decode(request.form.get("content", "").encode("ascii", "strict"))
    except (UnicodeError, binascii.Error):
        content = b""
    if not content:
        raise BadRequest(gettext("Choose a file first."))
    upload = Upload(_plain(request.form.get("name", "")), content)
    return _imported(place, upload, applies=True)


def _imported(place: Place, upload: Upload, *, applies: bool) -> Answer:
    """Import a file, or check it, when no other one is. :raises BridgeError: others take too long."""
    busy = gettext("Another file is being imported: try again in half a minute.")
    with alone(_running, busy, within=WAIT_SECONDS):
        try:
            found = import_upload(place.tenant, place.author(), upload, applies=applies)
        except BridgeError as error:  # The file can't be read: its form stands there for the next one.
            return Response(_page(place, trouble=str(error)), 409, mimetype="text/html")
    content = "" if applies else urlsafe_b64encode(upload.content).decode()
    return _page(place, found=found, name=upload.name, content=content, is_done=applies)


def _page(place: Place, **shown: object) -> str:
    nothing = {"found": None, "name": "", "content": "", "is_done": False, "trouble": ""}
    return place.render(
        "certificate_import.html", **{**nothing, **shown}, most_kib=MOST_FILE_BYTES >> 10, most_lines=MOST_LINES
    )


def _plain(name: str) -> str:
    """Return the last part of a file's name, for messages only."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[-LONGEST_NAME:] or "?"
