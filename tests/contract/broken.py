"""The bridge while something of its own is out of order."""

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from flask import Flask

from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.storage.database import Database
from scim_bridge.web.app import create_app
from tests.world import BRIDGE, World


def without_database(world: World) -> Flask:
    """Its database is out of reach."""
    return create_app(dataclasses.replace(world.parts, database=Database("sqlite:////nowhere/at/all.db")))


def with_a_fault(world: World) -> Flask:
    """It fails at every request, by a fault of its own: no one knows the company that the token is of."""
    database = copy.copy(world.database)
    database.read_once = _fails  # type: ignore[method-assign]  # Of this one, which simple reads use.
    return create_app(dataclasses.replace(world.parts, tenants={}, database=database))


def _fails(*_: object) -> NoReturn:
    raise KeyError("a fault")


@contextmanager
def answered_by(world: World, app: Flask) -> Iterator[None]:
    """Requests to the bridge go to this application meanwhile."""
    whole = world.http.get_adapter(BRIDGE)
    world.http.mount(BRIDGE, WsgiTransport(app))
    try:
        yield
    finally:
        world.http.mount(BRIDGE, whole)
