"""D7: the file of an embedded database that was removed or replaced under a running server takes no writes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from scim_bridge.storage.database import Database
from scim_bridge.storage.sqlite_file import FileLost
from tests.conftest import Clock
from tests.world import World, a_user

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

HERE = {"REMOTE_ADDR": "127.0.0.1"}


def removed(path: Path) -> None:
    path.rename(path.with_suffix(".away"))


def replaced(path: Path) -> None:
    """A backup is put in its place, as an operator would."""
    shutil.copy(path, path.with_suffix(".copy"))
    path.rename(path.with_suffix(".away"))
    path.with_suffix(".copy").rename(path)


def put_back(path: Path) -> None:
    path.with_suffix(".away").replace(path)


@pytest.mark.parametrize("happens", [removed, replaced])
def test_a_lost_file_takes_no_writes(
    database: Database, database_url: str, clock: Clock, happens: Callable[[Path], None]
):
    """D7, A3: 503 for a write and for `/readyz`, and the log says it once, in words; put back, the bridge goes on."""
    world, path = World(database, clock), Path(database_url.removeprefix("sqlite:///"))
    client = world.app.test_client()
    world.provisions(a_user())
    happens(path)

    with capture_logs() as logged:
        answers = [world.scim("POST", "/Users", {"userName": name, "schemas": []}) for name in ("ola", "per")]
        ready = client.get("/readyz", environ_base=HERE)
        stranger = client.get("/readyz", environ_base={"REMOTE_ADDR": "203.0.113.7"})

    assert [answer.status_code for answer in answers] == [503, 503]
    assert all(answer.headers["Retry-After"] for answer in answers)
    assert ready.status_code == stranger.status_code == 503
    assert str(path) in ready.json["detail"]
    assert stranger.json == {"status": "not ready"}
    assert [line["log_level"] for line in logged if line["event"] == "database.file_lost"] == ["error"]
    assert path.exists() == (happens is replaced)

    put_back(path)
    assert world.scim("POST", "/Users", {"userName": "ola", "schemas": []}).status_code == 201
    assert client.get("/readyz", environ_base=HERE).status_code == 200


def test_a_new_connection_makes_no_empty_file(database: Database, database_url: str):
    """D7: an empty database in its place would be taken for the bridge's own."""
    path = Path(database_url.removeprefix("sqlite:///"))
    with database.read():
        pass
    removed(path)
    database.close()

    with pytest.raises(FileLost), database.read():
        pass
    assert not path.exists()
    put_back(path)
