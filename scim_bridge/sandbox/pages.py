"""The simulated Ditio's list of employees in pages, in each of the ways that the documentation leaves open."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import urlencode

from scim_bridge.sandbox.documents import listed
from scim_bridge.sandbox.refusals import Refused
from scim_bridge.sandbox.style import Style

Document = dict[str, object]


def page_of(
    documents: list[Document], args: Mapping[str, str], path: str, style: Style
) -> tuple[object, dict[str, str]]:
    """Return the body and the headers of the page that is asked for.

    :param args: The query of the request.
    :param path: Where the list is, for links.
    """
    if style.paging == "none":
        return listed(documents, style), {}
    size = min(_count(args, "pageSize", style.page_size), style.page_size)
    number = _count(args, "page", style.first_page)
    begin = _offset(args) if style.paging in ("link", "token") else (number - style.first_page) * size
    page = documents[max(begin, 0) : max(begin, 0) + size]
    is_last = begin + size >= len(documents)
    notes, headers = _notes(style, number, size, len(documents), None if is_last else _token(begin + size), path)
    body = listed(page, style)
    if isinstance(body, dict):
        return body | notes, {}
    return body, headers


def _notes(
    style: Style, number: int, size: int, total: int, token: str | None, path: str
) -> tuple[Document, dict[str, str]]:
    """Return what is said of the next page: in an envelope, and in headers where there is none."""
    if style.paging == "link":
        link = f"{path}?{urlencode({'pageSize': size, 'continuationToken': token})}" if token else None
        return {"links": {"next": link}}, {"Link": f'<{link}>; rel="next"'} if link else {}
    if style.paging == "token":
        return {"continuationToken": token}, {"X-Continuation-Token": token} if token else {}
    if style.paging == "page":
        return {"page": number, "pageSize": size, "totalCount": total}, {"X-Total-Count": str(total)}
    return {}, {}


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def _offset(args: Mapping[str, str]) -> int:
    token = args.get("continuationToken")
    return int(base64.urlsafe_b64decode(token.encode())) if token else 0


def _count(args: Mapping[str, str], name: str, otherwise: int) -> int:
    text = args.get(name, "")
    if text and not text.isdigit():
        raise Refused(400, name, f"The {name} field must be a number.")
    return int(text) if text else otherwise
