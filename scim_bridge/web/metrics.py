"""`/metrics`: what there is to watch, as Prometheus reads it. Read from the database, so any process can answer."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from flask import Blueprint, Response, abort, request
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.domain.delivery_state import HELD, Reason
from scim_bridge.domain.drift import Kind
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database
from scim_bridge.storage.figures import RECENT_SECONDS, Figures, figures_of
from scim_bridge.web.insiders import is_insider

log = get_logger(__name__)

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
        registry.register(_Collector(_figures(database, names), paused))
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def _figures(database: Database, tenants: list[str]) -> dict[str, Figures] | None:
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
