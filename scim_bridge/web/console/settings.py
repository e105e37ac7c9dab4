"""The pages of what one company's bridge stands on: its settings, without secrets, and the checks of the doctor."""

from itertools import groupby
from threading import Lock

from flask import request

from scim_bridge.doctor.checks import examine
from scim_bridge.operator.settings import shown, warnings
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place, alone

SECONDS = 15.0
"""How long the page waits for all checks together."""

_running = Lock()
"""One run at a time in each process: its checks wait for other servers, and a thread of this one waits for them."""


def show(place: Place) -> str:
    """Show the settings. Those that several companies share are no single company's to see."""
    is_all = request.args.get("all") == "1"
    is_alone = _is_alone(place)
    rows = [each for each in shown(place.settings, with_shared=is_alone) if is_all or each.is_set]
    return place.render(
        "settings.html",
        sections=[(name, list(some)) for name, some in groupby(rows, key=lambda each: each.section)],
        warnings=list(warnings(place.settings)),
        is_all=is_all,
        is_alone=is_alone,
    )


def show_doctor(place: Place) -> str:
    """Show what is checked, and the button."""
    return place.render("doctor.html", findings=None, is_alone=_is_alone(place))


def run_doctor(place: Place) -> str:
    """Run the checks now. What several companies share is no single company's to see."""
    with alone(_running, gettext("The checks are running already: try again in half a minute.")):
        name, is_alone = place.tenant.name, _is_alone(place)
        looked_at = {name: place.settings}
        findings = examine(place.all_settings, looked_at, with_shared=is_alone, seconds=SECONDS)
    worst_first = sorted(findings, key=lambda each: ["fails", "hint", "ok"].index(each.status))
    return place.render("doctor.html", findings=worst_first, is_alone=is_alone)


def _is_alone(place: Place) -> bool:
    return len(place.all_settings.tenants) == 1
