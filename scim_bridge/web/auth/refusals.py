"""A credential that was examined and found wrong: 401 with a challenge that helps, and a reason for the log."""

from collections.abc import Callable, Mapping

from flask import Request
from scim2_models import UnauthorizedException

from scim_bridge.domain.audit import Actor, ActorKind
from scim_bridge.logs import get_logger
from scim_bridge.web import request_id
from scim_bridge.web.auth.noted import NotedRefusals
from scim_bridge.web.auth.throttle import Failures

log = get_logger(__name__)

LONGEST_NAME = 64


class Refused(UnauthorizedException):
    """401 (rule A3).

    :param reason: A constant for the log, as `expired`.
    :param detail: For whoever reads Entra's provisioning log: what is wrong, and what to do. No secret.
    :param told: The `error_description` of the challenge (RFC 6750 §3); None where no credential was sent, and RFC
        6750 §3.1 wants no error code.
    :param about: Ids for the log.
    """

    def __init__(self, reason: str, detail: str, told: str | None = None, **about: str) -> None:
        super().__init__(detail=detail)
        self.reason = reason
        self.told = told
        self.about = about

    @property
    def challenge(self) -> str:
        """The value of `WWW-Authenticate` for a bearer token."""
        realm = 'Bearer realm="scim"'
        return realm if self.told is None else f'{realm}, error="invalid_token", error_description="{self.told}"'


class Doorkeeper:
    """Counts and logs refusals, by the client's address, and has some of them in the audit trail."""

    def __init__(self, failures: Failures, address: Callable[[Request], str], noted: NotedRefusals) -> None:
        self._failures = failures
        self._address = address
        self._noted = noted

    def refuses(self, request: Request, tenant: str, reason: str, **about: str) -> float | None:
        """Note a refusal. :returns: Seconds to wait if the address has had too many; None if it may try again."""
        address = self._address(request)
        self._noted.note(tenant, reason, _known(about), request_id.current())
        count, wait = self._failures.add(address)
        if wait is None:
            log.warning("auth.refused", tenant=tenant[:LONGEST_NAME], address=address, reason=reason, **about)
        elif self._failures.is_first_too_many(count):
            log.warning("auth.throttled", tenant=tenant[:LONGEST_NAME], address=address, failures=count - 1)
        return wait


def _known(about: Mapping[str, str]) -> Actor:
    """Whose credential it is, if it was one once."""
    if "token_id" in about:
        return Actor(ActorKind.token, about["token_id"])
    return Actor(ActorKind.client, about["client_id"]) if "client_id" in about else Actor(ActorKind.stranger)
