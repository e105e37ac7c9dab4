"""Secrets are made once, and are the same for all processes, on both databases."""

from threading import Barrier, Thread

from sqlalchemy import select

from scim_bridge.storage.admin_tables import secrets
from scim_bridge.storage.database import CURSORS, Database, Secrets


def test_a_secret_is_made_once_and_told_again(database, database_url):
    """A process that starts later, on another machine, is told the one that was made first."""
    first = Secrets(database).of("default", CURSORS)
    other_process = Database(database_url)

    assert Secrets(other_process).of("default", CURSORS) == first
    assert len(first) >= 43  # 256 bits in base64
    other_process.close()


def test_each_tenant_and_each_purpose_has_a_secret_of_its_own(database):
    """Design, section 10: what is sealed for one tenant is worthless at another."""
    known = Secrets(database)

    assert len({known.of("default", CURSORS), known.of("other", CURSORS), known.of("default", "another")}) == 3


def test_processes_that_ask_first_at_once_agree(database_url):
    """A person who is second to insert takes what the first one inserted; no one fails."""
    together = Barrier(6)
    told: list[str] = []

    def ask() -> None:
        process = Database(database_url)

        def new_secret() -> str:
            # Everybody has looked by now, and found none.
            together.wait(timeout=30)
            return f"the secret of {id(process)}"

        told.append(Secrets(process, new_secret).of("default", CURSORS))
        process.close()

    threads = [Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(told) == 6
    assert len(set(told)) == 1


def test_a_secret_is_read_once(database):
    """What never changes is remembered: the second cursor asks nothing of the database."""
    known = Secrets(database)
    first = known.of("default", CURSORS)
    with database.write() as s:
        s.connection.execute(secrets.delete())

    assert known.of("default", CURSORS) == first
    with database.read() as s:
        assert s.connection.execute(select(secrets.c.value)).all() == []
