"""SCIM resources: the documents as Entra sent them, with their keys (rules A6-A8)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Join,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    literal,
    literal_column,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError

from scim_bridge.domain.outcome import DeliveryView
from scim_bridge.domain.values import SEVERAL, JsonObject, UserId, indexed, indexed_columns
from scim_bridge.storage.credentials import (
    ACCESS_TOKEN,
    AccessToken,
    Token,
    asked_with,
    token_in,
    valid_access_token,
    valid_token,
)
from scim_bridge.storage.engine import Repository, Transaction
from scim_bridge.storage.json_sql import ENTERPRISE, Columns, EmployeeNumberKey, json_sql
from scim_bridge.storage.prepared import Prepared, insert_if_absent
from scim_bridge.storage.tables import exact_text, people, resources

_OF_USER = Prepared(
    select(resources.c.document).where(
        resources.c.tenant == bindparam("tenant"),
        resources.c.id == bindparam("user_id"),
        resources.c.resource_type == "User",
    )
)


def document_of(s: Transaction, user_id: UserId) -> JsonObject | None:
    """Return a user as Entra sent it, or None if there is no such user."""
    found = _OF_USER.first(s.connection, {"tenant": s.tenant, "user_id": user_id})
    if found is None:
        return None
    document: JsonObject = json.loads(found.document)
    return document


def user_names(s: Transaction, user_ids: Iterable[UserId]) -> dict[UserId, str]:
    """Return the (folded) user names of some users, for listings."""
    query = select(resources.c.id, resources.c.user_name_key).where(
        resources.c.tenant == s.tenant, resources.c.resource_type == "User", resources.c.id.in_(list(user_ids))
    )
    return {UserId(row.id): row.user_name_key for row in s.connection.execute(query)}


GROUP = "Group"
"""The resource type that has members."""

MEMBERS = "members"


class Taken(Exception):
    """Another resource of the type already has this value of a unique attribute.

    :param attribute: The attribute's SCIM name.
    """

    def __init__(self, attribute: str, value: str) -> None:
        super().__init__(f"{attribute} is taken")
        self.attribute = attribute
        self.value = value


@dataclass(frozen=True, slots=True)
class StoredResource:
    """A row of `resources`."""

    id: str
    resource_type: str
    document: JsonObject
    version: int
    created_at: datetime
    last_modified_at: datetime
    keys: JsonObject = field(default_factory=dict)
    """The folded values; empty if the row was read without a lock."""

    delivery: DeliveryView | None = None
    """The state of its delivery, if it was read and there is a person."""


def delivery_columns(urn: str) -> Columns:
    """Return the columns of the delivery attributes of an extension, which are stored with the person."""
    return {
        f"{urn}:deliveryState": people.c.state,
        f"{urn}:deliveryDetail": people.c.detail,
        f"{urn}:deliveredAt": people.c.delivered_at,
    }


def moment_columns(urns: Iterable[str]) -> Columns:
    """Return the columns of the times when resources were created and changed, by the schemas of their types."""
    columns = {"meta.created": resources.c.created_at, "meta.lastModified": resources.c.last_modified_at}
    return {f"{urn}:{name}": column for urn in urns for name, column in columns.items()}


class Resources(Repository):
    """The resources of one tenant, within one transaction."""

    def add(self, resource: StoredResource) -> None:
        """Store a new resource.

        :raises Taken: when another resource has its `userName`; the transaction can continue.
        """
        row = {**self._key(resource), **_values(resource), "created_at": resource.created_at}
        if not insert_if_absent(self._connection, resources, row):
            raise _taken(resource)

    def replace(self, resource: StoredResource, before: StoredResource | None = None) -> None:
        """Store the new state of a resource that exists.

        :param before: The state that it replaces, if it is known.
        :raises Taken: when another resource has its `userName`; the transaction can continue.
        """
        columns = _values(resource)
        row = {**which(self._tenant, resource.resource_type, resource.id)}
        row |= {f"new_{name}": value for name, value in columns.items()}
        name = columns["user_name_key"]
        if name is None or (before is not None and name == indexed_columns(before.keys)["user_name_key"]):
            self._s.later(_REPLACE, row)
            return
        try:
            # Without the savepoint, a violation would end a PostgreSQL transaction.
            with self._connection.begin_nested():
                _REPLACE.execute(self._connection, row)
        except IntegrityError as exc:
            raise _taken(resource) from exc

    def delete(self, resource_type: str, resource_id: str) -> None:
        """Remove a resource."""
        self._connection.execute(delete(resources).where(self._is(resource_type, resource_id)))

    def without_member(self, user_id: str) -> list[StoredResource]:
        """Remove a user from the groups that list them. Return these groups as they are now."""
        lists = json_sql(self._s.dialect).has_member(resources.c["keys"], user_id)
        listed = select(*_READ, resources.c["keys"]).where(
            resources.c.tenant == self._tenant, resources.c.resource_type == GROUP, lists
        )
        changed = []
        for row in self._connection.execute(listed.order_by(resources.c.id).with_for_update()).all():
            group = stored_in(row)
            changed.append(
                replace(
                    group,
                    document=_without(group.document, user_id),
                    keys=_without(group.keys, user_id),
                    version=group.version + 1,
                    last_modified_at=self._now,
                )
            )
            self.replace(changed[-1])
        return changed

    def get(self, resource_type: str, resource_id: str) -> StoredResource | None:
        """Return a resource with the state of its delivery."""
        row = self._connection.execute(with_delivery().where(self._is(resource_type, resource_id))).first()
        return stored_in(row) if row else None

    def found_by(self, attribute: str, key: str) -> list[StoredResource]:
        """Return the users with a value of an attribute, each with the state of their delivery; at most two.

        :param attribute: One of `LOOKUPS`.
        :param key: The folded value.
        """
        statement = looked_up(self._s.dialect, attribute)
        asked = lookup_with(self._tenant, attribute, key)
        return [stored_in(row) for row in self._connection.execute(statement, asked)]

    def lock(self, resource_type: str, resource_id: str) -> StoredResource | None:
        """Return a resource, locked until the transaction ends."""
        row = LOCKED_RESOURCE.first(self._connection, which(self._tenant, resource_type, resource_id))
        return stored_in(row) if row else None

    def delivery_views(self, user_ids: Iterable[str]) -> dict[str, DeliveryView]:
        """Return the state of delivery of users; a user without a person is left out."""
        wanted = list(user_ids)
        rows: Iterable[Any]
        if len(wanted) == 1:
            (rows,) = self._s.answers([(_VIEW_OF_ONE, {"of_tenant": self._tenant, "user": wanted[0]})])
        else:
            rows = self._connection.execute(_VIEWS.where(people.c.tenant == self._tenant, people.c.user_id.in_(wanted)))
        return {row.user_id: DeliveryView.of(row) for row in rows}

    def _key(self, resource: StoredResource) -> dict[str, object]:
        return {"tenant": self._tenant, "id": resource.id, "resource_type": resource.resource_type}

    def _is(self, resource_type: str, resource_id: str) -> ColumnElement[bool]:
        return and_(
            resources.c.tenant == self._tenant,
            resources.c.id == resource_id,
            resources.c.resource_type == resource_type,
        )


_READ = (
    resources.c.id,
    resources.c.resource_type,
    resources.c.document,
    resources.c.version,
    resources.c.created_at,
    resources.c.last_modified_at,
)

_DELIVERY = (people.c.state, people.c.detail, people.c.delivered_at, people.c.state_since, people.c.due_at)

# Built once, because every write executes them.
_IS = and_(
    resources.c.tenant == bindparam("of_tenant"),
    resources.c.id == bindparam("resource_id"),
    resources.c.resource_type == bindparam("of_type"),
)
LOCKED_RESOURCE = Prepared(select(*_READ, resources.c["keys"]).where(_IS).with_for_update())
_REPLACED = (
    *("document", "keys", "version", "last_modified_at"),
    *("user_name_key", "external_id_key", "display_name_key", "work_email_key"),
)
_REPLACE = Prepared(
    update(resources)
    .where(_IS)
    .values({name: bindparam(f"new_{name}", type_=resources.c[name].type) for name in _REPLACED})
)
_VIEWS = select(people.c.user_id, *_DELIVERY)
_VIEW_OF_ONE = Prepared(_VIEWS.where(people.c.tenant == bindparam("of_tenant"), people.c.user_id == bindparam("user")))


def which(tenant: str, resource_type: str, resource_id: str) -> dict[str, object]:
    """Return the parameters that name one resource."""
    return {"of_tenant": tenant, "resource_id": resource_id, "of_type": resource_type}


def with_delivery(*, one_by_one: bool = False) -> Select[Any]:
    """Select resources with the delivery of their people, for `stored_in`; see `joined`."""
    return select(*_READ, *_DELIVERY).select_from(joined(one_by_one=one_by_one))


def joined(*, one_by_one: bool = False) -> Join:
    """Join resources with their people; only users have one.

    :param one_by_one: Look up each person. Otherwise PostgreSQL may merge both tables, and read all people who come
        before the page.
    """
    user_id = resources.c.id + "" if one_by_one else resources.c.id
    return resources.outerjoin(people, and_(people.c.tenant == resources.c.tenant, people.c.user_id == user_id))


WORK_ADDRESS = 'emails[type eq "work"].value'

_INDEXED = {
    "id": resources.c.id,
    "userName": resources.c.user_name_key,
    "externalId": resources.c.external_id_key,
}

NUMBER = "employeeNumber"

LOOKUPS = (*_INDEXED, WORK_ADDRESS, NUMBER)
"""The attributes with which a user is looked up in an index, as a filter of SCIM writes them."""


def lookup_with(tenant: str, attribute: str, key: str) -> dict[str, Any]:
    """Return the parameters of `looked_up`."""
    short = EmployeeNumberKey.of(key) if attribute == NUMBER else indexed(key)
    return {"tenant": tenant, "key": short, "folded": key}


@cache
def looked_up(dialect: str, attribute: str) -> Select[Any]:
    """Return the statement that looks a user up, built once: Entra asks for each user before each write."""
    sql, key = json_sql(dialect), bindparam("key", type_=exact_text())
    # The index may only narrow the search.
    if attribute == NUMBER:
        whole = sql.text(resources.c["keys"], (ENTERPRISE, NUMBER))
        found = and_(EmployeeNumberKey() == key, whole == bindparam("folded", type_=exact_text()))
    elif attribute == WORK_ADDRESS:
        entries = sql.entries(resources.c["keys"], ("emails",))
        is_his = and_(
            sql.text(entries.entry, ("type",)) == "work",
            sql.text(entries.entry, ("value",)) == bindparam("folded", type_=exact_text()),
        )
        narrowed = resources.c.work_email_key.in_([key, SEVERAL])
        found = and_(narrowed, exists(select(literal(1)).select_from(entries.rows).where(is_his)))
    else:
        found = _INDEXED[attribute] == key
    mine = and_(resources.c.tenant == bindparam("tenant"), resources.c.resource_type == literal_column("'User'"))
    # A constant in the text, as SQLAlchemy would make a parameter of it.
    return with_delivery().where(mine, found).limit(literal_column("2"))


def _values(resource: StoredResource) -> dict[str, object]:
    return {
        "document": json.dumps(resource.document, ensure_ascii=False, separators=(",", ":")),
        "keys": resource.keys,
        "version": resource.version,
        "last_modified_at": resource.last_modified_at,
        **indexed_columns(resource.keys),
    }


def stored_in(row: Any) -> StoredResource:
    """Return the resource of a row."""
    return StoredResource(
        id=row.id,
        resource_type=row.resource_type,
        document=json.loads(row.document),
        version=row.version,
        created_at=row.created_at,
        last_modified_at=row.last_modified_at,
        keys=getattr(row, "keys", {}),
        delivery=DeliveryView.of(row) if getattr(row, "state", None) else None,
    )


def _without(group: JsonObject, user_id: str) -> JsonObject:
    members = group.get(MEMBERS)
    left = [each for each in members if each.get("value") != user_id] if isinstance(members, list) else []
    rest = {name: value for name, value in group.items() if name != MEMBERS}
    return {**rest, MEMBERS: left} if left else rest


def _taken(resource: StoredResource) -> Taken:
    return Taken("userName", str(resource.document.get("userName")))


_WHO = "who_"
"""Begins the names of the credential's columns."""


class Lookups(Repository):
    """The read that Entra sends most: a user, and the credential of the client who asks, by one statement."""

    def find(
        self, secret: str, workload: str | None, attribute: str, key: str
    ) -> tuple[Token | AccessToken | None, list[StoredResource]]:
        """Return the valid credential with this secret, and the users who are found; at most two.

        :param workload: See `AccessTokens`.
        :param attribute, key: See `Resources.found_by`.
        """
        is_access_token = secret.startswith(ACCESS_TOKEN)
        asked = {**asked_with(self._s, secret), **lookup_with(self._tenant, attribute, key)}
        if is_access_token:
            asked["workload"] = workload
        statement = _statement(self._s.dialect, attribute, is_access_token)
        rows = statement.all(self._connection, asked)
        if not rows:
            return None, []
        self._s.learn_now(rows[0].who_now)
        return _credential(rows[0], is_access_token), [stored_in(row) for row in rows if row.id is not None]


@cache
def _statement(dialect: str, attribute: str, is_access_token: bool) -> Prepared:
    """Return the statement, built once."""
    who = (valid_access_token if is_access_token else valid_token)(dialect).subquery("who")
    found = looked_up(dialect, attribute).subquery("found")
    columns = [each.label(f"{_WHO}{each.name}") for each in who.c]
    return Prepared(select(*found.c, *columns).select_from(who.outerjoin(found, true())))


def _credential(row: Any, is_access_token: bool) -> Token | AccessToken:
    if is_access_token:
        return AccessToken(row.who_client_id, row.who_tenant, row.who_expires_at)
    return token_in(row, _WHO)
