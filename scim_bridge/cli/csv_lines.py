"""Lines of a CSV file for a spreadsheet."""

import csv
from collections.abc import Iterable
from io import StringIO


def csv_cell(value: object) -> str:
    """A value in a CSV file; whatever a spreadsheet would take for a formula is marked as text."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    is_formula = text.startswith(("=", "@", "\t", "\r")) or (text[:1] in "+-" and not text[1:].isdigit())
    return f"'{text}" if text and is_formula else text


def csv_line(cells: Iterable[str], separator: str = ",") -> str:
    """One line."""
    buffer = StringIO()
    csv.writer(buffer, delimiter=separator, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
