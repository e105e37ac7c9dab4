"""One answer that lists employees, parsed as it comes: its rows, and what its envelope says.

The form of lists is not documented ([U]): a bare array, or an array inside `data`, `items`, `employees` or `results`,
and those inside one another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ijson
from ijson.common import ObjectBuilder

from scim_bridge.ditio.responses import DEPTH, MANY
from scim_bridge.domain.documents import JsonObject

LISTS = (*MANY, "value")
"""Under which keys the list of a page is looked for: OData calls it `value`."""

MOST_NOTES = 200
"""How many values of the envelope are kept."""

Scalar = str | int | float | bool | None

_BUFFER = 64 * 1024
_OPENING, _CLOSING = ("start_map", "start_array"), ("end_map", "end_array")


class Readable(Protocol):
    """Where the bytes come from."""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, none at the end."""


class PageReader:
    """Reads one page. `notes` and `has_list` are complete once all rows were taken."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.notes: dict[tuple[str, ...], Scalar] = {}
        """What the envelope says besides the list: path → value, spelled as it is."""

        self.has_list = False
        """Whether there was a list at all: none is not the same as an empty one."""

        self.is_empty = True
        """Whether there was nothing, not even an empty list: the body of a 204."""

    def rows(self) -> Iterator[JsonObject]:
        """The rows, in their order; what is no object is left out.

        :raises ValueError: it is not JSON, or it breaks off.
        """
        opened: list[_Opened] = []
        key = ""
        builder: ObjectBuilder | None = None
        depth = 0  # Of the row that is being built.
        for event, value in self._events():
            if builder is not None:
                builder.event(event, value)
                depth += (event in _OPENING) - (event in _CLOSING)
                if depth == 0:
                    if isinstance(builder.value, dict):
                        yield builder.value
                    builder = None
            elif event == "map_key":
                key = value
            elif event in _OPENING and _is_list(opened):
                builder, depth = ObjectBuilder(), 1
                builder.event(event, value)
            elif event in _OPENING:
                opened.append(_Opened(key, event == "start_array"))
                self.has_list = self.has_list or _is_list(opened)
                key = ""
            elif event in _CLOSING:
                opened.pop()
            elif len(self.notes) < MOST_NOTES and not any(each.is_array for each in opened):
                self.notes[(*(each.key for each in opened[1:]), key)] = value

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the answer, for the parser."""
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


@dataclass(frozen=True, slots=True)
class _Opened:
    """An object or array that is open, and the key it is under."""

    key: str
    is_array: bool


def _is_list(opened: Sequence[_Opened]) -> bool:
    """Whether the innermost of these is a list of employees."""
    if not opened or not opened[-1].is_array or any(each.is_array for each in opened[:-1]):
        return False
    return len(opened) <= DEPTH + 1 and all(each.key.lower() in LISTS for each in opened[1:])
