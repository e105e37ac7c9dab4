"""Routes on the path as it was sent, so that an encoded slash stays inside its segment.

WSGI decodes PATH_INFO before it is split; employee number `A/B`, sent as `A%2FB`, would be two segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from werkzeug.routing import BaseConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class SegmentConverter(BaseConverter):
    """One whole path segment, decoded: `<segment:number>`."""

    def to_python(self, value: str) -> str:
        """Return what the segment means."""
        return value.replace("%2F", "/").replace("%25", "%")

    def to_url(self, value: str) -> str:
        """Return the segment for a path whose own slashes divide."""
        return super().to_url(value)


def keep_segments(environ: WSGIEnvironment) -> str:
    """Make PATH_INFO keep encoded slashes apart for `SegmentConverter`; return the path fully decoded."""
    raw = raw_path(environ)
    segments = [unquote_to_bytes(segment) for segment in raw.split("/")]
    kept = (segment.replace(b"%", b"%25").replace(b"/", b"%2F") for segment in segments)
    environ["PATH_INFO"] = b"/".join(kept).decode("latin-1")
    return unquote(raw)


def raw_path(environ: WSGIEnvironment) -> str:
    """Return the path below SCRIPT_NAME as it was sent, still percent-encoded."""
    sent = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "")
    if not sent:
        return str(environ.get("PATH_INFO", "/")).replace("%", "%25")
    if "://" in sent.partition("?")[0]:
        sent = "/" + sent.partition("://")[2].partition("/")[2]
    return sent.partition("?")[0].removeprefix(str(environ.get("SCRIPT_NAME", "")))
