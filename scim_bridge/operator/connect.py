"""Connecting Entra: what to paste there, the attribute mapping, and what has arrived from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scim_bridge.certificates.reading import slots_from
from scim_bridge.domain.audit import Action, AuditRecord
from scim_bridge.domain.values import JsonObject
from scim_bridge.operator.overview import QUIET_AFTER, last_call
from scim_bridge.plan.entra_schema import Mapped, declared, mapped, schema_of, unplaced
from scim_bridge.settings import Settings
from scim_bridge.storage.audit import AuditChoice
from scim_bridge.storage.credentials import Client, Token
from scim_bridge.storage.database import Session
from scim_bridge.storage.entra_calls import Counted
from scim_bridge.tenant import build_rules

SIGN_IN = "sign-in"
"""The resource type of a refused sign-in in the audit trail."""

LOOKED_THROUGH = 20
"""How many of the last refusals are looked through for one of Entra."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """What the settings of a company need in Entra; nothing is read there."""

    rows: Sequence[Mapped]
    declared: Sequence[str]
    """The attributes to add to Entra's attribute list."""

    unplaced: Sequence[str]
    """The attributes for which only the company knows the attribute in Entra."""


def mapping_of(settings: Settings) -> Mapping:
    """Return the attribute mapping that a company's settings need."""
    rules, slots = build_rules(settings), slots_from(settings.certificates.slots)
    return Mapping(mapped(rules, slots), declared(rules, slots), unplaced(rules, slots, {}))


def schema_for(settings: Settings, sources: dict[str, str] | None = None) -> JsonObject:
    """Return the synchronization schema for a company's settings.

    :param sources: SCIM attribute → Entra attribute, as the operator names them.
    """
    return schema_of(build_rules(settings), slots_from(settings.certificates.slots), sources or {})


@dataclass(frozen=True, slots=True)
class Arrived:
    """What has come from Entra so far, and how it may sign in."""

    now: datetime
    called_at: datetime | None
    """When Entra was last let in; None if never. See `last_call`."""

    refused: AuditRecord | None
    """The last sign-in that was refused since then."""

    tokens: Sequence[Token]
    clients: Sequence[Client]
    departures: Sequence[Counted]
    """Tolerated departures from the standard, the most frequent first."""

    @property
    def is_quiet(self) -> bool:
        """Whether Entra has called, but not for longer than its cycle explains."""
        return self.called_at is not None and self.now - self.called_at > QUIET_AFTER


def arrived(s: Session) -> Arrived:
    """Return what has come from Entra; only reads."""
    called_at = last_call(s)
    refusals = s.audit.latest(AuditChoice(since=called_at, action=Action.refused), before=None, limit=LOOKED_THROUGH)
    return Arrived(
        now=s.now,
        called_at=called_at,
        refused=next((each for each in refusals if each.deed.resource_type == SIGN_IN), None),
        tokens=s.tokens.list(),
        clients=s.clients.list(),
        departures=s.quirks.list(),
    )
