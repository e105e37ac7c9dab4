"""The page that connects Entra: what to paste there, the tokens, the attribute mapping, and what has arrived."""

import json
import re
from dataclasses import dataclass
from datetime import datetime

from flask import request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from scim_bridge.operator.connect import Arrived, arrived, mapping_of, schema_for
from scim_bridge.operator.credentials import (
    DEFAULT_DAYS,
    LONGEST_DAYS,
    issue_token,
    new_credential_id,
    revoke_client,
    revoke_token,
    state_of_client,
    state_of_token,
    tenant_url,
)
from scim_bridge.operator.quirks import MEANINGS
from scim_bridge.storage.entra_calls import Counted
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

LONGEST_NAME = 100

REVOKE = {"token": revoke_token, "client": revoke_client}

_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A token or a client that was not revoked."""

    kind: str
    """`token` or `client`."""

    id: str
    name: str
    state: str
    """`valid` or `expired`."""

    last_used_at: datetime | None
    """Exact to five minutes."""

    expires_at: datetime | None


def show(place: Place) -> str:
    """Show the page. Nothing is read but the settings and the database."""
    with place.tenant.read() as s:
        found = arrived(s)
    return place.render(
        "connect.html",
        found=found,
        credentials=_credentials(found),
        departures=[(each, _meaning(each)) for each in found.departures],
        mapping=mapping_of(place.settings),
        auth=place.settings.auth,
        address=tenant_url(place.settings.server.base_url, place.tenant.name),
        new_id=new_credential_id(),
        days=DEFAULT_DAYS,
        most_days=LONGEST_DAYS,
    )


def issue(place: Place) -> str:
    """Issue a token, and show its secret: in this answer alone. The same form again issues nothing."""
    why, name, days, token_id = place.reason(), _name(), _days(), request.form.get("id", "")
    if _ID.fullmatch(token_id) is None:
        raise BadRequest
    issued = place.tenant.transact(lambda s: issue_token(s, place.author(), name, days, token_id=token_id, why=why))
    address = tenant_url(place.settings.server.base_url, place.tenant.name)
    return place.render("token_issued.html", issued=issued, name=name, address=address)


def revoke(place: Place) -> Response:
    """Revoke a token or a client."""
    why, kind, named = place.reason(), request.form.get("kind", ""), request.form.get("id", "")
    if kind not in REVOKE or _ID.fullmatch(named) is None:
        raise BadRequest
    done = place.tenant.transact(lambda s: REVOKE[kind](s, place.author(), named, why=why))
    return place.done("revoked", int(done), "connect")


def download(place: Place) -> Response:
    """Answer the synchronization schema as `entra schema` prints it."""
    text = json.dumps(schema_for(place.settings), ensure_ascii=False, indent=2)
    answer = Response(f"{text}\n", content_type="application/json")
    answer.headers["Content-Disposition"] = 'attachment; filename="schema.json"'
    return answer


def _credentials(found: Arrived) -> list[Credential]:
    """Return those that were not revoked, the one used last first."""
    tokens = [
        Credential("token", each.id, each.name, state_of_token(each, found.now), each.last_used_at, each.expires_at)
        for each in found.tokens
        if each.revoked_at is None
    ]
    clients = [
        Credential("client", each.id, each.name, state_of_client(each), each.last_used_at, each.expires_at)
        for each in found.clients
        if each.revoked_at is None
    ]
    never = datetime.min.replace(tzinfo=found.now.tzinfo)
    return sorted([*tokens, *clients], key=lambda each: each.last_used_at or never, reverse=True)


def _meaning(counted: Counted) -> str:
    # Another version of the bridge may have counted a kind that this one does not know.
    return gettext(MEANINGS.get(counted.kind, ""))


def _name() -> str:
    name = " ".join(request.form.get("name", "").split())[:LONGEST_NAME]
    if not name or not name.isprintable():
        raise BadRequest(gettext("Write a name for the token: what it is for."))
    return name


def _days() -> int:
    days = request.form.get("days", type=int)
    if days is None or not 0 < days <= LONGEST_DAYS:
        raise BadRequest(gettext("Write for how many days the token is valid: a whole number above 0."))
    return days
