"""Traces of real processes: the halves of web server and worker are one trace, and no collector delays anything."""

import signal
import sys
import time

import pytest

from tests.collector import collecting
from tests.processes.conftest import Bridge, Ditio
from tests.processes.running import eventually

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc"),
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


def test_server_and_worker_tell_one_trace(bridge: Bridge, ditio: Ditio):
    """Ditio is down while Entra waits; a worker, another process, delivers later."""
    (number,) = bridge.numbers(1)
    with collecting() as collector:
        bridge.settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        bridge.settings["OTEL_BSP_SCHEDULE_DELAY"] = "100"
        server = bridge.serves("--without-worker")
        ditio.fails("status", status=503, times=None, path="employees")
        answer = bridge.provisions(number)
        ditio.recovers()
        bridge.prints("outbox", "retry")
        bridge.prints("worker", "--until-idle")
        assert server.ends(signal.SIGTERM) == 0

        whole = [each for each in collector.spans() if each.trace_id.hex() == answer.headers["X-Request-Id"]]

    (posted,) = [each for each in whole if each.name == "POST /scim/v2/Users"]
    deliveries = [each for each in whole if each.name == "deliver"]
    assert {each.parent_span_id for each in deliveries} == {posted.span_id}
    outcomes = [{item.key: item.value.string_value for item in each.attributes} for each in deliveries]
    causes = {each["scim_bridge.cause"]: each["scim_bridge.outcome"] for each in outcomes}
    assert causes == {"request": "try-again", "worker": "delivered"}
    assert "Ditio create" in {each.name for each in whole}


def test_a_collector_that_is_down_delays_nothing(bridge: Bridge):
    """Spans are dropped: requests are answered as ever, and the server ends in time."""
    bridge.settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
    bridge.settings["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"
    bridge.settings["OTEL_BSP_SCHEDULE_DELAY"] = "100"
    server = bridge.serves()
    (number,) = bridge.numbers(1)
    assert bridge.provisions(number).status_code == 201
    took = []
    for _ in range(20):
        began = time.monotonic()
        assert bridge.asks("GET", "/scim/v2/Users/none").status_code == 404
        took.append(time.monotonic() - began)
    assert sorted(took)[10] < 0.5
    eventually(lambda: "traces.on" in bridge.logged(), "both processes make traces")

    eventually(lambda: "Failed to export" in bridge.logged(), "the log says that spans are lost")
    assert "Transient error" not in bridge.logged(), "and not every try"

    assert server.ends(signal.SIGTERM) == 0
