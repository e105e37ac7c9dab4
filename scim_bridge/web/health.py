"""`/healthz`: the process answers. `/readyz`: writes can be accepted (rule D7)."""

from dataclasses import asdict
from datetime import datetime

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.domain.breaker import Breaker
from scim_bridge.errors import SchemaOutdated
from scim_bridge.logs import get_logger
from scim_bridge.storage.breakers import Breakers
from scim_bridge.storage.database import Database
from scim_bridge.storage.file import FileLost
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.runs import Run, Runs
from scim_bridge.storage.schema import require_current
from scim_bridge.web.insiders import is_insider

log = get_logger(__name__)


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
