"""What the SCIM endpoints are given: the parts that are chosen elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass

import flask
from scim2_models import ScimProvider

from scim_bridge.delivery.intake import Intake, Ticket
from scim_bridge.storage.database import Database


@dataclass(frozen=True)
class ScimWorld:
    """The parts behind the SCIM endpoints of all tenants."""

    database: Database
    provider: ScimProvider
    server_base_url: str
    """The public address of this server, without a path of ours: all absolute URLs start with it (rule A6)."""

    patch_status: int
    """What a PATCH is answered with: 200 and the resource, or 204."""

    max_body_bytes: int
    max_filter_length: int
    authenticate: Callable[[flask.Request, str], object]
    """Who calls, for a tenant.

    Raises `UnauthorizedException` for a credential that is wrong, `TooManyRequests` or `ServiceUnavailable`.
    """

    intake: Callable[[str, str], Intake]
    """The intake of a tenant, for the request with an id."""

    deliver: Callable[[str, Ticket], None]
    """Tries a delivery of a tenant within the request's budget."""

    request_id: Callable[[], str]
    """The id of the request that is being served."""
