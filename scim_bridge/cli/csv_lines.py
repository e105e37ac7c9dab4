"""Lines of a CSV file for a spreadsheet."""

import csv
import re
import unicodedata
from collections.abc import Iterable
from io import StringIO

FORMULA_SIGNS = "=+-@\N{MINUS SIGN}"
AS_TEXT = "'"
"""Stands before what a spreadsheet would take for a formula."""

BURIED = re.compile(r"([;\t\r\n]\s*)(?=[=+@-])")
"""A formula behind a sign at which a spreadsheet may divide a cell: Norwegian Excel divides lines at semicolons."""


def csv_cell(value: object) -> str:
    """A value in a CSV file; what a spreadsheet would take for a formula is marked as text."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    lead = len(text) - len(text.lstrip())
    safe = text[:lead] + BURIED.sub(rf"\1{AS_TEXT}", text[lead:])
    return f"{AS_TEXT}{safe}" if is_formula(text) else safe


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may evaluate a cell.

    Spreadsheets skip spaces, line feeds and invisible characters in front, and may read full-width signs as plain ones.
    A phone number or a whole number with a sign is no formula.
    """
    if text[:1] in ("+", "-") and text[1:].isascii() and text[1:].isdigit():
        return False
    first = next((char for char in text if unicodedata.category(char)[0] not in "CZ"), "")
    is_control = unicodedata.category(text[0]) == "Cc" if text else False
    return is_control or unicodedata.normalize("NFKC", first)[:1] in tuple(FORMULA_SIGNS)


def csv_line(cells: Iterable[str], separator: str = ",") -> str:
    """One line."""
    buffer = StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
