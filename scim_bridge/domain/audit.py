"""Who did what to whom: ids, constants and the names of attributes; never a name, an address or a value (rule G1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scim_bridge.domain.person import PersonId


class ActorKind(StrEnum):
    """What kind of somebody acts."""

    token = "token"  # nosec B105 # a kind
    """Entra, by a token of `token issue`: its id."""

    client = "client"
    """Entra, by an access token that a client of `client issue` was given: the client's id."""

    workload = "workload"
    """Entra, by an access token for an assertion: what stands for the workload of the settings."""

    entra = "entra"
    """Entra, by its own JWT: the application (`appid`, `azp`), or else the subject."""

    operator = "operator"
    """Somebody at the command line: the number of the user of the operating system, since a name may be a person's."""

    bridge = "bridge"
    """The bridge by itself: `undo` or `schedule`."""

    stranger = "stranger"
    """Somebody whose credential is nobody's; there is no id."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts."""

    kind: ActorKind
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Who acts, and in which request."""

    actor: Actor
    request_id: str | None = None
    """None for a command."""


BY_UNDO = Author(Actor(ActorKind.bridge, "undo"))
"""A write that Ditio refused is taken back (rule R1)."""

BY_SCHEDULE = Author(Actor(ActorKind.bridge, "schedule"))
"""`RECONCILE__EVERY`."""


class Action(StrEnum):
    """What is done. The log's event is `audit.` and this."""

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
    taken_up = "taken_up"
    accepted = "accepted"
    linked = "linked"
    applied = "applied"
    refused = "refused"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One thing that is done."""

    action: Action
    resource_type: str
    """A SCIM resource type, or `token`, `client`, `outbox`, `person`, `employee`, `plan`, `sign-in`."""

    resource_id: str | None = None
    """None for all that there are."""

    person_id: PersonId | None = None
    attributes: tuple[str, ...] = ()
    """The names of the attributes that changed."""

    detail: str | None = None
    """A constant, as the reason of a refusal."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """A deed with who and when."""

    id: str
    """Larger than that of whatever happened earlier."""

    at: datetime
    author: Author
    deed: AuditEvent


def changed_names(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[str, ...]:
    """The attributes in which two documents of one schema differ: those of an extension each by itself."""
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
