"""What changed since a mark, in the simulated Graph: users, and members of groups."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Generic, TypeVar

from flask import Flask, Response, request

from scim_bridge.sandbox.directory import Directory, EntraUser, JsonObject
from scim_bridge.sandbox.graph.access import Access
from scim_bridge.sandbox.graph.answers import GraphRefusal, Page, Pages, bad_request, selected
from scim_bridge.sandbox.graph.assignments import MEMBER_READERS
from scim_bridge.sandbox.graph.people import PROPERTIES, USER_READERS, USUAL, PeopleApi, Values
from scim_bridge.sandbox.graph.style import GraphStyle

MARK_LIFETIME = timedelta(days=7)
MOST_IDS = 50

_FIELDS = attrgetter(
    *(each.name for each in fields(EntraUser) if each.name not in ("object_id", "assigned", "soft_deleted", "extra"))
)
"""What a delta may show of a user; not the manager, who may be gone."""

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Entry:
    """What the journal knows of one object."""

    sequence: int
    at: datetime
    state: object
    removed: str | None = None
    """`changed`: in the recycle bin. `deleted`: gone for good."""

    ever_set: frozenset[str] = frozenset()
    """Properties that had a value at some time: cleared, they come as null. Others do not come at all."""


class Journal(Generic[K]):
    """Notices changes by comparing, each time it looks; safe to share between threads."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.entries: dict[K, Entry] = {}
        self.sequence = 0
        self._now = now
        self._lock = threading.Lock()

    def look(self, seen: Iterable[tuple[K, object, str | None]], present: Callable[[K], frozenset[str]]) -> None:
        """Take note of how all objects are now.

        :param seen: Key, state and `removed` of each.
        :param present: Returns which properties of an object have a value.
        """
        with self._lock:
            missing = set(self.entries)
            for key, state, removed in seen:
                missing.discard(key)
                entry = self.entries.get(key)
                if entry is None or entry.state != state or entry.removed != removed:
                    ever_set = present(key) | (entry.ever_set if entry is not None else frozenset())
                    self.entries[key] = Entry(self._next(), self._now(), state, removed, ever_set)
            for key in missing:
                entry = self.entries[key]
                if entry.removed != "deleted":
                    self.entries[key] = Entry(self._next(), self._now(), None, "deleted", entry.ever_set)

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence

    def since(self, sequence: int, *, before: datetime) -> list[K]:
        """Return what changed after a mark and not after `before`, in the order of the changes."""
        with self._lock:
            changed = [
                (entry.sequence, key)
                for key, entry in self.entries.items()
                if entry.sequence > sequence and entry.at <= before
            ]
        return [key for _, key in sorted(changed, key=lambda each: each[0])]


@dataclass(frozen=True, slots=True)
class _Mark:
    sequence: int
    query: dict[str, str]
    """`$select` and `$filter` of the first call: a mark carries them."""

    issued_at: datetime


class _Round(list[str]):
    """The objects that changed since a mark, or all of them, and what the last page needs to make a new mark."""

    def __init__(self, ids: Iterable[str], *, query: dict[str, str], since: int | None, reached: int) -> None:
        super().__init__(ids)
        self.query = query
        self.since = since
        """Sequence of the mark; None in the round that has no mark yet."""
        self.reached = reached


class DeltaApi:
    """`/users/delta` and `/groups/delta`."""

    def __init__(
        self,
        directory: Directory,
        people: PeopleApi,
        values: Values,
        access: Access,
        pages: Pages,
        style: Callable[[], GraphStyle],
        now: Callable[[], datetime],
    ) -> None:
        self._directory = directory
        self._people = people
        self._values = values
        self._access = access
        self._pages = pages
        self._style = style
        self._now = now
        self._users: Journal[str] = Journal(now)
        self._members: Journal[tuple[str, str]] = Journal(now)
        self._managers: dict[str, str] = {}
        self._marks: dict[str, _Mark] = {}

    def register(self, app: Flask, prefix: str) -> None:
        app.add_url_rule(f"{prefix}/users/delta", "delta_users", self._of_users)
        app.add_url_rule(f"{prefix}/groups/delta", "delta_groups", self._of_groups)

    def forget_marks(self) -> None:
        """Ask every reader for a new start, as the service does at times."""
        self._marks = {token: _Mark(-1, mark.query, mark.issued_at) for token, mark in self._marks.items()}

    def look(self) -> None:
        """Notice what changed in the directory up to now."""
        self._users.look(map(self._state, self._directory.users.values()), self._present)
        members = (
            ((group.object_id, member), None, None)
            for group in self._directory.groups.values()
            for member in group.members
        )
        self._members.look(members, lambda key: frozenset())

    def _state(self, user: EntraUser) -> tuple[str, object, str | None]:
        manager = self._people.manager_of(user)
        state = _FIELDS(user), tuple(user.extra.items()), manager.object_id if manager else None
        return user.object_id, state, "changed" if user.soft_deleted else None

    def _present(self, object_id: str) -> frozenset[str]:
        user = self._directory.users[object_id]
        # The extension attributes are an object that always comes.
        names = {*PROPERTIES, *self._directory.sources.values()} - {"onPremisesExtensionAttributes"}
        present = {name for name in names if self._values.value(user, name) not in (None, [])}
        present.add("onPremisesExtensionAttributes")
        manager = self._people.manager_of(user)
        if manager is not None:
            present.add("manager")
            self._managers[object_id] = manager.object_id
        return frozenset(present)

    def _of_users(self) -> Response:
        self._access.require(*USER_READERS)
        page = self._page(lambda: self._round(self._users, "/users/delta", str))
        current = page.whole
        assert isinstance(current, _Round)
        names = current.query["$select"].split(",") if "$select" in current.query else USUAL

        def document(object_id: str) -> JsonObject | None:
            return self._user(object_id, names, initial=current.since is None)

        return page.answer("users", document, deltaLink=self._link("users", current, page))

    def _of_groups(self) -> Response:
        self._access.require(*MEMBER_READERS)
        page = self._page(lambda: self._round(self._members, "/groups/delta", lambda key: key[0]))
        current = page.whole
        assert isinstance(current, _Round)

        def document(group_id: str) -> JsonObject | None:
            return self._group(group_id, current.since or 0)

        return page.answer("groups", document, deltaLink=self._link("groups", current, page))

    def _page(self, current: Callable[[], _Round]) -> Page[str]:
        return self._pages.page(current, top=self._style().delta_page)

    def _round(self, journal: Journal[K], path: str, object_id: Callable[[K], str]) -> _Round:
        """Return what the call asks for.

        :raises GraphRefusal: its query is not understood, or its mark too old.
        """
        for name in ("$top", "$orderby", "$expand"):
            if name in request.args:
                raise bad_request(f"{name} is not supported for delta.", "Request_UnsupportedQuery")
        mark = self._mark(path)
        self.look()
        if mark is None:
            selected(USUAL, lambda name: name in ("manager", "members") or self._values.known(name))
        query = (
            mark.query if mark else {key: request.args[key] for key in ("$select", "$filter") if key in request.args}
        )
        if request.args.get("$deltatoken") == "latest":
            return _Round([], query=query, since=None, reached=journal.sequence)
        lag = timedelta(seconds=self._style().delta_lag_seconds if mark else 0)
        keys = journal.since(mark.sequence if mark else 0, before=self._now() - lag)
        wanted = _ids(query.get("$filter", ""))
        ids = [each for each in dict.fromkeys(map(object_id, keys)) if not wanted or each in wanted]
        if mark is None:
            there = self._directory.users.keys() | self._directory.groups.keys()
            return _Round([each for each in ids if each in there], query=query, since=None, reached=journal.sequence)
        reached = max((journal.entries[key].sequence for key in keys), default=mark.sequence)
        if self._style().delta_repeats and ids:
            ids, reached = [each for each in ids for _ in range(2)], reached - 1
        return _Round(ids, query=query, since=mark.sequence, reached=reached)

    def _mark(self, path: str) -> _Mark | None:
        """Return the mark that the call carries.

        :raises GraphRefusal: it is too old, or unknown.
        """
        token = request.args.get("$deltatoken")
        if token is None or token == "latest":  # nosec B105 # a word of the query
            return None
        mark = self._marks.get(token)
        if mark is None:
            raise bad_request("Badly formed token.", "Directory_BadDeltaToken")
        if mark.sequence >= 0 and self._now() - mark.issued_at < MARK_LIFETIME:
            return mark
        if self._style().delta_expired == "400":
            raise GraphRefusal(400, "syncStateNotFound", "The sync state generation is not found: start anew.")
        query = "&".join(f"{name}={value}" for name, value in mark.query.items())
        location = f"{self._pages.base()}{path}{'?' if query else ''}{query}"
        raise GraphRefusal(410, "resyncRequired", "Resync required.", {"Location": location})

    def _link(self, collection: str, current: _Round, page: Page[str]) -> str | None:
        if page.next_link is not None:
            return None
        token = f"t{len(self._marks)}"
        self._marks[token] = _Mark(current.reached, current.query, self._now())
        return f"{self._pages.base()}/{collection}/delta?$deltatoken={token}"

    def _user(self, object_id: str, names: Sequence[str], *, initial: bool) -> JsonObject | None:
        entry = self._users.entries[object_id]
        user = self._directory.users.get(object_id)
        if user is None or user.soft_deleted:
            reason = "deleted" if user is None else "changed"
            return None if initial else {"id": object_id, "@removed": {"reason": reason}}
        values = self._people.document(user, [name for name in names if name not in ("id", "manager")])
        document = {name: value for name, value in values.items() if value is not None or name in entry.ever_set}
        if "manager" in names and "manager" in entry.ever_set:
            document |= self._manager(user)
        return {"id": object_id} | document

    def _manager(self, user: EntraUser) -> JsonObject:
        """Return the manager that a user has, or no longer has."""
        manager = self._people.manager_of(user)
        reference: JsonObject = {"@odata.type": "#microsoft.graph.user"}
        match self._style().delta_manager:
            case "none":
                return {}
            case "object":
                return {"manager": None if manager is None else reference | {"id": manager.object_id}}
            case _ if manager is None:
                gone: JsonObject = {"id": self._managers[user.object_id], "@removed": {"reason": "deleted"}}
                return {"manager@delta": [reference | gone]}
            case _:
                return {"manager@delta": [reference | {"id": manager.object_id}]}

    def _group(self, group_id: str, since: int) -> JsonObject:
        rows: list[JsonObject] = []
        for (group, member), entry in self._members.entries.items():
            if group != group_id or entry.sequence <= since or (entry.removed and not since):
                continue
            kind = "group" if member in self._directory.groups else "user"
            row: JsonObject = {"@odata.type": f"#microsoft.graph.{kind}", "id": member}
            rows.append(row | ({"@removed": {"reason": "deleted"}} if entry.removed else {}))
        gone: JsonObject = {} if group_id in self._directory.groups else {"@removed": {"reason": "deleted"}}
        return {"id": group_id} | gone | {"members@delta": rows}


def _ids(text: str) -> list[str]:
    """Return the ids that a `$filter` of a delta asks for.

    :raises GraphRefusal: there are more than 50, or it compares something else.
    """
    found = re.findall(r"id eq '([^']*)'", text)
    if len(found) > MOST_IDS or (text and not found):
        raise bad_request(f"Only id, and at most {MOST_IDS} of them, may be filtered on.", "Request_UnsupportedQuery")
    return found
