"""Cursors (RFC 9865) whose secret is fetched with the first one: whoever asks for none pays nothing."""

from collections.abc import Callable
from typing import Any

from scim2_server.cursor import Cursors


class LateCursors(Cursors):
    """Seals and opens the cursors of one tenant.

    :param fetch: The secret that is the tenant's.
    """

    def __init__(self, fetch: Callable[[], str]) -> None:
        super().__init__(b"")
        self._fetch = fetch

    def seal(self, query: str, count: int | None, position: Any) -> str:
        """The cursor of a position."""
        self.secret = self._fetch().encode()
        return super().seal(query, count, position)

    def open(self, cursor: str, query: str, count: int | None, timeout: int | None) -> Any:
        """The position of a cursor.

        :raises InvalidCursorException: as the library's own.
        """
        self.secret = self._fetch().encode()
        return super().open(cursor, query, count, timeout)
