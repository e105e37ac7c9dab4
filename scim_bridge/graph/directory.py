"""Users, changes of users, assignments and groups, as Microsoft Graph shows them."""

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from functools import partial
from urllib.parse import quote

from requests.structures import CaseInsensitiveDict

from scim_bridge.domain.entra import (
    BIN,
    GONE,
    MOST_CALLS,
    DirectoryGroup,
    DirectoryUser,
    Member,
    Permission,
    Principal,
    PrincipalKind,
    is_object_id,
)
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import EntraError
from scim_bridge.graph.answers import error_of, moment_of, object_of
from scim_bridge.graph.client import MAX_TRIES, PAGE_SIZE, GraphClient
from scim_bridge.http.exchange import Received, retry_after_seconds

USUAL = ("id", "userPrincipalName", "accountEnabled")
EXTENSIONS = "onPremisesExtensionAttributes"
IN_GRAPH = {
    "objectId": "id",
    "mobile": "mobilePhone",
    "telephoneNumber": "businessPhones",
    "physicalDeliveryOfficeName": "officeLocation",
}
"""Attributes whose name in provisioning, which is Azure AD Graph's, is another than in Microsoft Graph."""

SAME = frozenset(
    {
        *("userPrincipalName", "displayName", "givenName", "surname", "mail", "mailNickname", "jobTitle", "department"),
        *("employeeId", "employeeHireDate", "employeeLeaveDateTime", "employeeType", "companyName", "userType"),
        *("city", "country", "state", "streetAddress", "postalCode", "usageLocation", "preferredLanguage"),
        *("faxNumber", "accountEnabled"),
    }
)
"""Attributes with one name in both."""

USUAL_SIZE = 100
"""The rows of a page where `$top` is not obeyed."""

CLIENT = "ServicePrincipal"
"""An assignment of a client, which is no person."""

EVENTUAL = {"ConsistencyLevel": "eventual"}
"""For answers from an index that lags: they explain, and decide nothing."""

NOT_THERE = ("Request_ResourceNotFound", "ResourceNotFound")
"""Graph's words for an object that does not exist; any other 404 says nothing about it."""

_WHAT_USERS, _WHAT_ASSIGNED = "Reading users", "Reading who is assigned"


def is_readable(attribute: str) -> bool:
    """Return whether an attribute, by its name in provisioning, can be read in Graph."""
    is_extension = attribute.startswith(("extensionAttribute", "extension_"))
    return attribute in SAME or attribute in IN_GRAPH or is_extension


def selected(attributes: Collection[str]) -> str:
    """Return the `$select` for these attributes."""
    names = dict.fromkeys(USUAL)
    for attribute in sorted(attributes):
        if attribute.startswith("extensionAttribute"):
            names[EXTENSIONS] = None
        elif is_readable(attribute):
            names[IN_GRAPH.get(attribute, attribute)] = None
    return ",".join(names)


def value_in(row: JsonObject, attribute: str) -> tuple[bool, str | None]:
    """Return whether a row has an attribute at all, and its text; None for an empty one."""
    holder, name = row, IN_GRAPH.get(attribute, attribute)
    if attribute.startswith("extensionAttribute"):
        inner = row.get(EXTENSIONS)
        if not isinstance(inner, dict):
            return False, None
        holder = inner
    if name not in holder:
        return False, None
    found = holder[name]
    if isinstance(found, list):
        found = found[0] if found else None
    if isinstance(found, bool):
        return True, str(found).lower()
    text = str(found).strip() if isinstance(found, str | int | float) else ""
    return True, text or None


class GraphDirectory(GraphClient):
    """Graph with its directory."""

    def mark(self, attributes: Collection[str]) -> str | None:
        """Return a mark: what changes from now on is shown by `changes`. None where Graph gives none."""
        path = f"/users/delta?$select={selected(attributes)}&$deltatoken=latest"
        link = None
        for page in self.pages(path, "Marking the present state", Permission.users):
            link = page.delta_link or link
        return link

    def users(self, attributes: Collection[str]) -> Iterator[list[DirectoryUser]]:
        """Yield all users who are not deleted, page by page. :raises EntraError: they can't be read as a whole."""
        for rows in self._all(f"/users?$select={selected(attributes)}", _WHAT_USERS, Permission.users):
            yield [_user(row, attributes) for row in rows if row.get("id")]

    def count(self) -> int | None:
        """Return how many users there are, from an index that lags; None where it is not shown."""
        received = self._send(self._under("/users/$count"), "Counting users", EVENTUAL)
        text = received.body.decode("utf-8-sig", errors="replace").strip()
        return int(text) if received.ok and text.isascii() and text.isdigit() else None

    def changes(self, mark: str, attributes: Collection[str]) -> Iterator[tuple[list[DirectoryUser], str | None]]:
        """Yield what changed since a mark, page by page; the last page has the next mark.

        :raises MarkLost: the mark is no longer known.
        """
        what, link, seen = "Reading changes of users", self.inside(mark, "Reading changes of users"), set[str]()
        while link not in seen:
            seen.add(link)
            page = self._page(link, what, Permission.users, {})
            yield [_user(row, attributes) for row in page.rows if row.get("id")], page.delta_link
            if page.next_link is None:
                return
            link = self.inside(page.next_link, what)
        raise EntraError(f"{what}: Graph's pages go round in a circle")

    def user(self, object_id: str, attributes: Collection[str]) -> DirectoryUser | None:
        """Return one user now, by object id or user principal name; None for a deleted one."""
        path = f"/users/{quote(object_id, safe='')}?$select={selected(attributes)}"
        row = self.one(path, "Reading a user", Permission.users)
        if row is None:
            return None
        _require(row, object_id if is_object_id(object_id) else None)
        return _user(row, attributes)

    def users_of(
        self, object_ids: Sequence[str], attributes: Collection[str]
    ) -> Iterator[list[tuple[str, DirectoryUser | None]]]:
        """Yield some users as they are now, twenty at a time; None for one who is not there.

        :raises EntraError: one of them can't be read.
        """
        asked = {f"/users/{quote(each, safe='')}?$select={selected(attributes)}": each for each in object_ids}
        for found in self._objects(list(asked), _WHAT_USERS, Permission.users):
            for path, row in found:
                if row is not None:
                    _require(row, asked[path])
            yield [(asked[path], None if row is None else _user(row, attributes)) for path, row in found]

    def deleted(self) -> Iterator[tuple[str, date | None]]:
        """Yield the users in the recycle bin, each with the day of the deletion."""
        path = f"/directory/deletedItems/microsoft.graph.user?$select=id,deletedDateTime&$top={PAGE_SIZE}"
        for row in self.rows(path, "Reading deleted users", Permission.users):
            at = moment_of(row.get("deletedDateTime"))
            yield str(row.get("id")).lower(), None if at is None else at.date()

    def assigned(self) -> Iterator[Principal]:
        """Yield the users and groups that are assigned. :raises EntraError: they can't be read as a whole."""
        for row in self._rows(f"{self._principal}/appRoleAssignedTo", _WHAT_ASSIGNED, Permission.applications):
            kind = str(row.get("principalType"))
            if kind == CLIENT:
                continue
            name = row.get("principalDisplayName")
            yield Principal(
                PrincipalKind(kind) if kind in set(PrincipalKind) and row.get("principalId") else None,
                str(row.get("principalId")).lower(),
                str(name) if name else None,
            )

    def group(self, group_id: str) -> DirectoryGroup | None:
        """Return what is known of a group; None for a deleted one."""
        names = "id,displayName,securityEnabled,visibility,membershipRule,membershipRuleProcessingState"
        row = self.one(f"/groups/{quote(group_id, safe='')}?$select={names}", "Reading a group", Permission.members)
        if row is None:
            return None
        is_dynamic = bool(row.get("membershipRule"))
        name = row.get("displayName")
        return DirectoryGroup(
            id=group_id,
            name=str(name) if name else None,
            is_hidden=str(row.get("visibility")).casefold() == "hiddenmembership",
            is_settled=not is_dynamic or str(row.get("membershipRuleProcessingState")).casefold() == "on",
            is_security=row.get("securityEnabled") is not False,
        )

    def members(self, group_id: str) -> Iterator[Member]:
        """Yield the direct members of a group: Entra provisions no others."""
        path = f"/groups/{quote(group_id, safe='')}/members?$select=id"
        for row in self._rows(path, "Reading the members of a group", Permission.members):
            kind = str(row.get("@odata.type") or ".user")  # One that is not told may be a user: then they are assigned.
            yield Member(str(row.get("id")).lower(), kind.endswith(".user"), kind.endswith(".group"))

    def nested(self, group_id: str) -> Iterator[str]:
        """Yield the users of a group and of the groups inside it, from an index that lags: only to explain."""
        path = f"/groups/{quote(group_id, safe='')}/transitiveMembers/microsoft.graph.user"
        asked = f"{path}?$select=id&$count=true&$top={PAGE_SIZE}"
        for row in self.rows(asked, "Reading nested groups", Permission.members, EVENTUAL):
            yield str(row.get("id")).lower()

    def _objects(
        self, paths: Sequence[str], what: str, permission: Permission
    ) -> Iterator[list[tuple[str, JsonObject | None]]]:
        """Yield objects by their paths, up to `MOST_CALLS` in one call; None for one that does not exist.

        :param paths: What follows `/v1.0`, each once, queries included.
        :raises EntraError: one of them can't be read: part of an answer is no answer.
        """
        for begin in range(0, len(paths), MOST_CALLS):
            yield self._batch(paths[begin : begin + MOST_CALLS], what, permission)

    def _batch(self, paths: Sequence[str], what: str, permission: Permission) -> list[tuple[str, JsonObject | None]]:
        began, tries, failures = self._monotonic(), 0, 0
        found: list[tuple[str, JsonObject | None]] = []
        missing = list(paths)
        while True:
            answers = self._answers(missing, what, permission)
            refused = [each for path in missing if (each := answers[path]).status == 429 or each.status >= 500]
            found += [
                (path, _object(answers[path], what, permission)) for path in missing if answers[path] not in refused
            ]
            if not refused:
                return found
            missing = [path for path in missing if answers[path] in refused]
            tries += 1
            failures += any(each.status >= 500 for each in refused)
            if failures >= MAX_TRIES:
                raise error_of(refused[0], what, None)
            # All of them wait for the longest time that Graph asks for.
            told = [retry_after_seconds(each.headers.get("Retry-After"), self._now()) for each in refused]
            longest = max((each for each in told if each is not None), default=None)
            self._pause(2.0 ** (tries - 1), began, longest, partial(error_of, refused[0], what, None))

    def _answers(self, paths: Sequence[str], what: str, permission: Permission) -> dict[str, Received]:
        """Ask once. Return the answer of each path: each is refused or throttled by itself, inside a 200."""
        asked = [{"id": str(place), "method": "GET", "url": path} for place, path in enumerate(paths)]
        whole = self._send(self._under("/$batch"), what, {}, {"requests": asked})
        if not whole.ok:
            raise error_of(whole, what, permission)
        listed = object_of(whole, what).get("responses")
        rows = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        answers = {str(row.get("id")): row for row in rows}
        if any(str(place) not in answers for place in range(len(paths))):
            raise EntraError(f"{what}: Graph left calls unanswered (request {whole.request_id})", is_passing=True)
        return {path: _received(answers[str(place)], whole) for place, path in enumerate(paths)}

    def _rows(self, path: str, what: str, permission: Permission) -> Iterator[JsonObject]:
        """Yield the rows of a whole list; see `_all`."""
        for rows in self._all(path, what, permission):
            yield from rows

    def _all(self, path: str, what: str, permission: Permission) -> Iterator[list[JsonObject]]:
        """Yield a whole list by pages. If it ends as one that is cut off would, it is read again with smaller pages.

        :raises EntraError: then it is longer than it seemed.
        """
        joint = "&" if "?" in path else "?"
        count, last, pages = 0, 0, 0
        for page in self.pages(f"{path}{joint}$top={PAGE_SIZE}", what, permission):
            count, last, pages = count + len(page.rows), len(page.rows), pages + 1
            yield page.rows
        # The only page of the usual size, or a full one at the end.
        if last == PAGE_SIZE or (pages == 1 and last == USUAL_SIZE):
            again = sum(1 for _ in self.rows(f"{path}{joint}$top={PAGE_SIZE // 2}", what, permission))
            if again != count:
                raise EntraError(f"{what}: Graph showed {count} rows, and then {again}", is_passing=True)


def _require(row: JsonObject, object_id: str | None) -> None:
    """Check that a row is of the user who was asked for; None for one who was asked for by name.

    :raises EntraError: it is not.
    """
    found = row.get("id")
    if not isinstance(found, str) or (object_id is not None and found.lower() != object_id.lower()):
        raise EntraError("Reading a user: Graph answered with another one than was asked for", is_passing=True)


def _user(row: JsonObject, attributes: Collection[str]) -> DirectoryUser:
    removed = row.get("@removed")
    reason = removed.get("reason") if isinstance(removed, dict) else None
    values: dict[str, str | None] = {}
    for attribute in attributes:
        is_there, value = value_in(row, attribute)
        if is_there:
            values[attribute] = value
    enabled, name = row.get("accountEnabled"), row.get("userPrincipalName")
    return DirectoryUser(
        object_id=str(row["id"]).lower(),
        enabled=enabled if isinstance(enabled, bool) else None,
        values=values,
        user_name=str(name) if name else None,
        removed=None if removed is None else GONE if reason == "deleted" else BIN,
    )


def _received(row: JsonObject, whole: Received) -> Received:
    """Return one answer as if it had come alone."""
    status, headers = row.get("status"), row.get("headers")
    is_status = isinstance(status, int) and not isinstance(status, bool)
    named: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    if isinstance(headers, dict):
        named.update({str(name): str(value) for name, value in headers.items()})
    return Received(
        status if is_status and isinstance(status, int) else 500,
        named,
        json.dumps(row.get("body")).encode(),
        named.get("request-id") or whole.request_id,
        whole.seconds,
    )


def _object(answer: Received, what: str, permission: Permission) -> JsonObject | None:
    if answer.ok:
        return object_of(answer, what)
    error = error_of(answer, what, permission)
    if answer.status == 404 and error.code in NOT_THERE:
        return None
    raise error
