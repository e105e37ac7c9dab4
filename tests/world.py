"""A whole small world for stories: Entra, the bridge and Ditio in one process, without a socket."""

import dataclasses
import random
from collections.abc import Callable, Mapping
from datetime import date
from math import inf
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import requests
from flask import Flask

from scim_bridge.bootstrap import Parts, build
from scim_bridge.delivery.inline import Inline
from scim_bridge.delivery.intake import Ticket
from scim_bridge.delivery.worker import Worker
from scim_bridge.sandbox.company import SandboxEmployee
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.entra import EntraUser, SandboxEntra, Step
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.sandbox.style import Style
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database
from scim_bridge.web.app import create_app
from tests.conftest import Clock
from tests.thorough import either

DITIO = "https://ditio.test"
BRIDGE = "https://bridge.test"
TOKEN = "a-secret-token-of-the-tests"

SETTINGS: dict[str, Any] = {
    "server": {"base_url": BRIDGE},
    "ditio": {
        "api_url": f"{DITIO}/core",
        "identity_url": DITIO,
        "client_id": "sandbox",
        "client_secret": "sandbox-secret",
    },
}


def a_user(**changes: Any) -> EntraUser:
    """A complete directory object; name only what matters to the test."""
    defaults: dict[str, Any] = {
        "object_id": "5d1f3c0e-0000-4000-8000-000000001042",
        "user_principal_name": "kari.nordmann@contractor.example",
        "display_name": "Kari Nordmann",
        "given_name": "Kari",
        "surname": "Nordmann",
        "mail": "kari.nordmann@contractor.example",
        "mobile": "+47 987 65 432",
        "job_title": "Maskinfører",
        "department": "Anlegg",
        "employee_id": "1042",
        "birth_date": "1990-05-15",
        "hire_date": "2026-03-01",
    }
    return EntraUser(**{**defaults, **changes})


FORGETS_EVERY_SECONDS = either(0.0, 86_400.0)
"""By the story's clock: to look for what is old enough to be removed takes longer than most deliveries."""


class _Remembering(Worker):
    """A worker that has removed what was old enough not long ago."""

    def forget(self) -> int:
        return 0


class World:
    """Entra, the bridge and Ditio. Steps are said in Entra's words; asserted is what Ditio has then."""

    # A story has two or three people, and may change all of them within an hour; the guard has stories of its own (L8).
    delivery: ClassVar[Mapping[str, Any]] = {"max_ended_fraction": 1.0}
    """What the fixture `ends_at_once` sets for every world of a test, and for every restart in it."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        style: Style | None = None,
        dialect: str = "default",
        settings: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        self.clock = clock
        self.database = database
        self.ditio = SandboxDitio(style=style, now=clock)
        self._settings = settings or {}
        self._forgot_at = -inf
        self.parts: Parts = self._build()
        self.app: Flask = create_app(self.parts)
        with database.write("default") as s:
            s.tokens.add("t", "tests", TOKEN, expires_at=None)
        self.http = requests.Session()
        self.http.trust_env = False  # Proxies would be looked up for each request.
        self.http.mount(BRIDGE, WsgiTransport(self.app))
        self.http.headers["Authorization"] = f"Bearer {TOKEN}"
        self.entra = SandboxEntra(
            self.http, f"{BRIDGE}/scim/v2", TOKEN, dialect=dialect, random=random.Random(1), now=clock
        )

    def _build(self) -> Parts:
        common = {**SETTINGS, "delivery": dict(self.delivery)}
        merged = {name: {**common.get(name, {}), **self._settings.get(name, {})} for name in {*common, *self._settings}}
        return build(
            Settings(**merged),
            database=self.database,
            session_factory=self._session_to_ditio,
            entra_sessions=self._session_to_entra,
            monotonic=self.clock.monotonic,
            jitter=lambda: 0.5,
        )

    def _session_to_ditio(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount(DITIO, WsgiTransport(self.ditio.app))
        return session

    def _session_to_entra(self) -> requests.Session:
        """None: a story with Graph makes its own (tests/graph/story.py)."""
        session = requests.Session()
        session.adapters.clear()
        return session

    # What Entra does

    def provisions(self, user: EntraUser) -> Step:
        """Entra has this user in scope, and a cycle runs."""
        self.entra.directory.add(user)
        return self.cycle()

    def changes(self, user: EntraUser, **changes: Any) -> Step:
        """A person edits the user in Entra, and a cycle runs."""
        for name, value in changes.items():
            setattr(user, name, value)
        return self.cycle()

    def cycle(self) -> Step:
        """One provisioning cycle; its last step about a user."""
        steps = self.entra.cycle().steps
        return steps[-1] if steps else Step("", "none", "", "", 0)

    def deletes(self, user: EntraUser) -> None:
        """The user is deleted for good, and a cycle runs."""
        self.entra.directory.hard_delete(user.object_id)
        self.cycle()

    def scim(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """One raw SCIM request."""
        return self.http.request(method, f"{BRIDGE}/scim/v2{path}", json=body, headers=headers)

    def user(self, user: EntraUser) -> dict[str, Any]:
        """The SCIM resource, as the bridge serves it."""
        document: dict[str, Any] = self.scim("GET", f"/Users/{self.entra.scim_id(user.object_id)}").json()
        return document

    def state(self, user: EntraUser) -> tuple[str, str | None]:
        """`deliveryState` and `deliveryDetail`."""
        extension = self.user(user)["urn:ietf:params:scim:schemas:extension:ditio:2.0:User"]
        return extension["deliveryState"], extension.get("deliveryDetail")

    # What happens in the bridge

    @property
    def worker(self) -> Worker:
        """One person after another: stories have an order."""
        worker, now = self.parts.worker(places=1), self.clock.monotonic()
        if now - self._forgot_at < FORGETS_EVERY_SECONDS:
            return _Remembering(worker.tenants, worker.places)
        self._forgot_at = now
        return worker

    def restarts_with(self, **settings: dict[str, Any]) -> None:
        """The bridge is restarted with other settings, on the same database."""
        self._settings = {**self._settings, **settings}
        self._forgot_at = -inf
        self.parts = self._build()
        self.app = create_app(self.parts)
        self.http.mount(BRIDGE, WsgiTransport(self.app))

    def delivers_inline_with(self, deliver: Callable[[Ticket], None]) -> None:
        """What a request does after its commit is this instead: nothing at all, for a request that died."""
        replaced = cast(Inline, SimpleNamespace(deliver=lambda ticket, **_: deliver(ticket)))
        self.app = create_app(dataclasses.replace(self.parts, inline={"default": replaced}))
        self.http.mount(BRIDGE, WsgiTransport(self.app))

    # What Ditio has

    def employee(self, number: str) -> SandboxEmployee:
        return self.ditio.employee(number)

    def restyle(self, **changes: Any) -> None:
        self.ditio.style = dataclasses.replace(self.ditio.style, **changes)

    def sent(self) -> list[tuple[str, str, Any]]:
        """What was asked of Ditio since the last `forget`: method, what after `/employees`, body."""
        marker = "/integration/employees"
        return [
            (call.method, call.path.split(marker, 1)[-1], call.body)
            for call in self.ditio.writes()
            if marker in call.path or "/users/" in call.path
        ]

    def forget(self) -> None:
        self.ditio.forget_requests()


def patch(path: str, value: object) -> dict[str, object]:
    """The body of a PATCH that replaces one value."""
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": path, "value": value}],
    }


def day(text: str) -> date:
    return date.fromisoformat(text)
