"""CSV files and workbooks with the decisions of `adopt`: written for people to edit, and read back."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from scim_bridge.adopt.run import SIDES, Dispute
from scim_bridge.certificates import workbook
from scim_bridge.certificates.files import encoding_of, first_lines, folded, plain
from scim_bridge.cli.output import AS_TEXT, csv_lines, is_formula, private_file
from scim_bridge.domain.drift import Decision, Misfit
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.errors import BridgeError

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
    before, headings = first_lines(text)
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
    names = [folded(name) for name in headings]
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
    text = plain(cells[place]).strip() if place < len(cells) else ""
    return text[1:].strip() if text[:1] == AS_TEXT and is_formula(text[1:]) else text


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
