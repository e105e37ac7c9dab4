"""Rows of an .xlsx workbook as texts, with limits; a workbook is a ZIP archive of XML, which may be made to harm."""

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, time
from importlib import import_module
from pathlib import Path
from typing import Any

from scim_bridge.errors import BridgeError

MOST_BYTES = 100 * 1024 * 1024
"""How large the parts of a workbook may be, unpacked: about a million cells."""

MOST_ROWS, MOST_COLUMNS = 1_048_576, 200
"""Excel's last row; and more columns than a file for people has."""

EXACT = 10**15
"""Excel keeps 15 digits of a number, and zeros for the others."""

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a workbook may be."""

    bytes: int = MOST_BYTES
    """Of its parts, unpacked."""

    rows: int = MOST_ROWS
    """Of its sheet, empty ones too: a file of a few bytes may say that its only cell is in the last row."""


USUAL = Bounds()


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is not empty: its number as Excel shows it, its cells, and why it can't be used."""

    number: int
    cells: tuple[str, ...]
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Workbook:
    """An open workbook: the name of its first visible sheet, and that sheet's rows."""

    sheet: str
    rows: Iterator[Row]


def is_workbook(path: Path, name: str | None = None) -> bool:
    """Return whether a file is a workbook, by its content. :raises BridgeError: it is one that can't be read.

    :param name: What a person calls the file; None for its path.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as exc:
        raise BridgeError(f"{name} can't be read: {exc.strerror}") from exc
    if start == _OLE:
        raise BridgeError(f"{name} has a password, or is of an old Excel: save it again as .xlsx, without a password")
    if start != _ZIP and name.lower().endswith(".xlsx"):
        raise BridgeError(f"{name} is not a workbook, although its name says so: save it again as .xlsx")
    return start == _ZIP


@contextmanager
def opened(path: Path, name: str | None = None, bounds: Bounds = USUAL) -> Iterator[Workbook]:
    """Open a workbook and its first visible sheet.

    :param name: See `is_workbook`.
    :raises BridgeError: it is broken or too large, or the libraries for it are not installed.
    """
    name = name or str(path)
    try:
        # Without defusedxml, openpyxl would let the XML of a workbook grow without a limit.
        import_module("defusedxml")
        openpyxl = import_module("openpyxl")
    except ImportError as exc:
        raise BridgeError(
            f"{name} is a workbook, and the library to read it is missing: `pip install 'scim-bridge[xlsx]'`, "
            'or save it as "CSV UTF-8"'
        ) from exc
    warnings.filterwarnings("ignore", module="openpyxl")  # They are about looks that it leaves out.
    with _readable(name):
        _refuse_large(path, name, bounds.bytes)
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    with closing(book):
        with _readable(name):
            sheet = next((each for each in book.worksheets if each.sheet_state == "visible"), None)
            if sheet is None:
                raise BridgeError(f"{name} has no visible sheet")
            sheet.reset_dimensions()  # What a file says of its own size may be wrong.
        rows = sheet.iter_rows(max_row=MOST_ROWS, max_col=MOST_COLUMNS)
        yield Workbook(sheet.title, _rows(name, rows, bounds.rows))


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise BridgeError(f"{name} can't be read: {exc.strerror or 'it is broken'}") from exc
    except _broken() as exc:
        raise BridgeError(f"{name} can't be read as a workbook: open it in Excel, and save it again as .xlsx") from exc


def _broken() -> tuple[type[Exception], ...]:
    """Return what openpyxl raises for a file that is not as it should be; it has no error of its own for that."""
    defused: type[Exception] = import_module("defusedxml").DefusedXmlException
    invalid: type[Exception] = import_module("openpyxl.utils.exceptions").InvalidFileException
    usual = (zipfile.BadZipFile, SyntaxError, LookupError, ValueError, TypeError, AttributeError, OverflowError)
    return (defused, invalid, zlib.error, EOFError, RuntimeError, *usual)


def _refuse_large(path: Path, name: str, most: int) -> None:
    # `zipfile` unpacks no more of a part than the size that its entry states.
    with zipfile.ZipFile(path) as archive:
        size = sum(each.file_size for each in archive.infolist())
    if size > most:
        raise BridgeError(
            f"{name} is too large: {size >> 20} MiB when unpacked, of at most {most >> 20}. "
            'Split it, or save it as "CSV UTF-8"'
        )


def _rows(name: str, rows: Iterable[tuple[Any, ...]], most: int) -> Iterator[Row]:
    with _readable(name):
        for number, row in enumerate(rows, 1):
            if number > most:
                raise BridgeError(f"{name} has more than {most} rows: split it, and remove empty rows at its end")
            texts, flaws = [], []
            for place, cell in enumerate(row, 1):
                try:
                    texts.append(_text(cell))
                except _Unusable as exc:
                    texts.append("?")
                    flaws.append(f"the cell in column {_letters(place)} {exc}")
            while texts and not texts[-1].strip():
                texts.pop()  # Cells that only have a colour.
            if texts:
                yield Row(number, tuple(texts), flaws[0] if flaws else None)


class _Unusable(Exception):
    """A cell whose value is not there, or not exact."""


def _text(cell: Any) -> str:
    """Return a cell as a person sees it in Excel. :raises _Unusable: its value is not known."""
    value = cell.value
    if cell.data_type == "e":
        raise _Unusable(f"has the error {value}: correct the formula")
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return value.date().isoformat() if value.time() == time() else value.isoformat()
        case int() | float():
            return _digits(value, str(cell.number_format))
        case _:
            return str(value)


def _digits(value: float, form: str) -> str:
    if abs(value) >= EXACT:
        raise _Unusable("has a number of more than 15 digits, which Excel rounds: format the column as text first")
    if not float(value).is_integer():
        return str(value)
    # A form of zeros, as in 00000, shows the zeros in front.
    return str(int(value)).zfill(len(form) if re.fullmatch("0+", form) else 0)


def _letters(place: int) -> str:
    letters: str = import_module("openpyxl.utils").get_column_letter(place)
    return letters
