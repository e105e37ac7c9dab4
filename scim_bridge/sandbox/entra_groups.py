"""The simulated Entra provisions groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from scim_bridge.sandbox.directory import EntraGroup, JsonObject
from scim_bridge.sandbox.scim_calls import Dialect, ScimCalls, Step, checked, matching_query, resource_path

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
