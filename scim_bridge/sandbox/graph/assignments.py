"""Who is assigned, in the simulated Graph: service principals, app role assignments, groups and members."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flask import Flask, Response, jsonify, request

from scim_bridge.sandbox.directory import Directory, EntraGroup, JsonObject
from scim_bridge.sandbox.graph.access import ROLES, Access, GraphClient
from scim_bridge.sandbox.graph.answers import Pages, advanced_query, bad_request, conditions, not_found, root, selected
from scim_bridge.sandbox.graph.people import USER_READERS, PeopleApi
from scim_bridge.sandbox.graph.style import GraphStyle

USER_ROLE = "18d14569-c3bd-439b-9a66-3a2aee01d14f"
DEFAULT_ACCESS = "00000000-0000-0000-0000-000000000000"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
GRAPH_OBJECT_ID = "44444444-0000-4000-8000-0000000000ff"
ASSIGNED_AT = "2026-01-12T09:00:00Z"

APPLICATION_READERS = ("Application.Read.All", "Directory.Read.All")
MEMBER_READERS = ("GroupMember.Read.All", "Directory.Read.All")

_GROUP_PROPERTIES = (
    "id",
    "displayName",
    "securityEnabled",
    "visibility",
    "membershipRule",
    "membershipRuleProcessingState",
    "groupTypes",
)
_PRINCIPAL_PROPERTIES = (
    "id",
    "appId",
    "displayName",
    "accountEnabled",
    "appRoleAssignmentRequired",
    "appRoles",
    "tags",
    "servicePrincipalType",
)


@dataclass(frozen=True, slots=True)
class Principal:
    """What is assigned to the enterprise application."""

    kind: str
    """`User`, `Group` or `ServicePrincipal`."""

    object_id: str
    display_name: str | None


@dataclass(frozen=True, slots=True)
class EnterpriseApp:
    """The enterprise application that provisions into the bridge."""

    object_id: str
    app_id: str
    display_name: str = "Ditio"


class AssignmentsApi:
    """Service principals, and who is assigned to the enterprise application."""

    def __init__(
        self, directory: Directory, app: EnterpriseApp, access: Access, pages: Pages, style: Callable[[], GraphStyle]
    ) -> None:
        self.further: list[Principal] = []
        """Further assignments, for example of a client, or of a group that was just deleted."""

        self._directory = directory
        self._app = app
        self._access = access
        self._pages = pages
        self._style = style
        self._shown: list[Principal] | None = None
        self._reads_left: int | None = None

    def register(self, app: Flask, prefix: str) -> None:
        for name, principal in {
            "by_id": "/servicePrincipals/<segment:key>",
            "by_app": "/servicePrincipals(appId='<segment:app_id>')",
        }.items():
            for rule, view in {
                "": self._one,
                "/appRoleAssignedTo": self._assigned_to,
                "/appRoleAssignments": self._permissions,
            }.items():
                app.add_url_rule(prefix + principal + rule, f"assignments_{name}{view.__name__}", view)
        app.add_url_rule(f"{prefix}/servicePrincipals", "assignments_list", self._list)
        app.add_url_rule(f"{prefix}/users/<segment:key>/appRoleAssignments", "assignments_user", self._of_user)

    def resolve(self, key: str | None, app_id: str | None) -> GraphClient | EnterpriseApp | None:
        """Return the service principal with this object id, or of this application; None for Graph itself.

        :raises GraphRefusal: there is none.
        """
        if key == GRAPH_OBJECT_ID or app_id == GRAPH_APP_ID:
            return None
        if key == self._app.object_id or app_id == self._app.app_id:
            return self._app
        for client in self._access.clients.values():
            if client.object_id == key or client.client_id == app_id:
                return client
        raise not_found(str(key or app_id))

    def require_app(self, key: str | None, app_id: str | None) -> None:
        """Refuse a call that does not ask about the enterprise application.

        :raises GraphRefusal: it asks about another one, or none.
        """
        if not isinstance(self.resolve(key, app_id), EnterpriseApp):
            raise not_found(str(key or app_id))

    def principals(self) -> list[Principal]:
        """Return who is assigned now; what a read shows may lag behind."""
        users = (user for user in self._directory.users.values() if user.assigned and not user.soft_deleted)
        groups = (group for group in self._directory.groups.values() if group.assigned)
        return [
            *(Principal("User", user.object_id, user.display_name) for user in users),
            *(Principal("Group", group.object_id, group.display_name) for group in groups),
            *self.further,
        ]

    def _list(self) -> Response:
        self._access.require(*APPLICATION_READERS)
        asked = conditions(("appId", "displayName", "id"))
        names = selected(_PRINCIPAL_PROPERTIES, _PRINCIPAL_PROPERTIES.__contains__)
        everyone = [self._app, *self._access.clients.values(), None]

        def rows() -> list[JsonObject]:
            found = map(_principal, everyone)
            return [each for each in found if all(test.holds(each[test.path]) for test in asked)]

        page = self._pages.page(rows)
        return page.answer("servicePrincipals", lambda row: {name: row[name] for name in names})

    def _one(self, key: str | None = None, app_id: str | None = None) -> Response:
        self._access.require(*APPLICATION_READERS)
        names = selected(_PRINCIPAL_PROPERTIES, _PRINCIPAL_PROPERTIES.__contains__)
        document = _principal(self.resolve(key, app_id))
        context = f"{root()}/$metadata#servicePrincipals({','.join(names)})/$entity"
        return jsonify({"@odata.context": context} | {name: document[name] for name in names})

    def _permissions(self, key: str | None = None, app_id: str | None = None) -> Response:
        """Answer with the permissions that a client was granted."""
        self._access.require(*APPLICATION_READERS)
        client = self.resolve(key, app_id)
        granted = sorted(client.permissions) if isinstance(client, GraphClient) else []

        def document(permission: str) -> JsonObject:
            assert isinstance(client, GraphClient)
            principal = Principal("ServicePrincipal", client.object_id, client.display_name)
            return _assignment(principal, ROLES[permission], GRAPH_OBJECT_ID, "Microsoft Graph")

        return self._pages.page(lambda: granted).answer("appRoleAssignments", document)

    def _assigned_to(self, key: str | None = None, app_id: str | None = None) -> Response:
        self._access.require(*APPLICATION_READERS)
        found = self.resolve(key, app_id)
        style = self._style()
        page = self._pages.page(lambda: self._visible() if isinstance(found, EnterpriseApp) else [])
        if style.loses_rows_without_top and "$top" not in request.args and "$skiptoken" not in request.args:
            page = replace(page, next_link=None)
        return page.answer("appRoleAssignments", self._row)

    def _of_user(self, key: str) -> Response:
        """Answer with the assignments of a user, those by a direct membership included."""
        self._access.require("Directory.Read.All")
        groups = [group for group in self._directory.groups.values() if key in group.members]
        wanted = {key, *(group.object_id for group in groups)}
        rows = [each for each in self._visible() if each.object_id in wanted]
        return self._pages.page(lambda: rows).answer("appRoleAssignments", self._row)

    def _row(self, principal: Principal) -> JsonObject:
        role = USER_ROLE if principal.kind == "User" else DEFAULT_ACCESS
        return _assignment(principal, role, self._app.object_id, self._app.display_name)

    def _visible(self) -> list[Principal]:
        """Return what a read shows: after a change, for some reads, still what was before it."""
        now = self.principals()
        if self._shown is None or now == self._shown:
            self._shown, self._reads_left = now, None
            return now
        left = self._style().assignment_lag if self._reads_left is None else self._reads_left
        if left == 0:
            self._shown, self._reads_left = now, None
        else:
            self._reads_left = left - 1
        return self._shown


def _assignment(principal: Principal, role: str, resource_id: str, resource: str) -> JsonObject:
    return {
        "id": f"{principal.object_id}.{role}",
        "deletedDateTime": None,
        "appRoleId": role,
        "createdDateTime": ASSIGNED_AT,
        "principalDisplayName": principal.display_name,
        "principalId": principal.object_id,
        "principalType": principal.kind,
        "resourceDisplayName": resource,
        "resourceId": resource_id,
    }


def _principal(found: GraphClient | EnterpriseApp | None) -> JsonObject:
    tags = ["WindowsAzureActiveDirectoryIntegratedApp"]
    match found:
        case None:
            object_id, app_id, name = GRAPH_OBJECT_ID, GRAPH_APP_ID, "Microsoft Graph"
        case GraphClient():
            object_id, app_id, name = found.object_id, found.client_id, found.display_name
        case EnterpriseApp():
            object_id, app_id, name = found.object_id, found.app_id, found.display_name
            tags = ["WindowsAzureActiveDirectoryCustomSingleSignOnApplication", *tags]
    return {
        "id": object_id,
        "appId": app_id,
        "displayName": name,
        "accountEnabled": True,
        "appRoleAssignmentRequired": isinstance(found, EnterpriseApp),
        "appRoles": [_USER_ROLE] if isinstance(found, EnterpriseApp) else [],
        "tags": tags,
        "servicePrincipalType": "Application",
    }


_USER_ROLE: JsonObject = {
    "allowedMemberTypes": ["User"],
    "description": "User",
    "displayName": "User",
    "id": USER_ROLE,
    "isEnabled": True,
    "origin": "Application",
    "value": None,
}


class GroupsApi:
    """Groups and their members, as far as they may be seen."""

    def __init__(
        self, directory: Directory, people: PeopleApi, access: Access, pages: Pages, style: Callable[[], GraphStyle]
    ) -> None:
        self._directory = directory
        self._people = people
        self._access = access
        self._pages = pages
        self._style = style

    def register(self, app: Flask, prefix: str) -> None:
        for rule, view in {
            "/groups/<segment:key>": self._one,
            "/groups/<segment:key>/members": self._members,
            "/groups/<segment:key>/members/microsoft.graph.user": self._users,
            "/groups/<segment:key>/transitiveMembers/microsoft.graph.user": self._transitive,
        }.items():
            app.add_url_rule(prefix + rule, f"groups{view.__name__}", view)

    def _group(self, key: str) -> EntraGroup:
        self._access.require(*MEMBER_READERS)
        group = self._directory.groups.get(key)
        if group is None:
            raise not_found(key)
        return group

    def _one(self, key: str) -> Response:
        group = self._group(key)
        names = selected(_GROUP_PROPERTIES, _GROUP_PROPERTIES.__contains__)
        document = {
            "id": group.object_id,
            "displayName": group.display_name,
            "securityEnabled": group.security_enabled,
            "visibility": group.visibility,
            "membershipRule": group.membership_rule,
            "membershipRuleProcessingState": group.membership_rule_processing_state,
            "groupTypes": ["DynamicMembership"] if group.membership_rule else [],
        }
        context = f"{root()}/$metadata#groups({','.join(names)})/$entity"
        return jsonify({"@odata.context": context} | {name: document[name] for name in names})

    def _members(self, key: str) -> Response:
        group = self._group(key)
        return self._answer(lambda: self._direct(group))

    def _users(self, key: str) -> Response:
        self._cast()
        group = self._group(key)
        return self._answer(lambda: self._direct(group), only_users=True)

    def _transitive(self, key: str) -> Response:
        self._cast()
        self._group(key)
        return self._answer(lambda: self._below(key, set()), only_users=True)

    def _cast(self) -> None:
        advanced_query()
        if "$skiptoken" not in request.args and request.args.get("$count") != "true":
            raise bad_request("The cast needs $count=true.", "Request_UnsupportedQuery")

    def _direct(self, group: EntraGroup) -> list[str]:
        is_hidden = group.visibility == "HiddenMembership" and not self._access.has("Member.Read.Hidden")
        if is_hidden and self._style().hidden_members == "empty":
            return []
        return [*group.members, *group.devices]

    def _below(self, key: str, seen: set[str]) -> list[str]:
        group = self._directory.groups.get(key)
        if group is None or key in seen:
            return []
        seen.add(key)
        found = self._direct(group)
        for member in list(found):
            found.extend(self._below(member, seen))
        return list(dict.fromkeys(found))

    def _answer(self, members: Callable[[], Sequence[str]], *, only_users: bool = False) -> Response:
        names = selected(["id", "displayName"], lambda name: True)

        def rows() -> list[str]:
            devices = {device for group in self._directory.groups.values() for device in group.devices}
            there = (key for key in members() if self._is_there(key) or key in devices)
            return [key for key in there if not only_users or key in self._directory.users]

        def document(key: str) -> JsonObject | None:
            row = self._member(key, names)
            if only_users:
                del row["@odata.type"]
            return row

        context = f"{'users' if only_users else 'directoryObjects'}({','.join(names)})"
        return self._pages.page(rows).answer(context, document)

    def _is_there(self, key: str) -> bool:
        user = self._directory.users.get(key)
        return key in self._directory.groups or (user is not None and not user.soft_deleted)

    def _member(self, key: str, names: list[str]) -> JsonObject:
        """Return a member; of a type that may not be read its id, and null for all else."""
        if (user := self._directory.users.get(key)) is not None:
            readable = self._access.has(*USER_READERS, "User.ReadBasic.All")
            return self._typed("user", key, names, self._people.document(user, names) if readable else {})
        if (group := self._directory.groups.get(key)) is not None:
            return self._typed("group", key, names, {"displayName": group.display_name})
        return self._typed("device", key, names, {})

    def _typed(self, kind: str, key: str, names: list[str], values: JsonObject) -> JsonObject:
        document: JsonObject = {"@odata.type": f"#microsoft.graph.{kind}"}
        return document | {name: key if name == "id" else values.get(name) for name in names}
