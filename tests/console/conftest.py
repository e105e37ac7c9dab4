"""A bridge with a console, visitors who are signed in, and a real Chromium where there is one."""

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from scim_bridge.domain.audit import Role
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import BRIDGE, World

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CONSOLE = {"console": {"enabled": True}}

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock, settings=CONSOLE)


@pytest.fixture(scope="package")
def chromium() -> Iterator["Browser"]:
    """One for all tests of a process: each has windows of its own."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 # Needed only where there is a Chromium.

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visitor:
    """An administrator at the pages of one company, without a browser."""

    client: FlaskClient
    company: str = "default"

    def get(self, path: str = "", **headers: str) -> TestResponse:
        """A page; one of this company, unless the path begins with a slash."""
        return self.client.get(self._at(path), base_url=BRIDGE, headers=headers)

    def post(self, path: str, token: str | None = None, *, headers: dict[str, str] | None = None, **form: Any):
        """Send a form as its page does: with the token of the session, unless the test has another."""
        sent = {"token": self.token() if token is None else token, **form}
        return self.client.post(self._at(path), base_url=BRIDGE, data=sent, headers=headers or {})

    def token(self) -> str:
        """The token in the forms of this session."""
        found = re.search(r'name="token" value="([^"]+)"', self.get().text)
        return found.group(1) if found else ""

    def cookie(self) -> str:
        """The secret of the session."""
        found = self.client.get_cookie("__Host-scim-bridge-console", domain="bridge.test")
        return found.value if found else ""

    def _at(self, path: str) -> str:
        return path if path.startswith("/") else f"/console/{self.company}/{path}"


SignsIn = Callable[..., Visitor]


def link(world: Any, role: Role, *, name: str = "Kari", company: str = "default", key: str = "") -> str:
    """A link as `console login-link` makes it; its key."""
    key = key or f"key-of-{name}-{role}-{company}"
    with world.database.write(company) as s:
        s.console_sessions.add_link(key, role, name)
    return key


@pytest.fixture
def signs_in(world: World) -> SignsIn:
    """Sign in by a link."""
    return lambda role="operator", **more: signed_in(world, role, **more)


def signed_in(world: Any, role: str = "operator", *, name: str = "Kari", company: str = "default") -> Visitor:
    visitor = Visitor(world.app.test_client(), company)
    key = link(world, Role(role), name=name, company=company)
    assert visitor.post("/console/-/link", "", key=key).status_code == 303
    return visitor


def at_once(*calls: Callable[[], TestResponse]) -> list[int]:
    """Send several requests at one instant; their codes."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result().status_code for each in [threads.submit(call) for call in calls]]


def meeting(function: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
    """The function, at which two threads meet before they go on; one that comes alone goes on after a moment.

    :param after: They meet when it has found something out, not before it.
    """
    both = Barrier(2)

    def meet() -> None:
        with suppress(BrokenBarrierError):
            both.wait(timeout=0.3)

    def met(*of: Any, **more: Any) -> Any:
        if not after:
            meet()
        found = function(*of, **more)
        if after:
            meet()
        return found

    return met


def person_id(world: World, name: str) -> str:
    """The id of a person, by number or user name."""
    with world.database.read("default") as s:
        record = s.people.find(name)
    assert record is not None
    return record.person.id


@contextmanager
def listening(app: Flask) -> Iterator[str]:
    """Serve an application on a free port of loopback; its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Complaints:
    """What a browser had to complain about: errors, violations, and requests to other hosts."""

    host: str
    found: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        """Listen to a page."""
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.found.append(f"error: {error}"))
        page.on("request", lambda request: self._asked(request.url))
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.found.append(f"{kind}: {text}")

    def _failed(self, url: str, why: str) -> None:
        # The browser's own decision: the next page was opened before the icon was there, or a page became a download.
        if why != "net::ERR_ABORTED":
            self.found.append(f"failed: {url}: {why}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.host, "data:")):
            self.found.append(f"another host: {url}")
