"""All ways in, joined from the settings."""

from dataclasses import dataclass

from scim_bridge.bootstrap import DEFAULT_TENANT, Parts
from scim_bridge.web.address import Addresses
from scim_bridge.web.auth.bearer import Bearer
from scim_bridge.web.auth.noted import NotedRefusals
from scim_bridge.web.auth.oauth import TokenEndpoint
from scim_bridge.web.auth.refusals import Doorkeeper
from scim_bridge.web.auth.throttle import Failures
from scim_bridge.web.auth.workload import entra_of, workload_of


@dataclass(frozen=True, slots=True)
class Entrance:
    """The SCIM endpoints' door, and the token endpoint. Both count failures together."""

    bearer: Bearer
    token_endpoint: TokenEndpoint

    @classmethod
    def of(cls, parts: Parts) -> "Entrance":
        """The ways that the settings open. What Entra signs is bound to the company whose settings name it."""
        auth = parts.settings.auth
        addresses = Addresses.behind(parts.settings.server.trusted_proxies)
        noted = NotedRefusals(parts.database, parts.tenants, parts.monotonic)
        doorkeeper = Doorkeeper(Failures(auth.max_failures_per_minute, parts.monotonic), addresses.of, noted)
        entra, workload = entra_of(auth, parts.monotonic), workload_of(auth, parts.monotonic)
        return cls(
            bearer=Bearer(
                parts.database,
                doorkeeper,
                entra={DEFAULT_TENANT: entra} if entra is not None else {},
                workloads={DEFAULT_TENANT: workload.id} if workload is not None else {},
            ),
            token_endpoint=TokenEndpoint(
                parts.database, DEFAULT_TENANT, doorkeeper, workload, auth.token_lifetime_seconds
            ),
        )
