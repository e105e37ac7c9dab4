"""What a request to the token endpoint presents: its parameters, and by which method the client authenticates."""

import base64
import binascii
from urllib.parse import parse_qsl, unquote_plus

from flask import Request

MOST_BYTES = 32 * 1024
FORM = "application/x-www-form-urlencoded"


class Wrong(Exception):
    """An error of RFC 6749 §5.2.

    :param reason: For the log, of a client that is not who it says.
    :param tenant: Whose client it would be; None where nobody can tell.
    :param about: Ids for the log.
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        reason: str = "",
        tenant: str | None = None,
        **about: str,
    ) -> None:
        super().__init__(description)
        self.error = error
        self.status = status
        self.reason = reason
        self.tenant = tenant
        self.about = about


def stranger(reason: str, description: str, tenant: str | None = None, **about: str) -> Wrong:
    """A client that is not who it says. :param reason: See `Wrong`."""
    return Wrong("invalid_client", description, status=401, reason=reason, tenant=tenant, **about)


def form_of(request: Request) -> dict[str, str]:
    """The parameters of the body; those of the query don't count: addresses end up in logs.

    :raises Wrong: they can't be read.
    """
    if request.mimetype != FORM:
        raise Wrong("invalid_request", f"send the parameters in the body, as {FORM}")
    try:
        body = request.stream.read(MOST_BYTES + 1)
    except Exception as error:  # Whatever the server in front calls it: a chunk was cut short or malformed.
        raise Wrong("invalid_request", "the body could not be read to its end", reason="body-broken") from error
    if len(body) > MOST_BYTES:
        raise Wrong("invalid_request", "the body is too large", status=413, reason="body-too-large")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=False, max_num_fields=50)
    except ValueError as error:
        raise Wrong("invalid_request", "the body can't be read", reason="body-unreadable") from error
    form = dict(pairs)
    if len(form) < len(pairs):
        raise Wrong("invalid_request", "a parameter was sent twice")
    return form


def refuse_several_methods(request: Request, form: dict[str, str]) -> None:
    """RFC 6749 §2.3: a client "MUST NOT use more than one authentication method in each request"."""
    ways = {
        "HTTP Basic": request.headers.get("Authorization", "").partition(" ")[0].lower() == "basic",
        "client_secret in the body": "client_secret" in form,
        "client_assertion": "client_assertion" in form,
    }
    used = [way for way, is_used in ways.items() if is_used]
    if len(used) > 1:
        raise Wrong("invalid_request", f"the client authenticates by {' and by '.join(used)}: send one of them alone")


def client_of(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Id and secret by HTTP Basic, or else in the body (RFC 6749 §2.3.1).

    :raises Wrong: there are none.
    """
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        except (binascii.Error, ValueError) as error:
            raise stranger("basic-malformed", "the Basic credential can't be read") from error
        client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        if not colon or not client_id or not secret:
            raise stranger("basic-malformed", "the Basic credential can't be read")
        return client_id, secret
    if "client_id" not in form or "client_secret" not in form:
        raise stranger("no-client", "send client_id and client_secret, by HTTP Basic or in the body")
    return form["client_id"], form["client_secret"]
