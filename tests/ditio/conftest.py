"""A simulated Ditio on the client's sessions, clocks that only move when told to, and canned answers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Response

from scim_bridge.ditio.client import DitioClient
from scim_bridge.ditio.config import DitioConfig
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.domain.operations import (
    ChangeEmployeeNumber,
    ChangePhoneNumber,
    CreateEmployee,
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
    OperationName,
    UpdateEmployee,
    UpdateEmployment,
)
from scim_bridge.http.limiter import Limiter
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.sandbox.style import Style, documented_styles

KARI = EmployeeNumber("1042")
SECRET = "s3cret+with/signs=&"
COMPANY = "012345"
STYLES = [pytest.param(style, id=style.name) for style in documented_styles()]


@dataclass
class Clock:
    """The time of day and the monotonic clock, moving together and only when told to."""

    seconds: float = 0.0

    def passes(self, seconds: float) -> None:
        self.seconds += seconds

    def monotonic(self) -> float:
        return 5000.0 + self.seconds

    def now(self) -> datetime:
        return datetime(2026, 3, 2, 9, 0, tzinfo=UTC) + timedelta(seconds=self.seconds)


class Spy(WsgiTransport):
    """A transport that remembers the requests as they leave, headers included."""

    def __init__(self, app: Callable[..., Iterable[bytes]], sent: list[requests.PreparedRequest]) -> None:
        super().__init__(app)
        self._sent = sent

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self._sent.append(request)
        return super().send(request, *args, **options)


@dataclass
class World:
    """Ditio, the network to it, and clients."""

    ditio: SandboxDitio
    clock: Clock
    sent: list[requests.PreparedRequest]
    canned: list[Response]
    """Answers that the API gives instead of the sandbox's, first one first."""

    ids: list[str]
    token_answers: list[Response] = field(default_factory=list)
    """Answers that the identity server gives instead of the sandbox's."""

    takes: dict[str, float] = field(default_factory=dict)
    """Seconds that a call takes, by its path."""

    def client(self, *, limiter: Limiter | None = None, **changes: Any) -> DitioClient:
        return DitioClient(
            self.config(**changes),
            limiter=limiter,
            session_factory=self.session,
            monotonic=self.clock.monotonic,
            sleep=self.clock.passes,
            now=self.clock.now,
            new_id=self._new_id,
        )

    def config(self, **changes: Any) -> DitioConfig:
        options: dict[str, Any] = {
            "api_url": "https://ditio.test/core",
            "identity_url": "https://ditio.test",
            "client_id": "sandbox",
            "client_secret": SECRET,
        }
        return DitioConfig(**options | changes)

    def session(self) -> requests.Session:
        session = requests.Session()
        session.mount("https://ditio.test/", Spy(self._app, self.sent))
        return session

    def answers(self, status: int, body: bytes | str = b"", content_type: str = "application/json") -> None:
        self.canned.append(Response(body, status=status, content_type=content_type))

    @property
    def tokens_fetched(self) -> int:
        return len(self.ditio.calls(containing="/connect/token"))

    @property
    def api_calls(self) -> int:
        return len(self.ditio.calls()) - self.tokens_fetched

    def _app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.clock.passes(self.takes.get(environ["PATH_INFO"], 0.0))
        canned = self.token_answers if environ["PATH_INFO"] == "/connect/token" else self.canned
        if canned:
            return canned.pop(0)(environ, start_response)
        return self.ditio.app(environ, start_response)

    def _new_id(self) -> str:
        self.ids.append(f"id{len(self.ids) + 1}")
        return self.ids[-1]


@pytest.fixture
def style() -> Style:
    """Overridden by the tests that care how Ditio answers."""
    return Style()


@pytest.fixture
def world(style: Style) -> World:
    clock = Clock()
    return World(SandboxDitio(style=style, now=clock.now, client_secret=SECRET), clock, [], [], [])


@pytest.fixture
def ditio(world: World) -> SandboxDitio:
    return world.ditio


@pytest.fixture
def clock(world: World) -> Clock:
    return world.clock


@pytest.fixture
def client(world: World) -> DitioClient:
    return world.client()


def a_call(name: OperationName, number: str = KARI, **body: Any) -> tuple[Operation, EmployeeNumber]:
    """An operation by the name and body that Ditio gets, and the number of the employee."""
    fields = {Field(key): value for key, value in body.items() if key in set(Field)}
    day = date.fromisoformat(body.get("endDate") or body.get("startDate") or "2026-03-01")
    operations: dict[OperationName, Operation] = {
        OperationName.create: CreateEmployee(EmployeeNumber(number), fields),
        OperationName.patch: UpdateEmployee(fields),
        OperationName.create_employment: CreateEmployment(day, body.get("payroll")),
        OperationName.update_employment: UpdateEmployment(fields),
        OperationName.end_employment: EndEmployment(day),
        OperationName.disable: Disable(),
        OperationName.enable: Enable(),
        OperationName.change_phone_number: ChangePhoneNumber(body.get("phone", "")),
        OperationName.change_employee_number: ChangeEmployeeNumber(EmployeeNumber(body.get("employeeNumber", ""))),
    }
    return operations[name], EmployeeNumber(number)


def a_creation() -> tuple[Operation, EmployeeNumber]:
    """The documented body of a creation."""
    return a_call(
        OperationName.create,
        firstName="Kari",
        lastName="Nordmann",
        phone="+4798765432",
        birthDate="1990-05-15",
        email="kari.nordmann@example.com",
        workTitle="Maskinfører",
        startDate="2026-03-01",
        department="Anlegg",
        payroll=1,
    )


def everything_said(error: BaseException) -> str:
    """All that a log could show of an error: its texts, those of its causes, and its attributes."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    texts = [text for item in chain for text in (str(item), repr(item), str(vars(item)))]
    return "\n".join([*texts, *traceback.format_exception(chain[0])])
