"""The engine: one way to begin a reading and one to begin a writing transaction, and the database's clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from scim_bridge.storage.engine import REQUESTS, SQLITE_BUSY_SECONDS, Patience, engine_of
from scim_bridge.storage.sqlite_file import WriteTurns, watched_file

T = TypeVar("T")

UNUSABLE = ("25006", "25P03")
"""PostgreSQL's codes for a server that only reads: a standby, while it takes over; and for a transaction that stood
still for too long, which the server has ended."""

CONTENTION = ("40001", "40P01")
"""PostgreSQL's codes for two transactions in each other's way: the one that gave way may be repeated."""

CONTENTION_TRIES = 3
"""How often a transaction is tried that another was in the way of."""


_NOW = select(func.clock_timestamp())


class Database:
    """SQLite or PostgreSQL, opened by URL.

    :param clock: Stands in for the database's clock; for tests, which choose the time.
    :param pool_size: How many connections are kept open: as many as threads use it at a time.
    :param patience: How long PostgreSQL may take before it is out of reach.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], datetime] | None = None,
        pool_size: int = 10,
        patience: Patience = REQUESTS,
    ) -> None:
        self.engine = engine_of(url, pool_size, patience)
        self._file = watched_file(self.engine)
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
        """The file of an embedded database that does not exist, and never did while this process ran."""
        file = self._file
        return None if file is None or file.was_opened or file.path.exists() else file.path

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
        moment: datetime = self._own_now() or connection.execute(_NOW).scalar_one()
        return moment.astimezone(UTC)

    def now_alone(self) -> datetime:
        """The same outside of a transaction; only PostgreSQL has to be asked for it."""
        if (moment := self._own_now()) is not None:
            return moment
        with self.read() as connection:
            return self.now(connection)

    def _own_now(self) -> datetime | None:
        if self._clock is not None:
            return self._clock()
        # An embedded database has the clock of its machine.
        return datetime.now(UTC) if self.is_sqlite else None

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
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _code(error) in UNUSABLE)


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
