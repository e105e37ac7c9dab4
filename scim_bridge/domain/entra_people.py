"""Users, assignments and groups of Entra, as Microsoft Graph shows them, and what a complete read found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

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
