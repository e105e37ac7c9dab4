"""OpenTelemetry traces, from Entra's request to Ditio's answer; off, and without a cost, unless OTEL_ asks for them.

They hold ids, names of operations, methods, statuses and times: no value of a person, no URL with a number in it.
"""

import atexit
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from hashlib import sha256
from logging import getLogger
from typing import TYPE_CHECKING, Literal

from scim_bridge import installed_version
from scim_bridge.logs import get_logger

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span as OtelSpan

log = get_logger(__name__)

Value = str | int | None
Kind = Literal["server", "client", "internal"]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Either variable says where the collector is, and asks for traces."""

ENDING_SECONDS = 2.0
"""How long a process that ends waits for its last spans to be sent. OpenTelemetry itself would wait 30 seconds."""

_HEX = re.compile(r"(?!0{32})[0-9a-f]{32}")


class Span:
    """One step of a trace. This one is of no trace: nothing is kept."""

    def note(self, **attributes: Value) -> None:
        """Add attributes; two underscores stand for a full stop, and None is left out."""

    def fail(self, kind: str) -> None:
        """Mark the step as failed, by an error's name or a status: its own words may quote a value."""


_NOTHING = Span()


def is_on() -> bool:
    """Return whether this process makes traces."""
    return _tracing is not None


def is_asked_for(environment: Mapping[str, str]) -> bool:
    """Return whether the variables ask for traces, as OpenTelemetry defines them."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    is_off = is_off or environment.get("OTEL_TRACES_EXPORTER", "otlp").lower() == "none"
    return not is_off and any(environment.get(name) for name in ENDPOINTS)


def configure(environment: Mapping[str, str] = os.environ) -> None:
    """Start to make traces in this process, if the variables ask for them. Call it after a fork."""
    if _tracing is not None or not is_asked_for(environment):
        return
    try:
        # Large, and only for those who ask for it.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("traces.off", why="OpenTelemetry is not installed: `pip install 'scim-bridge[traces]'`")
        return
    # One line for each batch that is lost is enough: below that it tells of every try.
    getLogger("opentelemetry").setLevel("ERROR")
    try:
        start(BatchSpanProcessor(OTLPSpanExporter()))
    except Exception as error:
        log.warning("traces.off", why=f"OpenTelemetry refuses an OTEL_ variable ({type(error).__name__}: {error})")
        return
    atexit.register(stop)
    log.info("traces.on")


def start(processor: "SpanProcessor") -> "TracerProvider":
    """Start to make traces, and hand each span to a processor."""
    from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    global _tracing

    class Ids(RandomIdGenerator):
        """Gives the span of a request the ids that follow from the request's own."""

        def generate_trace_id(self) -> int:
            return (_chosen.get() or (super().generate_trace_id(), 0))[0]

        def generate_span_id(self) -> int:
            return (_chosen.get() or (0, super().generate_span_id()))[1]

    found = Resource.create({SERVICE_VERSION: installed_version()})
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: "scim-bridge"}))
    provider = TracerProvider(resource=found, id_generator=Ids(), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    _tracing = _Tracing(provider)
    return provider


def stop() -> None:
    """Send what is left to send, and make no more traces in this process."""
    global _tracing
    ended, _tracing = _tracing, None
    if ended is not None:
        ended.end()


def ids_of(request_id: str) -> tuple[int, int]:
    """Return the ids of a request's trace and of its first span: they follow from the request's id.

    So a worker continues the trace hours later, from the request id that is stored with the person. An id of 32
    hexadecimal digits is the trace's id itself. Any other is hashed.
    """
    plain = request_id
    if not _HEX.fullmatch(plain):
        plain = sha256(request_id.encode()).hexdigest()[:32]
    return int(plain, 16), int(plain[16:], 16) or 1


def request(request_id: str, name: str, **attributes: Value) -> AbstractContextManager[Span]:
    """Open the span with which the trace of a request begins. :param name: Method and template of the route."""
    if _tracing is None:
        return nullcontext(_NOTHING)
    return _tracing.beginning(request_id, name, {"scim_bridge__request_id": request_id, **attributes})


def span(name: str, *, continues: str | None = None, **attributes: Value) -> AbstractContextManager[Span]:
    """Open a span within the current one.

    :param continues: Where there is no current one: the id of the request whose trace it belongs to.
    """
    if _tracing is None:
        return nullcontext(_NOTHING)
    return _tracing.within(name, continues, attributes)


def detail(name: str) -> AbstractContextManager[Span]:
    """Open a span that is of interest only within another one; without one, nothing is kept."""
    if _tracing is None or not _tracing.is_recording():
        return nullcontext(_NOTHING)
    return _tracing.within(name, None, {})


def call(name: str, **attributes: Value) -> AbstractContextManager[Span]:
    """Open the span of a call to another service. It may end in another thread, so no span opens within it."""
    if _tracing is None:
        return nullcontext(_NOTHING)
    return _tracing.call(name, attributes)


_chosen: ContextVar[tuple[int, int] | None] = ContextVar("chosen", default=None)
"""The ids that the next span gets."""


class _Kept(Span):
    """A span that is exported once it ends."""

    def __init__(self, otel: "OtelSpan") -> None:
        self._otel = otel

    def note(self, **attributes: Value) -> None:
        for name, value in attributes.items():
            if value is not None:
                self._otel.set_attribute(name.replace("__", "."), value)

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode

        self._otel.set_status(StatusCode.ERROR)
        self._otel.set_attribute("error.type", kind)


class _Tracing:
    """Makes spans with OpenTelemetry."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("scim_bridge", installed_version())

    def end(self) -> None:
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(ENDING_SECONDS)

    def is_recording(self) -> bool:
        from opentelemetry.trace import get_current_span

        return get_current_span().is_recording()

    @contextmanager
    def beginning(self, request_id: str, name: str, attributes: Mapping[str, Value]) -> Iterator[Span]:
        from opentelemetry.context import Context

        token = _chosen.set(ids_of(request_id))
        try:
            made = self._made(name, "server", Context())
        finally:
            _chosen.reset(token)
        with self._current(made, attributes) as kept:
            yield kept

    @contextmanager
    def within(self, name: str, continues: str | None, attributes: Mapping[str, Value]) -> Iterator[Span]:
        context = self._of_request(continues, name) if continues is not None else None
        with self._current(self._made(name, "internal", context), attributes) as kept:
            yield kept

    @contextmanager
    def call(self, name: str, attributes: Mapping[str, Value]) -> Iterator[Span]:
        made = self._made(name, "client", None)
        with self._kept(made, attributes) as kept:
            yield kept

    def _made(self, name: str, kind: Kind, context: "Context | None") -> "OtelSpan":
        from opentelemetry.trace import SpanKind

        return self._tracer.start_span(name, context=context, kind=SpanKind[kind.upper()])

    def _of_request(self, request_id: str, name: str) -> "Context | None":
        """Return the context of a request that another process, or this one earlier, has answered; see `span`."""
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import (
            NonRecordingSpan,
            SpanContext,
            TraceFlags,
            get_current_span,
            set_span_in_context,
        )

        if get_current_span().get_span_context().is_valid:
            return None
        trace_id, span_id = ids_of(request_id)
        # The sampler decides by the trace's id, so here as it did for the request.
        decided = self._provider.sampler.should_sample(None, trace_id, name).decision
        is_sampled = decided is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)
        return set_span_in_context(NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags)))

    @contextmanager
    def _current(self, made: "OtelSpan", attributes: Mapping[str, Value]) -> Iterator[Span]:
        from opentelemetry.trace import use_span

        with (
            use_span(made, record_exception=False, set_status_on_exception=False),
            self._kept(made, attributes) as kept,
        ):
            yield kept

    @contextmanager
    def _kept(self, made: "OtelSpan", attributes: Mapping[str, Value]) -> Iterator[Span]:
        kept = _Kept(made)
        kept.note(**attributes)
        try:
            yield kept
        except Exception as error:
            kept.fail(type(error).__name__)
            raise
        finally:
            made.end()


_tracing: _Tracing | None = None
