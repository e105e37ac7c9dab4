"""All ways in, joined from the settings."""

from dataclasses import dataclass

from scim_bridge.bootstrap import Parts
from scim_bridge.web.address import Addresses
from scim_bridge.web.auth.bearer import Bearer
from scim_bridge.web.auth.jwks import KeysByUrl
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
        fetching = KeysByUrl(auth.jwks_min_refetch_seconds, parts.monotonic)
        ways = {name: own.auth for name, own in parts.settings.tenants.items()}
        entra = {name: entra_of(own, fetching.at) for name, own in ways.items()}
        workloads = {name: found for name, own in ways.items() if (found := workload_of(own, fetching.at)) is not None}
        return cls(
            bearer=Bearer(
                parts.database,
                doorkeeper,
                entra=entra,
                workloads={name: workload.id for name, workload in workloads.items()},
            ),
            token_endpoint=TokenEndpoint(
                parts.database,
                doorkeeper,
                workloads=workloads,
                lifetime_seconds={name: own.token_lifetime_seconds for name, own in ways.items()},
            ),
        )
