"""The engine: one way to begin a reading and one to begin a writing transaction, and the database's clock."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from scim_bridge.errors import BridgeError
from scim_bridge.storage.write_turns import WriteTurns

T = TypeVar("T")

READ_ONLY = "25006"
"""PostgreSQL's code for a write on a server that only reads: a standby, while it takes over."""

CONTENTION = ("40001", "40P01")
"""PostgreSQL's codes for two transactions in each other's way: the one that gave way may be repeated."""

CONTENTION_TRIES = 3
"""How often a transaction is tried that another was in the way of."""

SQLITE_BUSY_SECONDS = 30
"""How long a SQLite write waits for another process to finish its own."""


_NOW = select(func.clock_timestamp())


class Database:
    """SQLite or PostgreSQL, opened by URL.

    :param clock: Stands in for the database's clock; for tests, which choose the time.
    :param pool_size: How many connections are kept open: as many as threads use it at a time.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None, pool_size: int = 10) -> None:
        self.engine = _engine(url, pool_size)
        self._clock = clock
        name = self.engine.url.database
        file = Path(name) if name and name != ":memory:" else None
        # Writers of PostgreSQL wait for rows, not for each other.
        self._turns = WriteTurns(file, SQLITE_BUSY_SECONDS) if self.is_sqlite else None

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
    def write(self, tenant: str = "") -> Iterator[Connection]:
        """A transaction that writes: committed at the end of the block, rolled back on an exception.

        :param tenant: Whose write it is, where companies take turns; those that nobody is named for are one more.
        """
        to_tell: list[Callable[[], None]] = []
        with (
            self._turns.taken(tenant) if self._turns is not None else nullcontext(),
            self.engine.execution_options(write=True, after_commit=to_tell).begin() as connection,
        ):
            yield connection
        for tell in to_tell:
            tell()

    def missing_file(self) -> Path | None:
        """The file of an embedded database that does not exist."""
        name = self.engine.url.database
        if not self.is_sqlite or not name or name == ":memory:" or Path(name).exists():
            return None
        return Path(name).absolute()

    def can_write(self, connection: Connection) -> bool:
        """Whether writes are taken: a PostgreSQL standby and a file without permission take none.

        :raises OperationalError: from SQLite, which says it that way.
        """
        if self.is_sqlite:
            connection.execute(text("DELETE FROM alembic_version WHERE 1 = 0"))
            return True
        return bool(connection.execute(text("SELECT current_setting('transaction_read_only') = 'off'")).scalar_one())

    def now(self, connection: Connection) -> datetime:
        """What time it is by the one clock that all processes share: the database's (rule D1)."""
        if self._clock is not None:
            return self._clock()
        if self.is_sqlite:
            # An embedded database has the clock of its machine.
            return datetime.now(UTC)
        moment: datetime = connection.execute(_NOW).scalar_one()
        return moment.astimezone(UTC)

    def close(self) -> None:
        """Give all connections back; call it before a fork."""
        self.engine.dispose()


def after_commit(connection: Connection, tell: Callable[[], None]) -> None:
    """Do something once the writing transaction is committed, and nothing if it never is: say it, for one."""
    connection.get_execution_options()["after_commit"].append(tell)


def is_out_of_reach(error: BaseException) -> bool:
    """Whether the database can't be used just now; anything else is the fault of what was asked of it."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _code(error) == READ_ONLY)


def is_contention(error: BaseException) -> bool:
    """Whether two transactions were in each other's way, so that repeating this one may help."""
    return isinstance(error, DBAPIError) and _code(error) in CONTENTION


def repeated(work: Callable[[], T]) -> T:
    """Do something in a transaction, once more where another transaction was in its way."""
    for _ in range(CONTENTION_TRIES - 1):
        try:
            return work()
        except SQLAlchemyError as error:
            if not is_contention(error):
                raise
    return work()


def loggable(error: BaseException) -> BaseException | None:
    """What a log may have the text and the traceback of: None where a database speaks in it, which may quote a row.

    Such an error is logged by its kind alone; a text that it was the cause of would bring its own along.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, SQLAlchemyError):
            return None
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return error


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _engine(url: str, pool_size: int) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise BridgeError(
            "DATABASE__URL can't be read: write sqlite:///scim_bridge.db or postgresql://user:password@host/name"
        ) from exc
    if "@" in (parsed.host or ""):
        # The end of a password, which the driver would quote as the name of a machine that is not known.
        raise BridgeError("DATABASE__URL has one @ too many: write each @ of the password as %40")
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed.render_as_string(hide_password=False), pool_size)
    if parsed.get_backend_name() == "postgresql":
        # Lost connections are noticed when they are taken from the pool, not in the middle of a request.
        try:
            return create_engine(
                parsed,
                hide_parameters=True,
                pool_size=pool_size,
                max_overflow=pool_size,
                pool_pre_ping=True,
                pool_timeout=5,
            )
        except ModuleNotFoundError as exc:
            raise BridgeError(
                "DATABASE__URL names PostgreSQL, whose driver is not installed: pip install 'scim-bridge[postgres]'"
            ) from exc
    raise BridgeError(f"DATABASE__URL names {parsed.get_backend_name()!r}: only sqlite and postgresql are supported")


def _sqlite_engine(url: str, pool_size: int) -> Engine:
    # An error's text would quote the row, which is personal data (hide_parameters).
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
    )

    def on_creation(_: Dialect, __: ConnectionPoolEntry, arguments: list[Any], ___: dict[str, Any]) -> None:
        # A new file is its owner's alone, whatever the umask: people are in it. SQLite gives the files beside it,
        # -wal and -shm, the same mode. One that is there keeps the mode that somebody chose for it.
        name = arguments[0]
        if name and name != ":memory:" and not name.startswith("file:"):
            # Whatever keeps us from it keeps SQLite from it too, which says so in its own words.
            with suppress(OSError):
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

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

    event.listen(engine, "do_connect", on_creation)
    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine
