"""The doctor as a page: the checks of the command, only when an operator asks, within a time, one company's alone."""

import re
import threading
from collections.abc import Iterator

import pytest

from scim_bridge.doctor import checks
from scim_bridge.sandbox.server import running
from scim_bridge.storage.database import Database
from scim_bridge.web.console import settings
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, Visitor, signed_in
from tests.world import SETTINGS, World


@pytest.fixture
def world(database: Database, database_url: str, clock: Clock) -> Iterator[World]:
    """A bridge whose Ditio has a socket: the checks make their own way there."""
    made = World(database, clock)
    with running(made.ditio.app) as url:
        ditio = {**SETTINGS["ditio"], "api_url": f"{url}/core", "identity_url": url}
        made.restarts_with(**CONSOLE, database={"url": database_url}, ditio=ditio)
        yield made


def found(text: str) -> dict[str, list[str]]:
    """How each check ended, by what it is about."""
    told: dict[str, list[str]] = {}
    for status, check in re.findall(r'<li class="(good|warn|bad)"><strong>(.*?)</strong>', text):
        told.setdefault(check, []).append(status)
    return told


def test_the_checks_are_those_of_the_command(world: World):
    told = found(signed_in(world).post("doctor/run").text)

    assert told["Ditio token"] == told["Ditio read"] == ["good"]
    assert told["database"] == told["migrations"] == told["tokens"] == ["good"]
    assert {"web server", "worker", "public URL"} <= set(told)


def test_nothing_is_checked_before_a_click(world: World):
    kari = signed_in(world)
    world.ditio.forget_requests()

    page = kari.get("doctor")

    assert page.status_code == 200
    assert found(page.text) == {}
    assert world.ditio.requests == []
    assert "doctor/run" not in signed_in(world, "viewer").get("doctor").text


def test_what_fails_comes_first_with_its_cure(world: World):
    ditio = {**SETTINGS["ditio"], "api_url": "http://127.0.0.1:9/core", "identity_url": "http://127.0.0.1:9"}
    world.restarts_with(ditio=ditio)

    text = signed_in(world).post("doctor/run").text

    assert found(text)["Ditio token"] == ["bad"]
    assert next(iter(found(text).values()))[0] == "bad"
    assert "What to do:" in text


def test_what_was_found_is_told_in_norwegian(world: World):
    """Only a name that someone chose stays as it is."""
    ditio = {**SETTINGS["ditio"], "api_url": "http://127.0.0.1:9/core", "identity_url": "http://127.0.0.1:9"}
    world.restarts_with(ditio=ditio, delivery={"adopt": "always", "offboarding": ["disable"]})

    text = signed_in(world).post("doctor/run", headers={"Accept-Language": "nb"}).text

    assert "token fra Ditio" in found(text)
    assert re.findall(r'<span lang="en">(.*?)</span>', text) == []


def test_a_check_that_does_not_end_is_late(world: World, monkeypatch: pytest.MonkeyPatch):
    over = threading.Event()

    def hangs(_: object):
        over.wait(30)
        yield from ()

    monkeypatch.setattr(checks, "examine_ditio", hangs)
    monkeypatch.setattr(settings, "SECONDS", 1.0)
    text = signed_in(world).post("doctor/run").text
    over.set()

    assert found(text)["Ditio"] == ["bad"]
    assert "no answer within 1 s" in text


def test_a_second_run_at_the_same_time_is_refused(world: World, monkeypatch: pytest.MonkeyPatch):
    kari = signed_in(world)
    began, over = threading.Event(), threading.Event()

    def waits(*_: object, **__: object):
        began.set()
        over.wait(30)
        return []

    monkeypatch.setattr(settings, "examine", waits)
    token = kari.token()
    first = threading.Thread(target=Visitor(kari.client).post, args=("doctor/run", token))
    first.start()
    assert began.wait(30)
    try:
        assert signed_in(world, name="Ola").post("doctor/run").status_code == 409
    finally:
        over.set()
        first.join()
    assert signed_in(world, name="Per").post("doctor/run").status_code == 200


def test_an_error_of_a_check_ends_the_run(world: World, monkeypatch: pytest.MonkeyPatch):
    """The next run is not refused for ever."""
    monkeypatch.setattr(settings, "examine", lambda *_, **__: 1 / 0)
    assert signed_in(world).post("doctor/run").status_code == 500
    monkeypatch.undo()
    assert signed_in(world, name="Ola").post("doctor/run").status_code == 200


def test_a_company_is_not_told_of_another(database: Database, database_url: str, clock: Clock):
    common = {**CONSOLE, "database": {"url": database_url}}
    settings = {"nord": {"ditio": {"api_url": "http://127.0.0.1:9/core", "identity_url": "http://127.0.0.1:9"}}}
    companies = Companies(database, clock, "nord", "sor", common=common, settings=settings)
    with database.write("former") as s:
        s.tokens.add("f", "former", "a-secret", expires_at=None)

    text = signed_in(companies, company="nord").post("doctor/run").text

    assert "bad" in found(text)["Ditio token"]
    assert not {"database", "migrations", "public URL", "worker", "companies"} & set(found(text))
    assert "<p>nord: " not in text
    for other in ("sor", "former"):
        assert other not in text
