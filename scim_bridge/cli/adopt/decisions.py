"""The file of decisions, as `adopt --output` or a spreadsheet writes it, whatever its separator and encoding."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from scim_bridge.cli.csv_lines import AS_TEXT, is_formula
from scim_bridge.cli.encodings import encoding_of
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.pairing import Decision, Misfit
from scim_bridge.errors import BridgeError

COLUMNS = ("employee_number", "user_name", "decision")
LINK, SKIP = "link", "skip"


def decisions_in(file: Path) -> Iterator[Decision | Misfit]:
    """Every line that decides something, one by one; a line without a decision leaves the pair disputed.

    :raises BridgeError: it can't be read, or is no such file.
    """
    encoding = _encoding(file)
    try:
        with file.open(encoding=encoding, newline="") as text:
            yield from _decisions(_Lines(text), file)
    except UnicodeError as exc:
        raise BridgeError(
            f'{file} can\'t be read as {encoding}: save it again as "CSV UTF-8"; nothing was linked'
        ) from exc
    except OSError as exc:
        raise BridgeError(f"{file} can't be read: {exc.strerror}") from exc


def _encoding(file: Path) -> str:
    try:
        return encoding_of(file).encoding
    except BridgeError as error:
        raise BridgeError(f"{error}; nothing was linked") from error


def _decisions(lines: "_Lines", file: Path) -> Iterator[Decision | Misfit]:
    try:
        columns = _header(lines, file)
        reader = csv.reader(lines, delimiter=lines.delimiter, strict=True)
        while True:
            line = lines.read + 1
            cells = next(reader, None)
            if cells is None:
                return
            if any(cell.strip() for cell in cells):
                yield from _decision(line, cells, columns)
    except csv.Error as exc:
        raise BridgeError(f"{file}, line {lines.read}: {exc}. Correct that line; nothing was linked") from exc


class _Lines:
    """The lines of a file, counted."""

    def __init__(self, text: Iterator[str]) -> None:
        self._text = text
        self.read = 0
        self.delimiter = ","

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.read += 1
        return line


def _header(lines: _Lines, file: Path) -> Mapping[str, int]:
    """Where each column is. Columns beside the three are not read."""
    first = next(lines, "")
    if first.lower().startswith("sep="):
        first = next(lines, "")  # A line that tells a spreadsheet which character divides the cells.
    lines.delimiter = max(",;\t", key=first.count)
    names = [name.strip().lower() for name in next(csv.reader([first], delimiter=lines.delimiter), [])]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise BridgeError(
            f"{file}, line {lines.read or 1}: there is no column {' and no '.join(missing)}. The first line has to be "
            f"{','.join(COLUMNS)}, in any order, others beside them; nothing was linked"
        )
    return {name: names.index(name) for name in COLUMNS}


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
