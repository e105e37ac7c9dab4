"""Traces: one from Entra's request to Ditio's answer, with nothing about a person; nothing at all unless asked for."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from scim_bridge import traces
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.storage.database import Database
from scim_bridge.traces import ids_of, is_asked_for
from scim_bridge.web.app import template_of
from tests.collector import collecting
from tests.conftest import Clock
from tests.world import BRIDGE, DITIO, TOKEN, World, a_user, patch

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
LOOKUP = "/Users?filter=userName%20eq%20%22kari.nordmann@contractor.example%22"


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What a collector is sent."""
    monkeypatch.delenv("OTEL_TRACES_SAMPLER", raising=False)
    exporter = InMemorySpanExporter()
    traces.start(SimpleSpanProcessor(exporter))
    yield exporter
    traces.stop()


@pytest.fixture
def world(exported: InMemorySpanExporter, database: Database, clock: Clock) -> World:
    return World(database, clock)


def named(exported: InMemorySpanExporter, pattern: str) -> list[ReadableSpan]:
    return [each for each in exported.get_finished_spans() if re.fullmatch(pattern, each.name)]


def parent_of(exported: InMemorySpanExporter, span: ReadableSpan) -> ReadableSpan | None:
    known = {each.context.span_id: each for each in exported.get_finished_spans() if each.context is not None}
    return known.get(span.parent.span_id) if span.parent is not None else None


def test_one_trace_from_the_request_to_ditios_answer(world: World, exported: InMemorySpanExporter):
    """The request, its transactions, the delivery, and each call: by their names, in one trace."""
    world.provisions(a_user())

    (posted,) = named(exported, "POST /scim/v2/Users")
    (delivery,) = named(exported, "deliver")
    (created,) = named(exported, "Ditio create")
    assert parent_of(exported, created) is delivery
    assert parent_of(exported, delivery) is posted
    assert {each.context.trace_id for each in (posted, delivery, created)} == {posted.context.trace_id}
    within = [parent_of(exported, each) for each in named(exported, "transaction")]
    assert posted in within
    assert delivery in within
    assert (posted.kind, created.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert dict(posted.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/scim/v2/Users",
        "http.response.status_code": 201,
        "scim_bridge.tenant": "default",
        "scim_bridge.request_id": f"{posted.context.trace_id:032x}",
    }
    told = dict(delivery.attributes or {})
    assert re.fullmatch(r"[0-9a-f-]{36}", str(told.pop("scim_bridge.person_id")))
    assert told == {
        "scim_bridge.tenant": "default",
        "scim_bridge.cause": "request",
        "scim_bridge.outcome": "delivered",
    }
    called = dict(created.attributes or {})
    assert called.pop("scim_bridge.ditio_request_id")
    assert called == {
        "http.request.method": "POST",
        "http.response.status_code": 200 if called["http.response.status_code"] == 200 else 201,
        "scim_bridge.operation": "create",
        "scim_bridge.attempts": 1,
    }


def test_a_worker_continues_the_trace_of_the_request(world: World, exported: InMemorySpanExporter):
    """Hours later, in another process: the request's id is stored with the person."""
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.provisions(a_user())
    (posted,) = named(exported, "POST /scim/v2/Users")
    (failed,) = named(exported, "deliver")
    assert dict(failed.attributes or {})["scim_bridge.outcome"] == "try-again"
    world.ditio.faults.clear()
    world.clock.passes(hours=3)
    exported.clear()

    world.worker.run_until_idle()

    (delivery,) = named(exported, "deliver")
    assert delivery.context.trace_id == posted.context.trace_id
    assert delivery.parent is not None
    assert delivery.parent.span_id == posted.context.span_id
    assert dict(delivery.attributes or {})["scim_bridge.cause"] == "worker"
    (created,) = named(exported, "Ditio create")
    assert created.context.trace_id == posted.context.trace_id


def test_a_call_that_fails_says_how(world: World, exported: InMemorySpanExporter):
    """By the kind of the error alone: its words may name a person."""
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.provisions(a_user())

    (call, *_) = named(exported, "Ditio .*")
    (delivery,) = named(exported, "deliver")
    assert dict(call.attributes or {})["error.type"] == dict(delivery.attributes or {})["error.type"] == "Unreached"
    assert not call.status.is_ok
    assert (call.status.description, call.events) == (None, ())


def test_a_401_is_a_second_attempt(world: World, exported: InMemorySpanExporter):
    """The token is renewed once, within the same call."""
    user = a_user()
    world.provisions(user)
    exported.clear()
    world.ditio.revoke_tokens()
    world.changes(user, job_title="Formann")

    attempts = [dict(each.attributes or {})["scim_bridge.attempts"] for each in named(exported, "Ditio .*")]
    assert attempts[0] == 2
    assert set(attempts[1:]) <= {1}


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        (LOOKUP, "GET /scim/v2/Users", 200),
        ("/Users/3fa85f64-5717-4562-b3fc-2c963f66afa6", "GET /scim/v2/Users/{id}", 404),
        ("/Kari.Nordmann", "GET /scim/v2/{endpoint}", 404),
    ],
)
def test_every_read_is_traced(world: World, exported: InMemorySpanExporter, path: str, name: str, status: int):
    """Those of the short way too; the answer has the id by which the trace is found."""
    answer = world.scim("GET", path)

    (read,) = named(exported, re.escape(name))
    assert dict(read.attributes or {})["http.response.status_code"] == answer.status_code == status
    assert answer.headers["X-Request-Id"] == f"{read.context.trace_id:032x}"


def test_nothing_in_a_trace_names_a_person(world: World, exported: InMemorySpanExporter):
    """Section 10 of the design: no name, no number, no phone; whatever a client sends, and whatever fails."""
    user = a_user()
    world.provisions(user)
    user_id = world.entra.scim_id(user.object_id)
    world.scim("GET", LOOKUP)
    world.http.get(f"{BRIDGE}/tenants/a-stranger/scim/v2/{user.surname}/{user.employee_id}/{user.given_name}")
    world.scim("POST", "/Users", {"schemas": [], "userName": user.user_principal_name})
    world.ditio.faults.plan(Fault(kind="refused-connection", times=1))
    world.scim("PATCH", f"/Users/{user_id}", patch("title", "Formann"))
    world.ditio.faults.plan(Fault(kind="status", status=500, times=1))
    world.worker.run_until_idle()
    world.deletes(user)

    spans = exported.get_finished_spans()
    whole = "\n".join(each.to_json() for each in spans)
    assert len(spans) > 20
    for secret in (
        *user.user_principal_name.split("@"),
        "98765432",
        user.surname,
        user.given_name,
        "Formann",
        "stranger",
        TOKEN,
    ):
        assert secret.lower() not in whole.lower(), secret
    assert not re.search(rf"\b{user.employee_id}\b", whole)
    assert user_id not in whole


def test_a_callers_own_trace_is_not_continued(world: World, exported: InMemorySpanExporter):
    """Entra sends none, and a stranger must not choose what is sampled or joined."""
    theirs = "0af7651916cd43dd8448eb211c80319c"
    world.scim("GET", LOOKUP, traceparent=f"00-{theirs}-b7ad6b7169203331-01")

    (read,) = named(exported, "GET /scim/v2/Users")
    assert f"{read.context.trace_id:032x}" != theirs
    assert read.parent is None


def test_ditio_is_sent_no_trace(world: World, monkeypatch: pytest.MonkeyPatch):
    """Ditio documents none; its support finds a call by the call's own X-Request-Id."""
    sent: list[requests.PreparedRequest] = []
    send = WsgiTransport.send

    def watched(self: WsgiTransport, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        sent.append(request)
        return send(self, request, **options)

    monkeypatch.setattr(WsgiTransport, "send", watched)
    world.provisions(a_user())

    to_ditio = [each.headers for each in sent if str(each.url).startswith(DITIO)]
    assert to_ditio
    assert all("traceparent" not in headers for headers in to_ditio)


def test_a_sampler_decides_once_for_the_whole_trace(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """The worker's half of a trace is there exactly where the request's is."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    exporter = InMemorySpanExporter()
    traces.start(SimpleSpanProcessor(exporter))
    halves: dict[str, set[str]] = {"request": set(), "deliver": set()}
    for number in range(200):
        request_id = sha256(f"{number}".encode()).hexdigest()[:32]
        with traces.request(request_id, "request"):
            pass
        with traces.span("deliver", continues=request_id):
            pass
    traces.stop()
    for each in exporter.get_finished_spans():
        halves[each.name].add(f"{each.context.trace_id:032x}")

    assert halves["request"] == halves["deliver"]
    assert 40 < len(halves["request"]) < 160


@pytest.mark.parametrize(
    ("sent", "is_its_own"),
    [
        ("0af7651916cd43dd8448eb211c80319c", True),
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", False),
        ("0" * 32, False),
        ("an-id-of-the-proxy", False),
    ],
)
def test_the_ids_follow_from_the_requests(sent: str, is_its_own: bool):
    """What the bridge makes is the trace's id itself; what a proxy sends may have any form."""
    trace_id, span_id = ids_of(sent)

    assert (f"{trace_id:032x}" == sent) is is_its_own
    assert 0 < trace_id < 2**128
    assert 0 < span_id < 2**64
    assert ids_of(sent) == (trace_id, span_id)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/scim/v2/Users", ("/scim/v2/Users", "default")),
        ("/scim/v2/users/kari", ("/scim/v2/Users/{id}", "default")),
        ("/scim/v2//Users//1/", ("/scim/v2/Users/{id}", "default")),
        ("/tenants/nord/scim/v2/Groups/1", ("/tenants/{tenant}/scim/v2/Groups/{id}", "nord")),
        ("/scim/v2/Users/.search", ("/scim/v2/Users/.search", "default")),
        ("/scim/v2/.search", ("/scim/v2/.search", "default")),
        ("/scim/v2/Kari Nordmann", ("/scim/v2/{endpoint}", "default")),
        ("/scim/v2", ("/scim/v2", "default")),
        ("/oauth/token", ("/oauth/token", "")),
        ("/healthz", None),
        ("/metrics", None),
    ],
)
def test_the_template_of_a_path(path: str, expected: tuple[str, str] | None):
    assert template_of(path) == expected


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        (COLLECTOR, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({**COLLECTOR, "OTEL_SDK_DISABLED": "true"}, False),
        ({**COLLECTOR, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "bridge"}, False),
    ],
)
def test_the_standard_variables_ask_for_traces(variables: dict[str, str], asked: bool):
    assert is_asked_for(variables) is asked


def test_without_the_extra_the_bridge_runs_without_traces(monkeypatch: pytest.MonkeyPatch, caplog: Any):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    traces.configure(COLLECTOR)

    assert not traces.is_on()
    assert "pip install" in caplog.text


@pytest.mark.parametrize("name", ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"])
def test_a_variable_that_opentelemetry_refuses_turns_traces_off(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    """A platform may set it for all its programs: people are provisioned all the same."""
    monkeypatch.setenv(name, "-1")

    traces.configure(COLLECTOR)

    assert not traces.is_on()
    assert "ValueError" in caplog.text


def test_without_the_variables_nothing_is_imported():
    """A server that is asked for no traces pays nothing for them."""
    code = """
import sys
from scim_bridge import traces
from scim_bridge.web import app
traces.configure({})
with traces.request("1" * 32, "GET /scim/v2/Users"), traces.span("deliver"), traces.call("Ditio read") as span:
    span.note(http__response__status_code=200)
print([name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "google")])
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_a_process_that_ends_does_not_wait_for_a_collector(monkeypatch: pytest.MonkeyPatch):
    """OpenTelemetry itself would wait for as long as its exporter tries."""
    is_over = threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            is_over.wait(60)

    monkeypatch.setattr(traces, "ENDING_SECONDS", 0.1)
    traces.start(Stuck())
    began = time.monotonic()
    traces.stop()
    took = time.monotonic() - began
    is_over.set()

    assert took < 30
    assert not traces.is_on()


def test_a_collector_receives_the_trace(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """By OTLP over HTTP, as the variables say."""
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
        traces.configure()
        assert traces.is_on()
        World(database, clock).provisions(a_user())
        traces.stop()

    about = {each.key: each.value.string_value for each in collector.resources[0].resource.attributes}
    assert (about["service.name"], about["deployment.environment"]) == ("scim-bridge", "test")
    spans = collector.spans()
    (posted,) = [each for each in spans if each.name == "POST /scim/v2/Users"]
    assert {"deliver", "Ditio create"} <= {each.name for each in spans if each.trace_id == posted.trace_id}
