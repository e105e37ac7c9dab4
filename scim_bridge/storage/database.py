"""The database: its reading and writing transactions, its clock, and its errors."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from secrets import token_urlsafe
from typing import Self, TypeVar

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from scim_bridge import traces
from scim_bridge.domain.employee import EmployeeNumber, Field, Value
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import UserId
from scim_bridge.storage.acknowledged import ACKNOWLEDGED_OF_USER, Acknowledgements, acknowledged_in
from scim_bridge.storage.admin_tables import secrets
from scim_bridge.storage.asked import AskedRuns
from scim_bridge.storage.audit import AuditTrail
from scim_bridge.storage.breaker import Breakers
from scim_bridge.storage.candidates import InSync
from scim_bridge.storage.certificate_queries import CertificateSearches
from scim_bridge.storage.claims import STANDING, STANDING_OF_USER, Claims
from scim_bridge.storage.console import ConsoleSessions
from scim_bridge.storage.credentials import AccessTokens, Clients, Tokens
from scim_bridge.storage.directory import Directory
from scim_bridge.storage.engine import BEGIN, REQUESTS, SQLITE_BUSY_SECONDS, Patience, Transaction, Work, engine_of
from scim_bridge.storage.entra import EntraDirectory, EntraJobs
from scim_bridge.storage.entra_calls import Quirks
from scim_bridge.storage.guard import Guard
from scim_bridge.storage.history import History
from scim_bridge.storage.ledger import LINE_UNDER_THEIR_NUMBER, CertificateDeliveries, Ledger
from scim_bridge.storage.notices import Notices
from scim_bridge.storage.outbox import Outbox, Pauses, RestLeases
from scim_bridge.storage.pairs import Pairs
from scim_bridge.storage.people import LOCKED_PERSON_OF_USER, HandsOffs, People, Permissions, PersonRecord, record_of
from scim_bridge.storage.plans import PlanItems, Scopes
from scim_bridge.storage.prepared import insert_if_absent
from scim_bridge.storage.refusals import RefusedWrites
from scim_bridge.storage.resources import LOCKED_RESOURCE, Lookups, Resources, StoredResource, stored_in, which
from scim_bridge.storage.runs import Runs, Schedules
from scim_bridge.storage.snapshot import Snapshot
from scim_bridge.storage.sqlite_file import WatchedFile, WriteTurns, watched_file
from scim_bridge.storage.trouble import Trouble, Why, trouble_of, trouble_with

T = TypeVar("T")

UNUSABLE = ("25006", "25P03")
"""PostgreSQL's codes for a read-only server, such as a standby while it takes over; and for a transaction that was idle
for too long, so that the server ended it."""

CONTENTION = ("40001", "40P01")
"""PostgreSQL's codes for a conflict of two transactions: the one that was rolled back may be repeated."""

CONTENTION_TRIES = 3
"""How often a transaction is tried in all when it conflicts with another."""


class Session(Transaction):
    """The repositories of one company, in one transaction.

    `database.write(tenant)` opens one, and commits it at the end of the block.
    """

    people = cached_property(People)
    directory = cached_property(Directory)
    outbox = cached_property(Outbox)
    claims = cached_property(Claims)
    acknowledged = cached_property(Acknowledgements)
    hands_offs = cached_property(HandsOffs)
    permissions = cached_property(Permissions)
    guard = cached_property(Guard)
    breaker = cached_property(Breakers)
    pauses = cached_property(Pauses)
    history = cached_property(History)
    audit = cached_property(AuditTrail)
    ledger = cached_property(Ledger)
    certificate_deliveries = cached_property(CertificateDeliveries)
    rest_leases = cached_property(RestLeases)
    scopes = cached_property(Scopes)
    resources = cached_property(Resources)
    refused_writes = cached_property(RefusedWrites)
    quirks = cached_property(Quirks)
    runs = cached_property(Runs)
    schedules = cached_property(Schedules)
    asked = cached_property(AskedRuns)
    notices = cached_property(Notices)
    entra_jobs = cached_property(EntraJobs)
    entra = cached_property(EntraDirectory)
    tokens = cached_property(Tokens)
    clients = cached_property(Clients)
    lookups = cached_property(Lookups)

    def link(
        self,
        person_id: PersonId,
        number: EmployeeNumber,
        *,
        profile_id: str | None = None,
        linked_as: Mapping[Field, Value] | None = None,
    ) -> None:
        """Link a person to an employee. An employee is linked to one person at most (a unique index).

        :param profile_id: The employee's `companyProfileId`; None keeps the known one, because only the number changed.
        :param linked_as: The employee's values that identify them, if none agreed with the user; None changes nothing.
        """
        self.people.set_link(person_id, number, profile_id=profile_id, linked_as=linked_as)
        self.ledger.renumber(person_id, number)

    def unlink(self, person_id: PersonId) -> None:
        """Remove the link of a tombstone, so that a new person may have the employee (rule P2)."""
        self.people.remove_link(person_id)
        self.certificate_deliveries.mark_stale(person_id)

    def forget(self, person_id: PersonId) -> None:
        """Remove a person without a user who never became an employee, so that Ditio knows nothing of them."""
        if self.people.remove(person_id):
            self.certificate_deliveries.forget(person_id)

    def lock_user(self, user_id: UserId) -> StoredResource | None:
        """Return a user, locked until the transaction ends, with their person. A change needs more, and reads it too.

        The time and the breaker are read last: this may have waited for a lock.
        """
        self.__dict__.pop("now", None)
        user = {"tenant": self.tenant, "user": user_id}
        asked = (
            (LOCKED_RESOURCE, which(self.tenant, "User", user_id)),
            (LOCKED_PERSON_OF_USER, user),
            (ACKNOWLEDGED_OF_USER, user),
            (STANDING_OF_USER, user),
            self.breaker.asking,
        )
        users, records, values, standing, breakers = self.answers(asked)
        self.breaker.learn(breakers[0])
        self._people[user_id] = record = record_of(records[0], acknowledged_in(values)) if records else None
        if record is not None:
            self.claims.learn(record.person.id, standing)
        return stored_in(users[0]) if users else None

    def renew(self, person_id: PersonId, lease: str, seconds: float) -> bool:
        """Extend a lease beyond the next call. Return False if it is lost (rule D1).

        Who renews a lease also needs the time and the breaker: as the first statement, this reads them too.
        """
        renewed, breakers = self.answers((self.outbox.renewing(person_id, lease, seconds), self.breaker.asking))
        for row in renewed:
            self.learn_now(row.now_is)
        self.breaker.learn(breakers[0])
        return bool(renewed)

    def settling(self, person_id: PersonId) -> tuple[PersonRecord | None, bool]:
        """Return a person whose lease is ours, and whether certificates came under the number of their employee.

        The end of an attempt also needs their claims.
        """
        one = {"tenant": self.tenant, "person_id": person_id}
        asked = (*self.people.asking(person_id), (STANDING, one), (LINE_UNDER_THEIR_NUMBER, one))
        records, values, standing, lines = self.answers(asked)
        self.claims.learn(person_id, standing)
        return record_of(records[0], acknowledged_in(values)) if records else None, bool(lines)

    def person_of(self, user_id: UserId) -> tuple[PersonRecord | None, Self]:
        """Return the person of a user, locked; None also if another user took the person over (rule P2).

        Return also this transaction, which asks for the time again if it may have waited for the lock.
        """
        if user_id in self._people:
            return self._people.pop(user_id), self
        return self.people.of_user(user_id, lock=True), self.of(self.tenant)

    @cached_property
    def _people(self) -> dict[UserId, PersonRecord | None]:
        """People that this transaction has locked, and not used yet."""
        return {}

    @cached_property
    def console_sessions(self) -> ConsoleSessions:
        return ConsoleSessions(self)

    def plan(self, plan_id: str) -> PlanItems:
        """Return the rows of one plan."""
        return PlanItems(self, plan_id)

    def snapshot(self, run_id: str) -> Snapshot:
        """Return what Ditio showed in one run."""
        return Snapshot(self, run_id)

    def pairs(self, run_id: str) -> Pairs:
        """Return the pairs that one run of `adopt` found."""
        return Pairs(self, run_id)

    def in_sync(self, basis: str) -> InSync:
        """Return who is in sync, by one state of mapping, settings and version."""
        return InSync(self, basis)

    def certificate_searches(self, missing_expiry: date | None = None) -> CertificateSearches:
        """Return searches over the ledger. :param missing_expiry: The last day of certificates without one."""
        return CertificateSearches(self, missing_expiry)

    def access_tokens(self, workload: str | None) -> AccessTokens:
        """Return the access tokens of one workload; of all clients with None."""
        return AccessTokens(self, workload)


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
        self._single = self.engine.execution_options(single=True)
        self._writing = self.engine.execution_options(write=True)
        self._file = watched_file(self.engine)
        # What made the last write of this process fail, unless a later one succeeded.
        self._failed: Trouble | None = None
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
    def read(self, tenant: str = "") -> Iterator[Session]:
        """Open a transaction of a company that only reads."""
        with self.engine.begin() as connection:
            yield Session(connection, tenant, self._own_now)

    @contextmanager
    def read_once(self, tenant: str) -> Iterator[Session]:
        """Open a transaction of a company for one statement that reads: it needs no BEGIN and no COMMIT."""
        with self._single.begin() as connection:
            yield Session(connection, tenant, self._own_now)

    @contextmanager
    def write(self, tenant: str = "", *, within: float | None = None) -> Iterator[Session]:
        """Open a transaction that writes. It is committed at the end of the block, and rolled back on an exception.

        :param tenant: The company that writes, because companies take turns. Writes without a company share one turn.
        :param within: How many seconds to wait for the turn on SQLite, if less than usual.
        """
        # SQLite has begun: see `engine_of`. PostgreSQL gets its BEGIN together with the first statements.
        work = Work() if self.is_sqlite else Work(unsent=[(BEGIN, None)])
        try:
            with (
                traces.detail("transaction"),
                self._turns.taken(tenant, within) if self._turns is not None else nullcontext(),
                self._writing.connect() as connection,
                connection.begin() as transaction,
            ):
                s = Session(connection, tenant, self._own_now, work)
                yield s
                s.commit(transaction)
        except DBAPIError as error:
            if (found := trouble_of(error)).why not in (Why.out_of_reach, Why.file_lost):
                self._failed = found
            raise
        self._failed = None
        for tell in work.to_tell:
            tell()

    def transact(self, tenant: str, work: Callable[[Session], T]) -> T:
        """Do some work in a writing transaction, and repeat it if it was in conflict with another.

        :param work: May change only the database, because it may run more than once.
        """

        def once() -> T:
            with self.write(tenant) as s:
                return work(s)

        return repeated(once)

    def truncate_log(self) -> None:
        """Empty SQLite's write-ahead log, which still has pages from before an erasure, unless a reader needs it."""
        if self.is_sqlite:
            with closing(self.engine.raw_connection()) as connection:
                # Outside of any transaction, as SQLite demands.
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def missing_file(self) -> WatchedFile | None:
        """Return the file of an embedded database if it does not exist, and this process has never opened it."""
        file = self._file
        return None if file is None or file.was_opened or file.path.exists() else file

    def trouble(self) -> Trouble | None:
        """Return why writes can't be kept now, as far as it shows without a write: by the disk, or by the last write.

        :raises FileLost: the file of an embedded database was removed or replaced.
        """
        if self._file is not None and self._file.was_opened:
            self._file.check()
        return (trouble_with(self._file.path) if self._file is not None else None) or self._failed

    def can_write(self, connection: Connection) -> bool:
        """Return whether the database accepts writes: a PostgreSQL standby and a read-only file do not.

        :raises OperationalError: from SQLite, if it does not.
        """
        if self.is_sqlite:
            # After a write that failed, only one that reaches the disk proves anything.
            change = "DELETE FROM alembic_version WHERE 1 = 0"
            if self._failed is not None:
                change = "UPDATE alembic_version SET version_num = version_num"
            connection.execute(text(change))
            return True
        return bool(connection.execute(text("SELECT current_setting('transaction_read_only') = 'off'")).scalar_one())

    def now(self) -> datetime:
        """Return the time by the one clock that all processes share: the database's (rule D1)."""
        if (moment := self._own_now()) is not None:
            return moment
        with self.read() as s:
            return s.now

    def _own_now(self) -> datetime | None:
        if self._clock is not None:
            return self._clock()
        # The clock of an embedded database is the machine's.
        return datetime.now(UTC) if self.is_sqlite else None

    def close(self) -> None:
        """Close all connections; call it before a fork."""
        self.engine.dispose()


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


CURSORS = "cursors"
"""The secret that seals the cursors of searches: a cursor can't be forged, or used at another tenant."""


class Secrets:
    """The secrets that all processes share. Each is read once and then cached, because it never changes.

    :param new_secret: Returns a new secret of at least 256 random bits.
    """

    def __init__(self, database: Database, new_secret: Callable[[], str] = lambda: token_urlsafe(32)) -> None:
        self._database = database
        self._new_secret = new_secret
        self._known: dict[tuple[str, str], str] = {}

    def of(self, tenant: str, name: str) -> str:
        """Return a secret of a tenant; the first call makes it. Opens transactions of its own."""
        known = self._known.get((tenant, name))
        if known is None:
            known = self._known[tenant, name] = self._stored(tenant, name) or self._made(tenant, name)
        return known

    def _stored(self, tenant: str, name: str) -> str | None:
        with self._database.read(tenant) as s:
            return _read(s, name)

    def _made(self, tenant: str, name: str) -> str:
        row = {"tenant": tenant, "name": name, "value": self._new_secret()}
        with self._database.write(tenant) as s:
            insert_if_absent(s.connection, secrets, {**row, "created_at": s.now})
            # Read again: another process may have stored its secret first, and the first one is used.
            value = _read(s, name)
        assert value is not None
        return value


def _read(s: Transaction, name: str) -> str | None:
    query = select(secrets.c.value).where(secrets.c.tenant == s.tenant, secrets.c.name == name)
    return s.connection.execute(query).scalar_one_or_none()
