"""The roster: all employees that Ditio shows, as a stream, in any envelope and paging."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scim_bridge.ditio.answers import DEPTH, error_of, is_of_company, value_of
from scim_bridge.ditio.config import EMPLOYEES
from scim_bridge.ditio.pages import LISTS, Query, Shown, Unsaid, following, page_number_of, total_of
from scim_bridge.domain.employee import ActualEmployee
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import CredentialsRefused, PermanentError, RateLimited, TransientError
from scim_bridge.http.pages import PageReader, Scalar
from scim_bridge.http.session import ApiSession

PAGE_SIZE = 1000
"""How many employees a page is asked for. A longer answer is not paged."""

BEGINS_WITHIN_SECONDS = 18.0
"""How long a page may take to begin: `reconcile` reports within 30 s that Ditio is out of reach."""

PATIENCE_SECONDS = 8.0
"""How long a page that fails is retried, waits that Ditio asks for included."""

MAX_PAGES = 20_000

REPORTING_SCOPE = "reportingapiv1"
"""The scope of Ditio's reporting API, which gets tokens of its own."""

_WHAT = "Reading all employees"


@dataclass(frozen=True, slots=True)
class Source:
    """Which list is read."""

    path: str
    query: Query
    """The query of every page."""

    setting: str
    """The setting with the list's address."""

    may_try: bool
    """Whether to try for more pages where the list does not say whether there are any."""

    plainer: tuple[Query, ...] = ()
    """Simpler queries to try in turn where Ditio refuses the query."""


def employees_source() -> Source:
    """Return the list of employees, v5, with all employments. Its query parameters are not documented ([U])."""
    including = {"include": "employment-history"}
    sized = {**including, "pageSize": str(PAGE_SIZE)}
    return Source(EMPLOYEES, sized, "DITIO__API_URL", may_try=True, plainer=(including, {}))


def reporting_source(company_id: str | None) -> Source:
    """Return the users of the reporting API, whose paging is documented."""
    query = {"ChunkLimit": "2500"} | ({"CompanyId": company_id} if company_id else {})
    return Source("/v1/user", query, "DITIO__REPORTING_URL", may_try=False)


class Roster:
    """Reads a list once, page by page. A page that broke off is read again: its rows then come twice."""

    def __init__(
        self,
        session: ApiSession,
        source: Source,
        *,
        company_id: str | None,
        read: Callable[[JsonObject], ActualEmployee | None],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._session = session
        self._source = source
        self._query = source.query
        self._company_id = company_id
        self._read_row = read
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._total: int | None = None
        self._first_page: int | None = None
        self._so_far = 0

    def rows(self) -> Iterator[ActualEmployee]:
        """Yield all employees of this company; a row that shows none is left out.

        :raises DeliveryError: the list can't be read or understood as a whole: half a roster is no roster.
        """
        query: Query | None = None
        known = _Known()
        for _ in range(MAX_PAGES):
            page = _Page()
            yield from self._opening(page, known) if query is None else self._page(query, page, known)
            if known.is_repeated:
                raise self._not_understood("gives the same page again and again")
            known.turn()
            self._so_far += page.rows
            shown = self._shown(page)
            then = following(shown, self._query)
            if isinstance(then, Unsaid):
                yield from self._try_pages(page, then, known)
                break
            if then is None:
                break
            query = then
        else:
            raise self._not_understood(f"has more than {MAX_PAGES} pages")
        if self._total is not None and self._so_far < self._total:
            raise self._not_understood(f"says that there are {self._total} employees, and shows {self._so_far}")

    def _opening(self, page: _Page, known: _Known) -> Iterator[ActualEmployee]:
        """Read the first page with the fullest query that Ditio accepts; the others use the same query."""
        for plainer in (*self._source.plainer, None):
            try:
                yield from self._page(self._query, page, known)
                return
            except PermanentError as refusal:
                if plainer is None or refusal.status is None:
                    raise  # No simpler query is left; or there was an answer, and it was not understood.
                self._query = plainer

    def _shown(self, page: _Page) -> Shown:
        if self._first_page is None:
            self._first_page = page_number_of(page.notes)
        shown = Shown(page.notes, page.headers, page.rows, self._so_far, self._first_page)
        if self._total is None:
            self._total = total_of(shown)
        return shown

    def _try_pages(self, page: _Page, said: Unsaid, known: _Known) -> Iterator[ActualEmployee]:
        """Ask for numbered pages, counted from 0 or from 1, where the list does not say how it goes on."""
        if not self._source.may_try or page.rows == 0 or (page.rows > PAGE_SIZE and not said.is_more):
            return
        is_paged = False
        for number in range(1, MAX_PAGES):
            tried = _Page()
            try:
                yield from self._page({**self._query, "page": str(number)}, tried, known)
            except PermanentError:
                if number > 1:
                    return  # There is no such page.
                continue
            is_repeated, known.is_repeated = known.is_repeated, False
            known.turn()
            self._so_far += tried.rows
            if is_repeated and number == 1:
                continue  # Pages are counted from 1: that was the first one again.
            if is_repeated or tried.rows == 0:
                if said.is_more and not is_paged:
                    raise self._not_understood("says that there are more employees, but not how to read them")
                return
            is_paged = True
        raise self._not_understood(f"has more than {MAX_PAGES} pages")

    def _page(self, query: Query, page: _Page, known: _Known) -> Iterator[ActualEmployee]:
        """Read the rows of one page; retry failures that may pass."""
        began = self._monotonic()
        tries = 0
        while True:
            try:
                page.rows = 0
                yield from self._read(query, page, known)
                return
            except TransientError as error:
                tries += 1
                wait = float(tries)
                if isinstance(error, RateLimited) and error.retry_after_seconds is not None:
                    wait = error.retry_after_seconds
                if self._monotonic() - began + wait > PATIENCE_SECONDS or tries > 3:
                    raise
                self._sleep(wait)

    def _read(self, query: Query, page: _Page, known: _Known) -> Iterator[ActualEmployee]:
        path, setting = self._source.path, self._source.setting
        with self._session.stream(
            path, setting=setting, what=_WHAT, operation="list", query=query, within=BEGINS_WITHIN_SECONDS
        ) as answer:
            if answer.status in (404, 405) and not known.first:
                raise CredentialsRefused(
                    f"{_WHAT}: Ditio answered {answer.status} (request {answer.request_id}). "
                    f"{setting} seems wrong; the base may need a path, such as /core",
                    status=answer.status,
                    request_id=answer.request_id,
                )
            if not answer.ok:
                raise error_of(answer.received(), _WHAT, now=self._now(), write=False)
            page.headers = answer.headers
            reader = PageReader(answer, LISTS, depth=DEPTH)
            try:
                for row in reader.rows():
                    if page.rows == 0 and known.has(_key(row)):
                        known.is_repeated = True
                        return
                    page.rows += 1
                    known.add(row)
                    if is_of_company(row, self._company_id) and (found := self._read_row(row)) is not None:
                        yield found
            except ValueError as exc:
                raise TransientError(f"{_WHAT}: Ditio's answer {exc} (request {answer.request_id})") from exc
            page.notes = reader.notes
            if not reader.has_list and not reader.is_empty:
                raise self._not_understood(f"has no list of employees (request {answer.request_id})")

    def _not_understood(self, why: str) -> PermanentError:
        return PermanentError(
            f"{_WHAT}: Ditio's answer {why}, so no employee can be compared. Check {self._source.setting}, and "
            "ask Ditio how its list of employees is paged",
            words=why,
        )


@dataclass(slots=True)
class _Page:
    """What is known of a page once it has been read."""

    rows: int = 0
    notes: Mapping[tuple[str, ...], Scalar] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class _Known:
    """The employees on the first page and on the one before: a page that begins with one of them is a repetition."""

    def __init__(self) -> None:
        self.first: set[str] = set()
        self.is_repeated = False
        self._before: set[str] = set()
        self._now: set[str] = set()

    def has(self, key: str | None) -> bool:
        """Return whether an employee was on one of these pages."""
        return key is not None and (key in self.first or key in self._before)

    def add(self, row: JsonObject) -> None:
        """Add an employee on the current page. Of a page with a whole company only the beginning is kept."""
        if len(self._now) <= PAGE_SIZE and (key := _key(row)) is not None:
            self._now.add(key)

    def turn(self) -> None:
        """End the current page, which was read to its end."""
        self.first = self.first or self._now
        self._before, self._now = self._now, set()


def _key(row: JsonObject) -> str | None:
    return value_of(row, "id") or value_of(row, "employeeNumber")
