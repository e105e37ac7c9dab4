"""The settings of certificates: what Entra carries them in, and what is done with them (rules K1-K5)."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from scim_bridge.settings.section import Section, allowed

OTHER_ATTRIBUTES = (
    "birthDate",
    "employmentStartDate",
    "employmentEndDate",
    "payroll",
    "deliveryState",
    "deliveryDetail",
    "deliveredAt",
    "schemas",
)
"""What the Ditio extension has beside the slots, and a name that means something else there."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PACKED = frozenset({"type", "packed"})
_SPREAD = frozenset({"type", "number", "issued", "valid_until", "notes"})
_NEEDED = frozenset({"type", "issued", "valid_until"})
_LONGEST_TYPE = 200
_LONGEST_NAME = 100


def _slots(slots: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
    taken = {_folded(name): f"{name}, which the extension has already" for name in OTHER_ATTRIBUTES}
    types: set[str] = set()
    for place, slot in enumerate(slots, start=1):
        if problem := next(_problems(slot, taken, types), None):
            raise ValueError(f"slot {place}: {problem}")
    return slots


def _problems(slot: Mapping[str, str], taken: dict[str, str], types: set[str]) -> Iterator[str]:
    names = frozenset(slot)
    if names != _PACKED and not _NEEDED <= names <= _SPREAD:
        yield 'write {"type", "packed"}, or {"type", "issued", "valid_until"} and perhaps "number" and "notes"'
    kind = unicodedata.normalize("NFC", slot["type"]).strip()
    if not 0 < len(kind) <= _LONGEST_TYPE or any(unicodedata.category(c) == "Cc" for c in kind):
        yield f"its type has to be a text of at most {_LONGEST_TYPE} characters"
    if kind in types:
        yield f'another slot has the type "{kind}" too'
    types.add(kind)
    for part, name in slot.items():
        if part == "type":
            continue
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            yield f'its "{part}" is no name of a SCIM attribute: a letter, then letters, digits, - and _'
        if (other := taken.get(_folded(name))) is not None:
            yield f'"{name}" is the same name as {other}'
        taken[_folded(name)] = f'"{name}", which another part has'


def _folded(name: str) -> str:
    """Names compare regardless of case (RFC 7643 §2.1), and the library tells - and _ from nothing."""
    return re.sub(r"[-_]", "", name).lower()


def _end(value: object) -> object:
    if value == "refuse" or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("not a day")
    return date.fromisoformat(value)


Slots = Annotated[tuple[dict[str, str], ...], AfterValidator(_slots)]
MissingExpiry = Annotated[Literal["refuse"] | date, BeforeValidator(_end)]


def _as_shown(slots: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [dict(slot) for slot in slots]


class Certificates(Section):
    """Certificates: what Entra carries them in, and what becomes of them in Ditio."""

    slots: Slots = Field(
        default=(),
        examples=[
            _as_shown(
                [
                    {"type": "Byggekort", "packed": "byggekort"},
                    {
                        "type": "Kranførerbevis",
                        "number": "kranforerbevisNumber",
                        "issued": "kranforerbevisIssuedAt",
                        "valid_until": "kranforerbevisValidUntil",
                        "notes": "kranforerbevisNotes",
                    },
                ]
            )
        ],
    )
    """Attributes of the Ditio extension in which Entra sends certificates, for each type one: `packed`, a text
    `number;issued;validUntil;notes`, or an attribute for each part, of which `number` and `notes` may be left
    out. They are published in the schema; Entra reads it when it is restarted."""

    withdrawal: Literal["expire", "keep"] = "expire"
    """What becomes of a certificate in Ditio that no source says any more: `expire` sends it again, valid until
    one second after it was issued (Ditio has no way to remove one); `keep` leaves it as it is."""

    missing_expiry: MissingExpiry = Field(
        default="refuse",
        json_schema_extra=allowed("write refuse, or a day as 2099-12-31"),
    )
    """What is done with a certificate that has no end, which Ditio does not take: `refuse`, or a day far ahead,
    as 2099-12-31, that is sent instead."""

    unclaimed: Literal["wait", "deliver"] = "wait"
    """A certificate of an employee whom no SCIM user is: `wait` for one, or `deliver` it under its number."""

    reassert_every: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    """After how many days a certificate is sent again that should be in Ditio, since nobody can look whether it
    still is; `reconcile --apply` does it. 0 = every time."""

    max_per_request: int = Field(default=500, ge=1, le=500)
    """The most certificates in one request. Ditio does not say how many it takes: lower it where it refuses many
    together that it takes one by one."""
