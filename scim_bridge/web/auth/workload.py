"""Workload identity federation: an assertion that Entra signed is given an access token (RFC 7521, RFC 7523)."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from scim_bridge.settings import Auth
from scim_bridge.web.auth.jwks import Keys
from scim_bridge.web.auth.signed import Signed

PREFIX = "workload:"
"""How the ids of workloads begin; no client's id does."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The one workload that the settings let in.

    An assertion may be presented again until it expires: Entra sends no `jti`, and repeats a request whose answer
    was lost.
    """

    assertion: Signed
    id: str
    """Stands for it in the access tokens that it is given: other settings, another id."""


def workload_of(auth: Auth, monotonic: Callable[[], float]) -> Workload | None:
    """The workload of the settings; None where there is none."""
    url = auth.workload_keys()
    if auth.workload_issuer is None or auth.workload_subject is None or auth.workload_audience is None or url is None:
        return None
    keys = Keys(url, min_refetch_seconds=auth.jwks_min_refetch_seconds, monotonic=monotonic)
    who = json.dumps([auth.workload_issuer, auth.workload_subject, auth.workload_audience])
    return Workload(
        assertion=Signed(keys, auth.workload_issuer, (auth.workload_audience,), subject=auth.workload_subject),
        id=PREFIX + hashlib.sha256(who.encode()).hexdigest()[:16],
    )


def entra_of(auth: Auth, monotonic: Callable[[], float]) -> Signed | None:
    """What a JWT of Entra's own has to be; None where none is let in."""
    if auth.entra_tenant_id is None:
        return None
    keys = Keys(auth.entra_keys(), min_refetch_seconds=auth.jwks_min_refetch_seconds, monotonic=monotonic)
    return Signed(keys, auth.entra_issued_by(), auth.entra_audiences, tenant_id=auth.entra_tenant_id)
