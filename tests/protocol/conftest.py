"""The SCIM endpoints alone, over a real database."""

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NoReturn

import flask
import pytest
from scim2_models import UnauthorizedException
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from scim_bridge.domain.audit import Actor
from scim_bridge.domain.outcome import Undone
from scim_bridge.scim.provider import build_provider
from scim_bridge.storage.database import Database
from scim_bridge.storage.resources import StoredResource
from scim_bridge.storage.tables import resources
from scim_bridge.tenant import Tenant
from scim_bridge.web.scim.routes import ScimOptions, ScimParts, scim_blueprint
from tests.protocol.doubles import SOMEBODY, NoIntake, a_tenant

TOKEN = "a-token"
PROVIDER = build_provider(max_page_size=50, max_bulk_operations=30, max_body_bytes=100_000)


@dataclass
class Scim:
    """A client of the endpoints, and what it left in the database."""

    database: Database
    intake: NoIntake = field(default_factory=NoIntake)
    delivered: list[Any] = field(default_factory=list)
    refusal: Exception | None = None
    undone: Undone | None = None
    patch_status: int = 200
    token: str | None = TOKEN
    seconds: float = 0.0
    pace: float = 0.0
    """How far the monotonic clock goes each time when it is read."""

    @cached_property
    def app(self) -> flask.Flask:
        """An application with nothing but the endpoints."""
        return self._application(self._world())

    @cached_property
    def _long_way(self) -> flask.Flask:
        """The same, where the protocol server answers all reads."""
        return self._application(replace(self._world(), find=lambda *_: None))

    @staticmethod
    def _application(world: ScimParts) -> flask.Flask:
        app = flask.Flask("scim")
        app.register_blueprint(scim_blueprint(world))
        return app

    def send(self, method: str, path: str, *, base: str = "/scim/v2", **more: Any) -> TestResponse:
        """One request; `json`, `data`, `headers`, `query_string` as Flask's client takes them."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= more.pop("headers", {})
        asked = {"path": f"{base}{path}", "method": method, "headers": headers, **more}
        response = self.app.test_client().open(**asked)
        if method == "GET":
            # Every read of every test: the short way must answer as the protocol server does.
            longer = self._long_way.test_client().open(**asked)
            assert _without_cursors(response) == _without_cursors(longer)
        return response

    def is_short(self, path: str, **more: Any) -> bool:
        """Whether a read is answered without the protocol server."""
        app = self._application(replace(self._world(), authenticate=_refuse))
        headers = {"Authorization": f"Bearer {TOKEN}"} | more.pop("headers", {})
        return app.test_client().get(f"/scim/v2{path}", headers=headers, **more).status_code == 200

    def create(self, **attributes: Any) -> Any:
        """A new user, as answered."""
        response = self.send("POST", "/Users", json=attributes)
        assert response.status_code == 201, response.text
        return response.json

    def patch(self, user: Any, *operations: Any, **more: Any) -> TestResponse:
        """Operations on a user."""
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list(operations)}
        return self.send("PATCH", f"/Users/{user['id']}", json=body, **more)

    def read(self, user: Any) -> Any:
        """A user as it is now."""
        return self.send("GET", f"/Users/{user['id']}").json

    def rows(self) -> int:
        """How many resources are stored."""
        with self.database.read() as s:
            return s.connection.execute(select(func.count()).select_from(resources)).scalar_one()

    def _world(self) -> ScimParts:
        return ScimParts(
            database=self.database,
            provider=PROVIDER,
            offer=lambda tenant: ScimOptions(
                PROVIDER,
                patch_status=self.patch_status,
                max_body_bytes=100_000,
                max_value_length=4096,
                max_filter_length=1000,
                max_patch_operations=70,
            ),
            server_base_url="https://bridge.example/",
            authenticate=_authenticate,
            tenants=_Tenants(),
            intake=lambda tenant, request_id, queues_only: self._intake_of(tenant, queues_only),
            inline=_Inline(self),
            request_id=lambda: "request-1",
            began=lambda: 0.0,
            find=self._find,
            headers=lambda _: [],
            monotonic=self._monotonic,
        )

    def _find(self, authorization: str, tenant: str, attribute: str, key: str) -> list[StoredResource] | None:
        with self.database.read_once(tenant) as s:
            return s.resources.found_by(attribute, key) if authorization == f"Bearer {TOKEN}" else None

    def _monotonic(self) -> float:
        self.seconds += self.pace
        return self.seconds

    def _intake_of(self, tenant: Tenant, queues_only: bool) -> Any:
        self.intake.database, self.intake.tenant = self.database, tenant
        self.intake.queues_only = queues_only
        return self.intake

    def _deliver(self, tenant: str, ticket: Any) -> Undone | None:
        # A write transaction of our own proves that none is open (rule A1).
        with self.database.write():
            self.delivered.append((tenant, ticket))
        if self.refusal is not None:
            raise self.refusal
        return self.undone


class _Tenants(dict[str, Tenant]):
    """Every company, whatever its name."""

    def __missing__(self, name: str) -> Tenant:
        return a_tenant(name)


class _Inline(dict[str, Any]):
    """Has the client note which ticket of which company is to be delivered."""

    def __init__(self, scim: Scim) -> None:
        self.scim = scim

    def __missing__(self, name: str) -> Any:
        return SimpleNamespace(deliver=lambda ticket, began: self.scim._deliver(name, ticket))


def _authenticate(request: flask.Request, tenant: str) -> Actor:
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        raise UnauthorizedException(detail="the bearer token is missing or wrong: issue one, and put it into Entra")
    return SOMEBODY


def _without_cursors(response: TestResponse) -> tuple[str, bytes, list[tuple[str, str]]]:
    """What is compared of an answer; a cursor is sealed with another nonce each time."""
    body = re.sub(rb'("(?:next|previous)Cursor": )"[^"]*"', rb"\1", response.data)
    headers = [each for each in response.headers if body == response.data or each[0] != "Content-Length"]
    return response.status, body, sorted(headers)


def _refuse(request: flask.Request, tenant: str) -> NoReturn:
    raise UnauthorizedException(detail="the protocol server was asked")


@pytest.fixture
def scim(database: Database) -> Scim:
    return Scim(database)
