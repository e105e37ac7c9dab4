"""Microsoft's limits on calls to the simulated Graph."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil

from flask import request

from scim_bridge.sandbox.graph.answers import GraphRefusal

WINDOW = timedelta(seconds=10)
REPORTS = 5
"""Calls to `/auditLogs` in a window."""
ON_DEMAND = 5
"""Calls to provisionOnDemand in a window."""


class Limits:
    """Counts the units of the calls in the last ten seconds.

    :ivar spent: All units so far.
    :param users: Returns how many users the tenant has: a larger tenant may ask more.
    :param with_retry_after: Returns whether a refusal says for how long to wait.
    """

    def __init__(
        self, users: Callable[[], int], now: Callable[[], datetime], with_retry_after: Callable[[], bool]
    ) -> None:
        self.spent = 0
        self._users = users
        self._now = now
        self._with_retry_after = with_retry_after
        self._lock = threading.Lock()
        self._calls: dict[str, deque[tuple[datetime, int]]] = {}

    def spend(self) -> None:
        """Count the call.

        :raises GraphRefusal: it is one too many.
        """
        path = request.path
        if "/auditLogs/" in path:
            self._spend("reports", 1, REPORTS)
        elif path.endswith("/provisionOnDemand"):
            self._spend("on demand", 1, ON_DEMAND)
        else:
            self._spend("directory", _units(path), self._most())

    def _most(self) -> int:
        users = self._users()
        return 3500 if users < 50 else 5000 if users <= 500 else 8000

    def _spend(self, bucket: str, units: int, most: int) -> None:
        now = self._now()
        with self._lock:
            calls = self._calls.setdefault(bucket, deque())
            while calls and calls[0][0] <= now - WINDOW:
                calls.popleft()
            if sum(cost for _, cost in calls) + units <= most:
                calls.append((now, units))
                self.spent += units
                return
            seconds = ceil((calls[0][0] + WINDOW - now).total_seconds())
        raise too_many(max(1, seconds) if self._with_retry_after() else None)


def too_many(retry_after_seconds: int | None) -> GraphRefusal:
    """Return the refusal of a call that comes too soon."""
    headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}
    return GraphRefusal(429, "TooManyRequests", "Please retry again later.", headers)


def _units(path: str) -> int:
    """Return what a call costs (`throttling-limits`, identity and access)."""
    *_, collection = path.rstrip("/").split("/")
    if "/transitiveMembers" in path:
        units = 5
    elif "/members" in path:
        units = 3
    else:
        units = 2 if collection == "users" else 1
    units -= "$select" in request.args
    return max(1, units) + ("$expand" in request.args)
