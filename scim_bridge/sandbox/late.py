"""Writes that the simulated Ditio applies some time after their caller gave up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.test import run_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

ACCEPTED = "sandbox.accepted"
"""Environ key of a call that was let in when it arrived: its token is not looked at again."""


@dataclass(frozen=True, slots=True)
class _Late:
    due_at: datetime
    environ: WSGIEnvironment


class LateWrites:
    """The writes that wait, applied in the order of their moments; safe to share between threads.

    Nothing runs by itself: they are applied before the next call after their moment, which is the first that could
    tell the difference.
    """

    def __init__(self, app: WSGIApplication, now: Callable[[], datetime]) -> None:
        self._app = app
        self._now = now
        self._lock = threading.RLock()
        self._waiting: list[_Late] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, environ: WSGIEnvironment, sent: bytes, seconds: float) -> None:
        """Keep a call, to be applied so many seconds from now."""
        kept = {**environ, "wsgi.input": BytesIO(sent), ACCEPTED: True}
        with self._lock:
            self._waiting.append(_Late(self._now() + timedelta(seconds=seconds), kept))
            self._waiting.sort(key=lambda late: late.due_at)

    def apply(self, *, all: bool = False) -> int:
        """Apply those whose moment has come, or `all` of them now. How many."""
        if not self._waiting:
            return 0
        with self._lock:
            now = self._now()
            due = [each for each in self._waiting if all or each.due_at <= now]
            self._waiting = [each for each in self._waiting if each not in due]
            for each in due:
                run_wsgi_app(self._app, each.environ, buffered=True)
        return len(due)
