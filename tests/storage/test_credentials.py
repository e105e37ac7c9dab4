"""How a secret of the bridge's own looks, and that looking one up tells nothing."""

import re

import pytest
from sqlalchemy import event

from scim_bridge.storage.access_tokens import AccessTokens
from scim_bridge.storage.clients import secret_of_client
from scim_bridge.storage.credentials import ACCESS_TOKEN, CLIENT_SECRET, TOKEN, hashed, is_mutilated, new_secret
from scim_bridge.storage.database import Database
from scim_bridge.storage.tokens import Tokens
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


def test_a_secret_is_looked_up_by_its_hash_alone(database: Database, clock: Clock):
    """Design, section 10: constant time. The database compares hashes, whose letters nobody can choose one by one."""
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
