"""The users of the simulated Graph: as documents, in lists, one by one, and in the recycle bin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime

from flask import Flask, Response, jsonify, request

from scim_bridge.sandbox.directory import BIRTH_DATE_SOURCE, Directory, EntraUser, JsonObject
from scim_bridge.sandbox.graph.access import Access
from scim_bridge.sandbox.graph.answers import (
    Pages,
    advanced_query,
    bad_request,
    conditions,
    moment,
    not_found,
    root,
    selected,
)
from scim_bridge.sandbox.graph.style import GraphStyle

USER_READERS = ("User.Read.All", "Directory.Read.All")
LEAVE_DATE = "employeeLeaveDateTime"
EXTENSION_ATTRIBUTES = [f"extensionAttribute{number}" for number in range(1, 16)]

_DIRECT: dict[str, Callable[[EntraUser], object]] = {
    "id": lambda user: user.object_id,
    "userPrincipalName": lambda user: user.user_principal_name,
    "accountEnabled": lambda user: user.account_enabled,
    "userType": lambda user: user.user_type,
    "givenName": lambda user: user.given_name,
    "surname": lambda user: user.surname,
    "displayName": lambda user: user.display_name,
    "mail": lambda user: user.mail,
    "mobilePhone": lambda user: user.mobile,
    "businessPhones": lambda user: [user.telephone_number] if user.telephone_number else [],
    "employeeId": lambda user: user.employee_id,
    "jobTitle": lambda user: user.job_title,
    "department": lambda user: user.department,
    "officeLocation": lambda user: user.office_location,
    "preferredLanguage": lambda user: user.extra.get("preferredLanguage"),
}
_COMPUTED = ("employeeHireDate", LEAVE_DATE, "onPremisesExtensionAttributes", "deletedDateTime")
PROPERTIES = (*_DIRECT, *_COMPUTED)

USUAL = [
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
]
"""What comes without `$select`."""

BASIC = frozenset({"id", "displayName", "givenName", "surname", "mail", "userPrincipalName"})
"""What `User.ReadBasic.All` gives."""

_FILTERED = ("id", "userPrincipalName", "employeeId", "mail")


class Values:
    """The properties of users.

    :param style: What is not documented.
    """

    def __init__(self, directory: Directory, style: Callable[[], GraphStyle], now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._style = style
        self._now = now
        self._deleted_at: dict[str, datetime] = {}

    def known(self, name: str) -> bool:
        """Return whether users have a property of this name; an extension's name is compared by case."""
        return name in PROPERTIES or name in self._directory.sources.values()

    def value(self, user: EntraUser, name: str) -> object:
        """Return one property as a reader with every permission sees it."""
        if (read := _DIRECT.get(name)) is not None:
            return read(user)
        match name:
            case "employeeHireDate":
                return _time(user.hire_date, "00:00:00Z")
            case "employeeLeaveDateTime":
                return _time(user.leave_date, self._style().leave_time)
            case "onPremisesExtensionAttributes":
                return {each: self._extension(user, each) for each in EXTENSION_ATTRIBUTES}
            case "deletedDateTime":
                return moment(self.deleted_at(user)) if user.soft_deleted else None
            case _:
                return self._extension(user, name)

    def deleted_at(self, user: EntraUser) -> datetime:
        """Return when a user in the recycle bin was deleted, or rather when Graph was first asked about it."""
        return self._deleted_at.setdefault(user.object_id, self._now())

    def deleted(self) -> list[EntraUser]:
        """Return the users in the recycle bin."""
        users = [user for user in self._directory.users.values() if user.soft_deleted]
        deleted = {user.object_id for user in users}
        self._deleted_at = {id: at for id, at in self._deleted_at.items() if id in deleted}
        for user in users:
            self.deleted_at(user)
        return users

    def _extension(self, user: EntraUser, name: str) -> object:
        if name == BIRTH_DATE_SOURCE:
            return user.birth_date
        for path, source in self._directory.sources.items():
            if source == name:
                value = user.extra.get(path)
                return None if value in (None, "") else str(value)
        return None


def _time(text: str | None, time: str) -> str | None:
    """Return a day as a time; what is no day stays as it is."""
    try:
        return f"{date.fromisoformat(text or '').isoformat()}T{time}"
    except ValueError:
        return text or None


class PeopleApi:
    """Users, one or all; manager by `$expand`; the recycle bin."""

    def __init__(
        self, directory: Directory, values: Values, access: Access, pages: Pages, style: Callable[[], GraphStyle]
    ) -> None:
        self._directory = directory
        self._values = values
        self._access = access
        self._pages = pages
        self._style = style

    def register(self, app: Flask, prefix: str) -> None:
        views: dict[str, Callable[..., Response]] = {
            "/users": self._list,
            "/users/$count": self._count,
            "/users/<segment:key>": self._one,
            "/users/<segment:key>/manager": self._manager,
            "/directory/deletedItems/microsoft.graph.user": self._deleted,
            "/directory/deletedItems": self._uncast,
        }
        for rule, view in views.items():
            app.add_url_rule(prefix + rule, f"people{view.__name__}", view)

    def document(self, user: EntraUser, names: Iterable[str]) -> JsonObject:
        """Return these properties of a user, as far as the call's permissions go.

        Without the permission for leave dates they are null: nothing tells that from "none".
        """
        style, basic = self._style(), not self._access.has(*USER_READERS)
        leaves = self._access.has("User-LifeCycleInfo.Read.All")
        document: JsonObject = {}
        for name in names:
            if name in style.not_read or (basic and name not in BASIC and style.basic_read == "absent"):
                continue
            hidden = (basic and name not in BASIC) or (name == LEAVE_DATE and not leaves)
            document[name] = None if hidden else self._values.value(user, name)
        return document

    def user(self, key: str) -> EntraUser:
        """Return the user with this object id or user principal name.

        :raises GraphRefusal: there is none, or they are deleted.
        """
        user = self._directory.users.get(key)
        if user is None:
            # Of a user in the recycle bin, Entra puts the id in front of the name.
            present = (each for each in self._directory.users.values() if not each.soft_deleted)
            user = next((each for each in present if each.user_principal_name == key), None)
        if user is None or user.soft_deleted:
            raise not_found(key)
        return user

    def manager_of(self, user: EntraUser) -> EntraUser | None:
        """Return a user's manager, unless deleted."""
        manager = self._directory.users.get(user.manager or "")
        return None if manager is None or manager.soft_deleted else manager

    def _require(self) -> None:
        self._access.require(*USER_READERS, "User.ReadBasic.All")

    def _list(self) -> Response:
        self._require()
        names = selected(USUAL, self._values.known)
        expands = self._expands(in_a_list=True)
        page = self._pages.page(self._ids, most=self._style().most_users)

        def document(object_id: str) -> JsonObject | None:
            user = self._directory.users.get(object_id)
            return None if user is None or user.soft_deleted else self._row(user, names, expands)

        return page.answer(f"users({','.join(names)})", document)

    def _ids(self) -> list[str]:
        if request.args.get("$count") == "true":
            advanced_query()
        wanted = conditions(_FILTERED)
        users = [user for user in self._directory.users.values() if not user.soft_deleted]
        for condition in wanted:
            users = [user for user in users if condition.holds(self._values.value(user, condition.path))]
        return [user.object_id for user in users]

    def _row(self, user: EntraUser, names: list[str], expands: bool) -> JsonObject:
        document = self.document(user, names)
        manager = self.manager_of(user) if expands else None
        if manager is not None:
            document["manager"] = {"@odata.type": "#microsoft.graph.user", "id": manager.object_id}
        return document

    def _expands(self, *, in_a_list: bool) -> bool:
        if "manager" not in request.args.get("$expand", ""):
            return False
        style = self._style().expand_manager if in_a_list else "yes"
        if style == "400":
            raise bad_request("Expand with $select on 'manager' is not supported.", "Request_UnsupportedQuery")
        return style == "yes"

    def _one(self, key: str) -> Response:
        self._require()
        names = selected(USUAL, self._values.known)
        document = self._row(self.user(key), names, self._expands(in_a_list=False))
        return jsonify({"@odata.context": f"{root()}/$metadata#users({','.join(names)})/$entity"} | document)

    def _manager(self, key: str) -> Response:
        self._require()
        manager = self.manager_of(self.user(key))
        if manager is None:
            raise not_found("manager")
        names = selected(USUAL, self._values.known)
        return jsonify({"@odata.type": "#microsoft.graph.user"} | self.document(manager, names))

    def _count(self) -> Response:
        self._require()
        advanced_query()
        count = sum(not user.soft_deleted for user in self._directory.users.values())
        return Response(str(max(0, count + self._style().count_error)), content_type="text/plain")

    def _deleted(self) -> Response:
        self._access.require(*USER_READERS)
        names = selected(["id", "userPrincipalName", "displayName", "deletedDateTime"], self._values.known)

        def document(user: EntraUser) -> JsonObject:
            row = self.document(user, names)
            if "userPrincipalName" in row:
                row["userPrincipalName"] = user.object_id.replace("-", "") + user.user_principal_name
            return row

        return self._pages.page(self._values.deleted).answer(f"users({','.join(names)})", document)

    def _uncast(self) -> Response:
        raise bad_request("The type of the deleted items is missing: /directory/deletedItems/microsoft.graph.user.")
