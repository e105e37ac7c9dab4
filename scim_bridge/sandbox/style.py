"""How the simulated Ditio behaves where Ditio's documentation is silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date

ALL_ENVELOPES = ("bare", "data", "items", "employees", "results")
ALL_ANSWERS = ("body", "200-body", "empty-200", "204")
ALL_PAGINGS = ("none", "link", "token", "page", "silent")
ALL_EMPLOYMENTS = ("employment", "employmentHistory", "employments")


@dataclass(frozen=True, slots=True)
class Style:
    """One way in which Ditio may answer. Everything that the documentation leaves open is a parameter."""

    envelope: str = "bare"
    """How a list is wrapped: one of `ALL_ENVELOPES`."""

    answers: str = "body"
    """What a write answers, one of `ALL_ANSWERS`; `body` is 201 for a creation and 200 for the others."""

    employment: str = "employment"
    """The key of the employment, one of `ALL_EMPLOYMENTS`.

    `employment` always shows the open or else the last one, and adds `employmentHistory` when it is included. The
    other two show a list, and only when `include` names `employment-history`.
    """

    paging: str = "none"
    """How the list of all employees, and what a search finds, is paged, one of `ALL_PAGINGS`.

    `none` shows all employees at once. `link` has `links.next` (a bare array the header `Link`), `token` a
    `continuationToken` (a bare array the header `X-Continuation-Token`), `page` has `page`, `pageSize` and
    `totalCount` (a bare array only the header `X-Total-Count`). `silent` accepts `page` and says nothing.
    """

    page_size: int = 100
    """The most employees on one page."""

    first_page: int = 1
    """The number of the first page: 1 or 0."""

    disabled_key: str = "isDisabled"
    """`isDisabled` or `disabled`."""

    omit_empty: bool = False
    """Leave out a key without a value; otherwise it is null."""

    no_date: str | None = None
    """Shown for a missing date, for example `0001-01-01`; None shows null."""

    date_form: str = "day"
    """`day` (2026-03-01) or `datetime` (2026-03-01T00:00:00)."""

    numbers: str = "exact"
    """How employee numbers are compared: `exact`, or `folded` (case and leading zeros make no difference)."""

    profile_key: str = "id"
    """The key of the company profile's id in a v5 answer: `id` or `companyProfileId`."""

    duplicates: str = "409"
    """The answer for a number that is in use: `400`, `409`, `update` or `update-all`.

    With `update` a POST with a known employee number silently updates that employee; a phone number in use is still
    refused. With `update-all` a POST with a phone number in use updates the employee who has it.
    """

    ending_disables: bool = False
    """Whether an employment that ends today or has ended also disables the login."""

    enabling_needs_employment: bool = False
    """Whether enabling is refused (409) without an employment that is open or ends later."""

    already: str = "accept"
    """The answer to an operation that changes nothing: `accept`, or `refuse` (409)."""

    read_lag: int = 0
    """How many reads after a write still show the employee as before that write."""

    errors: str = "v5"
    """Body of a refusal: `v5`, `simple`, `text` (Norwegian, text/plain) or `problem` (RFC 9457)."""

    operations_method: str = "PATCH"
    """Method of the operations without documentation; any other gets 405."""

    missing_operations: frozenset[str] = frozenset()
    """Operations that this Ditio does not know (404), for example `disable`."""

    brief_search: bool = False
    """Whether a search shows only numbers and names of employees, and not their phones and e-mails."""

    birth_date_required: bool = False
    """Whether to refuse a creation without `birthDate`, and clearing it."""

    require_company_id: bool = False
    """Whether to refuse a creation without `companyId`, of an employee and of an employment."""

    payroll_locked_until: date | None = None
    """Start and end dates on or before this day are refused (400)."""

    out_of_reach: frozenset[str] = frozenset()
    """Numbers of employees that exist, but get 404 and are not listed."""

    token_seconds: int = 1800
    """The lifetime of an access token, in seconds."""

    wrong_scope: int = 403
    """Status for a token without the scope that the call needs: 401 or 403, each documented somewhere."""

    v4_case: str = "camel"
    """Keys of the v4 answers: `camel` or `pascal`."""

    certificates_partial: bool = False
    """A certificate array with a bad item gets 400; True still stores its good items."""

    forms: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Ditio's name of a field (`workTitle`) → what it makes of a sent value; any other field stays as sent.

    `upper` shows it in capitals, `cut` its first characters, `spaced` (a phone number) in groups. `echoed` shows
    it in capitals, but as sent in the answer to the write. `alternating` shows one of two forms in turn. `ignored`
    accepts the call and leaves the field alone; where it may be empty, a creation leaves it empty.
    """

    @property
    def name(self) -> str:
        """Return what differs from the default style, short enough for a test's id."""
        usual = Style()
        names = [each.name for each in fields(self) if getattr(self, each.name) != getattr(usual, each.name)]
        return "-".join(_shown(self, name) for name in names) or "default"


def documented_styles() -> list[Style]:
    """Return a few styles that together show every envelope, answer, employment shape and spelling."""
    return [
        Style(),
        Style(envelope="data", answers="200-body", employment="employmentHistory", disabled_key="disabled"),
        Style(envelope="items", answers="empty-200", employment="employments", omit_empty=True),
        Style(envelope="employees", answers="204", no_date="0001-01-01", date_form="datetime"),
        Style(envelope="results", employment="employmentHistory", omit_empty=True, date_form="datetime"),
        Style(answers="204", employment="employments", disabled_key="disabled", errors="simple", v4_case="pascal"),
        Style(envelope="data", answers="empty-200", errors="problem", already="refuse"),
        Style(envelope="items", answers="200-body", errors="text", ending_disables=True, omit_empty=True),
    ]


def _shown(style: Style, name: str) -> str:
    value = getattr(style, name)
    if value is True:
        return name
    if isinstance(value, Mapping):
        return "+".join(f"{key}-{form}" for key, form in value.items())
    if isinstance(value, frozenset):
        return f"{name}={'+'.join(sorted(value))}"
    return value if isinstance(value, str) and not value[0].isdigit() else f"{name}={value}"
