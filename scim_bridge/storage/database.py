"""The database: its reading and writing transactions, its clock, and its errors."""

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
"""PostgreSQL's codes for a read-only server, such as a standby while it takes over; and for a transaction that was idle
for too long, so that the server ended it."""

CONTENTION = ("40001", "40P01")
"""PostgreSQL's codes for a conflict of two transactions: the one that was rolled back may be repeated."""

CONTENTION_TRIES = 3
"""How often a transaction is tried in all when it conflicts with another."""


_NOW = select(func.clock_timestamp())


class Database:
    """SQLite or PostgreSQL, opened by URL.

    :param clock: Replaces the database's clock, for tests that choose the time.
    :param pool_size: How many connections are kept open: as many as there are threads that use it at a time.
    :param patience: How long PostgreSQL may take before it counts as out of reach.
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
        """Whether this is SQLite, the embedded database."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, tenant: str = "") -> Iterator[Connection]:
        """Open a transaction that writes. It is committed at the end of the block, and rolled back on an exception.

        :param tenant: The company that writes, because companies take turns. Writes without a company share one turn.
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
        """Return the file of an embedded database if it does not exist, and this process has never opened it."""
        file = self._file
        return None if file is None or file.was_opened or file.path.exists() else file.path

    def can_write(self, connection: Connection) -> bool:
        """Return whether the database accepts writes: a PostgreSQL standby and a read-only file do not.

        :raises OperationalError: from SQLite, if it does not.
        """
        if self.is_sqlite:
            connection.execute(text("DELETE FROM alembic_version WHERE 1 = 0"))
            return True
        return bool(connection.execute(text("SELECT current_setting('transaction_read_only') = 'off'")).scalar_one())

    def now(self, connection: Connection) -> datetime:
        """Return the time by the one clock that all processes share: the database's (rule D1)."""
        moment: datetime = self._own_now() or connection.execute(_NOW).scalar_one()
        return moment.astimezone(UTC)

    def now_alone(self) -> datetime:
        """Return the same outside of a transaction; only PostgreSQL has to be asked for it."""
        if (moment := self._own_now()) is not None:
            return moment
        with self.read() as connection:
            return self.now(connection)

    def _own_now(self) -> datetime | None:
        if self._clock is not None:
            return self._clock()
        # The clock of an embedded database is the machine's.
        return datetime.now(UTC) if self.is_sqlite else None

    def close(self) -> None:
        """Close all connections; call it before a fork."""
        self.engine.dispose()


def after_commit(connection: Connection, tell: Callable[[], None]) -> None:
    """Call a function once the writing transaction is committed, for example to log it; never if it is rolled back."""
    connection.get_execution_options()["after_commit"].append(tell)


def is_out_of_reach(error: BaseException) -> bool:
    """Return whether an error means that the database can't be used now; other errors come from the statement."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and (error.connection_invalidated or _code(error) in UNUSABLE)


def is_contention(error: BaseException) -> bool:
    """Return whether two transactions were in conflict, so that repeating this one may help."""
    return isinstance(error, DBAPIError) and _code(error) in CONTENTION


def repeated(work: Callable[[], T]) -> T:
    """Run a transaction, and repeat it if it was in conflict with another."""
    for _ in range(CONTENTION_TRIES - 1):
        try:
            return work()
        except SQLAlchemyError as error:
            if not is_contention(error):
                raise
    return work()


def loggable(error: BaseException) -> BaseException | None:
    """Return the error if a log may show its text and traceback; None if a database error is among its causes.

    A database error may quote a row, and a traceback shows the causes too. Log only the kind of such an error.
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
