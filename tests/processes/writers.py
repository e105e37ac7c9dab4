"""Several processes that write into one database, each with an application of its own.

What is called in them is a plain function of this module: it is imported there, and its answers come back pickled.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

from flask import Flask

from scim_bridge import logs
from scim_bridge.bootstrap import build
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database
from scim_bridge.web.app import create_app

PROCESSES = 4
TOKEN = "a-secret-token-of-the-writers"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

SETTINGS: dict[str, Any] = {
    "server": {"base_url": "https://bridge.test"},
    # Everything is taken in and made due, and nobody is delivered: no call goes out.
    "delivery": {"inline_seconds": 0},
    "ditio": {
        "api_url": "http://127.0.0.1:9/core",
        "identity_url": "http://127.0.0.1:9",
        "client_id": "nobody",
        "client_secret": "asks",
    },
}


@dataclass(frozen=True)
class Request:
    """What one process is to send. `url` names the database."""

    url: str
    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What it was answered."""

    status: int
    body: Any


def let_in(database: Database) -> None:
    """Give the writers a token."""
    with database.write("default") as s:
        s.tokens.add("w", "writers", TOKEN, expires_at=None)


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    """The body of a PATCH."""
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def send(request: Request) -> Answer:
    """Send a request to this process's own application."""
    response = (
        _application(request.url)
        .test_client()
        .open(
            f"/scim/v2{request.path}",
            method=request.method,
            json=request.body,
            headers={"Authorization": f"Bearer {TOKEN}", **dict(request.headers)},
        )
    )
    return Answer(response.status_code, response.get_json(silent=True))


@lru_cache(maxsize=1)
def _application(url: str) -> Flask:
    logs.configure("error")
    return create_app(build(Settings(**SETTINGS), database=Database(url)))


class Writers:
    """The processes."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def send(self, requests: Iterable[Request]) -> list[Answer]:
        """Send all of them, as many at a time as there are processes; the answers in the same order."""
        return list(self._pool.map(send, requests))


@contextmanager
def writers() -> Iterator[Writers]:
    """Start the processes, and end them. The libraries are imported once, by the process that they are forked from."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
        yield Writers(pool)
