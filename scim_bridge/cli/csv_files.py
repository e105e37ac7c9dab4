"""CSV files that people edit: encoding, separator, columns and lines; certificates, and decisions of `adopt`."""

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from scim_bridge.adopt.run import Dispute
from scim_bridge.cli.output import private_file
from scim_bridge.delivery.certificate_import import FileLine
from scim_bridge.domain.certificate import Part
from scim_bridge.domain.drift import Decision, Misfit
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.errors import BridgeError

if TYPE_CHECKING:
    import _csv


FORMULA_SIGNS = "=+-@\N{MINUS SIGN}"
AS_TEXT = "'"
"""The mark before a value that a spreadsheet would read as a formula."""

BURIED = re.compile(r"([;\t\r\n]\s*)(?=[=+@-])")
"""A formula after a character at which a spreadsheet may split a cell: Norwegian Excel splits at semicolons."""


def csv_cell(value: object) -> str:
    """Return a value for a CSV file; mark as text what a spreadsheet would read as a formula."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    lead = len(text) - len(text.lstrip())
    safe = text[:lead] + BURIED.sub(rf"\1{AS_TEXT}", text[lead:])
    return f"{AS_TEXT}{safe}" if is_formula(text) else safe


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may evaluate a cell.

    Spreadsheets skip leading spaces, line feeds and invisible characters, and may read full-width signs as plain ones.
    A phone number, or a whole number with a sign, is not a formula.
    """
    if text[:1] in ("+", "-") and text[1:].isascii() and text[1:].isdigit():
        return False
    first = next((char for char in text if unicodedata.category(char)[0] not in "CZ"), "")
    is_control = unicodedata.category(text[0]) == "Cc" if text else False
    return is_control or unicodedata.normalize("NFKC", first)[:1] in tuple(FORMULA_SIGNS)


def csv_line(cells: Iterable[str], separator: str = ",") -> str:
    """Return one line of a CSV file."""
    buffer = StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UTF8_LETTER = re.compile(rb"\xc3[\x80-\xbf]")
"""A letter such as æ, ø or å in UTF-8; read as Windows-1252 it is Ã and a sign."""


def encoding_of(path: Path) -> tuple[str, int]:
    """Return the encoding of a file, and its number of line breaks, which is about that of its lines.

    :raises BridgeError: the file can't be read, or mixes two encodings.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise BridgeError(f"{path} can't be read: {exc.strerror}") from exc
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if encoding is None and b"\x00" in data[:64]:
        # UTF-16 without a mark: the headings are ASCII, so every second byte is NUL.
        encoding = "utf-16-be" if data[:1] == b"\x00" else "utf-16-le"
    if encoding is None:
        encoding = "utf-8"
        try:
            data.decode()
        except UnicodeDecodeError as exc:
            encoding = "cp1252"
            if _UTF8_LETTER.search(data) is not None:
                line = data.count(b"\n", 0, exc.start) + 1
                raise BridgeError(
                    f"{path} is UTF-8, but not in line {line}, which would garble names: save it again, in Excel as "
                    '"CSV UTF-8"'
                ) from exc
    return encoding, data.count(b"\n")


COLUMNS = ("employee_number", "user_name", "decision")
LINK, SKIP = "link", "skip"


def decisions_in(file: Path) -> Iterator[Decision | Misfit]:
    """Yield each line that has a decision; a pair whose line has none stays disputed.

    :raises BridgeError: the file can't be read, or is not a file of decisions.
    """
    encoding = "text"
    try:
        encoding, _ = encoding_of(file)
        with file.open(encoding=encoding, newline="") as text:
            yield from _decisions(text, file)
    except UnicodeError as exc:
        raise BridgeError(
            f'{file} can\'t be read as {encoding}: save it again as "CSV UTF-8"; nothing was linked'
        ) from exc
    except OSError as exc:
        raise BridgeError(f"{file} can't be read: {exc.strerror}; nothing was linked") from exc
    except BridgeError as error:
        raise BridgeError(f"{error}; nothing was linked") from error


def _decisions(text: Iterator[str], file: Path) -> Iterator[Decision | Misfit]:
    before, headings = _first_lines(text)
    skipped = 1 if before is None else 2
    delimiter = max(",;\t", key=headings.count)
    names = [_folded(name) for name in next(csv.reader([headings], delimiter=delimiter), [])]
    if missing := [name for name in COLUMNS if name not in names]:
        raise BridgeError(
            f"{file}, line {skipped}: there is no column {' and no '.join(missing)}. The first line must have "
            f"{','.join(COLUMNS)}, in any order, and may have others"
        )
    columns = {name: names.index(name) for name in COLUMNS}  # Other columns are ignored.
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    line = skipped + 1
    try:
        for cells in rows:
            if any(cell.strip() for cell in cells):
                yield from _decision(line, cells, columns)
            line = rows.line_num + skipped + 1
    except csv.Error as exc:
        raise BridgeError(f"{file}, line {rows.line_num + skipped}: {exc}. Correct that line") from exc


def _decision(line: int, cells: list[str], columns: Mapping[str, int]) -> Iterator[Decision | Misfit]:
    number, user_name, said = (_cell(cells, columns[name]) for name in COLUMNS)
    match said.lower():
        case "":
            return
        case "link" | "skip" as word if number and user_name:
            yield Decision(line, EmployeeNumber(number), user_name, word == LINK)
        case "link" | "skip":
            yield Misfit(line, f"the {'user_name' if number else 'employee_number'} is empty: fill it in")
        case _:
            yield Misfit(line, f'the decision is "{said[:40]}": write {LINK} or {SKIP}, or leave it empty')


def _cell(cells: list[str], place: int) -> str:
    text = cells[place].strip() if place < len(cells) else ""
    return text[1:].strip() if text[:1] == AS_TEXT and is_formula(text[1:]) else text


SIDES = (
    Field.employee_number,
    Field.first_name,
    Field.last_name,
    Field.phone,
    Field.email,
    Field.birth_date,
    Field.work_title,
)
"""The fields shown of both sides; they are never read back."""

HEADER = (*COLUMNS, "why", *(f"{field} in {side}" for field in SIDES for side in ("Entra", "Ditio")))


def write_sheet(disputes: Iterable[Dispute], file: Path) -> None:
    """Write disputed pairs, in UTF-8 with a mark for spreadsheets. :raises BridgeError: the file can't be written."""
    with private_file(file, encoding="utf-8-sig") as text:
        text.write(csv_line(HEADER))
        text.writelines(csv_line(_cells(dispute)) for dispute in disputes)


def _cells(dispute: Dispute) -> Iterator[str]:
    pair, found = dispute.pair, dispute.found
    yield from (csv_cell(pair.employee_number), csv_cell(pair.user_name), "", csv_cell(dispute.why))
    for field in SIDES:
        yield csv_cell(dispute.desired.values.get(field))
        yield csv_cell(found.values.get(field) if found is not None else None)


SEPARATORS = (";", ",", "\t")

_SEP = re.compile(r"sep=([^\r\n]?)", re.IGNORECASE)
"""The first line that tells Excel the separator."""

_LONGEST_HEADING = 100
"""How many characters of a heading are shown."""


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """An open file with certificates."""

    encoding: str
    separator: str
    ignored: tuple[str, ...]
    """The headings of unknown columns."""

    line_breaks: int
    lines: Iterator[FileLine]


@contextmanager
def opened(path: Path, *, needs_end: bool) -> Iterator[CertificateFile]:
    """Open a file and read its headings.

    :param needs_end: Whether a certificate without an end date is refused.
    :raises BridgeError: the file can't be read, or lacks a column.
    """
    encoding, line_breaks = encoding_of(path)
    with path.open(encoding=encoding, newline="") as file:
        try:
            before, headings = _first_lines(file)
        except UnicodeError as exc:
            raise BridgeError(f'{path} can\'t be read as {encoding}: save it again as "CSV UTF-8"') from exc
        separator = before or _separator(headings)
        columns = next(csv.reader([headings], delimiter=separator), [])
        parts, ignored = _parts(path, columns, needs_end=needs_end)
        rows = csv.reader(file, delimiter=separator, strict=True)
        lines = _lines(rows, parts, len(columns), 1 if before is None else 2)
        yield CertificateFile(encoding, separator, ignored, line_breaks, lines)


def _first_lines(file: Iterator[str]) -> tuple[str | None, str]:
    """Return the separator named in the first line, or None, and the line with the headings."""
    first = next(file, "")
    named = _SEP.match(first)
    return (named[1], next(file, "")) if named else (None, first)


def _separator(headings: str) -> str:
    """Return the separator that gives the most known headings."""

    def known(separator: str) -> int:
        return sum(_folded(each) in _PARTS for each in next(csv.reader([headings], delimiter=separator), []))

    return max(SEPARATORS, key=known)


_PARTS: Mapping[str, Part] = {part.value.lower(): part for part in Part}


def _folded(heading: str) -> str:
    return heading.strip().lower()


def _parts(path: Path, columns: Sequence[str], *, needs_end: bool) -> tuple[dict[int, Part], tuple[str, ...]]:
    """Return the part of each known column, and the headings of the others."""
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
    """Yield the lines after the headings; skip empty ones."""
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
    if any(cell.strip() for cell in cells[width:]):
        why = f"it has {len(cells)} cells and the first line {width}: quote texts that contain the separator"
        return FileLine(number, said, why)
    return FileLine(number, said)


def _unreadable(first: int, last: int, reason: str) -> str:
    where = (
        f"lines {first} to {last} were read as one, because a quote opens in line {first}" if last > first else reason
    )
    return f"it can't be read: {where}; double each quote inside a quoted text, and close each quoted text"
