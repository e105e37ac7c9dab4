"""What was asked of the simulated Ditio: counted by kind, and what its record of calls proves."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.gateway import Recorded

EMPLOYEES = "/api/v5/integration/employees"
CERTIFICATES = "/api/v4/integration/certificates"
TOKEN = "/connect/token"  # nosec B105 # a path

KINDS = (
    "create employee",
    "update profile",
    "change-phone-number",
    "change-employee-number",
    "update-employment",
    "end-employment",
    "create-employment",
    "disable",
    "enable",
    "certificates",
    "read",
    "search",
    "sign-in",
    "failed",
)
"""The kinds of calls, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that has to be so, as people read it, and whether it is."""

    ok: bool
    text: str
    quote: str | None = None
    """The bridge's own words about it."""

    sums_up: bool = False
    """Whether it says what the act came to; else the last check of the act does."""


def kind_of(call: Recorded) -> str:
    """The kind of a call; what Ditio did not answer is `failed`, whatever it was."""
    if call.status == 0 or call.status >= 500:
        return "failed"
    if call.path == TOKEN:
        return "sign-in"
    if call.path.endswith(CERTIFICATES):
        return "certificates"
    below = call.path.removeprefix(EMPLOYEES).strip("/")
    if call.method == "GET":
        return "search" if below == "search" else "read"
    if not below:
        return "create employee"
    _, _, operation = below.partition("/")
    return operation or "update profile"


def by_kind(calls: Iterable[Recorded]) -> Counter[str]:
    """How many calls there were of each kind, in the order of `KINDS`; one that is not known comes last."""
    counted = Counter(kind_of(call) for call in calls)
    known = [kind for kind in KINDS if kind in counted]
    return Counter({kind: counted[kind] for kind in (*known, *(each for each in counted if each not in KINDS))})


def proofs(
    calls: Sequence[Recorded],
    employees: Mapping[str, SandboxEmployee],
    *,
    hired: int,
    people: int,
    strangers: int,
) -> list[Check]:
    """What must be true at the end, whatever happened on the way.

    :param hired: How many people had to be created; the others were there already.
    :param people: How many people Entra knows.
    :param strangers: How many employees Ditio has whom Entra does not know.
    """
    created = [call for call in calls if kind_of(call) == "create employee" and 200 <= call.status < 300]
    twice = [each for each in employees.values() if each.created_count > 1]
    phones = {each.phone for each in employees.values()}
    once = len(created) == hired and not twice and len(phones) == len(employees) == people + strangers
    forbidden = Counter(call.method for call in calls if call.method in ("PUT", "DELETE"))
    return [
        Check(
            once,
            f"Nobody was hired twice: {numbered(len(created), 'creation')} for {numbered(hired, 'new colleague')}; "
            f"{numbered(len(employees), 'employee')}, {numbered(len(phones), 'phone number')}.",
        ),
        Check(
            not forbidden,
            f"Nothing was deleted or replaced: not one DELETE or PUT in {len(calls)} calls to Ditio."
            if not forbidden
            else f"Ditio was sent {forbidden['DELETE']} DELETE and {forbidden['PUT']} PUT, and must never be.",
        ),
    ]


def numbered(count: int, noun: str) -> str:
    """A number of things: `1 change`, `2 changes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
