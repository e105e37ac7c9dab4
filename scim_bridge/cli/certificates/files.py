"""A CSV file of certificates: its separator, its columns and its lines, read one by one."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from scim_bridge.cli.encodings import encoding_of
from scim_bridge.delivery.certificate_import import FileLine
from scim_bridge.errors import BridgeError
from scim_bridge.mapping.certificates import Part

if TYPE_CHECKING:
    import _csv

SEPARATORS = (";", ",", "\t")

_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""The first line with which Excel is told the separator."""

_LONGEST_HEADING = 100
"""Characters of a heading that are shown."""


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """A file that is open."""

    encoding: str
    separator: str
    ignored: tuple[str, ...]
    """The headings of columns that mean nothing here."""

    line_breaks: int
    lines: Iterator[FileLine]


@contextmanager
def opened(path: Path, *, needs_end: bool) -> Iterator[CertificateFile]:
    """Open a file and read its headings.

    :param needs_end: Whether a certificate without an end is refused.
    :raises BridgeError: it can't be read, or lacks a column.
    """
    encoded = encoding_of(path)
    with path.open(encoding=encoded.encoding, newline="", errors="strict") as file:
        try:
            before, headings = _first_lines(file)
        except UnicodeError as exc:
            raise BridgeError(f'{path} can\'t be read as {encoded.encoding}: save it again as "CSV UTF-8"') from exc
        separator = before or _separator(headings)
        columns = next(csv.reader([headings], delimiter=separator), [])
        parts, ignored = _parts(path, columns, needs_end=needs_end)
        skipped = 1 if before is None else 2
        rows = csv.reader(file, delimiter=separator, strict=True)
        yield CertificateFile(
            encoded.encoding, separator, ignored, encoded.line_breaks, _lines(rows, parts, len(columns), skipped)
        )


def _first_lines(file: Iterator[str]) -> tuple[str | None, str]:
    """The separator that the first line names, if it does, and the line with the headings."""
    first = next(file, "")
    named = _SEP.fullmatch(first)
    return (named[1], next(file, "")) if named else (None, first)


def _separator(headings: str) -> str:
    """The separator that makes most names of the headings."""

    def known(separator: str) -> int:
        return sum(_folded(each) in _PARTS for each in next(csv.reader([headings], delimiter=separator), []))

    return max(SEPARATORS, key=known)


_PARTS: Mapping[str, Part] = {part.value.lower(): part for part in Part}


def _folded(heading: str) -> str:
    return heading.strip().lower()


def _parts(path: Path, columns: Sequence[str], *, needs_end: bool) -> tuple[dict[int, Part], tuple[str, ...]]:
    """Which part each column is, and the headings of the others."""
    parts = {place: _PARTS[_folded(each)] for place, each in enumerate(columns) if _folded(each) in _PARTS}
    named = list(parts.values())
    needed = [Part.employee_number, Part.type, Part.issued, *([Part.valid_until] if needs_end else [])]
    if missing := [part.value for part in needed if part not in named]:
        raise BridgeError(
            f"{path}: the first line has no column {', '.join(missing)}: name the columns "
            f"{', '.join(part.value for part in Part)}, in any order, separated by ; or , or a tab"
        )
    if twice := sorted({part.value for part in named if named.count(part) > 1}):
        raise BridgeError(f"{path}: the first line has the column {', '.join(twice)} twice: keep one of them")
    others = (each.strip()[:_LONGEST_HEADING] for place, each in enumerate(columns) if place not in parts)
    return parts, tuple(each for each in others if each)


def _lines(rows: "_csv.Reader", parts: Mapping[int, Part], width: int, skipped: int) -> Iterator[FileLine]:
    """The lines after the headings; empty ones are left out."""
    while True:
        number = rows.line_num + skipped + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as exc:
            yield FileLine(number, flaw=_unreadable(number, rows.line_num + skipped, str(exc)))
            continue
        except UnicodeError:
            yield FileLine(number, flaw='from here on the file can\'t be read: save it again, in Excel as "CSV UTF-8"')
            return
        if any(cell.strip() for cell in cells):
            yield _line(number, rows.line_num + skipped, cells, parts, width)


def _line(number: int, last: int, cells: Sequence[str], parts: Mapping[int, Part], width: int) -> FileLine:
    said = {part: cells[place] for place, part in parts.items() if place < len(cells)}
    if any(cell.strip() for cell in chain(cells[width:])):
        why = f"it has {len(cells)} cells and the first line {width}: put a text that has the separator in quotes"
        return FileLine(number, said, why)
    return FileLine(number, said)


def _unreadable(first: int, last: int, reason: str) -> str:
    where = f"lines {first} to {last} were read as one, as a quote opens in line {first}" if last > first else reason
    return f"it can't be read: {where}; write a quote inside a quoted text twice, and close each"
