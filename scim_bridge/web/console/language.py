"""The languages of the console: catalogues, and how instants, days and numbers are written."""

import gettext as standard
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from flask import Request, g

LANGUAGES: Mapping[str, str] = {"en": "English", "nb": "Norsk"}
"""Each language in its own words; the first one is spoken where a browser asks for none of them."""

COOKIE = "scim-bridge-language"

_FORMATS = {"en": "en_GB", "nb": "nb_NO"}

_DAYS = {"en": "d MMM y", "nb": "d. MMM y"}


def chosen(request: Request) -> str:
    """Return the language of a request: the chosen one, or else the one that the browser asks for."""
    cookie = request.cookies.get(COOKIE, "")
    if cookie in LANGUAGES:
        return cookie
    # Norwegian browsers ask for `no`, `nb` or `nn`.
    best = request.accept_languages.best_match(["en", "nb", "no", "nn"], default="en")
    return "en" if best.startswith("en") else "nb"


def current() -> str:
    """Return the language of the current request."""
    return str(g.language)


@cache
def translations(language: str) -> standard.NullTranslations:
    """Return a catalogue. It is read once, from the text that translators edit."""
    if language == "en":
        return standard.NullTranslations()
    compiled = BytesIO()
    with files("scim_bridge.web.console").joinpath(f"locale/{language}.po").open("rb") as source:
        write_mo(compiled, read_po(source, locale=language))
    compiled.seek(0)
    return standard.GNUTranslations(compiled)


def gettext(message: str) -> str:
    """Return a message in the language of the request."""
    return translations(current()).gettext(message) if message else ""


_COUNT = re.compile(r"%\((?:num|n)\)d")
"""The place in which a message says its number."""


def ngettext(one: str, many: str, count: int) -> str:
    """Return a message for a number, in the language of the request; the number stands in it as people write it."""
    return _COUNT.sub(number(count), translations(current()).ngettext(one, many, count))


def instant(moment: datetime, zone: ZoneInfo) -> str:
    """Return an instant to the minute, in a company's time zone."""
    return format_datetime(moment, f"{_DAYS[current()]} HH:mm", tzinfo=zone, locale=_FORMATS[current()])


def day(value: date) -> str:
    """Return a day."""
    return format_date(value, _DAYS[current()], locale=_FORMATS[current()])


def ago(moment: datetime, now: datetime) -> str:
    """Return how long ago something was."""
    return format_timedelta(min(moment - now, timedelta(seconds=-1)), add_direction=True, locale=_FORMATS[current()])


def span(value: timedelta) -> str:
    """Return a span of time, in the largest unit that fits."""
    return format_timedelta(value, threshold=1.5, locale=_FORMATS[current()])


def percent(value: float) -> str:
    """Return a share of 0 to 1 as a percentage."""
    return str(format_percent(value, "#,##0.##\u00a0%", locale=_FORMATS[current()]))


def number(value: float) -> str:
    """Return a number with the separators of the language."""
    return str(format_decimal(value, locale=_FORMATS[current()]))
