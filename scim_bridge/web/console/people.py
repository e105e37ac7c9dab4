"""The pages of people: find and list them; one person on the way from Entra to Ditio; and what to do about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from flask import request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response

from scim_bridge.domain.outcome import Reason, State
from scim_bridge.domain.person import HandsOff, PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BridgeError, EntraError
from scim_bridge.operator import actions
from scim_bridge.operator.entra import EntraView, entra_side_of
from scim_bridge.operator.find import Page, chosen, find, page
from scim_bridge.operator.person import employee_in_ditio, view_of
from scim_bridge.operator.preview import Preview, preview_of
from scim_bridge.operator.waiting import why_waiting
from scim_bridge.storage.directory import Choice
from scim_bridge.storage.resources import document_of
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

DITIO_SECONDS = 3.0
"""How long the page of a person waits for Ditio."""

MOST_DEPARTMENTS = 200

DELETED = "deleted"
"""The choice of people whose user Entra has deleted."""

LONGEST_TEXT = 200

MOST_EVENTS = 200
"""How many events of a person's history are shown, the latest ones."""


def show(place: Place) -> str:
    """List people, or those that a search finds."""
    text = request.args.get("q", "").strip()[:LONGEST_TEXT].replace("\0", "")
    state, department = request.args.get("state", ""), request.args.get("department", "").replace("\0", "")
    after = request.args.get("after", "").replace("\0", "")
    choice = Choice(
        state=State(state) if state in set(State) else None,
        reason=_reason(request.args.get("reason", "")),
        department=department or None,
        is_deleted=state == DELETED,
    )
    rules = place.tenant.rules
    with place.tenant.read() as s:
        if text:
            found = Page(chosen(find(s, rules, text), choice), None)
        else:
            found = page(s, rules, choice, after=PersonId(after) if after else None)
        departments = s.directory.departments(MOST_DEPARTMENTS)
    asked = {"q": text, "state": state, "department": department, "reason": choice.reason or ""}
    return place.render(
        "people.html",
        found=found,
        departments=departments,
        asked=asked,
        given={name: value for name, value in asked.items() if value},
        states=[*State, DELETED],
        is_later=bool(after),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What an administrator asked for about a person, beside the page; see `person_asked.html`."""

    entra: EntraView | None = None
    entra_trouble: str | None = None
    """Why Entra was not read."""

    is_entra_asked: bool = False
    preview: Preview | None = None
    steps: Sequence[tuple[str, Sequence[Mapping[str, object]]]] = ()
    """The calls of the preview, each with the values that it would send; several certificates are one call."""

    preview_trouble: str | None = None
    """Why there is no preview."""


def show_one(place: Place, person_id: str, asked: Asked = Asked()) -> str:
    """Show one person. Ditio is read now, while no transaction is open."""
    rules, tenant = place.tenant.rules, place.tenant
    with tenant.database.read(tenant.name) as s:
        record = s.people.get(PersonId(person_id)) if "\0" not in person_id else None
        if record is None:
            raise NotFound(gettext("There is no such person in this company."))
        view = view_of(s, rules, record, is_paused=place.settings.delivery.paused)
        detail = why_waiting(s, view.record)
    number = view.number_in_ditio
    ditio = None if number is None else employee_in_ditio(tenant.ditio, number, within=DITIO_SECONDS)
    shown = ditio if isinstance(ditio, dict) else None
    return place.render(
        "person.html",
        view=view,
        detail=detail,
        number=number,
        trouble=ditio if isinstance(ditio, str) else None,
        ditio=shown,
        rows=view.compared(shown, rules),
        entries=view.entries[: -MOST_EVENTS - 1 : -1],
        today=tenant.today(tenant.database.now()),
        asked=asked,
    )


def retry(place: Place, person_id: str) -> Response:
    """Try a person again now."""
    _known(place, person_id)
    paused = place.settings.delivery.paused
    done = place.tenant.transact(
        lambda s: actions.retry(s, place.author(), [PersonId(person_id)], paused_by_setting=paused)
    )
    return place.done("retried-paused" if done.is_paused else "retried", done.count, "person", person_id=person_id)


def stop(place: Place, person_id: str) -> Response:
    """Stop deliveries to a person, up to and including a day, or until an operator resumes them."""
    why, until = place.reason(), _day(request.form.get("until", ""))
    _known(place, person_id)
    if until is not None and until < place.tenant.today(place.tenant.database.now()):
        raise BadRequest(gettext("That day has already passed: choose today or a later day."))
    place.tenant.transact(lambda s: actions.stop_deliveries(s, place.author(), person_id, HandsOff(until), why=why))
    return place.done("stopped", 1, "person", person_id=person_id)


def resume(place: Place, person_id: str) -> Response:
    """Resume deliveries to a person."""
    why = place.reason()
    _known(place, person_id)
    place.tenant.transact(lambda s: actions.resume_deliveries(s, place.author(), person_id, why=why))
    return place.done("resumed", 1, "person", person_id=person_id)


def _known(place: Place, person_id: str) -> None:
    """Check that a person belongs to this company. :raises NotFound: they do not."""
    with place.tenant.read() as s:
        if "\0" in person_id or s.people.get(PersonId(person_id)) is None:
            raise NotFound(gettext("There is no such person in this company."))


def _reason(text: str) -> Reason | None:
    return Reason(text) if text in set(Reason) else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest(gettext("Write the day as yyyy-MM-dd.")) from None


ENTRA_SECONDS = 8.0
"""How long the page waits for Microsoft Graph: a token, the user, and the log."""

PREVIEW_SECONDS = 8.0
"""How long the page waits for Ditio while the preview is computed."""


def show_entra(place: Place, person_id: str) -> str:
    """Show a person with what Entra has now, or why Entra could not be read."""
    with place.tenant.read() as s:
        record = s.people.get(PersonId(person_id)) if "\0" not in person_id else None
        if record is None:
            raise NotFound(gettext("There is no such person in this company."))
        user_id = record.person.user_id
        document = document_of(s, user_id) if user_id is not None else None
    found, trouble = None, None
    try:
        found = _in_entra(place, document)
    except EntraError as error:
        trouble = str(error)
    return show_one(place, person_id, Asked(entra=found, entra_trouble=trouble, is_entra_asked=True))


def show_preview(place: Place, person_id: str) -> str:
    """Show a person with what the next delivery would send; or why that could not be found out."""
    found, trouble, steps = None, None, list[tuple[str, list[Mapping[str, object]]]]()
    try:
        found = preview_of(place.tenant, PersonId(person_id.replace("\0", "")), seconds=PREVIEW_SECONDS)
        steps = [(each.what, _values(each.body)) for each in found.steps]
    except BridgeError as error:
        trouble = str(error)
    return show_one(place, person_id, Asked(preview=found, steps=steps, preview_trouble=trouble))


def _in_entra(place: Place, document: JsonObject | None) -> EntraView | None:
    entra = place.tenant.entra
    if entra is None:
        return None
    with entra.limited(ENTRA_SECONDS):
        return entra_side_of(place.tenant, document)


def _values(body: JsonObject | list[JsonObject]) -> list[Mapping[str, object]]:
    """Return the values of each object of a body; those of an object within it stand beside the others."""
    objects = body if isinstance(body, list) else [body]
    return [
        {
            inner: value
            for name, found in each.items()
            for inner, value in (found.items() if isinstance(found, dict) else [(name, found)])
        }
        for each in objects
    ]
