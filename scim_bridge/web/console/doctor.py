"""The page of the doctor: what the bridge stands on, checked when an operator asks for it."""

from threading import Lock

from scim_bridge.doctor.checks import examine
from scim_bridge.errors import BridgeError
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

SECONDS = 15.0
"""How long the page waits for all checks together."""

_running = Lock()
"""One run at a time in each process: its checks wait for other servers, and a thread of this one waits for them."""


def show(place: Place) -> str:
    """Show what is checked, and the button."""
    return place.render("doctor.html", findings=None, is_alone=_is_alone(place))


def run(place: Place) -> str:
    """Run the checks now. What several companies share is no single company's to see."""
    if not _running.acquire(blocking=False):
        raise BridgeError(gettext("The checks are running already: try again in half a minute."))
    try:
        name, is_alone = place.tenant.name, _is_alone(place)
        looked_at = {name: place.settings}
        findings = examine(place.all_settings, looked_at, with_shared=is_alone, seconds=SECONDS)
    finally:
        _running.release()
    worst_first = sorted(findings, key=lambda each: ["fails", "hint", "ok"].index(each.status))
    return place.render("doctor.html", findings=worst_first, is_alone=is_alone)


def _is_alone(place: Place) -> bool:
    return len(place.all_settings.tenants) == 1
