"""`/healthz`, `/readyz` and `/metrics`, and which callers see details (rule D7)."""

import ipaddress
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from urllib.parse import urlsplit

from flask import Blueprint, Request, Response, abort, jsonify, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.routing import Rule

from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.drift import Kind
from scim_bridge.domain.entra import JobState
from scim_bridge.domain.outcome import HELD, Reason
from scim_bridge.errors import SchemaOutdated
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.figures import RECENT_SECONDS, Figures, figures_of
from scim_bridge.storage.last_requests import last_request
from scim_bridge.storage.runs import START, Presence, ProcessKind, Run, presences
from scim_bridge.storage.schema import require_current
from scim_bridge.storage.trouble import STANDBY, Trouble, Why, trouble_of

log = get_logger(__name__)


FORWARDED = ("Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Original-For", "True-Client-Ip", "Cf-Connecting-Ip")
"""Headers that a proxy on this machine adds: then loopback is the proxy, not the client. The same holds for every
header that begins with `X-Forwarded-For`."""

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_insider(request: Request, token: str | None) -> bool:
    """Return whether the request may see details: it carries the token, or no token is set and it is from loopback.

    :param token: `SERVER__METRICS_TOKEN`, sent as bearer; None where it is not set.
    """
    if token is not None:
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(sent.strip().encode(), token.encode())
    return _is_loopback(request.remote_addr) and not _came_through_proxy(request)


def _came_through_proxy(request: Request) -> bool:
    """Return whether there is any sign of a proxy: a header of one, a public host name, or nginx's HTTP/1.0."""
    names = {name.title() for name, _ in request.headers}
    adds = any(name.startswith("X-Forwarded") for name in names) or not names.isdisjoint(FORWARDED)
    return adds or _host(request) not in LOCAL_NAMES or request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"


def _host(request: Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname
    except ValueError:
        return None


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def health_blueprint(
    database: Database, tenants: list[str], token: str | None, paused: frozenset[str] = frozenset()
) -> Blueprint:
    """Return the two routes. They need no credential, and only insiders see figures.

    :param token: `SERVER__METRICS_TOKEN`, for callers on another machine.
    :param paused: The tenants that the setting pauses.
    """
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        insider = is_insider(request, token)
        try:
            require_current(database)
            with database.write() as s:
                if not database.can_write(s.connection):
                    return _answer("not ready", STANDBY.words, 503, insider=insider)
                # Only insiders see the figures: other callers hold the lock just long enough for this test.
                figures = _figures(s, tenants, paused) if insider else {}
            found = database.trouble()
        except SchemaOutdated as error:
            return _answer("not ready", str(error), 503, insider=insider)
        except SQLAlchemyError as error:
            found = trouble_of(error)
        if found is not None:
            log.warning("readyz.database", why=found.words)
            return _answer("not ready", found.words, 503, insider=insider)
        if not insider:
            return jsonify(status="ready"), 200
        return jsonify(status="ready", database="ok", **figures), 200

    return blueprint


def _answer(status: str, detail: str, code: int, *, insider: bool) -> tuple[Response, int]:
    response = jsonify(status=status, detail=detail) if insider else jsonify(status=status)
    response.headers["Retry-After"] = "30"
    return response, code


def _figures(s: Session, tenants: list[str], paused: frozenset[str]) -> dict[str, dict[str, object]]:
    """Return the figures of each tenant, by subject."""
    each = {name: s.of(name) for name in tenants}
    known = {name: of.breaker.get() for name, of in each.items()}
    running = presences(s)
    return {
        "processes": {kind.value: _presence(each) for kind, each in running.items()},
        "outbox": {
            name: {
                **asdict(of.outbox.status()),
                "paused": name in paused or known[name].is_paused,
            }
            for name, of in each.items()
        },
        "breaker": {name: _breaker(breaker) for name, breaker in known.items()},
        "reconcile": {name: _run(of.runs.last(), s.now) for name, of in each.items()},
        "entra": {name: {"last_request_at": _shown(last_request(of))} for name, of in each.items()},
    }


def _presence(of_kind: Presence) -> dict[str, object]:
    """Return how many processes of a kind run; if none, since when, and what to do."""
    absence = of_kind.absence
    return {
        "alive": of_kind.alive,
        "last_seen_at": _shown(of_kind.last_seen_at),
        "host": of_kind.host,
        "detail": absence and f"{absence}: {START[of_kind.kind]}",
    }


def _breaker(breaker: Breaker) -> dict[str, object]:
    """Return whether Ditio is called; if not, since when, why, and when the next test is (rules R2, D7)."""
    return {
        "open": breaker.is_open,
        "since": _shown(breaker.opened_at),
        "why": breaker.why,
        "next_probe": _shown(breaker.next_probe_at),
        "quiet_until": _shown(breaker.quiet_until),
    }


def _run(run: Run | None, now: datetime) -> dict[str, object] | None:
    """Return the last run of `reconcile` over all people; None before the first."""
    if run is None:
        return None
    return {
        "plan": run.plan_id,
        "started_at": _shown(run.started_at),
        "finished_at": _shown(run.finished_at),
        "age_seconds": round((now - run.started_at).total_seconds(), 3),
        "exit": run.exit,
        "people": run.people,
        "in_sync": run.in_sync,
        "by_kind": dict(run.by_kind),
        "applied": run.applied,
    }


def _shown(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment is not None else None


PATH, METHODS = "/metrics", ("GET", "HEAD", "OPTIONS")

QUANTILES = (0.5, 0.95, 0.99)


def metrics_blueprint(
    database: Database, tenants: Iterable[str], token: str | None, paused: frozenset[str] = frozenset()
) -> Blueprint:
    """Return the route. It shows only counts and times: no names, no employee numbers.

    :param token: `SERVER__METRICS_TOKEN`; where it is set, a caller without it sees nothing.
    :param paused: The tenants that the setting pauses.
    """
    blueprint, names = Blueprint("metrics", __name__), list(tenants)

    @blueprint.endpoint("metrics.metrics")
    def metrics() -> Response:
        if not is_insider(request, token):
            abort(404)
        if request.method == "OPTIONS":
            return Response(headers={"Allow": ", ".join(METHODS)})
        if request.method not in METHODS:
            abort(405, METHODS)
        registry = CollectorRegistry()
        registry.register(_Collector(_sampled(database, names), paused))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    # A rule without methods: for any of them a stranger gets the answer of an unknown path. With methods, Flask itself
    # would answer OPTIONS, and 405 to others.
    blueprint.record_once(lambda state: state.app.url_map.add(Rule(PATH, endpoint="metrics.metrics")))
    return blueprint


@dataclass(frozen=True, slots=True)
class _Sample:
    """What was found at one moment."""

    figures: Mapping[str, Figures] | None = None
    """By tenant; None while the database is out of reach, which is itself worth reporting."""

    running: Mapping[ProcessKind, Presence] = field(default_factory=dict)
    now: datetime | None = None
    trouble: Trouble | None = None


def _sampled(database: Database, tenants: list[str]) -> _Sample:
    try:
        with database.read() as s:
            figures = {name: figures_of(s.of(name)) for name in tenants}
            takes_writes = database.is_sqlite or database.can_write(s.connection)
            sample = _Sample(figures, presences(s), s.now, None if takes_writes else STANDBY)
        return replace(sample, trouble=sample.trouble or database.trouble())
    except SQLAlchemyError as error:
        found = trouble_of(error)
        log.warning("metrics.database", why=found.words)
        return _Sample(trouble=found)


class _Collector(Collector):
    def __init__(self, sample: _Sample, paused: frozenset[str]) -> None:
        self._sample = sample
        self._paused = paused

    def collect(self) -> Iterator[Metric]:
        found = self._sample
        yield _gauge("info", "The version that runs.", ["version"], [((version("scim-bridge"),), 1)])
        yield _gauge("database_up", "1 while the database can be read.", [], [((), int(found.figures is not None))])
        yield _gauge(
            "database_trouble",
            "1 for what keeps writes from being stored.",
            ["why"],
            [((why,), int(found.trouble is not None and found.trouble.why is why)) for why in Why],
        )
        yield from _of_processes(found)
        of = found.figures or {}
        yield _gauge(
            "due",
            "People due for delivery now, those waiting for a retry included.",
            ["tenant"],
            [((name,), figures.status.due) for name, figures in of.items()],
        )
        yield _gauge(
            "oldest_due_seconds",
            "How long the oldest of them has been due; 0 if there are none.",
            ["tenant"],
            [((name,), figures.status.oldest_seconds or 0) for name, figures in of.items()],
        )
        for state, reasons in (("held", HELD), ("parked", frozenset(Reason) - HELD)):
            yield _gauge(
                state,
                f"People who are {state}, by reason.",
                ["tenant", "reason"],
                [
                    ((name, reason), getattr(figures, state).get(reason, 0))
                    for name, figures in of.items()
                    for reason in sorted(reasons)
                ],
            )
        yield _gauge(
            "refused",
            "People whose last write from Entra was answered 400 or 409.",
            ["tenant"],
            [((name,), figures.refused) for name, figures in of.items()],
        )
        yield _gauge(
            "entra_last_request_seconds",
            "How long ago the last SCIM request with a valid credential came, five minutes late at most; missing "
            "before the first one.",
            ["tenant"],
            [((name,), figures.silent_seconds) for name, figures in of.items() if figures.silent_seconds is not None],
        )
        yield _gauge(
            "breaker_open",
            "1 while Ditio is not called because of trouble with it, except for a test now and then.",
            ["tenant"],
            [((name,), int(figures.is_open)) for name, figures in of.items()],
        )
        yield _gauge(
            "paused",
            "1 while deliveries are paused, by the setting or by the command.",
            ["tenant"],
            [((name,), int(figures.is_paused or name in self._paused)) for name, figures in of.items()],
        )
        yield _gauge(
            "notices_unsent",
            "Notices to operators that a webhook or a mail server did not accept, and that are tried again.",
            ["tenant"],
            [((name,), figures.unsent_notices) for name, figures in of.items()],
        )
        yield from _of_calls(of)
        yield _gauge(
            "certificates_ending",
            "Certificates of people at work by when they end: already (expired), or within so many days and no fewer.",
            ["tenant", "type", "window"],
            [
                ((name, kind, window), count)
                for name, figures in of.items()
                for (kind, window), count in sorted(figures.certificates.items())
            ],
        )
        yield from _of_runs(of)
        yield from _of_entra(of, found.now)
        tokens = {name: figures.token_seconds for name, figures in of.items()}
        yield _ending("token_expires_seconds", "token that Entra can sign in with", tokens)
        secrets = {name: figures.client_seconds for name, figures in of.items()}
        yield _ending("client_secret_expires_seconds", "secret of a client", secrets)


def _of_processes(found: _Sample) -> Iterator[Metric]:
    yield _gauge(
        "processes",
        "Processes that have left a heartbeat in the last two minutes.",
        ["kind"],
        [((kind,), each.alive) for kind, each in found.running.items()],
    )
    yield _gauge(
        "process_last_seen_seconds",
        "How long ago the last heartbeat of such a process was; missing if none has ever run.",
        ["kind"],
        [
            ((kind,), (found.now - each.last_seen_at).total_seconds())
            for kind, each in found.running.items()
            if found.now is not None and each.last_seen_at is not None
        ],
    )


def _ending(name: str, what: str, seconds: Mapping[str, float | None]) -> Metric:
    values = [((tenant,), left) for tenant, left in seconds.items() if left is not None]
    return _gauge(name, f"Until the last {what} ends; missing where one never ends.", ["tenant"], values)


def _of_calls(of: Mapping[str, Figures]) -> Iterator[Metric]:
    calls = [(name, what, each) for name, figures in of.items() for what, each in sorted(figures.calls.items())]
    yield _gauge(
        "ditio_calls",
        f"Calls that changed, or should have changed, something in Ditio in the last {RECENT_SECONDS} seconds.",
        ["tenant", "operation"],
        [((name, what), each.count) for name, what, each in calls],
    )
    yield _gauge(
        "ditio_failed_calls",
        "Those of them that Ditio refused or did not answer.",
        ["tenant", "operation"],
        [((name, what), each.failed) for name, what, each in calls],
    )
    yield _gauge(
        "ditio_call_seconds",
        "How long they took.",
        ["tenant", "operation", "quantile"],
        [((name, what, str(q)), each.quantile(q)) for name, what, each in calls for q in QUANTILES],
    )


def _of_runs(of: Mapping[str, Figures]) -> Iterator[Metric]:
    """Yield the figures of the last run of `reconcile` over all people; before the first they are missing."""
    runs = [(name, figures.reconciled) for name, figures in of.items()]
    yield _gauge(
        "reconcile_age_seconds",
        "How long ago the last run of reconcile over all people began.",
        ["tenant"],
        [((n,), f.reconciled_seconds) for n, f in of.items() if f.reconciled_seconds is not None],
    )
    yield _gauge(
        "reconcile_exit",
        "How the last run ended: 0 in sync or repaired, 2 something differs, 3 stopped by a guard, 1 an error.",
        ["tenant"],
        [((n,), f.reconcile_exit) for n, f in of.items() if f.reconcile_exit is not None],
    )
    yield _gauge(
        "reconcile_found",
        "Differences that it found, by kind, the repaired ones included.",
        ["tenant", "kind"],
        [((n, kind.value), run.by_kind.get(kind.value, 0)) for n, run in runs if run is not None for kind in Kind],
    )
    for what, text in (
        ("people", "People that it compared."),
        ("in_sync", "Those of them without a difference."),
        ("applied", "Differences that it repaired."),
    ):
        yield _gauge(
            f"reconcile_{what}", text, ["tenant"], [((n,), getattr(run, what)) for n, run in runs if run is not None]
        )


def _of_entra(of: Mapping[str, Figures], now: datetime | None) -> Iterator[Metric]:
    """Yield what the last read of Entra's provisioning job found; missing where Entra is not read."""
    read = [(name, figures.entra) for name, figures in of.items() if figures.entra is not None]
    yield _gauge(
        "entra_job_state",
        "1 for the state of Entra's provisioning job: healthy, quarantine, paused, late, …; none without a job, and "
        "unread if it could not be read.",
        ["tenant", "state"],
        [((name, state), int(job.state == state)) for name, job in read for state in (*JobState, "none", "unread")],
    )
    yield _gauge(
        "entra_quarantined_since",
        "When the quarantine of the job began, in seconds since 1970; missing where there is none.",
        ["tenant"],
        [((name,), job.quarantined_since.timestamp()) for name, job in read if job.quarantined_since is not None],
    )
    yield _gauge(
        "entra_escrowed",
        "People that failed in the last cycle; Entra tries each of them again.",
        ["tenant"],
        [((name,), job.escrowed) for name, job in read if job.state not in ("none", "unread")],
    )
    yield _gauge(
        "entra_read_age_seconds",
        "How long ago the job was last read.",
        ["tenant"],
        [((name,), (now - job.at).total_seconds()) for name, job in read if now is not None],
    )


def _gauge(name: str, text: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"scim_bridge_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family
