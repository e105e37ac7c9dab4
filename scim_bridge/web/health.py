"""`/healthz`: the process answers. `/readyz`: writes can be accepted (rule D7)."""

import ipaddress
from dataclasses import asdict

from flask import Blueprint, Response, jsonify, request
from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.errors import SchemaOutdated
from scim_bridge.logs import get_logger
from scim_bridge.storage.database import Database
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.schema import require_current

log = get_logger(__name__)


def health_blueprint(database: Database, tenants: list[str]) -> Blueprint:
    """The two routes, which need no credential; only loopback sees figures."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        try:
            require_current(database)
            with database.write() as connection:
                if not database.can_write(connection):
                    return _answer("not ready", "the database only reads: it is a standby", 503)
                now = database.now(connection)
                figures = {name: asdict(Outbox(connection, name, now).status()) for name in tenants}
        except SchemaOutdated as error:
            return _answer("not ready", str(error), 503)
        except SQLAlchemyError as error:
            log.warning("readyz.database", error=type(error).__name__)
            return _answer("not ready", "the database can't be written to", 503)
        if not _is_loopback(request.remote_addr):
            return jsonify(status="ready"), 200
        return jsonify(status="ready", database="ok", outbox=figures), 200

    return blueprint


def _answer(status: str, detail: str, code: int) -> tuple[Response, int]:
    response = jsonify(status=status, detail=detail) if _is_loopback(request.remote_addr) else jsonify(status=status)
    response.headers["Retry-After"] = "30"
    return response, code


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
