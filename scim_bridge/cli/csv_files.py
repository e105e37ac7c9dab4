"""CSV files and workbooks that people edit: columns and lines; certificates, and decisions of `adopt`."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scim_bridge.adopt.run import Dispute
from scim_bridge.certificates.csv_import import FileLine
from scim_bridge.cli import workbook
from scim_bridge.cli.output import AS_TEXT, csv_lines, is_formula, private_file
from scim_bridge.domain.certificate import Part
from scim_bridge.domain.drift import Decision, Misfit
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.errors import BridgeError

if TYPE_CHECKING:
    import _csv


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
        if workbook.is_workbook(file):
            with workbook.opened(file) as book:
                yield from _decided_rows(book, file)
            return
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
    columns = _decision_columns(next(csv.reader([headings], delimiter=delimiter), []), skipped, file)
    rows = csv.reader(text, delimiter=delimiter, strict=True)
    line = skipped + 1
    try:
        for cells in rows:
            yield from _decision(line, cells, columns)
            line = rows.line_num + skipped + 1
    except csv.Error as exc:
        raise BridgeError(f"{file}, line {rows.line_num + skipped}: {exc}. Correct that line") from exc


def _decided_rows(book: workbook.Workbook, file: Path) -> Iterator[Decision | Misfit]:
    first = next(book.rows, workbook.Row(1, ()))
    columns = _decision_columns(first.cells, first.number, file)
    for row in book.rows:
        if row.flaw is None:
            yield from _decision(row.number, row.cells, columns)
        else:
            yield Misfit(row.number, row.flaw)


def _decision_columns(headings: Sequence[str], line: int, file: Path) -> dict[str, int]:
    """Return where the columns are; others are ignored. :raises BridgeError: one is missing."""
    names = [_folded(name) for name in headings]
    if missing := [name for name in COLUMNS if name not in names]:
        raise BridgeError(
            f"{file}, line {line}: there is no column {' and no '.join(missing)}. The first line must have "
            f"{','.join(COLUMNS)}, in any order, and may have others"
        )
    return {name: names.index(name) for name in COLUMNS}


def _decision(line: int, cells: Sequence[str], columns: Mapping[str, int]) -> Iterator[Decision | Misfit]:
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


def _cell(cells: Sequence[str], place: int) -> str:
    text = _plain(cells[place]).strip() if place < len(cells) else ""
    return text[1:].strip() if text[:1] == AS_TEXT and is_formula(text[1:]) else text


_CONSTANT = re.compile(r'\s*="([^"]*)"\s*')


def _plain(cell: str) -> str:
    """Return the text of a cell that `--excel` keeps as text."""
    constant = _CONSTANT.fullmatch(cell)
    return constant[1] if constant is not None else cell


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


def write_sheet(disputes: Iterable[Dispute], file: Path, *, excel: bool = False) -> None:
    """Write disputed pairs. :param excel: For Norwegian Excel. :raises BridgeError: the file can't be written."""
    with private_file(file) as text:
        text.writelines(csv_lines(HEADER, map(_cells, disputes), excel=excel))


def _cells(dispute: Dispute) -> Iterator[object]:
    pair, found = dispute.pair, dispute.found
    yield from (pair.employee_number, pair.user_name, "", dispute.why)
    for field in SIDES:
        yield dispute.desired.values.get(field)
        yield found.values.get(field) if found is not None else None


SEPARATORS = {";": "semicolons", ",": "commas", "\t": "tabs"}

_SEP = re.compile(r"sep=([^\r\n]?)", re.IGNORECASE)
"""The first line that tells Excel the separator."""

_LONGEST_HEADING = 100
"""How many characters of a heading are shown."""


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """An open file with certificates."""

    form: str
    """How it was read: encoding and separator, or the sheet."""

    ignored: tuple[str, ...]
    """The headings of unknown columns."""

    line_breaks: int | None
    """About how many lines it has, if that is known."""

    lines: Iterator[FileLine]


@contextmanager
def opened(path: Path, *, needs_end: bool) -> Iterator[CertificateFile]:
    """Open a file and read its headings.

    :param needs_end: Whether a certificate without an end date is refused.
    :raises BridgeError: the file can't be read, or lacks a column.
    """
    if workbook.is_workbook(path):
        with workbook.opened(path) as book:
            columns: Sequence[str] = next(book.rows, workbook.Row(1, ())).cells
            parts, ignored = _parts(path, columns, needs_end=needs_end)
            found = (_line(row.number, row.cells, parts, len(columns), row.flaw) for row in book.rows)
            yield CertificateFile(f"the sheet {book.sheet}", ignored, None, found)
        return
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
        yield CertificateFile(f"{encoding}, separated by {SEPARATORS[separator]}", ignored, line_breaks, lines)


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
            yield _line(number, cells, parts, width)


def _line(
    number: int, cells: Sequence[str], parts: Mapping[int, Part], width: int, flaw: str | None = None
) -> FileLine:
    said = {part: _plain(cells[place]) for place, part in parts.items() if place < len(cells)}
    if flaw is None and any(cell.strip() for cell in cells[width:]):
        flaw = f"it has {len(cells)} cells and the first line {width}: quote texts that contain the separator"
    return FileLine(number, said, flaw)


def _unreadable(first: int, last: int, reason: str) -> str:
    where = (
        f"lines {first} to {last} were read as one, because a quote opens in line {first}" if last > first else reason
    )
    return f"it can't be read: {where}; double each quote inside a quoted text, and close each quoted text"
