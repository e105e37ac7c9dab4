"""`scim-bridge`: what all commands have in common."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scim_bridge.cli.main import COMMANDS, main
from tests.cli.conftest import run_with


def _commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*words, name))


ALL = dict(_commands(main))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_an_example(words: tuple[str, ...]):
    """Design, section 5: each has `--help` with an example."""
    shown = run_with({}, *words, "--help").stdout

    assert "\n  Examples:\n    scim-bridge " in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_the_overview_says_what_the_command_says(name: str):
    """The overview does not import the commands, so it has their first sentences by itself."""
    assert COMMANDS[name].short_help == ALL[(name,)].get_short_help_str(limit=200)


def test_the_overview_imports_no_command():
    """`scim-bridge --help` answers at once."""
    heavy = ("sqlalchemy", "pydantic", "flask", "gunicorn", "rich", "opentelemetry")
    code = f"import sys, scim_bridge.cli.main; print([name for name in {heavy} if name in sys.modules])"

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"


def test_a_short_command_loads_no_large_library(tmp_path: Path):
    """Starting takes longer than all that `outbox status` does."""
    heavy = (
        *("scim2_models", "scim2_server", "flask", "gunicorn", "alembic", "requests", "authlib", "joserfc", "ijson"),
        "opentelemetry",
    )
    code = f"""
import sys
from scim_bridge.cli.main import main
main(["--config", {str(tmp_path / "settings.toml")!r}, "outbox", "status"], standalone_mode=False)
print([name for name in {heavy} if name in sys.modules])
"""
    (tmp_path / "settings.toml").write_text(f'[database]\nurl = "sqlite:///{tmp_path / "bridge.db"}"\n')
    run_with({}, "--config", str(tmp_path / "settings.toml"), "db", "upgrade")

    found = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )

    assert found.stdout.startswith("Due")
    assert found.stdout.splitlines()[-1] == "[]"


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path):
    """Exit codes: 1 failed; the message, and no traceback."""
    result = run_with({}, "--config", str(tmp_path / "none.toml"), "token", "list")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == f"{tmp_path / 'none.toml'} can't be read: No such file or directory\n"


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["token"],
        ["token", "issue"],
        ["token", "list", "--format", "xml"],
        ["token", "list", "--tenant", "unknown"],
        ["serve", "--bind", "8080"],
        ["sandbox", "--bind", "host:99999"],
        ["people", "show"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(words: list[str]):
    """Exit codes: 2 wrong usage."""
    assert run_with({}, *words).exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ["token", "issue", "--name", "entra"],
        ["token", "list"],
        ["token", "revoke", "x"],
        ["outbox", "status"],
        ["outbox", "list"],
        ["outbox", "retry"],
        ["people", "show", "1042"],
        ["quirks", "list"],
        ["reconcile"],
        ["reconcile", "runs"],
        ["worker", "--until-idle"],
    ],
    ids=" ".join,
)
def test_an_older_schema_is_refused(words: list[str], tmp_path: Path):
    """D7: the other commands refuse an older schema, naming the command to run."""
    (tmp_path / "old.db").touch()
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/old.db"}, *words)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "run `scim-bridge db upgrade`" in result.stderr


def test_the_wrong_folder_is_named(tmp_path: Path):
    """Bad input: what, where, what to do; and nothing is made by looking."""
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/none.db"}, "outbox", "list")

    assert result.exit_code == 1
    assert f"there is no database at {tmp_path}/none.db" in result.stderr
    assert not (tmp_path / "none.db").exists()


def test_a_database_out_of_reach_is_said_in_one_line():
    """Exit codes: 1 failed; no traceback."""
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": "sqlite:////no/such/folder/x.db"}, "db", "upgrade")

    assert result.exit_code == 1
    assert "sqlite:////no/such/folder/x.db (DATABASE__URL) can't be used: unable to open" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("postgresql://bridge:half@geheim@127.0.0.1:1/x", "write each @ of the password as %40"),
        ("postgresql://bridge:geheim@127.0.0.1:port/x", "write sqlite:///scim_bridge.db or postgresql://"),
        ("postgresql:bridge:geheim@127.0.0.1/x", "write sqlite:///FILE or postgresql://"),
    ],
)
@pytest.mark.parametrize("words", [["outbox", "status"], ["doctor"]], ids=" ".join)
def test_an_address_of_a_database_that_is_none_is_told_without_its_password(url: str, cure: str, words: list[str]):
    """Bad input: what to do, in no traceback; design, section 10: no secret in errors."""
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": url}, *words)

    assert result.exit_code == 1
    assert cure in " ".join(result.output.split())
    assert "geheim" not in result.output


@pytest.mark.parametrize(
    "url", ["postgresql://bridge:geheim@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x?user=bridge&password=geheim"]
)
def test_a_database_out_of_reach_is_named_without_its_password(url: str):
    """Design, section 10: no secret in errors, wherever in the address it stands."""
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": url}, "outbox", "status")

    assert result.exit_code == 1
    assert "127.0.0.1:1/x" in result.stderr
    assert "geheim" not in result.output


def test_a_file_that_is_no_database_is_said_in_one_line(tmp_path: Path):
    """Exit codes: 1 failed; no traceback."""
    (tmp_path / "junk.db").write_bytes(b"this is no database" * 100)
    result = run_with({"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/junk.db"}, "outbox", "list")

    assert result.exit_code == 1
    assert "junk.db (DATABASE__URL) can't be used: file is not a database" in result.stderr


def test_db_upgrade_makes_the_database(tmp_path: Path):
    """D7: `db upgrade` migrates; again is no error."""
    environment = {"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/new.db"}

    for _ in range(2):
        assert run_with(environment, "db", "upgrade").exit_code == 0
    assert run_with(environment, "outbox", "status").exit_code == 0


@pytest.mark.parametrize("words", [["serve"], ["worker"], ["worker", "--until-idle"]], ids=" ".join)
def test_without_ditio_nothing_is_served_or_delivered(words: list[str], tmp_path: Path):
    """The missing settings are named, before a port is bound."""
    environment = {"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/new.db"}
    run_with(environment, "db", "upgrade")

    result = run_with(environment, *words)

    assert result.exit_code == 1
    assert "SCIM_BRIDGE_DITIO__API_URL" in result.stderr


def test_the_version_is_shown():
    assert run_with({}, "--version").stdout.startswith("scim-bridge")


def test_a_process_that_ends_does_not_look_at_all_objects_once_more():
    """Python's last collection takes a second of the processor in each process of a server, after the last answer."""
    # What is registered first is called last.
    code = (
        "import atexit, gc; atexit.register(lambda: print(gc.get_freeze_count() > 0)); "
        "from scim_bridge.cli.main import main; main(['outbox', 'status', '--help'])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )

    assert ended.stdout.splitlines()[-1] == "True"
