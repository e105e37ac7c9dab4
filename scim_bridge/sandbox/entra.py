"""The simulated Entra: provisioning cycles over users and groups."""

from __future__ import annotations

import random as randomness
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import requests

from scim_bridge.sandbox import directory, scim_calls
from scim_bridge.sandbox.directory import MANAGER, Directory, EntraGroup, EntraUser, JsonObject
from scim_bridge.sandbox.entra_groups import GroupSync
from scim_bridge.sandbox.job import STAGED, Execution, Job, default_mappings, event_of, passes
from scim_bridge.sandbox.scim_calls import (
    FLAG,
    Dialect,
    Quarantined,
    ScimCalls,
    Step,
    checked,
    matching_query,
    resource_path,
)

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
    :param now: Returns the time, aware; the real time when None.
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
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.directory = Directory()
        self.job = Job()
        self.job.maps(default_mappings(extension, external_id, matching))
        self.tenant_url = base_url
        self._session = session
        self._dialect = scim_calls.dialect(dialect)
        self._calls = ScimCalls(session, base_url, token, flagged=dialect == FLAG)
        self._matching = matching
        self._extension = extension
        self._external_id = external_id
        self._random = random or randomness.Random()  # nosec B311 # a simulation
        self._now = now or (lambda: datetime.now(UTC))
        self._links: dict[str, _Link] = {}
        self._groups = GroupSync(self._calls, self._dialect, self.scim_id)
        self._by_group: set[str] = set()
        self._staged: set[str] = set()
        self._overlooked: dict[str, object] = {}
        self._synced_all = False

    def connect(self, base_url: str, token: str | None) -> None:
        """Provision into another endpoint, which Entra knows nothing of, or into the same one with another token."""
        if base_url != self.tenant_url:
            self._links.clear()
        self.tenant_url = base_url
        self._calls = ScimCalls(self._session, base_url, token, flagged=self._dialect.name == FLAG)
        self._groups = GroupSync(self._calls, self._dialect, self.scim_id)

    def test_connection(self) -> requests.Response:
        """Ask for a user and a group that do not exist; return the first refusal, else the last answer."""
        probe = uuid.UUID(int=self._random.getrandbits(128), version=4)
        users = self._calls.fetch(matching_query("/Users", self._matching, probe))
        return self._calls.fetch(matching_query("/Groups", "displayName", probe)) if users.ok else users

    def cycle(self) -> Cycle:
        """Run one provisioning cycle: all users in scope at first, later only what changed.

        A job that does not run, because it is paused, say, does nothing.
        """
        self.job.gives_up(self._now())
        if not self.job.runs:
            return Cycle([], quarantined=self.job.quarantine is not None)
        run = self.job.began(self._now())
        steps: list[Step] = []
        stopped_by: Step | None = None
        try:
            for step in self._steps():
                steps.append(step)
                self._log(run.id, step)
        except Quarantined as exc:
            stopped_by = exc.step
            steps.append(exc.step)
            self._log(run.id, exc.step)
        self._report(run, steps, stopped_by)
        return Cycle(steps, quarantined=self.job.quarantine is not None)

    def overlook(self, object_id: str) -> None:
        """Lose what happened to a user up to now, as Entra sometimes does: only their next change is noticed."""
        if self.directory.purged.pop(object_id, None) is not None:
            self._links.pop(object_id, None)
            return
        self._by_group = self.directory.assigned_by_group()
        self._overlooked[object_id] = self._source(self.directory.users[object_id])

    def restart(self, *, lose_links: bool = False) -> None:
        """Restart the job: the next cycle is an initial one, which reads all users.

        :param lose_links: Also forget which users were provisioned (`resetScope` Full or ConnectorDataStore).
        """
        self._overlooked.clear()
        self._synced_all = self.job.sync_all
        self.job.leaves_quarantine(self._now())
        if lose_links:
            self._links.clear()
            self._groups = GroupSync(self._calls, self._dialect, self.scim_id)

    def provision(self, user: EntraUser) -> Step:
        """Provision one user on demand: read the user from the bridge, and send what differs."""
        self.directory.users.setdefault(user.object_id, user)
        self._by_group, self._staged = self.directory.assigned_by_group(), set()
        self._overlooked.pop(user.object_id, None)
        try:
            if self.in_scope(user):
                return self._match(user, scim_calls.dialect("default"), on_demand=True)
            return self._user(user, scim_calls.dialect("default")) or Step(user.object_id, "none", "", "", 200)
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

    def in_scope(self, user: EntraUser) -> bool:
        """Return whether Entra reads this user's attributes: assigned, not deleted, let through by the filter."""
        return self._assigned(user) and not user.soft_deleted and passes(self.job.scope, user)

    def _assigned(self, user: EntraUser) -> bool:
        return user.assigned or self.job.sync_all or user.object_id in self._by_group

    def _source(self, user: EntraUser) -> object:
        """Return all of a user that a cycle looks at."""
        return self._wanted(user), self.in_scope(user), user.manager

    def _overlooks(self, user: EntraUser) -> bool:
        if user.object_id not in self._overlooked:
            return False
        if self._overlooked[user.object_id] == self._source(user):
            return True
        del self._overlooked[user.object_id]
        return False

    def _leavers(self) -> list[str]:
        """Return the users that this cycle would disable or delete."""
        users = [user for user in self.directory.users.values() if user.object_id in self._links]
        leaving = [
            user.object_id
            for user in users
            if self._links[user.object_id].known.get("active") is True
            and not (self.in_scope(user) and user.account_enabled)
            and not (self._overlooks(user) or self._stays(user))
        ]
        return leaving + [object_id for object_id in self.directory.purged if object_id in self._links]

    def _stays(self, user: EntraUser) -> bool:
        """Return whether a user who is out of scope is left alone in the target."""
        if self.in_scope(user):
            return False
        skipped = self.job.skip_out_of_scope_deletions and not user.soft_deleted
        return skipped or "Delete" not in self.job.flow_types

    def _steps(self) -> Iterator[Step]:
        self._by_group = self.directory.assigned_by_group()
        if self._synced_all and not self.job.sync_all:
            dropped = [user for user in self.directory.users.values() if not self._assigned(user)]
            self._overlooked |= {user.object_id: self._source(user) for user in dropped}
        self._synced_all = self.job.sync_all
        threshold = None if self.job.deletes_allowed else self.job.delete_threshold
        leavers = [] if threshold is None else self._leavers()
        self._staged = set(leavers) if threshold is not None and len(leavers) > threshold else set()
        users = list(self.directory.users.values())
        for step in (self._user(user, self._dialect) for user in users):
            if step is not None:
                yield step
        for step in (self._manager(user) for user in users):
            if step is not None:
                yield step
        for group in list(self.directory.groups.values()):
            if group.assigned and self.job.groups_enabled:
                yield from self._groups.steps(group)
        for object_id, gone in list(self.directory.purged.items()):
            if object_id in self._staged:
                yield _staged(object_id)
                continue
            step = self._delete(gone) if isinstance(gone, EntraUser) else self._groups.delete(gone)
            if step is not None:
                yield step
            if step is None or step.ok:
                del self.directory.purged[object_id]

    def _user(self, user: EntraUser, dialect: Dialect) -> Step | None:
        if self._overlooks(user) or not passes(self.job.input_filter, user):
            return None
        if user.object_id in self._staged:
            return _staged(user.object_id)
        link = self._links.get(user.object_id)
        if link is not None:
            return self._update(user, link, dialect)
        return self._match(user, dialect) if self.in_scope(user) else None

    def _match(self, user: EntraUser, dialect: Dialect, *, on_demand: bool = False) -> Step:
        wanted = self._wanted(user, creation=True)
        if self._matching not in wanted:
            return Step(user.object_id, "none", "", "", 0, detail=f"no value to match by {self._matching}")
        query = matching_query("/Users", self._matching, wanted[self._matching])
        answer = checked(self._calls.call("GET", query), user.object_id, matching=True)
        if answer.status != 200 or len(answer.found) > 1:
            return answer.step(user.object_id, "none")
        if not answer.found:
            self._links.pop(user.object_id, None)
            # A disabled user is never created.
            creates = user.account_enabled and "Add" in self.job.flow_types
            return self._create(user, wanted) if creates else answer.step(user.object_id, "none")
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
        if self._stays(user) or "Update" not in self.job.flow_types:
            return None
        wanted = self._wanted(user)
        if not self.in_scope(user):
            wanted = {target: value for target, value in wanted.items() if target == "active"}
        changed = {path: value for path, value in wanted.items() if link.known.get(path) != value}
        if not changed:
            return None
        step = self._patch(user, link, dialect, changed)
        if step.status == 404:
            del self._links[user.object_id]
            return self._match(user, dialect) if self.in_scope(user) else step
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
        if link is None or manager in (None, link.known.get(MANAGER)) or MANAGER not in self.job.mappings:
            return None
        if not self.in_scope(user) or self._overlooks(user) or "Update" not in self.job.flow_types:
            return None
        return self._patch(user, link, self._dialect, {MANAGER: manager})

    def _delete(self, user: EntraUser) -> Step | None:
        link = self._links.get(user.object_id)
        # Entra does not report a user who was unassigned before being deleted.
        if link is None or not self._assigned(user) or "Delete" not in self.job.flow_types:
            self._links.pop(user.object_id, None)
            return None
        answer = checked(self._calls.call("DELETE", resource_path("/Users", link.scim_id)), user.object_id)
        step = answer.step(user.object_id, "delete")
        if step.ok:
            # Only now: a DELETE whose answer never comes is sent again in the next cycle.
            del self._links[user.object_id]
        return step

    def _wanted(self, user: EntraUser, *, creation: bool = False) -> JsonObject:
        active = self.in_scope(user) and user.account_enabled
        wanted = directory.mapped(user, active=active, extension=self._extension, external_id=self._external_id)
        return self.job.flowing(wanted, creation=creation)

    def _report(self, run: Execution, steps: list[Step], stopped_by: Step | None) -> None:
        run.entitled = sum(map(self.in_scope, self.directory.users.values()))
        run.exported = sum(step.ok and step.action != "none" for step in steps)
        run.escrowed = len({step.object_id for step in steps if not step.ok and step.action != STAGED})
        self.job.entries = max(self.job.entries, len(self._links))
        self.job.deletes_allowed = False
        now = self._now()
        if stopped_by is not None:
            message = f"We received this unexpected response from your application: {stopped_by.status}"
            code = "SystemForCrossDomainIdentityManagementCredentialValidationUnavailable"
            reason = "EncounteredQuarantineException"
            self.job.quarantines(reason, now, code=code, message=message, by_itself=True)
            self.job.ended(run, now, error=code)
            return
        self.job.ended(run, now)
        if self._staged:
            self.job.quarantines("TooManyDeletes", now)

    def _log(self, run: str, step: Step) -> None:
        """Note a step in the provisioning log."""
        known = self.directory.users.get(step.object_id) or self.directory.purged.get(step.object_id)
        if isinstance(known, EntraUser):
            self.job.events.append(event_of(step, run, self._now(), known, self.scim_id(known.object_id)))


def _action(known: JsonObject, changed: JsonObject) -> str:
    match known.get("active"), changed.get("active"):
        case True, False:
            return "disable"
        case False, True:
            return "restore"
        case _:
            return "update"


def _staged(object_id: str) -> Step:
    return Step(object_id, STAGED, "", "", 0, detail="more are leaving than the deletion threshold allows")
