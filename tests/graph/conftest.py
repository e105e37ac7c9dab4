"""A simulated Microsoft Graph on the client's sessions, and a clock that only moves when told to."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from scim_bridge.graph.config import ClientSecret, GraphConfig
from scim_bridge.graph.directory import GraphDirectory
from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.graph.service import CLIENT_ID, CLIENT_SECRET, SERVICE_PRINCIPAL, TENANT_ID, SandboxGraph
from scim_bridge.sandbox.graph.style import GraphStyle
from scim_bridge.sandbox.server import WsgiTransport
from tests.conftest import Clock

GRAPH = "https://graph.test"
CONFIG = GraphConfig(
    tenant_id=TENANT_ID,
    client_id=CLIENT_ID,
    credential=ClientSecret(CLIENT_SECRET),
    service_principal_id=SERVICE_PRINCIPAL.object_id,
    graph_url=GRAPH,
    login_url=GRAPH,
    requests_per_second=inf,
)


@dataclass
class GraphWorld:
    """The simulated Graph, and clients of it."""

    graph: SandboxGraph
    clock: Clock
    slept: list[float] = field(default_factory=list)
    new_id: Callable[[], str] | None = None

    @property
    def entra(self) -> SandboxEntra:
        return self.graph.entra

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount(GRAPH, WsgiTransport(self.graph.app))
        return session

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.passes(seconds=seconds)

    def client(self, **changes: Any) -> GraphDirectory:
        """A client with other settings than the usual ones."""
        return GraphDirectory(
            replace(CONFIG, **changes),
            session_factory=self.session,
            monotonic=self.clock.monotonic,
            sleep=self.sleep,
            now=self.clock,
        )

    def restyle(self, **changes: Any) -> None:
        self.graph.style = replace(self.graph.style, **changes)

    def asked(self, containing: str = "") -> list[str]:
        """The paths that were asked for, those of tokens included."""
        return [each.path for each in self.graph.requests if containing in each.path]


def a_graph(clock: Clock, style: GraphStyle | None = None) -> GraphWorld:
    entra = SandboxEntra(requests.Session(), "https://bridge.test/scim/v2", None, random=random.Random(1))
    return GraphWorld(SandboxGraph(entra, now=clock, style=style), clock)


@pytest.fixture
def world(clock: Clock) -> GraphWorld:
    return a_graph(clock)


@pytest.fixture
def client(world: GraphWorld) -> GraphDirectory:
    return world.client()


def answering(world: GraphWorld, answer: object, path: str) -> Any:
    """Sessions in which every call below a path is answered so."""
    inner = world.session()

    class Transport(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            raw = HTTPResponse(body=io.BytesIO(json.dumps(answer).encode()), status=200, preload_content=False)
            return HTTPAdapter().build_response(request, raw)

        def close(self) -> None:
            pass

    def session() -> requests.Session:
        made = requests.Session()
        made.trust_env = False
        made.mount(GRAPH, inner.get_adapter(GRAPH))
        made.mount(f"{GRAPH}/v1.0/{path}", Transport())
        return made

    return session
