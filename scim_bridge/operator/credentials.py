"""Where Entra connects, and the tokens and clients that it signs in with: issue, replace and revoke them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from scim_bridge.domain.audit import Action, AuditEvent, Author
from scim_bridge.errors import BridgeError
from scim_bridge.settings import DEFAULT_TENANT
from scim_bridge.storage.credentials import CLIENT_SECRET, TOKEN, Client, Token, new_secret
from scim_bridge.storage.database import Session

LONGEST_DAYS = 36500
DEFAULT_DAYS = 365

STANDARD_PATCH = "aadOptscim062020"
"""After the Tenant URL, asks Entra for PATCH requests as the RFC has them. The bridge works with and without it."""


def tenant_url(base_url: str | None, tenant: str) -> str | None:
    """Return the Tenant URL of a company to paste into Entra; None while `SERVER__BASE_URL` is not set."""
    path = "" if tenant == DEFAULT_TENANT else f"/tenants/{tenant}"
    return None if base_url is None else f"{base_url}{path}/scim/v2?{STANDARD_PATCH}"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new secret: this is the only time that it can be shown. The database has its hash."""

    id: str
    """Of the token or the client."""

    secret: str
    expires_at: datetime | None
    """None if it never expires."""


class AlreadyIssued(BridgeError):
    """A token with this id was issued earlier: its secret can't be shown again."""


def new_credential_id() -> str:
    """Return the id of a token or client that is still to be issued."""
    return uuid4().hex[:12]


def issue_token(
    s: Session, author: Author, name: str, days: float | None, *, token_id: str | None = None, why: str | None = None
) -> Issued:
    """Issue a token.

    :param days: How long it is valid; None for ever.
    :param token_id: Its id; None for a new one. The second request of a form that is sent twice has the same id.
    :raises AlreadyIssued: there is a token with this id.
    """
    if token_id is not None:
        s.serialise("token")  # A form that is sent twice at one instant issues one token, too.
    token_id = token_id or new_credential_id()
    if any(each.id == token_id for each in s.tokens.list()):
        raise AlreadyIssued(
            f"token {token_id} was issued already, and its secret is shown only once: if it was not copied, revoke the "
            "token and issue another"
        )
    issued = Issued(token_id, new_secret(TOKEN), _end(s, days))
    s.tokens.add(token_id, name, issued.secret, expires_at=issued.expires_at)
    s.audit.add(AuditEvent(Action.issued, "token", token_id, detail=why), author)
    return issued


def revoke_token(s: Session, author: Author, token_id: str, *, why: str | None = None) -> bool:
    """Revoke a token at once. Return False if it was already revoked. :raises NotFound: there is no such token."""
    is_new = s.tokens.revoke(token_id)
    if is_new:
        s.audit.add(AuditEvent(Action.revoked, "token", token_id, detail=why), author)
    return is_new


def issue_client(s: Session, author: Author, name: str, days: float | None) -> Issued:
    """Issue a client with its first secret. :param days: How long that is valid; None for ever."""
    issued = Issued(new_credential_id(), new_secret(CLIENT_SECRET), _end(s, days))
    s.clients.add(issued.id, name, issued.secret, expires_at=issued.expires_at)
    s.audit.add(AuditEvent(Action.issued, "client", issued.id), author)
    return issued


def rotate_client(s: Session, author: Author, client_id: str, days: float | None) -> tuple[Issued, int]:
    """Issue another secret of a client. Return it, and how many secrets are valid now; see `Clients.rotate`.

    :raises NotFound: there is no such client, or it was revoked.
    """
    issued = Issued(client_id, new_secret(CLIENT_SECRET), _end(s, days))
    count = s.clients.rotate(client_id, issued.secret, expires_at=issued.expires_at)
    s.audit.add(AuditEvent(Action.rotated, "client", client_id), author)
    return issued, count


def revoke_client(s: Session, author: Author, client_id: str, *, why: str | None = None) -> bool:
    """Revoke a client, its secrets and its access tokens at once. Return False if it was already revoked.

    :raises NotFound: there is no such client.
    """
    is_new = s.clients.revoke(client_id)
    if is_new:
        s.audit.add(AuditEvent(Action.revoked, "client", client_id, detail=why), author)
    return is_new


def state_of_token(found: Token, now: datetime) -> str:
    """Return `valid`, `expired` or `revoked`."""
    if found.revoked_at is not None:
        return "revoked"
    return "expired" if found.expires_at is not None and found.expires_at <= now else "valid"


def state_of_client(found: Client) -> str:
    """Return `valid`, `expired` or `revoked`."""
    if found.revoked_at is not None:
        return "revoked"
    return "valid" if found.secrets else "expired"


def _end(s: Session, days: float | None) -> datetime | None:
    return None if days is None else s.now + timedelta(days=days)
