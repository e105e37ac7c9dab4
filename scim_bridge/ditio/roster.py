"""The roster: all employees that Ditio shows, as a stream, in any envelope and paging."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qsl, urlsplit

from requests.utils import parse_header_links

from scim_bridge.ditio.answers import DEPTH, MANY, error_of, is_of_company, value_of
from scim_bridge.ditio.config import EMPLOYEES
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


# The next page

LISTS = (*MANY, "value")
"""The keys under which the list of a page is looked for: OData calls it `value`."""

_LINKS = ("next", "nextlink", "@odata.nextlink", "nextpageurl", "nexturl", "nextpage")
_TOKENS = {"continuationtoken": None, "nexttoken": None, "nextpagetoken": "pageToken", "nextcursor": "cursor"}
"""The keys of a token, and the parameter that sends it back; None: the key's own name."""

_TOKEN_HEADERS = ("x-continuation-token", "x-ms-continuation")
_PAGES = ("page", "pagenumber", "currentpage", "pageindex")
_LAST_PAGES = ("totalpages", "pagecount", "lastpage")
_SIZES = ("pagesize", "size", "limit", "perpage", "take", "itemsperpage")
_OFFSETS = ("skip", "offset")
_TOTALS = ("total", "totalcount", "totalitems", "totalresults", "totalrecords", "totalelements", "totalhits")
_TOTAL_HEADERS = ("x-total-count", "x-total")
_MORE = ("hasmore", "hasnext", "hasnextpage", "hasmorepages", "hasmoreresults")

Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A page that has been read to its end."""

    notes: Mapping[tuple[str, ...], Scalar]
    headers: Mapping[str, str]
    rows: int
    """How many rows this page has."""

    rows_so_far: int
    """How many rows all pages have, this one included."""

    first_page: int | None
    """The number that the first page gave itself; None where it gave none."""


@dataclass(frozen=True, slots=True)
class Unsaid:
    """The page does not say how to get the next one."""

    is_more: bool = False
    """Whether it says that there are more."""


def following(shown: Shown, base: Query) -> Query | Unsaid | None:
    """Return the query of the next page; None where this was the last one.

    :param base: The query of every page.
    """
    if (link := _link(shown)) is not None:
        return {**base, **link}
    if (token := _token(shown)) is not None:
        return {**base, **token}
    if (number := _number(shown.notes, _LINKS)) is not None and number[1] > 0:
        return {**base, _page_name(shown): str(number[1])}
    total, more = total_of(shown), _one(shown.notes, _MORE)
    if more is not None and more[1] is False:
        return None
    is_more = says_more(shown)
    if shown.rows == 0 or (total is not None and not is_more):
        return None
    if (offset := _number(shown.notes, _OFFSETS)) is not None:
        return _by_offset(shown, base, offset, is_more)
    if (page := _number(shown.notes, _PAGES)) is not None:
        return _by_number(shown, base, page, is_more)
    return Unsaid(is_more) if is_more or not _says_token(shown) else None


def says_more(shown: Shown) -> bool:
    """Return whether the page says that there are more rows, whether or not it says how to read them."""
    total, more = total_of(shown), _one(shown.notes, _MORE)
    if more is not None and more[1] is True:
        return True
    if total is not None or more is not None:
        return total is not None and shown.rows_so_far < total
    return shown.rows > 0 and (_link(shown) is not None or _token(shown) is not None or _points_on(shown))


def _points_on(shown: Shown) -> bool:
    """Return whether there is something in the place for a link, a number or a token of the next page."""
    return any(value not in (None, "", 0) for path, value in shown.notes.items() if _is_link(path) or _is_token(path))


def _is_token(path: tuple[str, ...]) -> bool:
    return path[-1].lower() in _TOKENS


def page_number_of(shown_notes: Mapping[tuple[str, ...], Scalar]) -> int | None:
    """Return the number that a page gives itself."""
    page = _number(shown_notes, _PAGES)
    return page[1] if page is not None else None


def total_of(shown: Shown) -> int | None:
    """Return how many employees there are altogether, as the page or its headers say."""
    found = _number(shown.notes, _TOTALS)
    if found is not None:
        return found[1]
    texts = (shown.headers.get(name, "") for name in _TOTAL_HEADERS)
    return next((int(text) for text in texts if text.isascii() and text.isdigit()), None)


def _link(shown: Shown) -> Query | None:
    """Return the query of a link to the next page. Its host is ignored: the settings say where Ditio is."""
    links = [str(value) for path, value in shown.notes.items() if _is_link(path) and isinstance(value, str) and value]
    links += [
        link["url"] for link in parse_header_links(shown.headers.get("Link", "")) if link.get("rel", "") == "next"
    ]
    queries = (dict(parse_qsl(urlsplit(link).query)) for link in links)
    return next((query for query in queries if query), None)


def _is_link(path: tuple[str, ...]) -> bool:
    names = [name.lower() for name in path]
    return names[-1] in _LINKS or (names[-1] == "href" and len(names) > 1 and names[-2] in _LINKS)


def _token(shown: Shown) -> Query | None:
    for path, value in shown.notes.items():
        name = path[-1].lower()
        if name in _TOKENS and isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return {_TOKENS[name] or path[-1]: str(value)}
    tokens = (shown.headers.get(name) for name in _TOKEN_HEADERS)
    return next(({"continuationToken": token} for token in tokens if token), None)


def _says_token(shown: Shown) -> bool:
    """Return whether it has a place for a link or a token, which is empty on the last page."""
    return any(_is_link(path) or _is_token(path) for path in shown.notes)


def _by_offset(shown: Shown, base: Query, offset: tuple[str, int], is_more: bool) -> Query | None:
    size = _number(shown.notes, _SIZES)
    if not is_more and (size is None or shown.rows < size[1]):
        return None
    asked = {offset[0]: str(offset[1] + shown.rows)}
    return {**base, **({size[0]: str(size[1])} if size is not None else {}), **asked}


def _by_number(shown: Shown, base: Query, page: tuple[str, int], is_more: bool) -> Query | None:
    size, last = _number(shown.notes, _SIZES), _number(shown.notes, _LAST_PAGES)
    if last is not None:
        # Pages that are counted from 0 end one earlier.
        is_more = is_more or page[1] < last[1] - (1 if shown.first_page == 0 else 0)
    elif size is not None and total_of(shown) is None:
        is_more = is_more or shown.rows >= size[1]
    elif size is None:
        is_more = True  # Nothing says where the list ends: an empty page will.
    if not is_more:
        return None
    return {**base, **({size[0]: str(size[1])} if size is not None else {}), _page_name(shown): str(page[1] + 1)}


def _page_name(shown: Shown) -> str:
    """Return the parameter that asks for a page: what the page calls its own number."""
    page = _number(shown.notes, _PAGES)
    return "page" if page is None or page[0].lower() == "currentpage" else page[0]


def _one(notes: Mapping[tuple[str, ...], Scalar], names: Sequence[str]) -> tuple[str, Scalar] | None:
    found = ((path[-1], value) for path, value in notes.items() if path[-1].lower() in names)
    return next(((name, value) for name, value in found if value is not None), None)


def _number(notes: Mapping[tuple[str, ...], Scalar], names: Sequence[str]) -> tuple[str, int] | None:
    """Return a count that the envelope shows, with the name that it has there."""
    found = _one(notes, names)
    if found is None or isinstance(found[1], bool):
        return None
    text = str(found[1]).strip()
    return (found[0], int(text)) if text.isascii() and text.isdigit() else None
