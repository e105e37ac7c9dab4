"""The bridge as the benchmarks run it: deliveries only queued, Ditio never called."""

from datetime import UTC, datetime
from http import HTTPStatus

from flask import Flask
from werkzeug.datastructures import Headers

from scim_bridge.bootstrap import Parts, build
from scim_bridge.errors import BridgeError
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.storage.database import Database
from scim_bridge.web.app import create_app
from tests.benchmarks import people

TOKEN = "scimb_of-the-benchmarks-and-valid-nowhere-else"
PATH = "/scim/v2/Users"
CERTIFICATES_PATH = "/scim/v2/Certificates"
CONTENT_TYPE = "application/scim+json"
THREADS = 8

NOBODY = "http://127.0.0.1:9"
"""Where Ditio is said to be. Nothing listens there, and nothing is sent: no worker runs, and no request delivers."""


def environment(database_url: str) -> dict[str, str]:
    """The settings of `scim-bridge serve`, as environment variables: one process, threads as by default."""
    settings = {
        "DATABASE__URL": database_url,
        "SERVER__WORKERS": "1",
        "SERVER__THREADS": str(THREADS),
        "DELIVERY__INLINE_SECONDS": "0",
        "DITIO__API_URL": NOBODY,
        "DITIO__IDENTITY_URL": NOBODY,
        "DITIO__CLIENT_ID": "benchmarks",
        "DITIO__CLIENT_SECRET": "a-secret-of-nobody",
    }
    return {f"SCIM_BRIDGE_{name}": value for name, value in settings.items()}


def parts_for(database: Database) -> Parts:
    """The same bridge in this process."""
    settings = Settings.model_validate(
        {
            "server": {"base_url": "http://127.0.0.1", "workers": 1, "threads": THREADS},
            "delivery": {"inline_seconds": 0},
            "ditio": {
                "api_url": NOBODY,
                "identity_url": NOBODY,
                "client_id": "benchmarks",
                "client_secret": "a-secret-of-nobody",
            },
        }
    )
    return build(settings, database=database)


def app_for(database: Database) -> Flask:
    """Its application, to be called without a server."""
    return create_app(parts_for(database))


def add_token(database: Database) -> None:
    """Make the benchmarks' token known."""
    with database.write(DEFAULT_TENANT) as s:
        s.at(datetime.now(UTC)).tokens.add("benchmarks", "benchmarks", TOKEN, expires_at=None)


def authorization() -> Headers:
    """The header that lets the benchmarks in."""
    return Headers({"Authorization": f"Bearer {TOKEN}"})


def post_user(app: Flask, number: int) -> None:
    """POST a person, without a server between. :raises BridgeError: anything but 201."""
    _post(app, PATH, people.body(number))


def post_user_with_certificates(app: Flask, number: int) -> None:
    """POST a person, then two certificates of his. :raises BridgeError: anything but 201."""
    post_user(app, number)
    for body in people.certificates(number):
        _post(app, CERTIFICATES_PATH, body)


def _post(app: Flask, path: str, body: bytes) -> None:
    response = app.test_client().post(path, data=body, content_type=CONTENT_TYPE, headers=authorization())
    if response.status_code != HTTPStatus.CREATED:
        raise BridgeError(f"a POST is answered {response.status}: {response.text[:500]}")
