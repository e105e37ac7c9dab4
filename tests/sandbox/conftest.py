"""A simulated Ditio whose clock the test sets, and a client that speaks to it in process."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.sandbox.style import Style

EMPLOYEES = "/core/api/v5/integration/employees"


@dataclass
class Clock:
    """A clock that only moves when it is told to."""

    now: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Client:
    """Speaks to a Ditio with a token of its own."""

    ditio: SandboxDitio
    base: str = "https://ditio.example"
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.mount("https://ditio.example/", WsgiTransport(self.ditio.app))
        self.signs_in()

    def signs_in(self, scope: str = "ditioapiv3 reportingapiv1") -> None:
        answer = self.asks_for_a_token(scope=scope)
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def asks_for_a_token(self, **changes: str) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": "sandbox",
            "client_secret": "sandbox-secret",
            "scope": "ditioapiv3",
        }
        return self.session.post(f"{self.base}/connect/token", data=form | changes)

    def sends(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        return self.session.request(method, self.base + path, json=body, **options)

    def employees(self, method: str, path: str = "", body: Any = None, **options: Any) -> requests.Response:
        return self.sends(method, EMPLOYEES + path, body, **options)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ditio(clock: Clock) -> SandboxDitio:
    return SandboxDitio(style=Style(), now=clock)


@pytest.fixture
def client(ditio: SandboxDitio) -> Client:
    return Client(ditio)


def a_person(**changes: Any) -> dict[str, Any]:
    """The documented body of a creation."""
    return {
        "employeeNumber": "1042",
        "firstName": "Kari",
        "lastName": "Nordmann",
        "phone": "+4798765432",
        "birthDate": "1990-05-15",
        "email": "kari.nordmann@example.com",
        "workTitle": "Maskinfører",
        "employment": {"startDate": "2026-03-01", "department": "Anlegg", "payroll": 1},
    } | changes
