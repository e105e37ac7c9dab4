"""A world with Microsoft Graph: Entra provisions, faults swallow some of it, and `reconcile --with-entra` finds it."""

from __future__ import annotations

import dataclasses
from typing import Any

import requests
from requests.adapters import BaseAdapter

from scim_bridge.domain.audit import Actor, ActorKind, Author
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.reconcile.report import Report, Request
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.graph.service import CLIENT_ID, CLIENT_SECRET, SERVICE_PRINCIPAL, TENANT_ID, SandboxGraph
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World, a_user

GRAPH = "https://graph.test"
ENTRA: dict[str, Any] = {
    "tenant_id": TENANT_ID,
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "service_principal_id": SERVICE_PRINCIPAL.object_id,
    "graph_url": GRAPH,
    "login_url": GRAPH,
    "requests_per_second": 1e12,
}
OPERATOR = Author(Actor(ActorKind.operator, "1000"))


class _Late(BaseAdapter):
    """Graph, which exists only once Entra does."""

    def __init__(self, world: EntraWorld) -> None:
        super().__init__()
        self._world = world

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        return WsgiTransport(self._world.graph.app).send(request, *args, **options)

    def close(self) -> None:
        pass


class EntraWorld(World):
    """A world whose Entra can be read."""

    graph: SandboxGraph

    def __init__(self, database: Database, clock: Clock, *, settings: dict[str, dict[str, Any]] | None = None) -> None:
        given = settings or {}
        merged = {**given, "entra": {**ENTRA, **given.get("entra", {})}}
        super().__init__(database, clock, settings=merged)
        self.graph = SandboxGraph(self.entra, now=clock)
        self.graph.style = dataclasses.replace(self.graph.style, throttles=False)

    def _session_to_entra(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount(GRAPH, _Late(self))
        return session

    def cycle_passes(self) -> None:
        """An hour passes, with a cycle at its end."""
        self.clock.passes(hours=1)
        self.entra.cycle()

    def hires(self, count: int, **changes: Any) -> list[EntraUser]:
        """Entra provisions so many people."""
        users = [person(number, **changes) for number in range(count)]
        for user in users:
            self.entra.directory.add(user)
        self.entra.cycle()
        return users

    def compares(self, **options: Any) -> Report:
        return self.parts.reconciliations["default"].run(Request(with_entra=True, author=OPERATOR, **options))

    def rows(self, report: Report) -> list[Drift]:
        return list(self.parts.reconciliations["default"].items(report.run.id))

    def looks(self) -> list[Drift]:
        """Two complete reads with a cycle after the first: what they find."""
        self.compares()
        self.cycle_passes()
        return self.rows(self.compares())

    def found(self) -> set[tuple[str, str, str | None, str | None]]:
        """The same, by kind, cause, user and field."""
        return {(row.kind.value, row.cause.value, row.user_name, row.field) for row in self.looks()}

    def repairs(self) -> Report:
        """The plan that the last comparison made is read, and repaired."""
        with self.database.read("default") as s:
            plan = s.runs.last()
        assert plan is not None
        return self.parts.reconciliations["default"].run(Request(apply=True, plan_id=plan.plan_id, author=OPERATOR))

    def of_entra(self, rows: list[Drift]) -> list[Drift]:
        return [row for row in rows if row.kind in (Kind.left_without_notice, Kind.cleared_in_entra)]


def person(number: int, **changes: Any) -> EntraUser:
    """One of many people."""
    own: dict[str, Any] = {
        "object_id": f"5d1f3c0e-0000-4000-8000-{number:012d}",
        "user_principal_name": f"user{number}@contractor.example",
        "mail": f"user{number}@contractor.example",
        "mobile": f"+47 41 {number // 10000:02d} {number // 100 % 100:02d} {number % 100:02d}",
        "employee_id": f"{3000 + number}",
        "display_name": f"Kari Nordmann{number}",
        "surname": f"Nordmann{number}",
    }
    return a_user(**{**own, **changes})
