"""One page of a list, read row by row as it comes."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ijson

from scim_bridge.domain.values import JsonObject

MOST_NOTES = 200
"""How many values of the envelope are kept."""

Scalar = str | int | float | bool | None

_BUFFER = 64 * 1024
_NEW: Mapping[str, Callable[[], Any]] = {"start_map": dict, "start_array": list}
_CLOSING = ("end_map", "end_array")


class Readable(Protocol):
    """Where the bytes come from."""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, none at the end."""


class PageReader:
    """Reads one page. `notes` and `has_list` are complete once all rows were read."""

    def __init__(self, source: Readable, lists: Collection[str], *, depth: int = 1) -> None:
        """Prepare it; nothing is read yet.

        :param lists: The keys, in lower case, under which the list is looked for.
        :param depth: How many envelopes are opened, as in {"data": {"items": […]}}.
        """
        self._source = source
        self._lists = lists
        self._depth = depth
        self.notes: dict[tuple[str, ...], Scalar] = {}
        """What the envelope says besides the list: path → value, spelled as it is."""

        self.has_list = False
        """Whether there was a list at all: none is not the same as an empty one."""

        self.is_empty = True
        """Whether there was nothing, not even an empty list: the body of a 204."""

    def rows(self) -> Iterator[JsonObject]:
        """Yield the rows, in their order; items that are no objects are left out.

        :raises ValueError: it is not JSON, or it breaks off.
        """
        opened: list[_Opened] = []
        key = ""
        row: list[Any] = []  # What is open of the row that is being built, outermost first.
        for event, value in self._events():
            if row:
                if event == "map_key":
                    key = value
                elif event in _CLOSING:
                    closed = row.pop()
                    if not row and isinstance(closed, dict):
                        yield closed
                else:
                    new = _NEW[event]() if event in _NEW else value
                    if isinstance(row[-1], dict):
                        row[-1][key] = new
                    else:
                        row[-1].append(new)
                    if event in _NEW:
                        row.append(new)
            elif event == "map_key":
                key = value
            elif event in _NEW and self._is_list(opened):
                row = [_NEW[event]()]
            elif event in _NEW:
                opened.append(_Opened(key, event == "start_array"))
                self.has_list = self.has_list or self._is_list(opened)
                key = ""
            elif event in _CLOSING:
                opened.pop()
            elif len(self.notes) < MOST_NOTES and not any(each.is_array for each in opened):
                self.notes[(*(each.key for each in opened[1:]), key)] = value

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes of the answer, for the parser."""
        piece = self._source.read(size)
        self.is_empty = self.is_empty and not piece.strip()
        return piece

    def _events(self) -> Iterator[tuple[str, Any]]:
        try:
            yield from ijson.basic_parse(self, buf_size=_BUFFER, use_float=True)
        except ijson.IncompleteJSONError as exc:
            if not self.is_empty:
                raise ValueError("breaks off, or is not JSON") from exc
        except (ijson.JSONError, UnicodeDecodeError) as exc:
            raise ValueError("is not JSON") from exc

    def _is_list(self, opened: "Sequence[_Opened]") -> bool:
        """Return whether the innermost of these is the list."""
        if not opened or not opened[-1].is_array or any(each.is_array for each in opened[:-1]):
            return False
        return len(opened) <= self._depth + 1 and all(each.key.lower() in self._lists for each in opened[1:])


@dataclass(frozen=True, slots=True)
class _Opened:
    """An object or array that is open, and its key."""

    key: str
    is_array: bool
