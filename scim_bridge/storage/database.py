"""The engine: one way to begin a reading and one to begin a writing transaction, and the database's clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from scim_bridge.errors import BridgeError

SQLITE_BUSY_SECONDS = 30
"""How long a SQLite write waits for another process to finish its own."""


class Database:
    """SQLite or PostgreSQL, opened by URL.

    :param clock: Stands in for the database's clock; for tests, which choose the time.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None, pool_size: int = 10) -> None:
        self.engine = _engine(url, pool_size)
        self._clock = clock

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end of the block, rolled back on an exception."""
        with self.engine.execution_options(write=True).begin() as connection:
            yield connection

    def now(self, connection: Connection) -> datetime:
        """What time it is by the one clock that all processes share: the database's (rule D1)."""
        if self._clock is not None:
            return self._clock()
        if self.is_sqlite:
            # An embedded database has the clock of its machine.
            return datetime.now(UTC)
        moment: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return moment.astimezone(UTC)

    def close(self) -> None:
        """Give all connections back; call it before a fork."""
        self.engine.dispose()


def _engine(url: str, pool_size: int) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise BridgeError(
            "DATABASE__URL can't be read: write sqlite:///scim_bridge.db or postgresql://user:password@host/name"
        ) from exc
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed.render_as_string(hide_password=False))
    if parsed.get_backend_name() == "postgresql":
        # Lost connections are noticed when they are taken from the pool, not in the middle of a request.
        return create_engine(parsed, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True, pool_timeout=5)
    raise BridgeError(f"DATABASE__URL names {parsed.get_backend_name()!r}: only sqlite and postgresql are supported")


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False})

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver's own transaction handling begins too late; ours is explicit (see on_begin).
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        # A transaction that will write takes the lock at once: upgrading later can fail without waiting.
        writes = connection.get_execution_options().get("write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
