"""`scim-bridge token`: issue, list, revoke."""

import json
import re
from datetime import datetime

import pytest

from scim_bridge.storage.database import Database
from tests.cli.conftest import Run

SECRET = re.compile(r"scimb_[A-Za-z0-9_-]{43}[0-9a-f]{8}\n")


def counts(url: str, secret: str) -> bool:
    """Whether the server would take this secret now."""
    database = Database(url)
    try:
        with database.read("default") as s:
            return s.tokens.valid(secret) is not None
    finally:
        database.close()


def test_issue_prints_the_secret_alone_on_standard_output(run: Run, database_url: str):
    """Design, section 5: `issue` prints the secret once, alone on stdout."""
    result = run("token", "issue", "--name", "entra")

    assert result.exit_code == 0
    assert SECRET.fullmatch(result.stdout)
    assert result.stdout.strip() not in result.stderr
    assert "Secret Token" in result.stderr
    assert counts(database_url, result.stdout.strip())


def test_a_revoked_token_counts_no_more(run: Run, database_url: str):
    secret = run("token", "issue", "--name", "entra").stdout.strip()
    (row,) = json.loads(run("token", "list", "--format", "json").stdout)

    result = run("token", "revoke", row["id"])

    assert result.exit_code == 0
    assert not counts(database_url, secret)
    (row,) = json.loads(run("token", "list", "--format", "json").stdout)
    assert row["state"] == "revoked"
    assert row["revoked_at"].endswith("Z")


def test_an_expired_token_counts_no_more(run: Run, database_url: str):
    """`--expires-in-days` takes fractions."""
    short = run("token", "issue", "--name", "short", "--expires-in-days", "0.0000000001").stdout.strip()
    half = run("token", "issue", "--name", "half", "--expires-in-days", "0.5").stdout.strip()

    assert not counts(database_url, short)
    assert counts(database_url, half)
    rows = {row["name"]: row for row in json.loads(run("token", "list", "--format", "json").stdout)}
    assert rows["short"]["state"] == "expired"
    assert rows["half"]["state"] == "valid"


def test_list_has_these_keys(run: Run):
    """Design, section 5: at least `id`, `name`, `expires_at`, `last_used_at`; never a secret or its hash."""
    secret = run("token", "issue", "--name", "entra").stdout.strip()

    listed = run("token", "list", "--format", "json").stdout

    (row,) = json.loads(listed)
    assert set(row) == {"id", "name", "created_at", "expires_at", "last_used_at", "revoked_at", "state"}
    assert row["name"] == "entra"
    assert row["expires_at"] is not None
    assert re.fullmatch("[0-9a-f]{12}", row["id"])
    assert secret not in listed


def test_list_is_a_table_for_people(run: Run):
    assert run("token", "list").stdout.startswith("no tokens")
    run("token", "issue", "--name", "entra")

    assert "entra  valid" in run("token", "list").stdout


def test_revoking_an_unknown_token_fails(run: Run):
    result = run("token", "revoke", "nonesuch")

    assert result.exit_code == 1
    assert "`scim-bridge token list` shows the ids" in result.stderr


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "100000", "soon"])
def test_an_impossible_expiry_is_wrong_usage(run: Run, days: str):
    result = run("token", "issue", "--name", "entra", "--expires-in-days", days)

    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize("kind", ["token", "client"])
def test_a_secret_expires_after_a_year_unless_told_otherwise(run: Run, kind: str):
    """Design, section 5: 365 days unless told; `--no-expiry` says so aloud, and the secret stays alone on stdout."""
    issued = {"year": [], "half": ["--expires-in-days", "0.5"], "never": ["--no-expiry"]}
    told = {name: run(kind, "issue", "--name", name, *words) for name, words in issued.items()}

    rows = {row["name"]: row for row in json.loads(run(kind, "list", "--format", "json").stdout)}
    days = {
        name: (datetime.fromisoformat(row["expires_at"]) - datetime.fromisoformat(row["created_at"])).days
        for name, row in rows.items()
        if row["expires_at"] is not None
    }
    assert days == {"year": 365, "half": 0}
    assert {name for name, result in told.items() if "never expires" in result.stderr} == {"never"}
    assert "WARNING" not in told["never"].stdout
    assert kind == "client" or SECRET.fullmatch(told["never"].stdout)


@pytest.mark.parametrize(
    "words", [("--no-expiry", "--expires-in-days", "1"), ("--expires-in-days", "1", "--no-expiry")]
)
def test_a_secret_expires_or_does_not(run: Run, words: tuple[str, ...]):
    """Both options at once are wrong usage, in either order."""
    assert run("token", "issue", "--name", "entra", *words).exit_code == 2
    assert json.loads(run("token", "list", "--format", "json").stdout) == []


def test_a_token_needs_a_name(run: Run):
    assert run("token", "issue", "--name", " ").exit_code == 2
