"""One id for each request: in the answer, in the log, in the history, and in the calls to Ditio."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import uuid4

from flask import Flask, Response, g, request

from scim_bridge.logs import bound

HEADER = "X-Request-Id"
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""What a proxy in front may send as the id; anything else is replaced."""


def current() -> str:
    """The id of the request at hand."""
    return str(g.request_id)


def began() -> float:
    """When the request at hand began, on the monotonic clock."""
    return float(g.began)


def install(app: Flask, *, monotonic: Callable[[], float], new_id: Callable[[], str] = lambda: uuid4().hex) -> None:
    """Give every request its id, and every log line of it; and note when it began."""

    @app.before_request
    def begin() -> None:
        g.began = monotonic()
        sent = request.headers.get(HEADER, "")
        g.request_id = sent if ACCEPTED.fullmatch(sent) else new_id()
        context: AbstractContextManager[object] = bound(request_id=g.request_id)
        context.__enter__()
        g.log_context = context

    @app.after_request
    def answer(response: Response) -> Response:
        response.headers[HEADER] = g.request_id
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        context = g.pop("log_context", None)
        if context is not None:
            context.__exit__(None, None, None)
