"""`scim-bridge client`: issue, rotate, list, revoke."""

import json
import re
from typing import Any

from scim_bridge.storage.database import Database
from tests.cli.conftest import Run

SECRET = re.compile(r"scimbcs_[A-Za-z0-9_-]{43}[0-9a-f]{8}")


def signs_in(url: str, issued: dict[str, Any]) -> bool:
    """Whether the token endpoint would take this client and secret now."""
    database = Database(url)
    try:
        with database.write("default") as s:
            now = s.now
            return s.at(now).clients.signs_in(issued["client_id"], issued["client_secret"])
    finally:
        database.close()


def issued(run: Run, *words: str) -> dict[str, Any]:
    result = run("client", *words)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert set(found) == {"client_id", "client_secret"}
    assert SECRET.fullmatch(found["client_secret"])
    assert found["client_secret"] not in result.stderr
    return found


def test_two_secrets_of_a_client_count_at_a_time(run: Run, database_url: str):
    """Design, section 5: `rotate` prints another secret beside the first. Entra: at least two active ones."""
    first = issued(run, "issue", "--name", "entra")
    second = issued(run, "rotate", first["client_id"])

    assert second["client_id"] == first["client_id"]
    assert signs_in(database_url, first)
    assert signs_in(database_url, second)


def test_the_secret_in_use_outlives_any_number_of_rotations(run: Run, database_url: str):
    """Rotated without a gap: a secret that was lost before Entra had it costs no one his access."""
    first = issued(run, "issue", "--name", "entra")
    assert signs_in(database_url, first)
    lost = issued(run, "rotate", first["client_id"])
    new = issued(run, "rotate", first["client_id"])
    assert signs_in(database_url, first)
    assert signs_in(database_url, new)

    issued(run, "rotate", first["client_id"])

    assert not signs_in(database_url, first)
    assert not signs_in(database_url, lost)
    assert signs_in(database_url, new)


def test_a_revoked_client_signs_in_no_more(run: Run, database_url: str):
    first = issued(run, "issue", "--name", "entra")
    second = issued(run, "rotate", first["client_id"])

    assert run("client", "revoke", first["client_id"]).exit_code == 0

    assert not signs_in(database_url, first)
    assert not signs_in(database_url, second)
    (row,) = json.loads(run("client", "list", "--format", "json").stdout)
    assert (row["state"], row["secrets"]) == ("revoked", 0)
    assert run("client", "rotate", first["client_id"]).exit_code == 1


def test_list_has_these_keys(run: Run):
    """Design, section 5: at least `id`, `name`, `expires_at`, `last_used_at`; never a secret or its hash."""
    first = issued(run, "issue", "--name", "entra", "--expires-in-days", "1")
    listed = run("client", "list", "--format", "json").stdout

    (row,) = json.loads(listed)
    assert row["id"] == first["client_id"]
    assert row["expires_at"].endswith("Z")
    assert row["last_used_at"] is None
    assert first["client_secret"] not in listed

    issued(run, "rotate", first["client_id"], "--no-expiry")
    (row,) = json.loads(run("client", "list", "--format", "json").stdout)
    assert (row["secrets"], row["expires_at"]) == (2, None)
    assert "entra" in run("client", "list").stdout


def test_an_unknown_client_fails(run: Run):
    for command in ("rotate", "revoke"):
        result = run("client", command, "nonesuch")
        assert result.exit_code == 1
        assert "`scim-bridge client list` shows the ids" in result.stderr
        assert result.stdout == ""
