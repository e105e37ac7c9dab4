"""What the page of a person shows only on demand: the user in Entra now, and what the next delivery would send."""

from collections.abc import Mapping

from werkzeug.exceptions import NotFound

from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BridgeError, EntraError
from scim_bridge.operator.entra import EntraView, entra_side_of
from scim_bridge.operator.preview import preview_of
from scim_bridge.storage.resources import document_of
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.people import Asked, show_one
from scim_bridge.web.console.place import Place

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
