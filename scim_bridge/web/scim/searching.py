"""Searches of the protocol: which tables are asked, and what is found as resources."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from scim2_models import Resource, ResourceType, ScimProvider, SearchRequest
from scim2_server.storage import SearchPage
from sqlalchemy import ColumnElement, Connection, and_, or_, true

from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.documents import CERTIFICATE
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.storage.certificate_filters import certificate_condition, certificate_order
from scim_bridge.storage.certificate_listing import CertificateSearch
from scim_bridge.storage.filters import Columns, Model, condition
from scim_bridge.storage.json_sql import JsonSql
from scim_bridge.storage.paging import Order, place_at, position_of
from scim_bridge.storage.resources import StoredResource, delivery_columns, moment_columns
from scim_bridge.storage.root_searches import Branch, RootSearch
from scim_bridge.storage.searches import Page, ResourceSearch, Search
from scim_bridge.storage.sorting import order_of
from scim_bridge.storage.tables import resources

_COLUMNS = delivery_columns(DITIO_URN)

Request = SearchRequest[Any]
Found = StoredResource | Entry


class Searching:
    """The searches of one tenant.

    :param resource: The resource that something found is, as far as the answer needs it.
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
        self, connection: Connection, resource_types: Sequence[ResourceType], asked: Request, position: Any
    ) -> tuple[SearchPage, list[StoredResource]]:
        """One page by index or by cursor, and those of it that are documents."""
        types = {str(each.name): each for each in resource_types}
        search, order = self._search(connection, types, asked)
        page: Page[Any]
        if asked.cursor is None:
            page = search.by_number(asked.start_index_0 or 0, asked.count)
        else:
            page = search.from_place(place_at(position, order), asked.count)
        shown = [self._resource(types[_type_of(each)], each, asked) for each in page.found]
        told = SearchPage(page.total, shown, position_of(page.next), position_of(page.previous))
        return told, [each for each in page.found if isinstance(each, StoredResource)]

    def _search(
        self, connection: Connection, types: dict[str, ResourceType], asked: Request
    ) -> tuple[Search[Any], Order]:
        models = {name: cast(Model, self._provider.model_for(each)) for name, each in types.items()}
        certificate = models.pop(CERTIFICATE, None)
        if certificate is None:
            documents = self._documents(models, asked, _COLUMNS)
            return ResourceSearch(
                connection, self._tenant, list(models), documents.condition, documents.order
            ), documents.order
        certificates = self._certificates(certificate, asked)
        if not models:
            return CertificateSearch(
                connection, self._tenant, certificates.condition, certificates.order
            ), certificates.order
        # In both tables a moment is an instant then, and not a text in the one.
        moments = moment_columns(str(each.__schema__) for each in models.values())
        documents = self._documents(models, asked, {**_COLUMNS, **moments})
        both = RootSearch(connection, self._tenant, list(models), documents, certificates)
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
