"""What Entra signs in with: an expired secret quarantines its job."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from scim_bridge.cli.doctor.findings import Finding, fails, hint, ok
from scim_bridge.storage.clients import Client
from scim_bridge.storage.tokens import Token

SOON = timedelta(days=30)
"""How long before its end a secret is told."""

ISSUE = "`scim-bridge token issue --name Entra`, and paste it as Secret Token in Entra"


def examine_credentials(
    tokens: Sequence[Token], clients: Sequence[Client], now: datetime, *, signs_itself: bool
) -> Iterator[Finding]:
    """The tokens and clients of a company: whether anybody can sign in, and for how long.

    :param signs_itself: Whether the settings let in whom Entra itself vouches for: nobody needs a secret then.
    """
    tokens = [each for each in tokens if each.revoked_at is None]
    clients = [each for each in clients if each.revoked_at is None]
    if not tokens and not clients and not signs_itself:
        yield fails("tokens", "no token was issued, and no client: nobody can sign in", ISSUE)
    if tokens:
        ends = [(_called(each), each.expires_at) for each in tokens]
        yield _secrets("tokens", "token", ends, now, ISSUE, others=bool(clients) or signs_itself)
    if clients:
        # A client without a secret that counts has no end any more: it is told as ended.
        ends = [(f"{each.id}, {each.name!r}", each.expires_at if each.secrets else now) for each in clients]
        cure = "`scim-bridge client rotate ID`, and paste the new secret as Client Secret in Entra"
        yield _secrets("clients", "client", ends, now, cure, others=bool(tokens) or signs_itself)


def _secrets(
    check: str, kind: str, ends: Sequence[tuple[str, datetime | None]], now: datetime, cure: str, *, others: bool
) -> Finding:
    """Of one kind. :param others: Whether there is another way in: what has ended may be out of use."""
    complain = hint if others else fails
    valid = [(name, end) for name, end in ends if end is None or end > now]
    if not valid:
        last, _ = max(ends, key=lambda each: each[1] or now)
        return complain(check, f"all {kind}s have expired, {last} last", cure)
    soon = [(name, end) for name, end in valid if end is not None and end <= now + SOON]
    if len(soon) == len(valid):
        last, _ = max(soon, key=lambda each: each[1] or now)
        return complain(check, f"{last} is the last {kind} that is valid, and expires within 30 days", cure)
    if soon:
        return hint(check, f"{soon[0][0]} expires within 30 days", f"if it is in use in Entra: {cure}")
    return ok(check, "1 is valid" if len(valid) == 1 else f"{len(valid)} are valid")


def _called(token: Token) -> str:
    until = f" (until {token.expires_at:%Y-%m-%d %H:%M} UTC)" if token.expires_at else ""
    return f"{token.id}, {token.name!r}{until}"
