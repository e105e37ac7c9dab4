"""A credential that will end is told in time: by the log once a day while it is used, and by a metric."""

from datetime import timedelta
from typing import Any, cast

import pytest

from tests.web.test_metrics import HERE, figures
from tests.web.test_oauth import GRANT, basic, fetches
from tests.world import BRIDGE, World

DAY = timedelta(days=1)


@pytest.fixture
def ending(world: World) -> World:
    """A token and a client, both for 60 days."""
    now = world.clock()
    with world.database.write("default") as s:
        s.at(now).tokens.revoke("t")
        s.at(now).tokens.add("short", "Entra", "a secret token", expires_at=now + 60 * DAY)
        s.at(now).clients.add("entra", "Entra", "a secret", expires_at=now + 60 * DAY)
    return world


def uses(world: World, what: str) -> None:
    if what == "token":
        answer = world.http.get(
            f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22", headers={"Authorization": "Bearer a secret token"}
        )
    else:
        answer = fetches(world, GRANT, basic("entra", "a secret"))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("what", "event", "name"), [("token", "auth.token_ends", "short"), ("client", "auth.client_secret_ends", "entra")]
)
def test_the_log_says_once_a_day_that_it_ends(
    ending: World, caplog: pytest.LogCaptureFixture, what: str, event: str, name: str
):
    """From 30 days before its end, from 7 as an error; with its id, never with itself."""

    def lines() -> list[dict[str, Any]]:
        messages: list[Any] = [each.msg for each in caplog.records if event in each.getMessage()]
        return messages

    uses(ending, what)
    ending.clock.passes(days=29)
    uses(ending, what)
    assert lines() == []
    ending.clock.passes(days=2)
    for _ in range(3):
        uses(ending, what)
    assert [(line["id"], line["days"], line["level"]) for line in lines()] == [(name, 29, "warning")]
    ending.clock.passes(hours=23)
    uses(ending, what)
    assert len(lines()) == 1
    ending.clock.passes(hours=1)
    uses(ending, what)
    assert len(lines()) == 2
    ending.clock.passes(days=22)
    uses(ending, what)
    assert (lines()[-1]["days"], lines()[-1]["level"]) == (6, "error")
    assert "a secret" not in caplog.text


@pytest.mark.parametrize("figure", ["token_expires_seconds", "client_secret_expires_seconds"])
def test_a_metric_says_how_long_it_counts(ending: World, figure: str):
    """The last one that counts; missing where one never ends."""
    client = ending.app.test_client()
    ending.clock.passes(days=50)
    assert figures(client.get("/metrics", environ_base=HERE))[figure, "default"] == 10 * 86400
    with ending.database.write("default") as s:
        s.at(ending.clock()).tokens.add("long", "Entra", "another", expires_at=None)
        s.at(ending.clock()).clients.rotate("entra", "new", expires_at=None)
    assert (figure, "default") not in figures(client.get("/metrics", environ_base=HERE))


def test_the_line_of_a_refusal_names_the_token(ending: World, caplog: pytest.LogCaptureFixture):
    """Its id is no secret, and the operator needs it."""
    ending.clock.passes(days=61)
    ending.http.get(
        f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22", headers={"Authorization": "Bearer a secret token"}
    )
    (line,) = [cast("dict[str, str]", each.msg) for each in caplog.records if "auth.refused" in each.getMessage()]
    assert (line["reason"], line["token_id"]) == ("expired", "short")
