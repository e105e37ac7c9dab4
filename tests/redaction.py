"""Everything that the suite prints is looked through: no secret is in it, and nothing about people.

No one has to name what must not be seen: secrets are learned where the code takes them in hand (a setting is read, a
credential is hashed or sent, a token is given out), and people from the documents that are stored. Besides, some
things are known by their shape. Looked through are the log of every test, whatever the test does to the log; what is
printed; the errors and metrics that are answered; and, for secrets, the databases that tests leave behind.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flask
import pydantic
import pytest
import structlog
from sqlalchemy import text

from scim_bridge import logs
from scim_bridge.storage import credentials, resources
from scim_bridge.storage.database import Session
from scim_bridge.storage.tables import metadata

SHORTEST = 8
"""A shorter secret, as some tests have, may be part of any word."""

SECRET_SHAPES = re.compile(
    r"scimb(?:cs|at)?_[\w-]{20,}"  # our own
    r"|eyJ[\w-]{8,}\.[\w-]{2,}\.[\w-]*"  # a JWT
    r"|(?i:\b(?:bearer|basic) [\w+/.-]{16,}=*)"  # a header
    r"|(?i:client_secret|access_token|client_assertion)=(?!sandbox-secret\b)[^\s&'\"]{4,}"  # a form, but the sandbox's
)
PERSONAL_SHAPES = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+|\+47 ?\d{8}\b")
TOLD_OF_PEOPLE = ("userName", "displayName", "name", "nickName", "title", "emails", "phoneNumbers", "addresses")
REMARKABLE = re.compile(r"[A-ZÆØÅ@+ ]")
"""What tells a name, an address or a phone from an id or a word that a test took for one."""

FOREIGN = ("werkzeug", "hypothesis", "schemathesis", "asyncio", "mail")
"""Loggers of what only tests run."""

EVERYTHING = text(" UNION ALL ".join(f"SELECT CAST(t AS text) FROM {name} t" for name in metadata.tables))
"""Every row of PostgreSQL's, as text."""

_FORMATTER = structlog.stdlib.ProcessorFormatter(
    processors=logs._rendering("json", colors=False), foreign_pre_chain=logs._SHARED
)


class Watch:
    """What is not to be seen in one test, and where it was seen."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.personal: set[str] = set()
        self.seen: list[str] = []

    def learn_secret(self, secret: str) -> None:
        """From now on it is one."""
        if len(secret) >= SHORTEST:
            self.secrets.add(secret)

    def learn_people(self, value: object) -> None:
        """Every text in a part of a document about a person."""
        match value:
            case dict():
                for name, inner in value.items():
                    if name not in ("type", "primary"):
                        self.learn_people(inner)
            case list():
                for inner in value:
                    self.learn_people(inner)
            case str() if len(value) >= 6 and REMARKABLE.search(value):
                self.personal.add(value)

    def look_for_secrets(self, told: str, where: str) -> None:
        """Look through what was told to a person who is allowed to know about people."""
        found = SECRET_SHAPES.findall(told) + [each for each in self.secrets if each in told]
        self.seen += [f"{where}: the secret {each!r} in {told[:500]!r}" for each in found]

    def look(self, told: str, where: str) -> None:
        """Look through what was told to everyone."""
        self.look_for_secrets(told, where)
        found = PERSONAL_SHAPES.findall(told) + [each for each in self.personal if each in told]
        self.seen += [f"{where}: {each!r} about somebody in {told[:500]!r}" for each in found]

    def look_at(self, record: logging.LogRecord) -> None:
        """Look through a line of the log, as it would be printed."""
        if record.name.split(".")[0] not in FOREIGN:
            self.look(_FORMATTER.format(record), f"the log ({record.name})")

    def look_at_rows(self, s: Session) -> None:
        """Look for secrets in every column of every table, in one question."""
        if self.secrets:
            stored = "\n".join(s.connection.execute(EVERYTHING).scalars())
            self.seen += [f"the database has the secret {each!r}" for each in self.secrets if each in stored]

    def look_at_file(self, path: Path) -> None:
        """Look for secrets in a SQLite file and in its journal, also where rows were once."""
        files = [each for each in (path, path.with_name(f"{path.name}-wal")) if self.secrets and each.exists()]
        stored = b"".join(each.read_bytes() for each in files)
        self.seen += [f"{path.name} has the secret {each!r}" for each in self.secrets if each.encode() in stored]


WATCH = Watch()
"""The one of this test process; a test finds it empty."""


@pytest.fixture(autouse=True)
def nothing_leaks(learning: None) -> Iterator[None]:
    """Whatever a test is about: in the end nothing was told that no one is to know."""
    WATCH.__init__()  # type: ignore[misc]  # Others hold this one: it is emptied, not replaced.
    yield
    assert WATCH.seen == [], WATCH.seen


@pytest.fixture(scope="session")
def learning() -> Iterator[None]:
    """Learn from the code under test, and look at its log and at its answers, for as long as tests run."""
    flask.request_started.connect(_request)
    flask.request_finished.connect(_response)
    patch = pytest.MonkeyPatch()
    for module in (credentials, credentials, credentials):
        patch.setattr(module, "hashed", _learning_secret(credentials.hashed))
    patch.setattr(pydantic.SecretStr, "get_secret_value", _learning_setting(pydantic.SecretStr.get_secret_value))
    for name in ("add", "replace"):
        patch.setattr(resources.Resources, name, _learning_people(getattr(resources.Resources, name)))
    patch.setattr(logging.Logger, "callHandlers", _looking(logging.Logger.callHandlers))
    yield
    patch.undo()
    flask.request_started.disconnect(_request)
    flask.request_finished.disconnect(_response)


def _learning_secret(hashed: Callable[[str], str]) -> Callable[[str], str]:
    def learned(secret: str) -> str:
        WATCH.learn_secret(secret)
        return hashed(secret)

    return learned


def _learning_setting(read: Callable[[pydantic.SecretStr], str]) -> Callable[[pydantic.SecretStr], str]:
    def learned(setting: pydantic.SecretStr) -> str:
        WATCH.learn_secret(value := read(setting))
        return value

    return learned


def _learning_people(store: Callable[..., Any]) -> Callable[..., Any]:
    def learned(self: resources.Resources, resource: resources.StoredResource, *before: Any) -> Any:
        if resource.resource_type == "User":
            WATCH.learn_people([resource.document.get(name) for name in TOLD_OF_PEOPLE])
        return store(self, resource, *before)

    return learned


def _looking(call: Callable[[logging.Logger, logging.LogRecord], None]) -> Any:
    def checked(self: logging.Logger, record: logging.LogRecord) -> None:
        WATCH.look_at(record)
        call(self, record)

    return checked


def _request(_: flask.Flask, **__: object) -> None:
    scheme, _, credential = flask.request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "basic"):
        WATCH.learn_secret(credential.strip())


def _response(sender: flask.Flask, response: flask.Response, **_: object) -> None:
    if flask.request.path in ("/oauth/token", "/connect/token") and response.status_code == 200:
        given = response.get_json(silent=True)
        if given is not None:  # OPTIONS gives nothing.
            WATCH.learn_secret(given["access_token"])
    if sender.name not in ("scim_bridge", "scim") or response.is_streamed:
        return
    if response.status_code >= 400:
        WATCH.look_for_secrets(f"{response.headers}{response.get_data(as_text=True)}", "an error")
    elif flask.request.path == "/metrics":
        WATCH.look(response.get_data(as_text=True), "the metrics")


def looked_through(report: pytest.TestReport) -> pytest.TestReport:
    """A test's report, once all of the test is over: failed if a secret was printed."""
    if report.when != "teardown":
        return report
    before, WATCH.seen = WATCH.seen, []
    for name, printed in report.sections:
        if not name.startswith("Captured log"):
            WATCH.look_for_secrets(printed, name)
    if WATCH.seen:
        report.outcome, report.longrepr = "failed", "\n".join(WATCH.seen)
    WATCH.seen = before
    return report


@contextmanager
def forgiven() -> Iterator[list[str]]:
    """For the tests of the watch itself: what is seen inside, which is no leak."""
    before, WATCH.seen = WATCH.seen, []
    seen = WATCH.seen
    try:
        yield seen
    finally:
        WATCH.seen = before
