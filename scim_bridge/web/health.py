"""`/healthz`: the process answers. `/readyz`: writes can be accepted (rule D7)."""

from dataclasses import asdict

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.errors import SchemaOutdated
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.schema import require_current
from scim_bridge.web.insiders import is_insider

log = get_logger(__name__)


def health_blueprint(database: Database, tenants: list[str], token: str | None) -> Blueprint:
    """The two routes, which need no credential; only insiders see figures.

    :param token: `SERVER__METRICS_TOKEN`, for whoever asks from another machine.
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
                now = database.now(connection)
                figures = {name: asdict(Outbox(connection, name, now).status()) for name in tenants}
        except SchemaOutdated as error:
            return _answer("not ready", str(error), 503, insider=insider)
        except SQLAlchemyError as error:
            log.warning("readyz.database", error=type(error).__name__)
            return _answer("not ready", "the database can't be written to", 503, insider=insider)
        if not insider:
            return jsonify(status="ready"), 200
        return jsonify(status="ready", database="ok", outbox=figures), 200

    return blueprint


def _answer(status: str, detail: str, code: int, *, insider: bool) -> tuple[Response, int]:
    response = jsonify(status=status, detail=detail) if insider else jsonify(status=status)
    response.headers["Retry-After"] = "30"
    return response, code
