"""The engines, what their errors mean, and statements that differ between SQLite and PostgreSQL (rules A3, D7).

Every wait has a limit.
"""

import os
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, cached_property
from json import JSONDecoder
from pathlib import Path
from typing import Any, Self

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from scim_bridge.errors import BridgeError
from scim_bridge.storage.sqlite_file import RESTORE, FileLost
from scim_bridge.storage.tables import UtcDateTime

SQLITE_BUSY_SECONDS = 30
"""How long a SQLite write waits until another process has finished its own."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long PostgreSQL may take before it counts as out of reach (rule A3)."""

    statement: float
    """Seconds for one statement. Then the server ends it; a second later the bridge closes the connection."""

    lock: float
    """Seconds that a statement waits for a lock."""

    idle: float
    """Seconds that a transaction may be idle. Then the server ends it, and frees its locks."""


REQUESTS = Patience(statement=5.0, lock=4.0, idle=30.0)
"""A request is answered within ten seconds: six for a connection that does not answer, and three for a new one."""

DELIVERIES = Patience(statement=30.0, lock=10.0, idle=30.0)
"""A worker changes many people in one statement, and no client waits for it."""

COMMANDS = Patience(statement=3600.0, lock=30.0, idle=3600.0)
"""A migration rewrites tables, `reconcile` loads all people, and an operator reads a list page by page."""

CONNECT_SECONDS = 3
ANSWER_MARGIN_SECONDS = 1.0

# Each side notices within half a minute that the other machine is lost, however long a transaction may take.
_CLIENT_TCP = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
_SERVER_TCP = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


def engine_of(url: str, pool_size: int, patience: Patience) -> Engine:
    """Return the engine for a URL. :raises BridgeError: the URL can't be used."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as exc:
        raise BridgeError(
            "DATABASE__URL can't be read: write sqlite:///scim_bridge.db or postgresql://user:password@host/name"
        ) from exc
    if "@" in (parsed.host or ""):
        # This is the end of a password. The driver would show it in its error as the name of an unknown machine.
        raise BridgeError("DATABASE__URL has one @ too many: write each @ of the password as %40")
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed.render_as_string(hide_password=False), pool_size)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql_engine(parsed, pool_size, patience)
    raise BridgeError(f"DATABASE__URL names {parsed.get_backend_name()!r}: only sqlite and postgresql are supported")


def _postgresql_engine(url: URL, pool_size: int, patience: Patience) -> Engine:
    ours = {"connect_timeout": CONNECT_SECONDS, **_CLIENT_TCP}
    # The pool checks each connection before a request gets it, so a lost one does not fail the request.
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            pool_timeout=5,
            # Options in the operator's URL have priority.
            connect_args={name: value for name, value in ours.items() if name not in url.query},
        )
    except ModuleNotFoundError as exc:
        raise BridgeError(
            "DATABASE__URL names PostgreSQL, and its driver is not installed: run `pip install 'scim-bridge[postgres]'`"
        ) from exc
    asked = {
        "statement_timeout": f"{patience.statement * 1000:.0f}",
        "lock_timeout": f"{patience.lock * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{patience.idle * 1000:.0f}",
        **_SERVER_TCP,
    }
    statement = "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in asked.items())

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        _give_up_after(connection, patience.statement + ANSWER_MARGIN_SECONDS, engine.dialect)
        # Not sent in the startup packet, because a connection pooler would refuse it.
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.autocommit = False

    event.listen(engine, "connect", on_connect)
    return engine


def _give_up_after(connection: Any, seconds: float, dialect: Dialect) -> None:
    """Close a connection if its server does not answer in time.

    The server's own limits do not help if its answers are lost. The kernel's limits do not help if the machine
    acknowledges packets, but its PostgreSQL hangs.
    """
    wait: Callable[..., Any] = connection.wait

    def in_time(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        until = time.monotonic() + seconds
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() >= until:
                    connection.close()
                    raise dialect.loaded_dbapi.OperationalError(f"PostgreSQL did not answer within {seconds:g} s")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value

    connection.wait = lambda steps, *args, **options: wait(in_time(steps), *args, **options)


_JSON = JSONDecoder()


def _sqlite_engine(url: str, pool_size: int) -> Engine:
    # An error's text would quote the row, which is personal data (hide_parameters).
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        # Stored JSON has no space around it; looking for that would take most of the time.
        json_deserializer=lambda text: _JSON.raw_decode(text)[0],
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
    )

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver would begin transactions too late, so the bridge begins them itself (see on_begin).
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    def on_begin(connection: Connection) -> None:
        # A transaction that will write takes the lock at once, because a later upgrade can fail without waiting.
        options = connection.get_execution_options()
        if not options.get("single", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write", False) else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)
    return engine


_SERVER_TIME = select(func.clock_timestamp())


class Transaction:
    """One transaction, for one company.

    :param clock: Returns the time, which all processes share (rule D1); None where the database's server has the clock.
    """

    def __init__(self, connection: Connection, tenant: str, clock: Callable[[], datetime | None]) -> None:
        self.connection = connection
        self.tenant = tenant
        self._clock = clock

    @cached_property
    def now(self) -> datetime:
        """The database's time at first use. Lock first, and ask for the time afterwards."""
        moment: datetime = self._clock() or self.connection.execute(_SERVER_TIME).scalar_one()
        return moment.astimezone(UTC)

    @property
    def told_now(self) -> datetime | None:
        """The time if it costs no statement. If None, the statement that needs it asks for it too: see `asked_now`."""
        return self.__dict__.get("now") or self._clock()

    def learn_now(self, moment: datetime) -> None:
        """Take the time from the answer of a statement that has asked for it, unless it is known."""
        self.__dict__.setdefault("now", moment.astimezone(UTC))

    def of(self, tenant: str) -> Self:
        """Return the same transaction for another company."""
        return type(self)(self.connection, tenant, self._clock)

    def at(self, moment: datetime) -> Self:
        """Return the same transaction with a chosen time."""
        return type(self)(self.connection, self.tenant, lambda: moment)

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Call a function once this writing transaction is committed, for example to log it; not if it rolls back."""
        self.connection.get_execution_options()["after_commit"].append(tell)


def asked_now(dialect: str) -> ColumnElement[datetime]:
    """Return the time within a statement: its parameter `now`, from `told_now`, or else the server's clock."""
    told = bindparam("now", type_=UtcDateTime)
    return told if dialect == "sqlite" else func.coalesce(told, func.clock_timestamp())


class Repository:
    """Reads and writes some tables of one company, in one transaction."""

    def __init__(self, s: Transaction) -> None:
        if not s.tenant:
            raise ValueError(f"{type(self).__name__} needs the transaction of a company: use `of(tenant)`")
        self._s = s
        self._connection = s.connection
        self._tenant = s.tenant

    @property
    def _now(self) -> datetime:
        return self._s.now


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, or update the rows with the same primary keys. All rows must name the same columns."""
    if not rows:
        return
    connection.execute(_upsert(connection.dialect.name, table, tuple(rows[0])), [dict(row) for row in rows])


def insert_if_absent(connection: Connection, table: Table, row: Mapping[str, object]) -> bool:
    """Insert a row unless one with its key exists. Return whether it was inserted.

    It never causes a unique violation, which would end a PostgreSQL transaction.
    """
    return connection.execute(_insert_if_absent(connection.dialect.name, table), dict(row)).first() is not None


@cache
def _upsert(dialect: str, table: Table, names: tuple[str, ...]) -> Executable:
    """Return the statement, built once for each table and its columns."""
    statement = _insert(dialect, table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


@cache
def _insert_if_absent(dialect: str, table: Table) -> Executable:
    return _insert(dialect, table).on_conflict_do_nothing().returning(*table.primary_key)


def _insert(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> int:
    """Insert the rows whose keys do not exist yet. Return how many were inserted."""
    if not rows:
        return 0
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing()
    result = connection.execute(statement, [dict(row) for row in rows], execution_options={"preserve_rowcount": True})
    return result.rowcount


def analyze(connection: Connection, *tables: Table) -> None:
    """Make PostgreSQL analyse tables that were just filled: for minutes, it would plan as if they were small."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ANALYZE {', '.join(table.name for table in tables)}"))


LEAST_FREE_BYTES = 1024 * 1024
"""With less, the disk counts as full: SQLite needs room for its journal, and a rewritten page."""


class Why(StrEnum):
    """What keeps the database from being used."""

    disk_full = "disk-full"
    read_only = "read-only"
    file_lost = "file-lost"
    damaged = "damaged"
    disk_fails = "disk-fails"
    out_of_reach = "out-of-reach"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the database can't be used, and what to do; without personal data."""

    why: Why
    told: str
    cure: str

    @property
    def words(self) -> str:
        """Return both in one text."""
        return f"{self.told}: {self.cure}"


FREE_SPACE = "free some space on it. What was accepted is kept, and Entra sends the rest again by itself"
WRITABLE = "allow this user to write the file and its folder, and check that the disk is not mounted read-only"

_DISK_FULL = Trouble(Why.disk_full, "the disk of the database is full", FREE_SPACE)
_SQLITE: Mapping[int, Trouble] = {
    8: Trouble(Why.read_only, "the database file or its folder is read-only", WRITABLE),
    10: Trouble(
        Why.disk_fails,
        "the disk of the database fails",
        f"see the log of the machine; if it is lost, move the file to another disk, or {RESTORE}",
    ),
    11: Trouble(Why.damaged, "the database file is damaged", RESTORE),
    13: _DISK_FULL,
    14: Trouble(Why.read_only, "the database file can't be opened", WRITABLE),
    26: Trouble(
        Why.damaged,
        "the file is not a database",
        f"check that DATABASE__URL names the bridge's own file; if it does, it is damaged: {RESTORE}",
    ),
}
"""By SQLite's primary result code (https://www.sqlite.org/rescode.html)."""

STANDBY = Trouble(Why.read_only, "the database is read-only: it is a standby", "set DATABASE__URL to the primary")
_POSTGRESQL: Mapping[str, Trouble] = {
    "25006": STANDBY,
    "53100": _DISK_FULL,
}
"""By SQLSTATE."""


def trouble_of(error: BaseException) -> Trouble:
    """Return what an error of the database means."""
    if isinstance(error, FileLost):
        return Trouble(Why.file_lost, error.told, error.cure)
    orig = error.orig if isinstance(error, DBAPIError) else None
    code = getattr(orig, "sqlite_errorcode", None)
    if code is not None and (file := getattr(orig, "file", None)) is not None and (found := trouble_with(file)):
        return found
    known = _SQLITE.get(code & 0xFF) if code is not None else _POSTGRESQL.get(getattr(orig, "sqlstate", None) or "")
    return known or Trouble(
        Why.out_of_reach,
        f"the database can't be used ({type(error).__name__})",
        "`scim-bridge doctor` says more; check that it runs and can be reached",
    )


def trouble_with(file: Path) -> Trouble | None:
    """Return what keeps an embedded database from being written, as far as its file and its disk show."""
    try:
        free = shutil.disk_usage(file.parent).free
    except OSError:
        return None  # The check of the file itself says that it is gone.
    if free < LEAST_FREE_BYTES:
        return Trouble(Why.disk_full, f"the disk of {file.parent} is full", FREE_SPACE)
    if file.exists() and not all(os.access(path, os.W_OK) for path in (file, file.parent)):
        return Trouble(Why.read_only, f"{file} or its folder is read-only", WRITABLE)
    return None
