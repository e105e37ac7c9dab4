"""Bearer tokens (RFC 6750): the secret token that is pasted into Entra."""

from dataclasses import dataclass
from datetime import datetime

from flask import Request
from scim2_models import UnauthorizedException
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database
from scim_bridge.storage.tokens import Token, Tokens, use_is_stale

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Looks secrets up. A credential that is wrong, expired, revoked or another company's is 401 (rule A3)."""

    database: Database

    def authenticate(self, request: Request, tenant: str) -> Token:
        """The token that a request carries. :raises UnauthorizedException: with what to do, and no secret."""
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not secret or "\0" in secret + tenant:
            raise UnauthorizedException(
                detail="No bearer token was sent: paste one from `scim-bridge token issue` as Secret Token in Entra"
            )
        with self.database.read() as connection:
            now = self.database.now(connection)
            token = Tokens(connection, tenant).valid(secret, now=now)
        if token is None:
            log.warning("auth.refused", tenant=tenant, address=request.remote_addr)
            raise UnauthorizedException(
                detail="The bearer token is wrong, expired or revoked: issue another with `scim-bridge token issue` "
                "and paste it as Secret Token in Entra"
            )
        if use_is_stale(token, now):
            self._note_use(token, tenant, now)
        return token

    def _note_use(self, token: Token, tenant: str, now: datetime) -> None:
        """Note the time; a good credential is good, whether that can be written or not (rule A3)."""
        try:
            with self.database.write() as connection:
                Tokens(connection, tenant).used(token, now=now)
        except SQLAlchemyError as error:
            log.warning("auth.use_not_noted", error=type(error).__name__)
