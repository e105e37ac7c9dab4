"""Paths of Ditio's API, and employee numbers as parts of them."""

import unicodedata
from urllib.parse import quote

EMPLOYEES = "/api/v5/integration/employees"
USERS_V4 = "/api/v4/integration/users"
LONGEST_NUMBER = 64


def segment(number: str) -> str:
    """Return an employee number, percent-encoded as one segment of a path.

    :raises ValueError: for a number that can't be one segment. HTTP clients resolve `.` and `..` even when
        they are encoded, and `search` is a route of its own; routes are not case-sensitive in ASP.NET.
    """
    if not number.strip():
        raise ValueError("the employee number is empty")
    if len(number) > LONGEST_NUMBER:
        raise ValueError(f"the employee number is longer than {LONGEST_NUMBER} characters")
    if number.strip() in (".", "..") or number.strip().lower() == "search":
        raise ValueError(f"the employee number {number!r} can't be used in a URL of Ditio's")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in number):
        raise ValueError(f"the employee number {number!r} has control characters")
    return quote(number, safe="")
