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
    with database.write() as s:
        for tenant in ("default", "other"):
            s.of(tenant).at(now).clients.add("entra", "Entra", f"secret of {tenant}", expires_at=None)
            s.of(tenant).at(now).access_tokens(None).add("entra", f"access to {tenant}", expires_at=end)
        s.of("default").at(now).clients.revoke("entra")
        s.of("default").at(now).access_tokens(None).add("entra", "late", expires_at=end)
        s.of("third").at(now).access_tokens(None).add("entra", "without a client", expires_at=end)

        assert s.of("default").at(now).access_tokens(None).valid("access to default") is None
        assert s.of("default").at(now).access_tokens(None).valid("late") is None
        assert s.of("third").at(now).access_tokens(None).valid("without a client") is None
        assert s.of("other").at(now).access_tokens(None).valid("access to other") is not None


def test_a_client_signs_in_with_its_own_secret_while_it_counts(database: Database, clock: Clock):
    """Design, section 10: looked at once more in the transaction that issues the token, whatever was read before it."""
    now = clock()
    with database.write("default") as s:
        clients = s.clients
        clients.add("entra", "Entra", "its own", expires_at=None)
        clients.add("another", "Entra", "another's", expires_at=None)

        assert clients.signs_in("entra", "its own")
        assert not clients.signs_in("entra", "another's")
        assert not clients.signs_in("entra", "")
        clients.revoke("entra")
        row = {"tenant": "default", "client_id": "entra", "secret_hash": hashed("rotated just then"), "created_at": now}
        s.connection.execute(insert(client_secrets).values(row))
        assert not clients.signs_in("entra", "its own")
        assert not clients.signs_in("entra", "rotated just then")


def test_a_secret_is_looked_up_by_its_hash_alone(database: Database, clock: Clock):
    """Design, section 10: constant time. The database compares hashes, whose letters no one can choose one by one."""
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            asked.append(f"{statement} {parameters}")

    secret = new_secret(TOKEN)
    event.listen(database.engine, "before_cursor_execute", note)
    with database.read("default") as s:
        s.tokens.valid(secret)
        s.tokens.with_secret(secret)
        secret_of_client(s, ["default"], "entra", secret)
        s.access_tokens(None).valid(secret)
    assert len(asked) == 4
    assert all(hashed(secret) in each and secret not in each for each in asked)
