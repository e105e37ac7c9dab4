"""Who did what, and to which resource: ids, constants and attribute names; no value of a person (rule G1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scim_bridge.domain.person import PersonId


class ActorKind(StrEnum):
    """What kind of actor acts."""

    token = "token"  # nosec B105 # a kind
    """Entra, by a token of `token issue`: its id."""

    client = "client"
    """Entra, by an access token issued to a client of `client issue`: the client's id."""

    workload = "workload"
    """Entra, by an access token issued for an assertion: the id of the workload in the settings."""

    entra = "entra"
    """Entra, by its own JWT: the application (`appid`, `azp`), or else the subject."""

    operator = "operator"
    """An operator at the command line: their user id (a number) in the operating system; its name may be personal."""

    console = "console"
    """An administrator in the console: their user name in Entra, or the name of the link they signed in by."""

    bridge = "bridge"
    """The bridge itself: `undo`, `schedule` or `graph`."""

    stranger = "stranger"
    """A caller whose credential is unknown; there is no id."""


class Role(StrEnum):
    """What an administrator may do in the console."""

    viewer = "viewer"
    """See everything but birth dates."""

    operator = "operator"
    """See everything, and act."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts."""

    kind: ActorKind | str
    """Another text in a row that a newer version has written."""

    id: str | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts, and in which request."""

    actor: Actor
    request_id: str | None = None
    """None for a command."""


BY_UNDO = Author(Actor(ActorKind.bridge, "undo"))
"""The bridge undoes a write that Ditio refused (rule R1)."""

BY_SCHEDULE = Author(Actor(ActorKind.bridge, "schedule"))
"""A scheduled run: `RECONCILE__EVERY`."""


BY_GRAPH = Author(Actor(ActorKind.bridge, "graph"))
"""The bridge changes a user as Entra shows it: `reconcile --with-entra`."""


class Action(StrEnum):
    """What is done. The log event is `audit.` followed by this."""

    created = "created"
    changed = "changed"
    deleted = "deleted"
    undone = "undone"
    issued = "issued"
    rotated = "rotated"
    revoked = "revoked"
    retried = "retried"
    paused = "paused"
    resumed = "resumed"
    released = "released"
    dropped = "dropped"
    set_hands_off = "put_aside"
    hands_off_cleared = "taken_up"
    accepted = "accepted"
    linked = "linked"
    applied = "applied"
    refused = "refused"
    exported = "exported"
    erased = "erased"
    signed_in = "signed-in"
    signed_out = "signed-out"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One action on one resource."""

    action: Action | str
    """Another text in a row that a newer version has written."""

    resource_type: str
    """A SCIM resource type, or `token`, `client`, `outbox`, `person`, `employee`, `plan`, `sign-in`, `console`."""

    resource_id: str | None = None
    """None means all resources of the type."""

    person_id: PersonId | None = None
    attributes: tuple[str, ...] = ()
    """The names of the attributes that changed."""

    detail: str | None = None
    """A constant, such as the reason of a refusal; from the console, the reason that the administrator gave."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An audit event with its author and time."""

    id: str
    """Larger than the id of every earlier record."""

    at: datetime
    author: Author
    deed: AuditEvent


def changed_names(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """Return the attributes in which two resources of one schema differ; attributes of an extension one by one."""
    names: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old == new or name in ("meta", "schemas"):
            continue
        if name.startswith("urn:"):
            inner = [each if isinstance(each, dict) else {} for each in (old, new)]
            names += [f"{name}:{each}" for each in changed_names(*inner)]
        else:
            names.append(name)
    return tuple(names)
