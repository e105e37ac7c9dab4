"""The engines, what their errors mean, and statements that differ between SQLite and PostgreSQL (rules A3, D7).

Every wait has a limit.
"""

import select as select_module
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from hashlib import blake2b
from json import JSONDecoder
from time import monotonic
from typing import Any, Self

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    RootTransaction,
    Table,
    bindparam,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from scim_bridge.errors import BridgeError
from scim_bridge.storage.prepared import Prepared, all_of, at_once, executed, inserting
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
    # The pool checks each connection before a request gets it, so a lost one does not fail the request: see `_checked`.
    try:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_use_lifo=True,
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
        # The driver would wait for the answer to each BEGIN, so the bridge begins transactions itself: see `_begin`.
        connection.autocommit = True
        # Not sent in the startup packet, because a connection pooler would refuse it.
        connection.cursor().execute(statement)

    def on_checkin(connection: Any, _: ConnectionPoolEntry) -> None:
        if connection is not None:
            connection.used_at = monotonic()

    event.listen(engine, "do_connect", _connected)
    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "checkin", on_checkin)
    engine.dialect.do_ping = _checked(engine.dialect.do_ping)  # type: ignore[method-assign, assignment]
    return engine


def _connected(dialect: Dialect, _: object, words: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Return a new connection. :raises BridgeError: its database can't keep every name."""
    connection: Any = dialect.connect(*words, **named)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in (None, "UTF8"):
        connection.close()
        raise BridgeError(
            f"the database has the encoding {encoding}, which does not keep every name: make it anew with "
            "`CREATE DATABASE scim_bridge ENCODING 'UTF8' TEMPLATE template0`"
        )
    return connection


UNCHECKED_SECONDS = 1.0
"""For how long after its last use a connection is not asked whether it still works, unless its server said something.

To ask costs as much as to read a user. A server that ends or restarts closes its connections, which shows at once.
"""


def _checked(ask: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return the check of a connection before its use. :param ask: Asks the server."""

    def check(connection: Any) -> bool:
        if monotonic() - getattr(connection, "used_at", float("-inf")) < UNCHECKED_SECONDS:
            said = select_module.poll()
            said.register(connection.fileno(), select_module.POLLIN)
            if not said.poll(0):
                return True
        return ask(connection)

    return check


def _give_up_after(connection: Any, seconds: float, dialect: Dialect) -> None:
    """Close a connection if its server does not answer in time.

    The server's own limits do not help if its answers are lost. The kernel's limits do not help if the machine
    acknowledges packets, but its PostgreSQL hangs.
    """
    wait: Callable[..., Any] = connection.wait

    def in_time(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        until = monotonic() + seconds
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted
                if not ready and monotonic() >= until:
                    connection.close()
                    raise dialect.loaded_dbapi.OperationalError(f"PostgreSQL did not answer within {seconds:g} s")
                wanted = steps.send(ready)
        except StopIteration as end:
            return end.value

    connection.wait = lambda steps, *args, **options: wait(in_time(steps), *args, **options)


_JSON = JSONDecoder()


def _sqlite_engine(url: str, pool_size: int) -> Engine:
    # The connection that was used last has the pages of the file that the next request needs.
    pool = {"pool_use_lifo": True} if make_url(url).database else {}
    # An error's text would quote the row, which is personal data (hide_parameters).
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        **pool,
        # Stored JSON has no space around it; looking for that would take most of the time.
        json_deserializer=lambda text: _JSON.raw_decode(text)[0],
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
    )

    def on_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        # The driver would begin transactions too late, so the bridge begins them itself: see `_begin`.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1000}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", _begin)
    return engine


BEGIN = "BEGIN"


def _begin(connection: Connection) -> None:
    """Begin a transaction. One that will write begins with its first statements on PostgreSQL: see `Transaction`."""
    options = connection.get_execution_options()
    writes = options.get("write", False)
    if options.get("single", False) or (writes and connection.dialect.name == "postgresql"):
        return
    # On SQLite a writer takes the lock at once, because a later upgrade can fail without waiting.
    executed(connection, "BEGIN IMMEDIATE" if writes else BEGIN)


_SERVER_TIME = select(func.clock_timestamp())


@dataclass(slots=True)
class Work:
    """What is left to do at the end of a writing transaction."""

    unsent: list[tuple[Executable | Prepared | str, Any]] = field(default_factory=list)
    """Statements that wait for the next one: see `Transaction.later`."""

    to_tell: list[Callable[[], None]] = field(default_factory=list)
    """What to call after the commit."""


class Transaction:
    """One transaction, for one company.

    :param clock: Returns the time, which all processes share (rule D1); None where the database's server has the clock.
    :param work: What is left to do at its end; None for a transaction that only reads.
    """

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        clock: Callable[[], datetime | None],
        work: "Work | None" = None,
    ) -> None:
        self._connection = connection
        self.tenant = tenant
        self._clock = clock
        self._work = work
        self.dialect = connection.dialect.name
        """Which database this is: `sqlite` or `postgresql`."""

        self._waits = work is not None and self.dialect == "postgresql"

    @property
    def connection(self) -> Connection:
        """The connection, to which everything was sent that waited for the next statement."""
        if self._work is not None and self._work.unsent:
            self.send()
        return self._connection

    def later(
        self,
        statement: Executable | Prepared,
        values: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
    ) -> None:
        """Execute a statement whose result is not needed: before the next one, or the commit, at the latest.

        PostgreSQL then gets several of them at once, and this process waits for one answer.
        """
        if self._waits:
            assert self._work is not None
            self._work.unsent.append((statement, values))
        else:
            _execute(self._connection, statement, values)

    def commit(self, transaction: RootTransaction) -> None:
        """Execute what waits, and commit."""
        if self._work is not None and self._work.unsent == [(BEGIN, None)]:
            self._work.unsent.clear()  # There is nothing to commit.
        # Not both at once: SQLAlchemy rolls nothing back whose commit has failed, and the driver waits twice anyway.
        self.send()
        transaction.commit()

    def _execute_waiting(self) -> None:
        if self._work is None:
            return
        waiting, self._work.unsent = self._work.unsent, []
        for statement, values in waiting:
            _execute(self._connection, statement, values)

    def send(self) -> None:
        """Execute what waits."""
        if self._work is None or not self._work.unsent:
            return
        with nullcontext() if len(self._work.unsent) == 1 else at_once(self._connection):
            self._execute_waiting()

    def answers(self, asked: Sequence[tuple[Prepared, Mapping[str, object]]]) -> list[list[Any]]:
        """Return the rows that each of several statements finds. PostgreSQL gets all at once, after what waits."""
        waits = self._work is not None and self._work.unsent
        return all_of(self._connection, asked, self._execute_waiting if waits else None)

    @cached_property
    def now(self) -> datetime:
        """The database's time at first use. Lock first, and ask for the time afterwards."""
        moment: datetime = self._clock() or self._connection.execute(_SERVER_TIME).scalar_one()
        self._learned_at = monotonic()
        return moment.astimezone(UTC)

    @property
    def now_again(self) -> datetime:
        """The time now, after this transaction may have waited for locks: never ahead of the database's.

        It is behind by what the statement waited that told the time.
        """
        if (moment := self._clock()) is not None:
            return moment.astimezone(UTC)
        return self.now + timedelta(seconds=monotonic() - self._learned_at)

    @property
    def told_now(self) -> datetime | None:
        """The time if it costs no statement. If None, the statement that needs it asks for it too: see `asked_now`."""
        return self.__dict__.get("now") or self._clock()

    def learn_now(self, moment: datetime) -> None:
        """Take the time from the answer of a statement that has asked for it, unless it is known."""
        if "now" not in self.__dict__:
            self.__dict__["now"] = moment.astimezone(UTC)
            self._learned_at = monotonic()

    def of(self, tenant: str) -> Self:
        """Return the same transaction for another company."""
        return type(self)(self._connection, tenant, self._clock, self._work)

    def at(self, moment: datetime) -> Self:
        """Return the same transaction with a chosen time."""
        return type(self)(self._connection, self.tenant, lambda: moment, self._work)

    def serialise(self, what: str) -> None:
        """Let no other transaction of this company that calls this for the same thing go on before this one ends.

        On SQLite, a write transaction excludes all others anyway.
        """
        if self.dialect == "postgresql":
            digest = blake2b(f"{what}:{self.tenant}".encode(), digest_size=8).digest()
            key = int.from_bytes(digest, "big", signed=True)
            self.connection.execute(select(func.pg_advisory_xact_lock(key)))

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Call a function once this writing transaction is committed, for example to log it; not if it rolls back."""
        if self._work is None:
            raise ValueError("a transaction that only reads commits nothing")
        self._work.to_tell.append(tell)


def _execute(connection: Connection, statement: Executable | Prepared | str, values: Any) -> None:
    if isinstance(statement, Prepared):
        statement.execute(connection, values)
    elif isinstance(statement, str):
        executed(connection, statement)
    else:
        connection.execute(statement, values)


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
        self._tenant = s.tenant

    @property
    def _connection(self) -> Connection:
        return self._s.connection

    @property
    def _now(self) -> datetime:
        return self._s.now


def upsert(s: Transaction, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows, or update the rows with the same primary keys. All rows must name the same columns."""
    if rows:
        s.later(_upsert(s.dialect, table, tuple(rows[0])), rows if len(rows) > 1 else rows[0])


@cache
def _upsert(dialect: str, table: Table, names: tuple[str, ...]) -> Prepared:
    """Return the statement, built once for each table and its columns."""
    statement = inserting(dialect, table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in names if name not in key}
    return Prepared(statement.on_conflict_do_update(index_elements=key, set_=changed))
