"""Entra as Microsoft Graph shows it: permissions, the provisioning job and its log; users, assignments and groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""The application id of Microsoft Graph itself, in every tenant."""

MOST_ROWS = 999
"""The most rows of a page of Graph."""

MOST_CALLS = 20
"""The most calls in one `$batch`."""


def is_object_id(value: object) -> bool:
    """Return whether a value is an object id of Entra: a GUID."""
    try:
        return isinstance(value, str) and len(value) == 36 and str(UUID(value)) == value.lower()
    except ValueError:
        return False


class Permission(StrEnum):
    """An application permission of Microsoft Graph."""

    users = "User.Read.All"
    leave_dates = "User-LifeCycleInfo.Read.All"
    applications = "Application.Read.All"
    members = "GroupMember.Read.All"
    hidden_members = "Member.Read.Hidden"
    jobs = "Synchronization.Read.All"
    log = "ProvisioningLog.Read.All"


ROLE_IDS: Mapping[Permission, tuple[str, ...]] = {
    Permission.users: ("df021288-bdef-4463-88db-98f22de89214",),
    Permission.leave_dates: ("8556a004-db57-4d7a-8b82-97a13428e96f",),
    Permission.applications: ("9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",),
    Permission.members: ("98830695-27a2-44f7-8c18-0c3ebc9698f6",),
    Permission.hidden_members: ("658aa5d8-239f-45c4-aa12-864f4fc7e490",),
    # The right to write includes that to read.
    Permission.jobs: ("5ba43d2f-fa88-4db2-bd1c-a67c5f0fb1ce", "9b50c33d-700f-43b1-b2eb-87e89b703581"),
    Permission.log: ("091937d3-3e38-47a1-8649-b2f99d3035f1", "b0afded3-3588-46d8-8b3d-9842eff778da"),
}
"""The app roles that grant each permission, the least first."""

WITHOUT: Mapping[Permission, str] = {
    Permission.users: "users can't be read",
    Permission.leave_dates: "leave dates read as empty, so none of them is believed",
    Permission.applications: "neither the enterprise application nor who is assigned to it can be read",
    Permission.members: "the members of assigned groups can't be read",
    Permission.hidden_members: "the members of groups with hidden membership can't be read",
    Permission.jobs: "`entra status` and `entra schema --check` can't read the provisioning job",
    Permission.log: "`entra log` can't read the provisioning log",
}
"""What does not work without a permission."""

OPTIONAL = frozenset({Permission.leave_dates, Permission.hidden_members, Permission.log})
"""Permissions that only some companies need."""


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """An application in the tenant."""

    id: str
    app_id: str | None
    name: str | None
    is_enabled: bool


OFF_AFTER = timedelta(days=28)
"""A job is disabled four weeks after its quarantine began."""

LATE_INTERVALS = 3
"""How many intervals may pass since the last cycle before a job counts as late."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Why Entra tries a job only now and then."""

    reason: str
    began_at: datetime | None = None
    """The start of the series of quarantines; None where it is not shown."""

    next_attempt_at: datetime | None = None
    error_code: str | None = None
    error: str | None = None

    @property
    def off_at(self) -> datetime | None:
        """Return when Entra disables the job."""
        return None if self.began_at is None else self.began_at + OFF_AFTER


@dataclass(frozen=True, slots=True)
class Execution:
    """One cycle of a job."""

    state: str
    began_at: datetime | None = None
    ended_at: datetime | None = None
    escrowed: int = 0
    """People that failed; Entra tries each of them again."""

    error_code: str | None = None
    error: str | None = None

    @property
    def has_run(self) -> bool:
        """Whether there was such a cycle: a job that never ran reads as failed, in the year 1."""
        return self.began_at is not None or self.ended_at is not None


class JobState(StrEnum):
    """The state of a job, in one word."""

    healthy = "healthy"
    escrows = "escrows"
    """It runs, and some people failed: Entra tries them again at growing distances."""

    late = "late"
    failing = "failing"
    never_run = "never-run"
    paused = "paused"
    quarantine = "quarantine"
    unknown = "unknown"
    """Entra shows a word that is not documented."""


WORDS = {
    JobState.healthy: "provisioning runs",
    JobState.escrows: "provisioning runs, and some people failed: Entra tries them again by itself",
    JobState.late: "provisioning is late: no cycle for more than three intervals",
    JobState.failing: "the last cycle failed as a whole",
    JobState.never_run: "provisioning has never run: press *Start provisioning*",
    JobState.paused: "provisioning is stopped: no leaver is sent. Press *Start provisioning*",
    JobState.quarantine: "provisioning is in quarantine: Entra tries only now and then",
    JobState.unknown: "Entra shows a state that is not documented",
}
"""Each state in words."""


@dataclass(frozen=True, slots=True)
class Job:
    """The provisioning job of the enterprise application, as Graph shows it. Words of Graph stay as they are."""

    id: str
    template_id: str | None
    code: str
    """NotConfigured, NotRun, Active, Paused or Quarantine."""

    schedule: str
    """Active, Disabled or Paused."""

    interval: timedelta | None
    """From one cycle to the next; None where it never runs by itself, or none is shown."""

    last: Execution
    last_success: Execution | None = None
    quarantine: Quarantine | None = None
    escrows_pruned: bool = False
    """The first cycle had too many failures, and their list was dropped."""

    def state(self, now: datetime) -> JobState:
        """Return its state in one word."""
        if self.quarantine is not None or self.code == "Quarantine":
            return JobState.quarantine
        if not self.last.has_run and self.code in ("NotConfigured", "NotRun", "Paused", "Active"):
            return JobState.never_run
        if self.schedule in ("Disabled", "Paused") or self.code == "Paused":
            return JobState.paused
        if self.code != "Active" or self.schedule != "Active":
            return JobState.unknown
        if self.last.state == "Failed":
            return JobState.failing
        if self.last.state not in ("Succeeded", "EntryLevelErrors"):
            return JobState.unknown
        if self._is_late(now):
            return JobState.late
        if self.last.escrowed or self.last.state == "EntryLevelErrors" or self.escrows_pruned:
            return JobState.escrows
        return JobState.healthy

    @property
    def next_at(self) -> datetime | None:
        """Return when the next cycle should begin. Graph has no such field: this is the last one and the interval."""
        if self.quarantine is not None:
            return self.quarantine.next_attempt_at
        if self.schedule != "Active" or self.interval is None or self._last_at is None:
            return None
        return self._last_at + self.interval

    def _is_late(self, now: datetime) -> bool:
        if self.interval is None or self._last_at is None:
            return False
        return now - self._last_at > LATE_INTERVALS * self.interval

    @property
    def _last_at(self) -> datetime | None:
        return self.last.ended_at or self.last.began_at


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What Entra's provisioning log says of one user at one moment. It is personal data."""

    at: datetime
    action: str
    status: str
    source_id: str | None
    """The object id in Entra."""

    target_id: str | None
    """The id that the bridge gave the SCIM user; None before there was one."""

    error_code: str | None = None
    reason: str | None = None
    """Why it failed or was skipped; it quotes the bridge's own answer."""

    changed: tuple[str, ...] = ()
    """The names of the attributes that Entra changed."""

    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobReading:
    """What one read of the job found, as it is stored for the metrics."""

    at: datetime
    state: str
    """A `JobState`; `none` without a job, or `unread` if it could not be read."""

    quarantined_since: datetime | None = None
    escrowed: int = 0
    detail: str | None = None
    """Why it could not be read."""


BIN, GONE = "changed", "deleted"
"""How a user was removed: into the recycle bin, or for good. The words are those of a delta query."""


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """One user at the moment of a read. The values are never stored."""

    object_id: str
    enabled: bool | None
    """Whether sign-in is allowed; None where the row does not say."""

    values: Mapping[str, str | None] = field(default_factory=dict)
    """By Entra's name of the attribute in provisioning: its text, None for an empty one. One that the row does not have
    is missing: it was not read."""

    user_name: str | None = None
    removed: str | None = None
    """`BIN` or `GONE` for a user who is no longer there."""


class PrincipalKind(StrEnum):
    """What is assigned to an application. A service principal is a client, and no person."""

    user = "User"
    group = "Group"


@dataclass(frozen=True, slots=True)
class Principal:
    """An assignment to the enterprise application."""

    kind: PrincipalKind | None
    """None for a kind that is not documented, or not told: it may stand for any number of users."""

    id: str
    name: str | None


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """What decides whether the members of a group are known."""

    id: str
    name: str | None
    is_hidden: bool
    """Whether its membership is hidden: without a permission of its own the list is empty, without an error."""

    is_settled: bool
    """Whether no rule is being evaluated, and none is paused."""

    is_security: bool = True


@dataclass(frozen=True, slots=True)
class Member:
    """A direct member of a group."""

    id: str
    is_user: bool
    is_group: bool


@dataclass(frozen=True, slots=True)
class Assignment:
    """Why a user is assigned."""

    object_id: str
    via: str = ""
    """The object id of the group; empty for a direct assignment."""

    name: str | None = None
    """The group's name."""

    is_nested: bool = False
    """Whether they are only in a group inside an assigned group: Entra does not send them."""


@dataclass(frozen=True, slots=True)
class EntraReading:
    """What the last complete read of Entra was like. One for each company."""

    read_id: str
    read_at: datetime
    full_at: datetime
    """When all users were read last; since then only changes."""

    basis: str
    """A fingerprint of what was asked for: tenant, attributes and filter. Another one asks for a full read."""

    delta_link: str | None
    users: int
    assigned: int
    assigned_before: int | None = None
    """The figure of the complete read before; None for the first."""

    doubts: tuple[str, ...] = ()
    """Why the assignments are not known as a whole, in words; then no user counts as unassigned."""

    stops: tuple[str, ...] = ()
    """Why what was read is not believed at all."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A user of Entra as stored: no values, only whether there is one, and its keyed hash."""

    enabled: bool | None
    hashes: Mapping[str, str | None]
    """By attribute; None for an empty one."""

    removed: str | None = None
    removed_on: date | None = None
    passes_filter: bool | None = True
    """Whether the scoping filter lets them through; None where that can't be judged."""
