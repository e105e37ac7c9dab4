"""Rows of the database as resources of the protocol; searches and their bounds."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from scim2_models import (
    InvalidFilterException,
    InvalidPathException,
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
    UniquenessException,
)
from scim2_server.storage import SearchPage
from sqlalchemy import ColumnElement, and_, or_, true

from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.values import CERTIFICATE, JsonObject
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.scim.resources import (
    MEMBERS,
    Identity,
    Membership,
    document_of,
    keys_of,
    resource_of,
    unasked,
)
from scim_bridge.scim.schema import shape_of
from scim_bridge.storage.database import Session
from scim_bridge.storage.filters import Model, condition
from scim_bridge.storage.json_sql import Columns, JsonSql
from scim_bridge.storage.paging import Order, order_of, place_at, position_of
from scim_bridge.storage.resources import StoredResource, Taken, delivery_columns, moment_columns
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
from scim_bridge.web.scim.bounds import refuse_unstorable, refuse_unstorable_text
from scim_bridge.web.scim.filters import parsed_filter, refuse_meaningless


class Rows:
    """Turns rows into resources as a provider describes them."""

    def __init__(self, provider: ScimProvider) -> None:
        self._provider = provider

    def model(self, resource_type: ResourceType) -> Model:
        """Return the model of a type, its extensions included."""
        return cast(Model, self._provider.model_for(resource_type))

    def resource(
        self,
        resource_type: ResourceType,
        stored: StoredResource,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Return the resource of a row, as far as the answer needs it."""
        model, document = self.model(resource_type), stored.document
        left_out = unasked(model, response_parameters) & document.keys()
        if left_out:
            document = {name: value for name, value in document.items() if name not in left_out}
        return resource_of(model, self._provider, document, identity_of(stored))

    def parted(self, resource_type: ResourceType, stored: StoredResource) -> tuple[Resource[Any], Membership | None]:
        """Return the resource of a row, and a group's members apart, so that a PATCH need not read them all."""
        model = self.model(resource_type)
        if MEMBERS not in shape_of(model).attributes:
            return self.resource(resource_type, stored), None
        membership = Membership(model, _entries(stored.document), _entries(stored.keys))
        return self.without_members(resource_type, stored), membership

    def without_members(self, resource_type: ResourceType, stored: StoredResource) -> Resource[Any]:
        """Return the resource of a row, a group without its members."""
        document = {name: value for name, value in stored.document.items() if name != MEMBERS}
        return resource_of(self.model(resource_type), self._provider, document, identity_of(stored))

    def made(
        self, resource_type: ResourceType, resource: Resource[Any], resource_id: str, now: datetime
    ) -> StoredResource:
        """Return the row of a new resource; see `row`."""
        return self.row(resource_type, resource, Identity(resource_id, str(resource_type.name), 1, now, now))

    def row(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        identity: Identity,
        membership: Membership | None = None,
    ) -> StoredResource:
        """Return the row of a resource: its document, and keys as if that had been read again.

        :param membership: The members of a group that was given without them.
        :raises InvalidValueException: when it holds text that no database can store: a filter in a path may write it.
        """
        document = document_of(resource)
        refuse_unstorable(document)
        with self._provider:
            keys = keys_of(self.model(resource_type), document, identity)
        if membership is not None and membership.members:
            # Each member was checked when it arrived.
            document |= {MEMBERS: membership.members}
            keys |= {MEMBERS: membership.keys} if membership.keys else {}
        return StoredResource(
            id=identity.id,
            resource_type=identity.resource_type,
            document=document,
            keys=keys,
            version=identity.version,
            created_at=identity.created_at,
            last_modified_at=identity.last_modified_at,
        )


def _entries(document: JsonObject) -> list[JsonObject]:
    return cast(list[JsonObject], document.get(MEMBERS) or [])


def identity_of(stored: StoredResource) -> Identity:
    """Return what the bridge says of a stored resource."""
    return Identity(stored.id, stored.resource_type, stored.version, stored.created_at, stored.last_modified_at)


def check_version(stored: StoredResource, expected_version: str | None) -> None:
    """Refuse to write over what the client hasn't seen (RFC 7644 §3.14).

    :raises PreconditionFailedException: when the version is another.
    """
    refuse_another_version(identity_of(stored), expected_version)


def refuse_another_version(identity: Identity, expected_version: str | None) -> None:
    """Refuse the same for anything that has a version.

    :raises PreconditionFailedException: when the version is another.
    """
    if expected_version is not None and identity.etag != expected_version:
        raise PreconditionFailedException(
            detail="the resource has changed since it was read: read it again, then repeat the request"
        )


def not_found(resource_type: ResourceType, resource_id: str) -> NotFoundException:
    """Return the 404 for an id that no resource has."""
    return NotFoundException(detail=f'there is no {resource_type.name} with the id "{resource_id[:200]}"')


def uniqueness(resource_type: ResourceType, taken: Taken) -> UniquenessException:
    """Return the 409 for a value that another resource has; Entra shows its words to the administrator."""
    kind = str(resource_type.name).lower()
    return UniquenessException(
        attribute=taken.attribute,
        value=taken.value,
        detail=f'{taken.attribute} "{taken.value[:200]}" is already used by another {kind}: '
        f"choose another value, or remove it from the {kind} that has it",
    )


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
