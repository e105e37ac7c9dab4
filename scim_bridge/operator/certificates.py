"""Certificates that end, by type and department; who lacks one on a day; and the ends as a calendar."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from scim_bridge.domain.certificate import CertificateType
from scim_bridge.scim.reading import name_of
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Session
from scim_bridge.storage.directory import department_of, folded
from scim_bridge.storage.expiries import EXPIRED, WINDOWS, Expiries, Expiry

MOST = 200
"""How many certificates one page names."""

MOST_EVENTS = 5000
"""How many certificates a calendar has."""

MOST_TYPES = 100

LISTED = (EXPIRED, *WINDOWS)
"""The windows in which certificates are counted, the most urgent first."""


def expiries_of(s: Session, settings: Settings) -> Expiries:
    """Return the certificates of a company, by their last day."""
    end = settings.certificates.missing_expiry
    return Expiries(s, None if end == "refuse" else end)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which certificates are meant."""

    within_days: int
    """Those that have ended, or end within so many days."""

    type: CertificateType | None = None
    department: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """One certificate that ends, has ended, or is lacking; with what its holder is called."""

    expiry: Expiry
    days: int | None
    """Until the last day; negative after it, None without a certificate."""

    @property
    def name(self) -> str | None:
        """Return what the person is called; None if no SCIM user has the number."""
        return name_of(self.expiry.user) if self.expiry.user is not None else None

    @property
    def department(self) -> str | None:
        """Return the person's department, as Entra sent it."""
        return department_of(self.expiry.user) if self.expiry.user is not None else None


@dataclass(frozen=True, slots=True)
class Part:
    """The first rows of a list. :param is_all: Whether there are no more."""

    rows: Sequence[Due]
    is_all: bool


def ending(expiries: Expiries, choice: Choice, today: date, *, most: int = MOST) -> Part:
    """Return what has ended or ends soon, the earliest first."""
    last = today + timedelta(days=choice.within_days)
    found = expiries.until(last, today=today, type=choice.type, department=choice.department)
    return _part(found, today, most)


def lacking(
    expiries: Expiries, on: date, required: Sequence[CertificateType], department: str | None, *, most: int = MOST
) -> Part:
    """Return who lacks which required certificate on a day. :param department: Only people of this department."""
    found: Iterable[Expiry] = expiries.lacking(on, required)
    if department is not None:
        wanted = folded(department)
        found = (each for each in found if folded(department_of(each.user or {}) or "") == wanted)
    return _part(found, on, most)


def _part(found: Iterable[Expiry], day: date, most: int) -> Part:
    rows = [
        Due(each, (each.valid_until - day).days if each.valid_until is not None else None)
        for each in islice(found, most + 1)
    ]
    return Part(rows[:most], len(rows) <= most)


def by_type(expiries: Expiries, today: date) -> Mapping[str, Mapping[str, int]]:
    """Return how many certificates end in each window of `LISTED`, by type; the most urgent type first."""
    found: dict[str, dict[str, int]] = {}
    for (kind, window), count in expiries.counted(today).items():
        found.setdefault(kind, dict.fromkeys(LISTED, 0))[window] = count
    return dict(sorted(found.items(), key=lambda each: ([-count for count in each[1].values()], each[0])))


def calendar(rows: Iterable[Due], now: datetime, company: str) -> Iterator[str]:
    """Yield a calendar (RFC 5545) with one whole day for each certificate's last day, in lines that end with CRLF."""
    yield from ("BEGIN:VCALENDAR\r\n", "VERSION:2.0\r\n", "PRODID:-//scim_bridge//certificates//EN\r\n")
    stamp = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    for each in rows:
        expiry = each.expiry
        if expiry.valid_until is None:
            continue
        who = " ".join(filter(None, (each.name or expiry.user_name, f"({expiry.employee_number})")))
        holder = expiry.person_id or f"number-{expiry.employee_number}"
        yield "BEGIN:VEVENT\r\n"
        # The same certificate keeps its event when the calendar is imported again.
        yield from _folded(f"UID:{_text(f'{holder}/{expiry.type}@{company}.scim-bridge')}")
        yield f"DTSTAMP:{stamp}\r\n"
        yield f"DTSTART;VALUE=DATE:{expiry.valid_until:%Y%m%d}\r\n"
        yield from _folded(f"SUMMARY:{_text(f'{expiry.type}: {who}')}")
        yield from _folded(f"CATEGORIES:{_text(expiry.type)}")
        yield "TRANSP:TRANSPARENT\r\nEND:VEVENT\r\n"
    yield "END:VCALENDAR\r\n"


_CONTROL = dict.fromkeys((*range(32), 127), " ")


def _text(value: str) -> str:
    """Return a text as a value (RFC 5545 section 3.3.11): nothing in it can end the line."""
    plain = value.translate(_CONTROL)
    return plain.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


MOST_OCTETS = 75


def _folded(line: str) -> Iterator[str]:
    """Yield a line in parts of at most 75 octets (RFC 5545 section 3.1); no character is cut."""
    part = ""
    for character in line:
        if len((part + character).encode()) > MOST_OCTETS:
            yield f"{part}\r\n"
            part = " "
        part += character
    yield f"{part}\r\n"
