"""Searches of resources, and their bounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from scim2_models import (
    InvalidFilterException,
    InvalidPathException,
    InvalidValueException,
    Resource,
    ResourceType,
    ScimProvider,
    SearchRequest,
)
from scim2_server.storage import SearchPage
from sqlalchemy import ColumnElement, and_, or_, true

from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.values import CERTIFICATE
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.storage.database import Session
from scim_bridge.storage.filters import Model, condition
from scim_bridge.storage.json_sql import Columns, JsonSql
from scim_bridge.storage.paging import Order, order_of, place_at, position_of
from scim_bridge.storage.resources import StoredResource, delivery_columns, moment_columns
from scim_bridge.storage.search import (
    Branch,
    CertificateSearch,
    Page,
    ResourceSearch,
    RootSearch,
    Search,
    certificate_condition,
    certificate_order,
)
from scim_bridge.storage.tables import resources
from scim_bridge.web.scim.bounds import refuse_unstorable_text
from scim_bridge.web.scim.filters import parsed_filter, refuse_meaningless

MAX_NAMES = 200
"""How many names `attributes` or `excludedAttributes` may have."""

MAX_NAME_LENGTH = 500
"""The longest name in them, and the longest `sortBy`, in characters."""

MAX_CONDITION_LENGTH = 1000
"""The longest `If-Match` or `If-None-Match`, in characters: some dozens of versions."""

LAST_INDEX = 2**53 - 1
"""The largest `startIndex`: the largest integer that all JSON parsers agree on (RFC 8259 §6)."""


def _asked_of(payload: Any) -> dict[str, Any]:
    """Return the parameters in the query or the body of a search, by lower-case name."""
    return {str(name).lower(): value for name, value in payload.items()} if isinstance(payload, Mapping) else {}


def refuse_unanswerable(payload: Any, models: Sequence[type[Resource[Any]]]) -> None:
    """Refuse a search whose filter can't be read or means nothing. `models` are searched.

    :raises SCIMException: 400; the detail says what is wrong, where, and what to do.
    """
    text = _asked_of(payload).get("filter")
    if isinstance(text, str):
        refuse_meaningless(parsed_filter(text), models)


def refuse_large_search(payload: Any, max_filter_length: int) -> None:
    """Refuse a search whose parts are too long. `payload` is its query or body.

    :raises InvalidFilterException: the filter is too long.
    :raises InvalidPathException: another part is.
    """
    asked = _asked_of(payload)
    text = asked.get("filter")
    if isinstance(text, str) and len(text) > max_filter_length:
        raise InvalidFilterException(
            detail=f"the filter has {len(text)} characters, {max_filter_length} are allowed: send a shorter one"
        )
    sort_by = asked.get("sortby")
    if isinstance(sort_by, str) and len(sort_by) > MAX_NAME_LENGTH:
        raise InvalidPathException(
            detail=f"sortBy has {len(sort_by)} characters, {MAX_NAME_LENGTH} are allowed: name one attribute"
        )
    for name in ("attributes", "excludedAttributes"):
        _refuse_many_names(name, asked.get(name.lower()))


def _refuse_many_names(name: str, value: Any) -> None:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list):
        return
    names = [part for each in names for part in (each.split(",") if isinstance(each, str) else [each])]
    if len(names) > MAX_NAMES:
        raise InvalidPathException(detail=f"{name} has {len(names)} names, {MAX_NAMES} are allowed: name fewer")
    longest = max((len(each) for each in names if isinstance(each, str)), default=0)
    if longest > MAX_NAME_LENGTH:
        raise InvalidPathException(
            detail=f"{name} has a name of {longest} characters, {MAX_NAME_LENGTH} are allowed: name an attribute"
        )


def refuse_unusable_condition(text: str | None, where: str) -> None:
    """Refuse a version to compare with that no resource can have. `where` is its name in the message.

    :raises InvalidValueException: it is too long, or has a NUL character.
    """
    if text is None:
        return
    refuse_unstorable_text(text, where)
    if len(text) > MAX_CONDITION_LENGTH:
        raise InvalidValueException(
            detail=f"{where} has {len(text)} characters, {MAX_CONDITION_LENGTH} are allowed: "
            "send the version of the resource, from its ETag or meta.version"
        )


_COLUMNS = delivery_columns(DITIO_URN)

Request = SearchRequest[Any]
Found = StoredResource | Entry


class Searching:
    """The searches of one tenant.

    :param resource: Returns the resource of a row that was found, as far as the answer needs it.
    """

    def __init__(
        self,
        tenant: str,
        provider: ScimProvider,
        sql: JsonSql,
        resource: Callable[[ResourceType, Found, Request], Resource[Any]],
    ) -> None:
        self._tenant = tenant
        self._provider = provider
        self._sql = sql
        self._resource = resource

    def page(
        self, s: Session, resource_types: Sequence[ResourceType], asked: Request, position: Any
    ) -> tuple[SearchPage, list[StoredResource]]:
        """Return one page by index or by cursor, and those of its rows that are documents."""
        types = {str(each.name): each for each in resource_types}
        search, order = self._search(s, types, asked)
        page: Page[Any]
        if asked.cursor is None:
            page = search.by_number(asked.start_index_0 or 0, asked.count)
        else:
            page = search.from_place(place_at(position, order), asked.count)
        shown = [self._resource(types[_type_of(each)], each, asked) for each in page.found]
        told = SearchPage(page.total, shown, position_of(page.next), position_of(page.previous))
        return told, [each for each in page.found if isinstance(each, StoredResource)]

    def _search(self, s: Session, types: dict[str, ResourceType], asked: Request) -> tuple[Search[Any], Order]:
        models = {name: cast(Model, self._provider.model_for(each)) for name, each in types.items()}
        certificate = models.pop(CERTIFICATE, None)
        if certificate is None:
            documents = self._documents(models, asked, _COLUMNS)
            return ResourceSearch(s, list(models), documents.condition, documents.order), documents.order
        certificates = self._certificates(certificate, asked)
        if not models:
            return CertificateSearch(s, certificates.condition, certificates.order), certificates.order
        # Both tables then give times as a timestamp, and neither as text.
        moments = moment_columns(str(each.__schema__) for each in models.values())
        documents = self._documents(models, asked, {**_COLUMNS, **moments})
        both = RootSearch(s, list(models), documents, certificates)
        return both, both.order

    def _documents(self, models: dict[str, Model], asked: Request, columns: Columns) -> Branch:
        return Branch(self._condition(models, asked, columns), order_of(asked, models, self._sql, columns))

    def _condition(self, models: dict[str, Model], asked: Request, columns: Columns) -> ColumnElement[bool]:
        if asked.filter is None:
            return true()
        with self._provider:
            terms = [
                and_(resources.c.resource_type == name, condition(asked.filter, model, self._sql, columns))
                for name, model in models.items()
            ]
        return or_(*terms)

    def _certificates(self, model: Model, asked: Request) -> Branch:
        order = certificate_order(asked, model)
        if asked.filter is None:
            return Branch(true(), order)
        with self._provider:
            return Branch(certificate_condition(asked.filter, model, self._sql), order)


def _type_of(found: Found) -> str:
    return found.resource_type if isinstance(found, StoredResource) else CERTIFICATE
