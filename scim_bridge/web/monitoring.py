"""`/healthz`, `/readyz` and `/metrics`, and who is shown details (rule D7)."""

import ipaddress
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import version
from urllib.parse import urlsplit

from flask import Blueprint, Request, Response, abort, jsonify, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.drift import Kind
from scim_bridge.domain.outcome import HELD, Reason
from scim_bridge.errors import SchemaOutdated
from scim_bridge.logs import get_logger
from scim_bridge.storage.breaker import Breakers
from scim_bridge.storage.database import Database
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.reports import RECENT_SECONDS, Figures, figures_of
from scim_bridge.storage.runs import Run, Runs
from scim_bridge.storage.schema import require_current
from scim_bridge.storage.sqlite_file import FileLost

log = get_logger(__name__)


FORWARDED = ("Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Original-For", "True-Client-Ip", "Cf-Connecting-Ip")
"""What a proxy on this machine says of whom it asks for: then loopback is the proxy, and not who asks. So it is with
all that begins as `X-Forwarded-For` does."""

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_insider(request: Request, token: str | None) -> bool:
    """Whether the request carries the token as bearer; where there is none, whether it comes from loopback itself.

    :param token: `SERVER__METRICS_TOKEN`; None where there is none.
    """
    if token is not None:
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(sent.strip().encode(), token.encode())
    return _is_loopback(request.remote_addr) and not _came_through_proxy(request)


def _came_through_proxy(request: Request) -> bool:
    """Whether there is any sign of one: what it adds, the public name that it was asked for, or nginx's HTTP/1.0."""
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
    """The two routes, which need no credential; only insiders see figures.

    :param token: `SERVER__METRICS_TOKEN`, for whoever asks from another machine.
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
            with database.write() as connection:
                if not database.can_write(connection):
                    return _answer("not ready", "the database only reads: it is a standby", 503, insider=insider)
                # Nobody else is told the figures: a stranger keeps the lock for no longer than it takes to see that.
                figures = _figures(connection, database.now(connection), tenants, paused) if insider else {}
        except SchemaOutdated as error:
            return _answer("not ready", str(error), 503, insider=insider)
        except FileLost as error:
            return _answer("not ready", error.words, 503, insider=insider)
        except SQLAlchemyError as error:
            log.warning("readyz.database", error=type(error).__name__)
            return _answer("not ready", "the database can't be written to", 503, insider=insider)
        if not insider:
            return jsonify(status="ready"), 200
        return jsonify(status="ready", database="ok", **figures), 200

    return blueprint


def _answer(status: str, detail: str, code: int, *, insider: bool) -> tuple[Response, int]:
    response = jsonify(status=status, detail=detail) if insider else jsonify(status=status)
    response.headers["Retry-After"] = "30"
    return response, code


def _figures(
    connection: Connection, now: datetime, tenants: list[str], paused: frozenset[str]
) -> dict[str, dict[str, object]]:
    """What there is to tell of each tenant, by subject."""
    known = {name: Breakers(connection, name, now).get() for name in tenants}
    return {
        "outbox": {
            name: {
                **asdict(Outbox(connection, name, now).status()),
                "paused": name in paused or known[name].is_paused,
            }
            for name in tenants
        },
        "breaker": {name: _breaker(breaker) for name, breaker in known.items()},
        "reconcile": {name: _run(Runs(connection, name).last(), now) for name in tenants},
    }


def _breaker(breaker: Breaker) -> dict[str, object]:
    """Whether Ditio is called; if not, since when, why, and when it is tried next (rules R2, D7)."""
    return {
        "open": breaker.is_open,
        "since": _shown(breaker.opened_at),
        "why": breaker.why,
        "next_probe": _shown(breaker.next_probe_at),
        "quiet_until": _shown(breaker.quiet_until),
    }


def _run(run: Run | None, now: datetime) -> dict[str, object] | None:
    """The last run of `reconcile` about everybody; None before there was one."""
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


PATH = "/metrics"

QUANTILES = (0.5, 0.95, 0.99)


def metrics_blueprint(
    database: Database, tenants: Iterable[str], token: str | None, paused: frozenset[str] = frozenset()
) -> Blueprint:
    """The route. Counts and times alone: no names, no numbers of people.

    :param token: `SERVER__METRICS_TOKEN`; where it is set, nobody is told anything without it.
    :param paused: The tenants that the setting pauses.
    """
    blueprint, names = Blueprint("metrics", __name__), list(tenants)

    @blueprint.before_app_request
    def refuse_strangers() -> None:
        # Like any path that there isn't, by whichever method: Flask itself would answer OPTIONS, and 405 to others.
        if request.path == PATH and not is_insider(request, token):
            abort(404)

    @blueprint.get(PATH)
    def metrics() -> Response:
        registry = CollectorRegistry()
        registry.register(_Collector(_sampled(database, names), paused))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def _sampled(database: Database, tenants: list[str]) -> dict[str, Figures] | None:
    """The figures of each tenant; None while the database is out of reach, which is itself worth an answer."""
    try:
        with database.read() as connection:
            now = database.now(connection)
            return {name: figures_of(connection, name, now) for name in tenants}
    except SQLAlchemyError as error:
        log.warning("metrics.database", error=type(error).__name__)
        return None


class _Collector(Collector):
    def __init__(self, figures: Mapping[str, Figures] | None, paused: frozenset[str]) -> None:
        self._figures = figures
        self._paused = paused

    def collect(self) -> Iterator[Metric]:
        yield _gauge("info", "The version that runs.", ["version"], [((version("scim-bridge"),), 1)])
        yield _gauge("database_up", "1 while the database can be read.", [], [((), int(self._figures is not None))])
        of = self._figures or {}
        yield _gauge(
            "due",
            "People to be delivered now, those who wait in back-off included.",
            ["tenant"],
            [((name,), figures.status.due) for name, figures in of.items()],
        )
        yield _gauge(
            "oldest_due_seconds",
            "How long the oldest of them has been due; 0 where nobody is.",
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
            "breaker_open",
            "1 while Ditio is called for nobody but one person now and then, because of trouble with it.",
            ["tenant"],
            [((name,), int(figures.is_open)) for name, figures in of.items()],
        )
        yield _gauge(
            "paused",
            "1 while deliveries are paused, by the setting or by the command.",
            ["tenant"],
            [((name,), int(figures.is_paused or name in self._paused)) for name, figures in of.items()],
        )
        yield from _of_calls(of)
        yield _gauge(
            "certificates_ending",
            "Certificates of people at work that have ended (expired), or end within so many days and no fewer.",
            ["tenant", "type", "window"],
            [
                ((name, kind, window), count)
                for name, figures in of.items()
                for (kind, window), count in sorted(figures.certificates.items())
            ],
        )
        yield from _of_runs(of)
        tokens = {name: figures.token_seconds for name, figures in of.items()}
        yield _ending("token_expires_seconds", "token that Entra can sign in with", tokens)
        secrets = {name: figures.client_seconds for name, figures in of.items()}
        yield _ending("client_secret_expires_seconds", "secret of a client", secrets)


def _ending(name: str, what: str, seconds: Mapping[str, float | None]) -> Metric:
    values = [((tenant,), left) for tenant, left in seconds.items() if left is not None]
    return _gauge(name, f"Until the last {what} ends; missing where one never ends.", ["tenant"], values)


def _of_calls(of: Mapping[str, Figures]) -> Iterator[Metric]:
    calls = [(name, what, each) for name, figures in of.items() for what, each in sorted(figures.calls.items())]
    yield _gauge(
        "ditio_calls",
        f"Calls that changed, or were to change, something in Ditio in the last {RECENT_SECONDS} seconds.",
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
    """`reconcile`: its last run about everybody. Before there was one, the figures are missing."""
    runs = [(name, figures.reconciled) for name, figures in of.items()]
    yield _gauge(
        "reconcile_age_seconds",
        "How long ago the last run of reconcile began that compared everybody.",
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
        "Differences that it found, by kind; what it repaired of them is among them.",
        ["tenant", "kind"],
        [((n, kind.value), run.by_kind.get(kind.value, 0)) for n, run in runs if run is not None for kind in Kind],
    )
    for what, text in (
        ("people", "People whom it compared."),
        ("in_sync", "Those of them of whom nothing differed."),
        ("applied", "Differences that it repaired."),
    ):
        yield _gauge(
            f"reconcile_{what}", text, ["tenant"], [((n,), getattr(run, what)) for n, run in runs if run is not None]
        )


def _gauge(name: str, text: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"scim_bridge_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family
