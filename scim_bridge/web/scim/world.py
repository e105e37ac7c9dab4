"""What the SCIM endpoints are given: the parts that are chosen elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import flask
from scim2_models import ScimProvider

from scim_bridge.delivery.intake import Intake
from scim_bridge.delivery.ticket import Ticket
from scim_bridge.delivery.undone import Undone
from scim_bridge.domain.audit import Actor
from scim_bridge.storage.database import Database
from scim_bridge.storage.secrets import Secrets


class MakesIntake(Protocol):
    """Makes the intake of one request."""

    def __call__(self, tenant: str, request_id: str, *, queues_only: bool) -> Intake:
        """The intake of a tenant's request. :param queues_only: Nobody is delivered while it waits (rule A4)."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a company is offered: resource types, and bounds of its requests."""

    provider: ScimProvider
    patch_status: int
    """What a PATCH is answered with: 200 and the resource, or 204."""

    max_body_bytes: int
    max_value_length: int
    max_filter_length: int
    max_patch_operations: int


@dataclass(frozen=True)
class ScimWorld:
    """The parts behind the SCIM endpoints of all tenants."""

    database: Database
    provider: ScimProvider
    """Answers errors, also those of whoever is of no tenant."""

    offer: Callable[[str], Offer]
    """Of a tenant that is served."""

    server_base_url: str
    """The public address of this server, without a path of ours: all absolute URLs start with it (rule A6)."""

    authenticate: Callable[[flask.Request, str], Actor]
    """Who calls, for a tenant, as the audit trail names him.

    Raises `UnauthorizedException` for a credential that is wrong, `TooManyRequests` or `ServiceUnavailable`.
    """

    intake: MakesIntake

    deliver: Callable[[str, Ticket], Undone | None]
    """Tries a delivery of a tenant within the request's budget, and says what was taken back (rule R1)."""

    request_id: Callable[[], str]
    """The id of the request that is being served."""

    monotonic: Callable[[], float] = time.monotonic

    @cached_property
    def secrets(self) -> Secrets:
        """What all processes share and nobody else knows; remembered for the life of this one."""
        return Secrets(self.database)
