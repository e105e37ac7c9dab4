"""D7: a disk that is full, a database that is read-only, damaged or gone, each in words and with the right cure."""

import re
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from structlog.testing import capture_logs

from scim_bridge.errors import BridgeError, SchemaOutdated
from scim_bridge.storage import trouble
from scim_bridge.storage.database import Database
from scim_bridge.storage.schema import require_current, upgrade
from scim_bridge.storage.sqlite_file import FileLost
from scim_bridge.storage.trouble import Trouble, Why
from tests.conftest import Clock
from tests.world import World

HERE = {"REMOTE_ADDR": "127.0.0.1"}
USAGE = namedtuple("USAGE", "total used free")

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def seen_in_metrics(world: World) -> list[str]:
    """What `/metrics` calls trouble."""
    shown = world.app.test_client().get("/metrics", environ_base=HERE).text
    return re.findall(r'^scim_bridge_database_trouble\{why="(.+)"\} 1\.0$', shown, re.MULTILINE)


@on_sqlite
def test_a_full_disk_is_not_ready(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """503 before the first write fails, and ready again as soon as there is space."""
    world = World(database, clock)
    client = world.app.test_client()
    assert seen_in_metrics(world) == []
    monkeypatch.setattr(trouble.shutil, "disk_usage", lambda _: USAGE(10**9, 10**9, 4096))
    with capture_logs() as logged:
        answer = client.get("/readyz", environ_base=HERE)

    assert answer.status_code == 503
    assert "disk" in answer.json["detail"]
    assert "full" in answer.json["detail"]
    assert any("full" in str(line.get("why")) for line in logged)
    assert seen_in_metrics(world) == ["disk-full"]
    monkeypatch.undo()
    assert client.get("/readyz", environ_base=HERE).status_code == 200
    assert seen_in_metrics(world) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True).returncode:
        pytest.skip("this user may mount no disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("happens", ["fills", "goes read-only"])
def test_a_real_disk(small_disk: Path, tmp_path: Path, clock: Clock, happens: str):
    """A1, A3: a write that can't be kept is 503, and never 201; afterwards all goes on by itself."""
    prepared = Database(f"sqlite:///{tmp_path / 'bridge.db'}", clock=clock)
    upgrade(prepared)
    world = World(prepared, clock)
    prepared.close()
    shutil.copy(tmp_path / "bridge.db", small_disk)
    filler = small_disk / "filler"
    if happens == "fills":
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"0" * 4096):
                pass
    else:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    world.database = Database(f"sqlite:///{small_disk / 'bridge.db'}", clock=clock)
    world.restarts_with()
    client = world.app.test_client()
    ready = client.get("/readyz", environ_base=HERE)
    statuses = {
        world.scim("POST", "/Users", {"userName": f"user{number}", "schemas": [], "title": "x" * 4000}).status_code
        for number in range(20)
    }

    assert ready.status_code == client.get("/readyz", environ_base=HERE).status_code == 503
    assert statuses <= {201, 503}
    assert 503 in statuses
    assert seen_in_metrics(world) == ["disk-full" if happens == "fills" else "read-only"]
    if happens == "fills":
        filler.unlink()
        assert client.get("/readyz", environ_base=HERE).status_code == 200
    world.database.close()


@on_sqlite
def test_a_damaged_file(database: Database, database_url: str, clock: Clock):
    """The cure is the backup and the first day, and never an empty database."""
    world, path = World(database, clock), Path(database_url.removeprefix("sqlite:///"))
    with database.write() as s:
        s.connection.execute(text("UPDATE alembic_version SET version_num = version_num"))
    database.close()
    with path.open("r+b") as file:
        file.write(b"\xff" * 8192)

    answer = world.app.test_client().get("/readyz", environ_base=HERE)
    assert answer.status_code == 503
    assert "backup" in answer.json["detail"]
    assert "db upgrade" not in answer.json["detail"]
    assert seen_in_metrics(world) == ["damaged"]


def test_a_lost_database_is_not_replaced_by_an_empty_one(tmp_path: Path):
    """`serve` migrates at its start, and would begin with an empty file: only an operator may want that."""
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    first = Database(url)
    upgrade(first)
    with first.write("default"):
        pass  # The first write of an existing database leaves the lock file.
    first.close()
    shutil.move(tmp_path / "bridge.db", tmp_path / "away")

    again = Database(url)
    for asks in (upgrade, require_current):
        with pytest.raises(SchemaOutdated, match="backup") as told:
            asks(again)
        assert "db upgrade" not in str(told.value)
    with pytest.raises(FileLost), again.read() as s:  # As a command does that only looks.
        s.connection.execute(text("SELECT 1"))
    assert not (tmp_path / "bridge.db").exists()

    (tmp_path / "bridge.db-turn").unlink()
    with pytest.raises(SchemaOutdated, match="db upgrade"):
        require_current(again)
    upgrade(again)
    require_current(again)
    again.close()


def test_a_write_that_succeeds_ends_what_an_earlier_one_met(database: Database, monkeypatch: pytest.MonkeyPatch):
    """The trouble of one moment is not told for ever, and `/readyz` tries with a write that reaches the disk."""
    monkeypatch.setattr(database, "_failed", Trouble(Why.disk_full, "full", "free some space"))
    assert database.trouble() is not None
    with database.write() as s:
        assert database.can_write(s.connection)

    assert database.trouble() is None


def test_a_database_that_cannot_keep_every_name_is_refused(postgresql_server: str):
    """PostgreSQL in the locale C makes databases of SQL_ASCII: its driver would only say that bytes are no text."""
    server = create_engine(postgresql_server, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE narrow ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"))
    database = Database(server.url.set(database="narrow").render_as_string(hide_password=False))
    try:
        with pytest.raises(BridgeError, match=r"SQL_ASCII.*ENCODING 'UTF8'"):
            upgrade(database)
    finally:
        database.close()
        with server.connect() as connection:
            connection.execute(text("DROP DATABASE narrow WITH (FORCE)"))
        server.dispose()
