"""Bearer tokens: hashed, expiring, revocable."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from scim_bridge.errors import NotFound
from scim_bridge.storage.credentials import Tokens
from scim_bridge.storage.database import Database
from tests.conftest import Clock


def test_a_token_counts_until_it_expires(database: Database, clock: Clock):
    with database.write() as connection:
        tokens = Tokens(connection, "default")
        tokens.add("t1", "Entra", "secret", now=clock(), expires_at=clock() + timedelta(days=1))
        assert tokens.valid("secret", now=clock()) is not None
        assert tokens.valid("Secret", now=clock()) is None
        assert tokens.valid("secret", now=clock() + timedelta(days=1)) is None


def test_a_revoked_token_ends_at_once(database: Database, clock: Clock):
    with database.write() as connection:
        tokens = Tokens(connection, "default")
        tokens.add("t1", "Entra", "secret", now=clock(), expires_at=None)
        tokens.revoke("t1", now=clock())
        tokens.revoke("t1", now=clock() + timedelta(days=1))
        assert tokens.valid("secret", now=clock()) is None
        assert tokens.list()[0].revoked_at == clock()
        with pytest.raises(NotFound, match="token list"):
            tokens.revoke("t2", now=clock())


def test_a_token_is_of_one_tenant(database: Database, clock: Clock):
    """Design, section 10: another tenant's credential is 401."""
    with database.write() as connection:
        Tokens(connection, "other").add("t1", "Entra", "secret", now=clock(), expires_at=None)
        assert Tokens(connection, "default").valid("secret", now=clock()) is None
        with pytest.raises(NotFound):
            Tokens(connection, "default").revoke("t1", now=clock())


def test_no_secret_is_stored(database: Database, clock: Clock):
    with database.write() as connection:
        Tokens(connection, "default").add("t1", "Entra", "a-very-secret-token", now=clock(), expires_at=None)
        rows = connection.execute(text("SELECT * FROM tokens")).all()
        assert "a-very-secret-token" not in str(rows)
