"""The first page: how the company is doing; pause and resume; end all sessions."""

from dataclasses import dataclass
from datetime import timedelta

from flask import request
from werkzeug.wrappers import Response

from scim_bridge.domain.audit import Action, AuditEvent
from scim_bridge.errors import BridgeError
from scim_bridge.operator import actions
from scim_bridge.operator.actions import take_up_all
from scim_bridge.operator.overview import Bar, bars, happened, overview
from scim_bridge.storage.database import Session
from scim_bridge.web.console.language import gettext
from scim_bridge.web.console.place import Place

HEIGHT = 80
"""Of a chart's highest bar, in the units of its drawing."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of bars, and the numbers behind it."""

    title: str
    bars: list[Bar]

    @property
    def most(self) -> int:
        """The number that the highest bar stands for."""
        return max((bar.sent + bar.refused + bar.said for bar in self.bars), default=0)

    def height(self, count: int) -> float:
        """Return the height of a part of a bar."""
        return round(HEIGHT * count / self.most, 2) if self.most else 0.0


def show(place: Place) -> str:
    """Show the page."""
    with place.tenant.read() as s:
        found = overview(s, paused_by_setting=place.settings.delivery.paused)
        counted = happened(s)
    charts = [
        Chart(gettext("The last 24 hours"), bars(counted, found.now, timedelta(hours=1), 24)),
        Chart(gettext("The last 7 days"), bars(counted, found.now, timedelta(days=1), 7)),
    ]
    return place.render("overview.html", found=found, charts=charts)


def pause(place: Place) -> Response:
    """Stop all deliveries."""
    why = place.reason()
    held = place.tenant.transact(lambda s: actions.pause(s, place.author(), why=why))
    return place.done("paused", held, _back())


def resume(place: Place) -> Response:
    """Resume deliveries."""
    if place.settings.delivery.paused:
        raise BridgeError(
            gettext("The setting DELIVERY__PAUSED pauses deliveries: remove it, and restart the servers.")
        )
    why = place.reason()
    count = place.tenant.transact(lambda s: actions.resume(s, place.author(), why=why))
    count += take_up_all(place.tenant.database, place.tenant.name)
    return place.done("continued", count, _back())


def _back() -> str:
    """Return the page that a form was on."""
    return "first_day" if request.form.get("back") == "first_day" else "overview"


def end_sessions(place: Place) -> Response:
    """End all sessions of the company, this one too."""

    def work(s: Session) -> None:
        s.console_sessions.end_all()
        s.audit.add(AuditEvent(Action.signed_out, "console"), place.author())

    place.tenant.transact(work)
    return place.done("", 0, "overview")
