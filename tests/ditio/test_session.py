"""Headers, time budgets and bounds of one call."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

from scim_bridge.domain.operations import OperationName
from scim_bridge.errors import BudgetSpent, TransientError
from scim_bridge.http import exchange
from scim_bridge.sandbox.gateway import Fault

from .conftest import KARI, a_call, a_creation


def test_a_call_says_who_calls_and_what_it_takes(client, world, ditio):
    ditio.plant("1042")

    answer = client.send(*a_call(OperationName.disable))

    sent = world.sent[-1]
    assert sent.headers["Accept"] == "application/json"
    assert sent.headers["User-Agent"].startswith("scim-bridge/")
    assert sent.headers["X-Request-Id"] == "id1" == answer.request_id
    assert sent.headers["Authorization"].startswith("Bearer ")


def test_a_netrc_file_does_not_replace_the_token(client, world, ditio, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine ditio.test login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))

    client.check()

    assert world.sent[-1].headers["Authorization"].startswith("Bearer ")


@pytest.mark.parametrize("header", ["X-Request-Id", "Request-Id", "X-Correlation-Id"])
def test_ditios_own_request_id_counts(world, client, header):
    world.answers(200, '{"employeeNumber": "1042"}')
    world.canned[-1].headers[header] = "from-ditio"

    assert client.send(*a_call(OperationName.disable)).request_id == "from-ditio"


@pytest.mark.parametrize(("within", "starts"), [(0.49, False), (0.51, True), (-1.0, False)])
def test_no_write_starts_with_less_than_half_a_second_left(client, world, ditio, within, starts):
    """A4: "no write to Ditio starts with less than half a second left"."""
    ditio.plant("1042")

    if starts:
        client.send(*a_call(OperationName.disable), within=within)
    else:
        with pytest.raises(BudgetSpent) as spent:
            client.send(*a_call(OperationName.disable), within=within)
        assert not spent.value.ambiguous
        assert world.sent == []

    assert ditio.employee("1042").disabled == starts


def test_a_read_needs_less(client, world):
    with pytest.raises(BudgetSpent):
        client.get(KARI, within=0.04)
    assert world.sent == []

    assert client.get(KARI, within=0.06) is None


def test_the_time_for_a_token_counts(client, world):
    """A4: the budget belongs to the request, not to the call."""
    world.takes["/connect/token"] = 0.6

    with pytest.raises(BudgetSpent):
        client.send(*a_creation(), within=1.0)

    assert (world.tokens_fetched, world.api_calls) == (1, 0)


def test_each_call_gets_the_smaller_of_setting_and_budget(world, monkeypatch):
    seen: list[float] = []
    send = requests.Session.send

    def spy(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        seen.append(options["timeout"])
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", spy)
    client = world.client(timeout_seconds=20.0)

    client.search("x")
    client.search("x", within=3.0)
    client.search("x", within=90.0)

    assert seen == [20.0, 20.0, 3.0, 20.0]


def test_a_planned_slowness_is_a_timeout(client, ditio):
    ditio.plant("1042")
    client.check()
    ditio.faults.plan(Fault("slow", seconds=5.0))

    with pytest.raises(TransientError, match="no answer in time"):
        client.get(KARI, within=2.0)


def test_a_trickling_answer_is_cut_at_the_time_out(world, clock):
    """requests' time-outs count for each piece; the call as a whole is bounded too, and then ambiguous (A4)."""
    world.session = _session_with(world.session, lambda: _Trickle(clock, pieces=100, seconds=1.0))
    client = world.client(timeout_seconds=20.0)

    with pytest.raises(TransientError, match="too slowly") as error:
        client.send(*a_creation())

    assert error.value.ambiguous
    assert clock.seconds == pytest.approx(21.0)
    assert error.value.seconds == pytest.approx(21.0)


def test_an_endless_answer_is_cut(world, clock, monkeypatch):
    monkeypatch.setattr(exchange, "MAX_BYTES", 1024 * 1024)
    world.session = _session_with(world.session, lambda: _Trickle(clock, pieces=10**6, seconds=0.0))

    with pytest.raises(TransientError, match="larger than 1 MiB"):
        world.client().get(KARI)


class _Trickle(io.RawIOBase):
    """A body that comes in pieces, each of which takes a while."""

    def __init__(self, clock: Any, pieces: int, seconds: float) -> None:
        self._clock, self._pieces, self._seconds = clock, pieces, seconds

    def read1(self, size: int = -1) -> bytes:
        self._clock.passes(self._seconds)
        self._pieces -= 1
        return b" " * 1024 if self._pieces else b""

    def read(self, size: int = -1) -> bytes:
        return self.read1(size)


def _session_with(session: Any, body: Any) -> Any:
    """Sessions whose employees API answers 200 with such a body."""

    class Transport(BaseAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            raw = HTTPResponse(body=body(), status=200, preload_content=False)
            return HTTPAdapter().build_response(request, raw)

        def close(self) -> None:
            pass

    def made() -> requests.Session:
        one = session()
        one.mount("https://ditio.test/core/", Transport())
        return one

    return made
