"""`scim-bridge settings check` and `settings example`."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from scim_bridge.cli.setup import settings_group
from scim_bridge.settings import example

COMPLETE = """
[ditio]
api_url = "https://core-api.ditio.dev/core"
identity_url = "https://identity.ditio.dev"
client_id = "bridge"
client_secret = "s3cret"
"""


@dataclass(frozen=True)
class Options:
    """What the group above hands down."""

    config: Path | None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of `--config`."""
    return tmp_path / "settings.toml"


def run(file: Path, *words: str) -> Result:
    """Run a command as the group above would, without a variable of this machine."""
    return CliRunner(env={"SCIM_BRIDGE_CONFIG": None}).invoke(settings_group, words, obj=Options(file))


def test_check_shows_every_value_and_where_it_was_set(file: Path):
    """Complete settings: exit 0."""
    file.write_text(COMPLETE, encoding="utf-8")

    result = run(file, "check", "--format", "json")

    rows = {row["setting"]: row for row in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert rows["ditio.client_id"] == {"setting": "ditio.client_id", "value": "bridge", "from": str(file)}
    assert rows["server.workers"] == {"setting": "server.workers", "value": 2, "from": "default"}
    assert rows["ditio.client_secret"]["value"] == "********"
    assert "s3cret" not in result.output


def test_check_shows_what_a_company_says_otherwise_in_the_same_file(file: Path):
    """Several companies: where both are set in one file, the company's own value is shown all the same."""
    own = '[tenants.nord.ditio]\napi_url = "https://nord.example"\nclient_id = "nord"\nclient_secret = "x"\n'
    file.write_text(COMPLETE + own, encoding="utf-8")

    rows = {row["setting"]: row["value"] for row in json.loads(run(file, "check", "--format", "json").stdout)}

    assert rows["ditio.api_url"] == "https://core-api.ditio.dev/core"
    assert rows["tenants.nord.ditio.api_url"] == "https://nord.example"
    assert "tenants.nord.ditio.identity_url" not in rows


def test_check_prints_a_table_for_people(file: Path):
    """The default format."""
    file.write_text(COMPLETE, encoding="utf-8")

    result = run(file, "check")

    assert result.stdout.splitlines()[0].split() == ["Setting", "Value", "Set", "in"]
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [
        "ditio.api_url",
        "ditio.identity_url",
        "ditio.client_id",
        "ditio.client_secret",
    ]
    assert '["end-employment", "disable"]' in run(file, "check", "--all").stdout


def test_check_shows_faults_before_what_is_set(file: Path):
    """A fault is not lost above a long table."""
    file.write_text("[ditio]\nclient_id = 'bridge'\n", encoding="utf-8")

    told = run(file, "check").output

    assert told.index("ditio.api_url (") < told.index("Set in")


def test_check_with_nothing_set_says_so(file: Path):
    """No table of headings alone."""
    file.write_text("", encoding="utf-8")

    assert "--all" in run(file, "check").stdout


@pytest.mark.parametrize(
    ("url", "exit_code"),
    [
        ("http://scim.example.com", 1),
        ("http://10.0.0.7:8080", 1),
        ("https://scim.example.com", 0),
        ("http://localhost:8080", 0),
        ("http://127.0.0.1:8080", 0),
        ("http://[::1]:8080", 0),
    ],
)
def test_check_fails_on_plain_http_beyond_loopback(file: Path, url: str, exit_code: int):
    """Entra calls over https only, and a token would go over the wire in the clear."""
    file.write_text(f'{COMPLETE}[server]\nbase_url = "{url}"\n', encoding="utf-8")

    result = run(file, "check")

    assert result.exit_code == exit_code
    assert ("SCIM_BRIDGE_SERVER__BASE_URL" in result.stderr) == bool(exit_code)


def test_check_warns_while_no_caller_is_pinned(file: Path):
    """`AUTH__ENTRA_CALLER_IDS`, design section 5: empty = any application, with a warning."""
    entra = f'{COMPLETE}[auth]\nentra_tenant_id = "3fa85f64-5717-4562-b3fc-2c963f66afa6"\n'
    file.write_text(entra, encoding="utf-8")
    result = run(file, "check")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: auth.entra_caller_ids (SCIM_BRIDGE_AUTH__ENTRA_CALLER_IDS)")

    file.write_text(f'{entra}entra_caller_ids = ["an-application"]\n', encoding="utf-8")
    assert run(file, "check").stderr == ""

    file.write_text(f'{entra}entra_caller_ids = [""]\n', encoding="utf-8")
    assert run(file, "check").exit_code == 1


def test_check_names_what_is_missing(file: Path):
    """Without the credentials nothing can be delivered: exit 1."""
    file.write_text("[ditio]\nclient_id = 'bridge'\n", encoding="utf-8")

    result = run(file, "check")

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 3
    assert "ditio.api_url (SCIM_BRIDGE_DITIO__API_URL) is not set" in result.stderr


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[server]\nworkers = 0\n", "server.workers"),
        ('[mapping.fields.mail]\nfrom = ["userName"]\n', "MAPPING__FIELDS"),
        ('[ditio.operations.disable]\nmethod = "DELETE"\npath = "/{employeeNumber}"\n', "DITIO__OPERATIONS__DISABLE"),
    ],
)
def test_check_names_what_is_wrong(file: Path, toml: str, words: str):
    """What only the mapping or the client can judge is judged by them: exit 1."""
    file.write_text(COMPLETE + toml, encoding="utf-8")

    result = run(file, "check")

    assert result.exit_code == 1
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_example_prints_the_example(file: Path):
    """It needs no settings at all."""
    result = run(file, "example")

    assert result.exit_code == 0
    assert result.stdout == example()


@pytest.mark.parametrize("command", ["check", "example"])
def test_help_has_an_example(file: Path, command: str):
    """Design, section 5: each has `--help` with an example."""
    assert f"Examples:\n    scim-bridge settings {command}" in run(file, command, "--help").stdout
