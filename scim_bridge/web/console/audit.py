"""The pages of the audit trail: who did what, by time, deed, author and person; and the rows as a file."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from flask import request
from werkzeug.exceptions import BadRequest
from werkzeug.wrappers import Response

from scim_bridge.domain.audit import Action, ActorKind
from scim_bridge.operator.audit import audit_page, export
from scim_bridge.operator.find import find
from scim_bridge.storage.audit import AuditChoice
from scim_bridge.storage.database import Session
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

LONGEST_TEXT = 200

ACTIONS: Mapping[str, str] = {
    Action.created: "created",
    Action.changed: "changed",
    Action.deleted: "deleted",
    Action.undone: "undone",
    Action.issued: "issued",
    Action.rotated: "replaced",
    Action.revoked: "revoked",
    Action.retried: "tried again",
    Action.paused: "paused deliveries",
    Action.resumed: "resumed deliveries",
    Action.released: "released",
    Action.dropped: "withdrew",
    Action.set_hands_off: "stopped deliveries to the person",
    Action.hands_off_cleared: "resumed deliveries to the person",
    Action.accepted: "accepted a link",
    Action.linked: "linked",
    Action.applied: "repaired a plan",
    Action.refused: "was refused",
    Action.exported: "exported personal data",
    Action.erased: "erased personal data",
    Action.signed_in: "signed in",
    Action.signed_out: "signed out",
}

ACTORS: Mapping[str, str] = {
    ActorKind.token: "Entra, by a token",
    ActorKind.client: "Entra, by a client",
    ActorKind.workload: "Entra, by a workload",
    ActorKind.entra: "Entra, by its own sign-in",
    ActorKind.operator: "a command",
    ActorKind.console: "the console",
    ActorKind.bridge: "the bridge itself",
    ActorKind.stranger: "a stranger",
}

TYPES: Mapping[str, str] = {
    "User": "user",
    "Group": "group",
    "Certificate": "certificate",
    "person": "person",
    "employee": "employee",
    "plan": "plan",
    "outbox": "deliveries",
    "token": "token",  # nosec B105 # A word, no secret.
    "client": "client",
    "console": "the console",
    "sign-in": "sign-in",
}
"""What a deed concerns."""


def show(place: Place) -> str:
    """Show the newest rows of a choice."""
    before = request.args.get("before", "").replace("\0", "") or None
    with place.tenant.read() as s:
        found = audit_page(s, _choice(place, s), before=before)
    asked = {name: request.args.get(name, "") for name in ("q", "action", "actor", "since", "until")}
    return place.render(
        "audit.html",
        found=found,
        asked=asked,
        given={name: value for name, value in asked.items() if value},
        is_later=before is not None,
        actions={name: gettext(said) for name, said in ACTIONS.items()},
        actors={name: gettext(said) for name, said in ACTORS.items()},
        types={name: gettext(said) for name, said in TYPES.items()},
    )


def download(place: Place) -> Response:
    """Answer the rows of a choice as `audit export` prints them: JSON, one object a line."""
    with place.tenant.read() as s:
        choice = _choice(place, s)
    answer = Response(export(place.tenant.database, place.tenant.name, choice), content_type="application/jsonl")
    answer.headers["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    return answer


def _choice(place: Place, s: Session) -> AuditChoice:
    since, until = _day("since"), _day("until")
    action, actor = request.args.get("action", ""), request.args.get("actor", "")
    text = request.args.get("q", "").replace("\0", "").strip()[:LONGEST_TEXT]
    found = find(s, place.tenant.rules, text) if text else None

    def begins(day: date) -> datetime:
        return datetime.combine(day, time(), place.tenant.rules.zone)

    return AuditChoice(
        since=begins(since) if since is not None else None,
        # The day itself is meant too.
        until=begins(until + timedelta(days=1)) if until is not None and until < date.max else None,
        action=Action(action) if action in set(Action) else None,
        actor=ActorKind(actor) if actor in set(ActorKind) else None,
        people=None if found is None else {each.person_id for each in found if each.person_id is not None},
    )


def _day(name: str) -> date | None:
    text = request.args.get(name, "")
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest(gettext("Write the day as yyyy-MM-dd.")) from None
    # An earlier day has no instant in every zone.
    return None if day is not None and day.year < 2 else day
