"""Bearer tokens: hashed, expiring, revocable."""

from datetime import timedelta

import pytest
from sqlalchemy import event, text

from scim_bridge.errors import NotFound
from scim_bridge.storage.database import Database
from tests.conftest import Clock


def test_a_token_counts_until_it_expires(database: Database, clock: Clock):
    with database.write("default") as s:
        tokens = s.tokens
        tokens.add("t1", "Entra", "secret", expires_at=clock() + timedelta(days=1))
        assert tokens.valid("secret") is not None
        assert tokens.valid("Secret") is None
        assert s.at(clock() + timedelta(days=1)).tokens.valid("secret") is None


def test_a_revoked_token_ends_at_once(database: Database, clock: Clock):
    with database.write("default") as s:
        tokens = s.tokens
        tokens.add("t1", "Entra", "secret", expires_at=None)
        tokens.revoke("t1")
        s.at(clock() + timedelta(days=1)).tokens.revoke("t1")
        assert tokens.valid("secret") is None
        assert tokens.list()[0].revoked_at == clock()
        with pytest.raises(NotFound, match="token list"):
            tokens.revoke("t2")


def test_a_token_is_of_one_tenant(database: Database, clock: Clock):
    """Design, section 10: another tenant's credential is 401."""
    with database.write() as s:
        s.of("other").tokens.add("t1", "Entra", "secret", expires_at=None)
        assert s.of("default").tokens.valid("secret") is None
        with pytest.raises(NotFound):
            s.of("default").tokens.revoke("t1")


def test_no_secret_is_stored(database: Database, clock: Clock):
    with database.write("default") as s:
        s.tokens.add("t1", "Entra", "a-very-secret-token", expires_at=None)
        rows = s.connection.execute(text("SELECT * FROM tokens")).all()
        assert "a-very-secret-token" not in str(rows)


def test_a_token_ends_by_the_clock_of_the_database(database_url: str):
    """D1: and the statement that finds the token tells the time too."""
    database = Database(database_url)
    began = database.now()
    with database.write("default") as s:
        s.tokens.add("good", "good", "a good secret", expires_at=began + timedelta(hours=1))
        s.tokens.add("old", "old", "an old secret", expires_at=began)
    statements: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *said: statements.append(said[2]))

    with database.read("default") as s:
        assert s.tokens.valid("a good secret") is not None
        assert began <= s.now <= database.now()
        # The second is the test's own question, on PostgreSQL.
        assert len([each for each in statements if "BEGIN" not in each]) == (1 if database.is_sqlite else 2)
        assert s.tokens.valid("an old secret") is None
    database.close()
