"""How a secret of the bridge's own looks, and that looking one up tells nothing."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event, insert

from scim_bridge.storage.admin_tables import client_secrets
from scim_bridge.storage.credentials import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    TOKEN,
    AccessTokens,
    Clients,
    Tokens,
    hashed,
    is_mutilated,
    new_secret,
    secret_of_client,
)
from scim_bridge.storage.database import Database
from tests.conftest import Clock

SCANNED = r"scimb(cs|at)?_[A-Za-z0-9_-]{43}[0-9a-f]{8}"
"""What docs/operating.md gives to programs that look for leaked secrets."""


@pytest.mark.parametrize("prefix", [TOKEN, CLIENT_SECRET, ACCESS_TOKEN])
def test_a_scanner_finds_a_secret_by_its_form(prefix: str):
    """Design, section 10: a prefix of its own, 256 random bits, a checksum."""
    made = {new_secret(prefix) for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(SCANNED, each) and each.startswith(prefix) for each in made)
    assert not any(map(is_mutilated, made))
    assert all(is_mutilated(each[:-1]) and is_mutilated(each[:20] + each[21:]) for each in made)


def test_an_access_token_is_worth_nothing_without_its_client(database: Database, clock: Clock):
    """Design, section 10: of a client that was revoked, or of one that another company has, it opens nothing.

    Revoking deletes the access tokens; one that is issued at the same moment does not outlive it either.
    """
    now, end = clock(), clock() + timedelta(hours=1)
    with database.write() as connection:
        for tenant in ("default", "other"):
            Clients(connection, tenant).add("entra", "Entra", f"secret of {tenant}", now=now, expires_at=None)
            AccessTokens(connection, tenant, None).add("entra", f"access to {tenant}", now=now, expires_at=end)
        Clients(connection, "default").revoke("entra", now=now)
        AccessTokens(connection, "default", None).add("entra", "late", now=now, expires_at=end)
        AccessTokens(connection, "third", None).add("entra", "without a client", now=now, expires_at=end)

        assert AccessTokens(connection, "default", None).valid("access to default", now=now) is None
        assert AccessTokens(connection, "default", None).valid("late", now=now) is None
        assert AccessTokens(connection, "third", None).valid("without a client", now=now) is None
        assert AccessTokens(connection, "other", None).valid("access to other", now=now) is not None


def test_a_client_signs_in_with_its_own_secret_while_it_counts(database: Database, clock: Clock):
    """Design, section 10: looked at once more in the transaction that issues the token, whatever was read before it."""
    now = clock()
    with database.write() as connection:
        clients = Clients(connection, "default")
        clients.add("entra", "Entra", "its own", now=now, expires_at=None)
        clients.add("another", "Entra", "another's", now=now, expires_at=None)

        assert clients.signs_in("entra", "its own", now=now)
        assert not clients.signs_in("entra", "another's", now=now)
        assert not clients.signs_in("entra", "", now=now)
        clients.revoke("entra", now=now)
        row = {"tenant": "default", "client_id": "entra", "secret_hash": hashed("rotated just then"), "created_at": now}
        connection.execute(insert(client_secrets).values(row))
        assert not clients.signs_in("entra", "its own", now=now)
        assert not clients.signs_in("entra", "rotated just then", now=now)


def test_a_secret_is_looked_up_by_its_hash_alone(database: Database, clock: Clock):
    """Design, section 10: constant time. The database compares hashes, whose letters no one can choose one by one."""
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append(f"{statement} {parameters}")

    secret = new_secret(TOKEN)
    event.listen(database.engine, "before_cursor_execute", note)
    with database.read() as connection:
        Tokens(connection, "default").valid(secret, now=clock())
        Tokens(connection, "default").with_secret(secret)
        secret_of_client(connection, ["default"], "entra", secret, now=clock())
        AccessTokens(connection, "default", None).valid(secret, now=clock())
    assert len(asked) == 4
    assert all(hashed(secret) in each and secret not in each for each in asked)
