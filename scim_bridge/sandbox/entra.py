"""The simulated Entra: provisioning cycles over users and groups."""

from __future__ import annotations

import random as randomness
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import requests

from scim_bridge.sandbox import directory, scim_calls
from scim_bridge.sandbox.directory import MANAGER, Directory, EntraGroup, EntraUser, JsonObject
from scim_bridge.sandbox.scim_calls import FLAG, Answer, Dialect, ScimCalls, Step, matching_query, resource_path

__all__ = ["Cycle", "Directory", "EntraGroup", "EntraUser", "SandboxEntra", "Step"]


@dataclass(frozen=True, slots=True)
class Cycle:
    """One provisioning cycle. A user or group that needed nothing has no step."""

    steps: list[Step]

    quarantined: bool
    """Whether the cycle stopped at its last step; Entra would now run only once a day."""

    @property
    def failed(self) -> list[Step]:
        """The steps that Entra tries again in the next cycle."""
        return [step for step in self.steps if not step.ok]


class Quarantined(Exception):
    """The bridge gave an answer that stops the whole job."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.detail or f"{step.method} {step.path} was answered {step.status}")
        self.step = step


def checked(answer: Answer, object_id: str, *, matching: bool = False) -> Answer:
    """Return the answer, unless it quarantines the job: any 401, and a 404 on a match query.

    :raises Quarantined: it does.
    """
    if answer.status == 401 or (matching and answer.status == 404):
        raise Quarantined(answer.step(object_id, "none"))
    return answer


# Entra adds the second URN by itself.
SCHEMAS = [
    "urn:ietf:params:scim:schemas:core:2.0:Group",
    "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group",
]


@dataclass(slots=True)
class _MemberLink:
    scim_id: str
    display_name: str
    members: set[str] = field(default_factory=set)
    """SCIM ids of the members that were acknowledged."""


class GroupSync:
    """Provisions groups.

    :param scim_id: Returns the SCIM id of a user by object id; None for one who was not provisioned.
    """

    def __init__(self, calls: ScimCalls, dialect: Dialect, scim_id: Callable[[str], str | None]) -> None:
        self._calls = calls
        self._dialect = dialect
        self._scim_id = scim_id
        self._links: dict[str, _MemberLink] = {}

    def steps(self, group: EntraGroup) -> Iterator[Step]:
        """Bring one group up to date.

        :raises Quarantined: the job must stop.
        """
        if group.object_id not in self._links:
            step = self._match(group)
            if step is not None:
                yield step
        link = self._links.get(group.object_id)
        if link is not None:
            yield from self._changes(group, link)

    def delete(self, group: EntraGroup) -> Step | None:
        """Delete a group that Entra had provisioned."""
        link = self._links.get(group.object_id)
        if link is None:
            return None
        step = self._call(group, "group-delete", "DELETE", resource_path("/Groups", link.scim_id))
        if step.ok:
            del self._links[group.object_id]
        return step

    def _match(self, group: EntraGroup) -> Step | None:
        query = matching_query("/Groups", "displayName", group.display_name)
        answer = checked(self._calls.call("GET", query), group.object_id, matching=True)
        if answer.status != 200 or len(answer.found) > 1:
            return answer.step(group.object_id, "group-none")
        if not answer.found:
            return self._create(group)
        self._links[group.object_id] = _MemberLink(str(answer.found[0]["id"]), group.display_name)
        return None

    def _create(self, group: EntraGroup) -> Step:
        body: JsonObject = {
            "schemas": SCHEMAS,
            "externalId": group.object_id,
            "displayName": group.display_name,
            "meta": {"resourceType": "Group"},
        }
        answer = checked(self._calls.call("POST", "/Groups", body), group.object_id)
        step = answer.step(group.object_id, "group-create")
        if step.ok and "id" in answer.document:
            self._links[group.object_id] = _MemberLink(str(answer.document["id"]), group.display_name)
        return step

    def _changes(self, group: EntraGroup, link: _MemberLink) -> Iterator[Step]:
        wanted = {scim_id for scim_id in map(self._scim_id, group.members) if scim_id is not None}
        added, removed = sorted(wanted - link.members), sorted(link.members - wanted)
        if link.display_name != group.display_name:
            yield (step := self._patch(group, link, self._dialect.group_renamed(group.display_name)))
            link.display_name = group.display_name if step.ok else link.display_name
        if added:
            yield (step := self._patch(group, link, self._dialect.members_added(added)))
            link.members |= set(added) if step.ok else set()
        if removed:
            yield (step := self._patch(group, link, self._dialect.members_removed(removed)))
            link.members -= set(removed) if step.ok else set()

    def _patch(self, group: EntraGroup, link: _MemberLink, body: JsonObject) -> Step:
        step = self._call(group, "group-update", "PATCH", resource_path("/Groups", link.scim_id), body)
        if step.status == 404:
            self._links.pop(group.object_id, None)
        return step

    def _call(self, group: EntraGroup, action: str, method: str, path: str, body: JsonObject | None = None) -> Step:
        answer = checked(self._calls.call(method, path, body), group.object_id)
        return answer.step(group.object_id, action)


EXTENSION = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"


@dataclass(slots=True)
class _Link:
    """What Entra stores of a user that it found or created."""

    scim_id: str
    known: JsonObject
    """The values that were acknowledged, by PATCH path."""


class SandboxEntra:
    """One provisioning job of one tenant.

    :param base_url: The tenant URL.
    :param token: The secret token; None sends none.
    :param dialect: `default` or `aadOptscim062020`.
    :param matching: PATCH path of the matching attribute, for example `externalId`.
    :param extension: URN under which the dates are sent.
    :param external_id: Field of `EntraUser` that is mapped to `externalId`.
    :param random: Source of the GUIDs that Test Connection asks for.
    """

    def __init__(
        self,
        session: requests.Session,
        base_url: str,
        token: str | None,
        *,
        dialect: str = "default",
        matching: str = "userName",
        extension: str = EXTENSION,
        external_id: str = "object_id",
        random: randomness.Random | None = None,
    ) -> None:
        self.directory = Directory()
        self._dialect = scim_calls.dialect(dialect)
        self._calls = ScimCalls(session, base_url, token, flagged=dialect == FLAG)
        self._matching = matching
        self._extension = extension
        self._external_id = external_id
        self._random = random or randomness.Random()  # nosec B311 # a simulation
        self._links: dict[str, _Link] = {}
        self._groups = GroupSync(self._calls, self._dialect, self.scim_id)

    def test_connection(self) -> requests.Response:
        """Ask for a user and a group that do not exist; return the first refusal, else the last answer."""
        probe = uuid.UUID(int=self._random.getrandbits(128), version=4)
        users = self._calls.fetch(matching_query("/Users", self._matching, probe))
        return self._calls.fetch(matching_query("/Groups", "displayName", probe)) if users.ok else users

    def cycle(self) -> Cycle:
        """Run one provisioning cycle: all users in scope at first, later only what changed."""
        steps: list[Step] = []
        try:
            steps.extend(self._steps())
        except Quarantined as exc:
            return Cycle([*steps, exc.step], quarantined=True)
        return Cycle(steps, quarantined=False)

    def provision(self, user: EntraUser) -> Step:
        """Provision one user on demand: read the user from the bridge, and send what differs."""
        self.directory.users.setdefault(user.object_id, user)
        try:
            if user.in_scope:
                return self._match(user, scim_calls.dialect("default"), on_demand=True)
            return self._user(user, scim_calls.dialect("default")) or _nothing(user)
        except Quarantined as exc:
            return exc.step

    def clears(self, user: EntraUser, attribute: str) -> Step:
        """Clear an attribute in the directory and in the bridge, now, as a mapping to "" or an operator may.

        :param attribute: Entra's name (`jobTitle`), or a PATCH path.
        :raises KeyError: the user has not been provisioned.
        """
        path, field = directory.scim_path(attribute, self._extension), directory.field_name(attribute)
        link = self._links[user.object_id]
        user.extra.pop(path, None)
        if hasattr(user, field):
            setattr(user, field, None)
        answer = self._calls.call("PATCH", resource_path("/Users", link.scim_id), self._dialect.clearing(path))
        step = answer.step(user.object_id, "update")
        if step.ok:
            link.known.pop(path, None)
        return step

    def scim_id(self, object_id: str) -> str | None:
        """Return the id that the SCIM endpoint gave this user; None before it was provisioned."""
        link = self._links.get(object_id)
        return link.scim_id if link else None

    def _steps(self) -> Iterator[Step]:
        users = list(self.directory.users.values())
        for step in (self._user(user, self._dialect) for user in users):
            if step is not None:
                yield step
        for step in (self._manager(user) for user in users):
            if step is not None:
                yield step
        for group in list(self.directory.groups.values()):
            yield from self._groups.steps(group)
        for object_id, gone in list(self.directory.purged.items()):
            step = self._delete(gone) if isinstance(gone, EntraUser) else self._groups.delete(gone)
            if step is not None:
                yield step
            if step is None or step.ok:
                del self.directory.purged[object_id]

    def _user(self, user: EntraUser, dialect: Dialect) -> Step | None:
        link = self._links.get(user.object_id)
        if link is not None:
            return self._update(user, link, dialect)
        return self._match(user, dialect) if user.in_scope else None

    def _match(self, user: EntraUser, dialect: Dialect, *, on_demand: bool = False) -> Step:
        wanted = self._wanted(user)
        if self._matching not in wanted:
            return Step(user.object_id, "none", "", "", 0, detail=f"no value to match by {self._matching}")
        query = matching_query("/Users", self._matching, wanted[self._matching])
        answer = checked(self._calls.call("GET", query), user.object_id, matching=True)
        if answer.status != 200 or len(answer.found) > 1:
            return answer.step(user.object_id, "none")
        if not answer.found:
            self._links.pop(user.object_id, None)
            # A disabled user is never created.
            return self._create(user, wanted) if user.active else answer.step(user.object_id, "none")
        document = answer.found[0]
        scim_id = str(document["id"])
        if on_demand:
            answer = checked(self._calls.call("GET", resource_path("/Users", scim_id)), user.object_id)
            document = answer.document
        values = {path: directory.value_at(document, path) for path in (*wanted, MANAGER)}
        link = _Link(scim_id, {path: value for path, value in values.items() if value is not None})
        self._links[user.object_id] = link
        return self._update(user, link, dialect) or answer.step(user.object_id, "none")

    def _create(self, user: EntraUser, wanted: JsonObject) -> Step:
        answer = checked(self._calls.call("POST", "/Users", directory.resource(wanted)), user.object_id)
        step = answer.step(user.object_id, "create")
        if step.ok and "id" in answer.document:
            self._links[user.object_id] = _Link(str(answer.document["id"]), wanted)
        return step

    def _update(self, user: EntraUser, link: _Link, dialect: Dialect) -> Step | None:
        wanted = self._wanted(user) if user.in_scope else {"active": False}
        changed = {path: value for path, value in wanted.items() if link.known.get(path) != value}
        if not changed:
            return None
        step = self._patch(user, link, dialect, changed)
        if step.status == 404:
            del self._links[user.object_id]
            return self._match(user, dialect) if user.in_scope else step
        return step

    def _patch(self, user: EntraUser, link: _Link, dialect: Dialect, changed: JsonObject) -> Step:
        body = dialect.user_patch(link.known, changed)
        answer = checked(self._calls.call("PATCH", resource_path("/Users", link.scim_id), body), user.object_id)
        step = answer.step(user.object_id, _action(link.known, changed))
        if step.ok:
            link.known |= changed
        return step

    def _manager(self, user: EntraUser) -> Step | None:
        link = self._links.get(user.object_id)
        manager = self.scim_id(user.manager) if user.manager else None
        if link is None or not user.in_scope or manager in (None, link.known.get(MANAGER)):
            return None
        return self._patch(user, link, self._dialect, {MANAGER: manager})

    def _delete(self, user: EntraUser) -> Step | None:
        link = self._links.get(user.object_id)
        # Entra does not report a user who was unassigned before being deleted.
        if link is None or not user.assigned:
            self._links.pop(user.object_id, None)
            return None
        answer = checked(self._calls.call("DELETE", resource_path("/Users", link.scim_id)), user.object_id)
        step = answer.step(user.object_id, "delete")
        if step.ok:
            # Only now: a DELETE whose answer never comes is sent again in the next cycle.
            del self._links[user.object_id]
        return step

    def _wanted(self, user: EntraUser) -> JsonObject:
        return directory.mapped(user, extension=self._extension, external_id=self._external_id)


def _action(known: JsonObject, changed: JsonObject) -> str:
    match known.get("active"), changed.get("active"):
        case True, False:
            return "disable"
        case False, True:
            return "restore"
        case _:
            return "update"


def _nothing(user: EntraUser) -> Step:
    return Step(user.object_id, "none", "", "", 200)
