"""The schema: migrated under a lock, and equal to what the code expects."""

import os
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.errors import BridgeError, SchemaOutdated
from scim_bridge.storage import schema
from scim_bridge.storage.admin_tables import metadata
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import ProcessKind, beat, leave, process_id
from tests.later import LATER, NEEDS_LATER, migrated_to
from tests.waiting import until_another_waits


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """A database without any table."""
    database = Database(empty_url)
    yield database
    database.close()


def differences(connection: Connection) -> list[Any]:
    """How the schema differs from the code's. Indexes of expressions can't be compared: other tests use them."""
    of_expressions = ("ix_resources_employee_number", "ix_resources_department", "ix_resources_other_names")
    asked = {"include_name": lambda name, *_: name not in of_expressions}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection")
        found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=asked), metadata)
    return found


def test_the_migrations_make_what_the_code_expects(empty: Database):
    """D7: no table, column or index is only in the code, or only in the migrations."""
    schema.upgrade(empty)

    with empty.read() as s:
        assert differences(s.connection) == []


def test_the_revisions_are_those_of_the_migrations():
    """D7: they are read from the files, without the library that runs them."""
    script = ScriptDirectory.from_config(schema._config())

    assert set(schema.revisions()) == {each.revision for each in script.walk_revisions()}
    assert schema.revisions()[-1] == script.get_current_head()


def test_a_migration_as_alembic_writes_it_is_one_of_the_revisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A developer may let Alembic begin the file: its template fits how the files are read."""
    copied = shutil.copytree(schema.MIGRATIONS, tmp_path / "migrations")
    monkeypatch.setattr(schema, "MIGRATIONS", copied)
    config = Config()
    config.set_main_option("script_location", str(copied))
    before = schema.revisions()[-1]

    command.revision(config, message="later things", rev_id="9001")
    schema.revisions.cache_clear()
    try:
        assert schema.revisions()[-2:] == [before, "9001"]
    finally:
        schema.revisions.cache_clear()


def test_an_older_schema_is_refused_with_the_command_to_run(empty: Database):
    """D7: the other commands refuse an older schema, naming the command."""
    with empty.write():
        pass  # There is a file now, and nothing in it.
    with pytest.raises(SchemaOutdated, match="scim-bridge db upgrade"):
        schema.require_current(empty)
    schema.upgrade(empty)

    schema.require_current(empty)


@pytest.mark.parametrize("revision", ["9999_9999", "0001"], ids=["newer", "unknown"])
def test_a_schema_that_this_version_cannot_read_is_refused(empty: Database, revision: str):
    """D7: an older program leaves alone what a newer one has changed in a way that it can't work on."""
    schema.upgrade(empty)
    for asks in (schema.require_current, schema.upgrade):
        with migrated_to(empty, revision), pytest.raises(SchemaOutdated, match="newer"):
            asks(empty)


@pytest.mark.parametrize("oldest", ["", "_0014", f"_{schema.revisions()[-1]}"])
def test_a_newer_schema_that_this_version_can_read_stays_as_it_is(empty: Database, oldest: str):
    """D7: processes of the version before go on, and start again, while a new version takes over."""
    schema.upgrade(empty)
    with migrated_to(empty, f"9999{oldest}"):
        schema.upgrade(empty)
        assert schema.require_current(empty) == f"9999{oldest}"


def test_a_migration_that_would_end_running_processes_is_refused(
    empty: Database, become_later: Callable[..., None], tmp_path: Path
):
    """D7: it names them, and goes on when they have ended; a process that can go on is not in its way."""
    schema.upgrade(empty)
    older, newer = process_id(schema.revisions()[-1], "one"), process_id(LATER, "two")
    with empty.write() as s:
        beat(s, ProcessKind.worker, older, "old-host")
        beat(s, ProcessKind.serve, newer, "new-host")
    become_later(NEEDS_LATER)

    with pytest.raises(SchemaOutdated, match="worker on host old-host") as told:
        schema.upgrade(empty)
    assert "new-host" not in str(told.value)
    with pytest.raises(SchemaOutdated, match="db upgrade"):
        schema.require_current(empty)

    with empty.write() as s:
        leave(s, ProcessKind.worker, older)
    schema.upgrade(empty)
    schema.require_current(empty)


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_a_migration_gives_way_to_requests(empty: Database, become_later: Callable[..., None]):
    """D7: where a long transaction holds a table, the migration waits, and what others read does not wait behind it."""
    schema.upgrade(empty)
    become_later()
    migrating = Database(empty.engine.url.render_as_string(hide_password=False))
    reading = text("SELECT count(*) FROM people")
    with ThreadPoolExecutor(1) as pool, capture_logs() as logged:
        with empty.read() as long:
            long.connection.execute(reading)
            done = pool.submit(schema.upgrade, migrating)
            until_another_waits(empty)
            with empty.read() as s:
                assert s.connection.execute(reading).scalar_one() == 0
        done.result(timeout=30)

    assert "schema.waits_for_tables" in [line["event"] for line in logged]
    schema.require_current(empty)
    migrating.close()


def test_several_may_migrate_at_once(empty: Database):
    """D7: one at a time, under a lock; the others find nothing to do."""
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            schema.upgrade(empty)
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    schema.require_current(empty)


def test_the_data_survives_an_upgrade_that_has_nothing_to_do(database: Database):
    with database.write() as s:
        s.connection.execute(
            text("INSERT INTO claims (tenant, kind, value, person_id) VALUES ('default', 'phone', '+47', 'p')")
        )
    schema.upgrade(database)

    with database.read() as s:
        assert s.connection.execute(text("SELECT count(*) FROM claims")).scalar_one() == 1


def test_every_table_and_index_carries_the_tenant():
    """Design, section 3: from the first day."""
    for table in metadata.tables.values():
        assert next(iter(table.primary_key)).name == "tenant"
        for index in table.indexes:
            if index.name != "uq_tokens_secret_hash":  # A secret has to say by itself whose it is.
                assert next(iter(index.columns)).name == "tenant", index.name


@pytest.mark.parametrize("url", ["mysql://localhost/x", "nonsense", ""])
def test_a_wrong_url_says_what_to_write(url: str):
    with pytest.raises(BridgeError, match="sqlite"):
        Database(url)


def test_sqlite_is_durable(tmp_path: Path):
    """D7: WAL, `synchronous=FULL`."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    with database.read() as s:
        assert s.connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert s.connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
    database.close()


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_a_new_sqlite_file_is_its_owners_alone(tmp_path: Path, open_umask: None):
    """There are people in it: whatever the umask; the files beside it too."""
    path = tmp_path / "x.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    with database.write():
        pass  # A database that exists has its lock file beside it.
    assert {each.name: mode(each) for each in tmp_path.iterdir()} == {
        "x.db": "0o600",
        "x.db-wal": "0o600",
        "x.db-shm": "0o600",
        "x.db-turn": "0o600",
    }
    database.close()


def test_a_sqlite_file_that_is_there_keeps_its_mode(tmp_path: Path, open_umask: None):
    """A person may have given it to a group, on purpose."""
    path = tmp_path / "x.db"
    path.touch(0o660)
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    database.close()
    assert mode(path) == "0o660"


def test_a_folder_that_is_not_there_is_sqlites_to_tell(tmp_path: Path):
    with pytest.raises(OperationalError, match="unable to open"), Database(f"sqlite:///{tmp_path}/no/x.db").read():
        pass


def test_looking_makes_no_empty_database(tmp_path: Path):
    """D7: in the wrong folder the message says so, and nothing is made there."""
    path = tmp_path / "none.db"
    with pytest.raises(SchemaOutdated, match=r"no database at .*none\.db"):
        schema.require_current(Database(f"sqlite:///{path}"))

    assert not path.exists()


SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("schema-*.sql"))
"""Of each released version, written by `deploy/release`, and of the first steps before."""


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_database_of_an_earlier_version_opens(sample: Path, tmp_path: Path):
    """D7: with what it holds, by the same steps as a new one."""
    path = tmp_path / "earlier.db"
    with sqlite3.connect(path) as earlier:
        earlier.executescript(sample.read_text("utf-8"))
        earlier.execute(
            "INSERT INTO people (tenant, id, user_id, employee_number, active, leave_date, state, state_since,"
            " created_at) VALUES ('default', 'p', 'u', '1042', 1, '2999-12-31', 'delivered', ?, ?)",
            ("2026-03-02 08:00:00.000000",) * 2,
        )
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    schema.require_current(database)
    with database.read("default") as s:
        assert differences(s.connection) == []
        record = s.people.linked_to(EmployeeNumber("1042"))
    assert record is not None
    assert record.person.days.leave == date(2999, 12, 31)
    database.close()
