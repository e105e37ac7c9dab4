"""What commands print: tables for people, JSON for machines."""

import json
import os
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from scim_bridge.cli.output import format_option, print_json, print_rows, private_file, tenant_option
from scim_bridge.errors import BridgeError
from scim_bridge.settings import load

COLUMNS = {"id": "Id", "name": "Name", "last_used_at": "Last used"}
ROWS = [
    {"id": "0f3c9a4e-61f1-4d9c-9d5b-3f6f7a1f2b11", "name": "Entra", "last_used_at": None, "extra": 1},
    {"id": "2", "name": "Kranførerbevis", "last_used_at": datetime(2026, 3, 1, 12, tzinfo=UTC)},
]


def test_a_table_that_is_not_for_a_terminal_is_aligned_text(capsys: pytest.CaptureFixture[str]):
    """Plain: `grep` and `awk` can read it, and no id is cut."""
    print_rows(ROWS, COLUMNS)

    assert capsys.readouterr().out.splitlines() == [
        "Id                                    Name            Last used",
        "0f3c9a4e-61f1-4d9c-9d5b-3f6f7a1f2b11  Entra",
        "2                                     Kranførerbevis  2026-03-01T12:00:00Z",
    ]


def test_a_narrow_terminal_loses_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A long id goes on in the next line."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    # Whether the suite itself runs on a terminal must not matter: a dumb one has 80 columns, whatever is said.
    monkeypatch.setenv("TERM", "xterm")

    print_rows([{"id": ROWS[0]["id"]}], {"id": "Id"})

    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert ROWS[0]["id"] in "".join(line.strip() for line in lines)
    assert max(map(len, lines)) <= 30


@pytest.mark.parametrize("terminal", [True, False])
def test_a_value_can_not_command_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
):
    """Names come from outside: escape sequences, line breaks and markup are shown, not obeyed."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)

    print_rows([{"name": "\x1b[2J\n[red]x"}], {"name": "Name"})

    assert r"\x1b[2J\n[red]x" in capsys.readouterr().out


@pytest.mark.parametrize(("format", "expected"), [("table", "no tokens\n"), ("json", "[]\n")])
def test_an_empty_listing_says_so(capsys: pytest.CaptureFixture[str], format, expected: str):
    """A machine still gets JSON."""
    print_rows([], COLUMNS, format, empty="no tokens")

    assert capsys.readouterr().out == expected


def test_json_has_every_key_in_its_order(capsys: pytest.CaptureFixture[str]):
    """Absent values are null, letters are letters, instants are UTC."""
    print_rows(ROWS, {"id": "Id"}, "json")

    out = capsys.readouterr().out
    assert list(json.loads(out)[0]) == ["id", "name", "last_used_at", "extra"]
    assert "Kranførerbevis" in out
    assert '"last_used_at": null' in out


def test_json_of_days_instants_and_sets(capsys: pytest.CaptureFixture[str]):
    """Design, section 5: days are `yyyy-MM-dd`, instants ISO 8601 UTC."""
    oslo = timezone(timedelta(hours=2))
    print_json({"day": date(2026, 3, 1), "at": datetime(2026, 6, 1, 2, tzinfo=oslo), "kinds": {"b", "a"}})

    assert json.loads(capsys.readouterr().out) == {
        "day": "2026-03-01",
        "at": "2026-06-01T00:00:00Z",
        "kinds": ["a", "b"],
    }


@pytest.mark.parametrize("value", [datetime(2026, 3, 1), object()])
def test_what_has_no_form_in_json_is_a_mistake(value: object):
    """A time without a zone would be read as the machine's."""
    with pytest.raises(TypeError):
        print_json({"value": value})


class Options:
    """What the group hands down."""

    settings = load(environ={"SCIM_BRIDGE_TENANTS": '{"nord": {}, "default": {}}'})


@click.command()
@format_option
@tenant_option
def _listing(format: str, tenant: str) -> None:
    click.echo(f"{format} {tenant}")


@pytest.mark.parametrize(
    ("words", "exit_code", "output"),
    [
        ([], 0, "table default"),
        (["--format", "json", "--tenant", "default"], 0, "json default"),
        (["--tenant", "nord"], 0, "table nord"),
        (["--tenant", "acme"], 2, "unknown tenant 'acme': the settings have nord, default"),
        (["--format", "yaml"], 2, "'yaml' is not one of"),
    ],
)
def test_the_shared_options(words: list[str], exit_code: int, output: str):
    """Wrong usage is exit 2."""
    result = CliRunner().invoke(_listing, words, obj=Options())

    assert result.exit_code == exit_code
    assert output in result.output


# -- Files -----------------------------------------------------------------


def written(path: Path) -> None:
    with private_file(path) as file:
        file.write("names and phones")


def assert_private(path: Path) -> None:
    assert not path.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "names and phones"


def test_a_file_is_made_for_its_owner_alone(tmp_path: Path):
    """Design, section 5: reports and exports are 0600, whatever the umask."""
    before = os.umask(0)
    try:
        written(tmp_path / "report")
    finally:
        os.umask(before)

    assert_private(tmp_path / "report")
    assert [each.name for each in tmp_path.iterdir()] == ["report"]


def test_a_file_with_wider_rights_is_replaced(tmp_path: Path):
    """A reader who has it open, or another name for it, sees nothing new."""
    report, other = tmp_path / "report", tmp_path / "other"
    report.write_text("old")
    report.chmod(0o666)
    other.hardlink_to(report)

    with report.open() as opened:
        written(report)
        assert opened.read() == "old"

    assert_private(report)
    assert other.read_text() == "old"


@pytest.mark.parametrize("exists", [True, False], ids=["to a file", "to nothing"])
def test_a_planted_link_is_not_written_through(tmp_path: Path, exists: bool):
    """The link is replaced; what it leads to stays as it is."""
    report, target = tmp_path / "report", tmp_path / "target"
    if exists:
        target.write_text("precious")
    report.symlink_to(target)

    written(report)

    assert_private(report)
    assert target.exists() == exists
    assert not exists or target.read_text() == "precious"


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path):
    """And nothing else beside it."""
    report = tmp_path / "report"
    report.write_text("old")

    with pytest.raises(ZeroDivisionError), private_file(report) as file:
        file.write(str(1 / 0))

    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("report", "old")]


def test_a_pipe_is_refused_and_a_device_is_written_to(tmp_path: Path):
    """Another user may read a pipe that stands there; `/dev/null` must stay what it is."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BridgeError, match="not a regular file"):
        written(tmp_path / "pipe")

    written(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(BridgeError, match="can't be written: No such file"):
        written(tmp_path / "nowhere" / "report")
