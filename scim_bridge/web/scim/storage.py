"""The storage behind the protocol server: store resources and mark people due, in one transaction (rule A1)."""

import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from scim2_models import Resource, ResourceType, ResponseParameters, ScimProvider, SearchRequest
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.delivery.intake import Intake, Ticket
from scim_bridge.domain.audit import Action, Author, changed_names
from scim_bridge.domain.certificate import Entry
from scim_bridge.domain.outcome import DeliveryView, Undone
from scim_bridge.domain.values import CERTIFICATE, UserId
from scim_bridge.logs import get_logger
from scim_bridge.scim.entra_patch import Setting, with_settings
from scim_bridge.scim.resources import Identity, Membership
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.entra_calls import Tally
from scim_bridge.storage.json_sql import json_sql
from scim_bridge.storage.resources import StoredResource, Taken
from scim_bridge.web.scim.certificates import Certificates
from scim_bridge.web.scim.errors import check_version, not_found, uniqueness
from scim_bridge.web.scim.rows import Rows, identity_of
from scim_bridge.web.scim.searching import Searching
from scim_bridge.web.scim.transaction import RequestTransaction

log = get_logger(__name__)

USER = "User"
"""The resource type whose writes reach Ditio; groups are stored, but never sent."""


class BridgeStorage(ScimStorage):
    """The resources of one tenant, for one request.

    :param author, deliver, tally: See `RequestTransaction`.
    :param writes: Whether the request may write: then its transaction takes the write lock at once.
    """

    supports_cursors = True

    def __init__(
        self,
        database: Database,
        tenant: str,
        provider: ScimProvider,
        intake: Intake,
        deliver: Callable[[Ticket], Undone | None],
        author: Author,
        *,
        writes: bool = True,
        tally: Tally | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._database = database
        self._tenant = tenant
        self._provider = provider
        self._intake = intake
        self._writes = writes
        self._new_id = new_id
        self._rows = Rows(provider)
        self._transaction = RequestTransaction(database, tenant, deliver, author, tally)
        self.tolerate = self._transaction.tolerate
        self._views: dict[str, DeliveryView | None] = {}
        self._parted: dict[str, tuple[StoredResource, Membership]] = {}
        self._prepared: StoredResource | None = None
        self._written: StoredResource | None = None

    def _searching(self) -> Searching:
        return Searching(self._tenant, self._provider, json_sql(self._database.engine.dialect.name), self._resource)

    @cached_property
    def _certificates(self) -> Certificates:
        return Certificates(self._tenant, self._provider, self._intake, self._transaction)

    @contextmanager
    def operation(self) -> Generator[None]:
        """Open one transaction for all that happens inside; delivery follows when it is committed."""
        with self._transaction.open(writes=self._writes):
            yield

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Return a resource; lock it if it is read in order to be written, which has no response parameters."""
        is_locking = response_parameters is None and self._writes
        with self._transaction.open(writes=is_locking) as s:
            if resource_type.name == CERTIFICATE:
                read = self._certificates.lock if is_locking else self._certificates.get
                return read(s, resource_type, resource_id)
            if is_locking:
                return self._rows.resource(resource_type, self._lock(s, resource_type, resource_id))
            stored = s.resources.get(str(resource_type.name), resource_id)
            if stored is None:
                raise not_found(resource_type, resource_id)
            self._views[stored.id] = stored.delivery
            return self._rows.resource(resource_type, stored, response_parameters)

    def parted(self, resource_type: ResourceType, resource_id: str) -> tuple[Resource[Any], Membership | None]:
        """Return a resource to be patched, locked; a group's members are apart."""
        with self._transaction.open(writes=True) as s:
            if resource_type.name == CERTIFICATE:
                return self._certificates.lock(s, resource_type, resource_id), None
            stored = self._lock(s, resource_type, resource_id)
        resource, membership = self._rows.parted(resource_type, stored)
        if membership is not None:
            self._parted[resource_id] = stored, membership
        return resource, membership

    def whole(self, resource: Resource[Any], asked: ResponseParameters[Any]) -> Resource[Any]:
        """Return a patched resource as it will be read.

        A group has its members if the answer asks for them or the patch named all.
        """
        stored, membership = self._parted.get(str(resource.id), (None, None))
        if stored is None and self._written is not None and self._written.id == resource.id:
            return self._rows.resource(self._type_of(self._written), self._written, asked)
        if stored is None or not (
            asked.attributes or asked.excluded_attributes or (membership and membership.is_named)
        ):
            return resource
        return self._rows.resource(self._type_of(stored), stored, asked)

    def _type_of(self, stored: StoredResource) -> ResourceType:
        return next(each for each in self._provider.resource_types if each.name == stored.resource_type)

    def search(
        self,
        resource_types: list[ResourceType],
        search_request: SearchRequest[Any],
        *,
        position: Any = None,
    ) -> SearchPage:
        """Return one page by index or by cursor, filtered and sorted by the database."""
        with self._transaction.open(writes=False) as s:
            page, found = self._searching().page(s, resource_types, search_request, position)
        self._views |= {each.id: each.delivery for each in found}
        return page

    def prepare(self, resource_type: ResourceType, resource: Resource[Any]) -> None:
        """Make the row of a new resource before SQLite's one lock is taken, so that no other request waits."""
        if self._database.is_sqlite and resource_type.name != CERTIFICATE:
            moment = self._database.now()
            self._prepared = self._rows.made(resource_type, resource, self._new_id(), moment)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Store a new resource; a new user makes a person due. Return it as it will be read."""
        with self._transaction.open(writes=True) as s:
            if resource_type.name == CERTIFICATE:
                return self._certificates.create(s, resource_type, resource)
            return self._rows.resource(resource_type, self.add(resource_type, resource))

    def add(self, resource_type: ResourceType, resource: Resource[Any]) -> StoredResource:
        """Store a new resource, which is no certificate. Return its row."""
        with self._transaction.open(writes=True) as s:
            if resource_type.name == USER:
                s.breaker.get()  # Intake needs it; read first, it tells the time too.
            now = s.now
            prepared, self._prepared = self._prepared, None
            stored = prepared or self._rows.made(resource_type, resource, self._new_id(), now)
            try:
                s.resources.add(stored)
            except Taken as exc:
                raise uniqueness(resource_type, exc) from exc
            ticket = None
            if resource_type.name == USER:
                ticket = self._intake.user_created(s, UserId(stored.id), {**stored.document})
                s.refused_writes.clear_for_new(stored.id, stored.document)
            self._transaction.wrote(Action.created, stored, ticket, now)
        if resource_type.name == USER:
            self._written = stored
        self._know(stored, ticket)
        return stored

    def update(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        *,
        expected_version: str | None = None,
    ) -> Resource[Any]:
        """Store the new state of a resource; a changed user makes their person due. Return it as it will be read."""
        with self._transaction.open(writes=True) as s:
            if resource_type.name == CERTIFICATE:
                return self._certificates.update(s, resource_type, resource, expected_version)
            stored = self.change(resource_type, resource, expected_version=expected_version)
        return self._rows.resource(resource_type, stored)

    def patched(
        self, resource_type: ResourceType, resource: Resource[Any], version: str | None, membership: Membership | None
    ) -> Resource[Any]:
        """Store the state of a resource after a PATCH. Return it with its version; for the answer see `whole`.

        :param version: The version that was patched.
        :param membership: The new members of a group that was read without them.
        """
        if resource_type.name == CERTIFICATE:
            return self.update(resource_type, resource, expected_version=version)
        stored = self.change(resource_type, resource, expected_version=version, membership=membership)
        if resource_type.name != USER:
            return self._rows.without_members(resource_type, stored)
        assert resource.meta is not None
        resource.meta.version, resource.meta.last_modified = identity_of(stored).etag, stored.last_modified_at
        return resource

    def change(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        *,
        expected_version: str | None,
        membership: Membership | None = None,
    ) -> StoredResource:
        """Store the new state of a resource, which is no certificate; see `update`. Return its row.

        :param membership: The new members of a group that was read without them.
        """
        with self._transaction.open(writes=True) as s:
            before = self._lock(s, resource_type, str(resource.id))
            check_version(before, expected_version)
            stored = self._rows.row(resource_type, resource, _next_identity(s, before), membership)
            return self._put(s, resource_type, before, stored, membership)

    def set_values(
        self, resource_type: ResourceType, user_id: str, settings: Sequence[Setting]
    ) -> StoredResource | None:
        """Give simple attributes of a user other values, and make no resource of them; see `with_settings`.

        Return their row; None, and nothing is done, if other things have to change too.
        """
        with self._transaction.open(writes=True) as s:
            before = self._lock(s, resource_type, user_id)
            document = with_settings(before.document, settings)
            if document is None:
                return None
            stored = self._rows.row_of(resource_type, document, _next_identity(s, before))
            return self._put(s, resource_type, before, stored)

    def _put(
        self,
        s: Session,
        resource_type: ResourceType,
        before: StoredResource,
        stored: StoredResource,
        membership: Membership | None = None,
    ) -> StoredResource:
        """Store the new state of a resource that is locked."""
        if stored.document == before.document:
            # The operations of a PATCH can undo each other.
            self.repeated(resource_type, before.id)
            self._written = before if resource_type.name == USER else None
            return before
        try:
            s.resources.replace(stored, before)
        except Taken as exc:
            raise uniqueness(resource_type, exc) from exc
        self._transaction.locked.pop(before.id, None)
        if membership is not None:
            self._parted[before.id] = stored, membership
        ticket = None
        if resource_type.name == USER:
            ticket = self._intake.user_changed(s, UserId(stored.id), {**stored.document}, before.document)
            ticket = ticket and ticket.over(before, stored.version)
            s.refused_writes.clear(stored.id, stored.document, before.document)
        names = changed_names(before.document, stored.document)
        self._transaction.wrote(Action.changed, stored, ticket, stored.last_modified_at, names)
        self._written = stored if resource_type.name == USER else None
        self._know(stored, ticket)
        return stored

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Remove a resource; a deleted user leaves all groups, and a person whose ending is due (rule P1)."""
        with self._transaction.open(writes=True) as s:
            if resource_type.name == CERTIFICATE:
                self._certificates.delete(s, resource_type, resource_id, expected_version)
                return
            before = self._lock(s, resource_type, resource_id)
            ticket, now = None, s.now
            check_version(before, expected_version)
            s.resources.delete(before.resource_type, before.id)
            self._transaction.locked.pop(before.id, None)
            if resource_type.name == USER:
                ticket = self._intake.user_deleted(s, UserId(before.id), before.document)
                s.refused_writes.clear(before.id, before.document)
                for group in s.resources.without_member(before.id):
                    self._transaction.wrote(Action.changed, group, None, now, ("members",))
            self._transaction.wrote(Action.deleted, before, ticket, now)

    def repeated(self, resource_type: ResourceType, resource_id: str) -> None:
        """Make a held or parked person or certificate due again after a write that changed nothing (rule A5)."""
        if resource_type.name == CERTIFICATE:
            with self._transaction.open(writes=True) as s:
                self._certificates.repeat(s, resource_id)
        if resource_type.name == USER:
            with self._transaction.open(writes=True) as s:
                self._transaction.collect(self._intake.user_repeated(s, UserId(resource_id)))
                s.refused_writes.clear(resource_id)

    def _know(self, stored: StoredResource, ticket: Ticket | None) -> None:
        """Keep the state of a delivery that does not follow within this request."""
        if ticket is not None and ticket.lease is None and ticket.view is not None:
            self._views[stored.id] = ticket.view

    def resource(self, resource_type: ResourceType, stored: StoredResource) -> Resource[Any]:
        """Return the resource of a row."""
        return self._rows.resource(resource_type, stored)

    def written(self, user_id: str) -> StoredResource | None:
        """Return a user as this request has left them, with the state of their delivery; None for any other."""
        stored = self._written
        if stored is None or stored.id != user_id:
            return None
        return replace(stored, delivery=self.delivery_views([user_id]).get(user_id))

    def delivery_views(self, user_ids: Iterable[str]) -> dict[str, DeliveryView]:
        """Return the delivery states of users: as read with them, or after the delivery of this request."""
        wanted = set(user_ids)
        unread = wanted - self._views.keys()
        try:
            if unread:
                with self._transaction.open(writes=False, once=True) as s:
                    self._views |= s.resources.delivery_views(unread)
        except SQLAlchemyError as exc:
            if not self._transaction.has_written:
                raise
            # The write stays, so the answer is 2xx, even without the delivery state (rule A2).
            log.warning("scim.delivery_unread", tenant=self._tenant, error=type(exc).__name__)
        return {user_id: view for user_id in wanted if (view := self._views.get(user_id)) is not None}

    def _lock(self, s: Session, resource_type: ResourceType, resource_id: str) -> StoredResource:
        locked = self._transaction.locked.get(resource_id)
        if locked is not None and locked.resource_type == resource_type.name:
            return locked
        is_user = resource_type.name == USER
        stored = s.lock_user(UserId(resource_id)) if is_user else s.resources.lock(str(resource_type.name), resource_id)
        if stored is None:
            raise not_found(resource_type, resource_id)
        self._transaction.locked[resource_id] = stored
        return stored

    def _resource(
        self, resource_type: ResourceType, found: StoredResource | Entry, parameters: SearchRequest[Any]
    ) -> Resource[Any]:
        if isinstance(found, Entry):
            return self._certificates.resource(resource_type, found)
        return self._rows.resource(resource_type, found, parameters)


def _next_identity(s: Session, before: StoredResource) -> Identity:
    return replace(identity_of(before), version=before.version + 1, last_modified_at=s.now)
