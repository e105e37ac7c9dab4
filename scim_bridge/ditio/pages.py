"""The pages of a list, in any form that Ditio gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from requests.utils import parse_header_links

from scim_bridge.ditio.answers import MANY
from scim_bridge.http.pages import Scalar

LISTS = (*MANY, "value")
"""The keys under which the list of a page is looked for: OData calls it `value`."""

_LINKS = ("next", "nextlink", "@odata.nextlink", "nextpageurl", "nexturl", "nextpage")
_TOKENS = {
    "continuationtoken": None,
    "nexttoken": None,
    "nextpagetoken": "pageToken",
    "nextcursor": "cursor",
}
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
    total, more = total_of(shown), _one(shown.notes, _MORE)
    if more is not None and more[1] is False:
        return None
    is_more = (more is not None and more[1] is True) or (total is not None and shown.rows_so_far < total)
    if shown.rows == 0 or (total is not None and not is_more):
        return None
    if (offset := _number(shown.notes, _OFFSETS)) is not None:
        return _by_offset(shown, base, offset, is_more)
    if (page := _number(shown.notes, _PAGES)) is not None:
        return _by_number(shown, base, page, is_more)
    return Unsaid(is_more) if not _says_token(shown) else None


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
    return any(_is_link(path) or path[-1].lower() in _TOKENS for path in shown.notes)


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
    name = "page" if page[0].lower() == "currentpage" else page[0]
    return {**base, **({size[0]: str(size[1])} if size is not None else {}), name: str(page[1] + 1)}


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
