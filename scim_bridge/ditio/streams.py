"""An answer that is read piece by piece: a list of all employees does not fit into memory."""

from collections.abc import Callable, Mapping

import requests

from scim_bridge.ditio.network import FAILURES, Failure, Unfinished, read_body, transient
from scim_bridge.ditio.responses import Received

LONGEST_SECONDS = 900.0
"""How long one such answer may take altogether."""

MAX_BYTES = 4 * 1024 * 1024 * 1024
"""More than a million employees take; what is larger than this is no list of employees."""

_ERROR_SECONDS = 5.0
"""How long the body of a refusal may take."""


class Streamed:
    """The answer as a file that `ijson` reads; close it by leaving the session's `stream` block."""

    def __init__(
        self, response: requests.Response, *, what: str, request_id: str, monotonic: Callable[[], float]
    ) -> None:
        self._response = response
        self._what = what
        self._monotonic = monotonic
        self._began = monotonic()
        self._bytes = 0
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.request_id = request_id

    @property
    def ok(self) -> bool:
        """Whether Ditio answers with what was asked for."""
        return 200 <= self.status <= 299

    def read(self, size: int = -1) -> bytes:
        """The next bytes, none at the end.

        :raises TransientError: the connection broke, or the answer is too slow or too large.
        """
        if size == 0:
            return b""
        try:
            piece: bytes = self._response.raw.read(size if size > 0 else None, decode_content=True)
            self._bytes += len(piece)
            if self._bytes > MAX_BYTES:
                raise Unfinished("the answer is far larger than a list of employees can be")
            if self._monotonic() - self._began > LONGEST_SECONDS:
                raise Unfinished("the answer came too slowly")
        except FAILURES as exc:
            raise self._transient(exc) from exc
        return piece

    def received(self) -> Received:
        """The whole answer, for one that is a refusal. :raises TransientError: see `read`."""
        try:
            body = read_body(self._response, until=self._monotonic() + _ERROR_SECONDS, monotonic=self._monotonic)
        except FAILURES as exc:
            raise self._transient(exc) from exc
        return Received(self.status, self.headers, body, self.request_id, self._monotonic() - self._began)

    def _transient(self, exc: Failure) -> Exception:
        return transient(
            exc,
            self._what,
            write=False,
            request_id=self.request_id,
            seconds=self._monotonic() - self._began,
            allowed=LONGEST_SECONDS,
        )
