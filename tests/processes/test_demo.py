"""`scim-bridge demo` as people run it: with a bridge in processes of its own, to its end or until it is told to end."""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from scim_bridge.cli.demo import command
from scim_bridge.cli.demo.acts import ACTS, Act
from scim_bridge.cli.demo.scene import Scene, running_bridge
from scim_bridge.cli.demo.stage import Check
from scim_bridge.errors import BridgeError
from tests.processes.running import ROOT
from tests.thorough import either, thorough_only

PATIENCE_SECONDS = 90.0

SHORT = """
from scim_bridge.cli.demo import command
from scim_bridge.cli.main import main
command.ACTS = [each for each in command.ACTS if each.title in ("Test connection", "Hire", "Put right")]
main()
"""
"""The demo with a few of its acts. All of them are played by `demo --once`."""


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "scim_bridge", "demo", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_the_demo_runs_by_itself_and_everything_agrees(tmp_path: Path):
    """Design, section 5: `--once` exits 0 only if everything agrees. Settings of the user's own do not matter."""
    (tmp_path / "scim-bridge.toml").write_text('[database]\nurl = "postgresql://nowhere/nothing"\n')

    result = run(
        tmp_path,
        *("--once", "--people", "6"),
        SCIM_BRIDGE_DITIO__API_URL="https://ditio.test",
        TMPDIR=str(tmp_path),
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "\x1b" not in result.stdout
    assert too_wide(result.stdout, tmp_path) == []
    assert len(re.findall(r"^ +\d+ [A-Z][a-z ]+ .* ✓ ", result.stdout, re.MULTILINE)) == len(ACTS)
    assert "7 of 7 people" in result.stdout
    assert "twice: 6 creations for 6 new employees; 10 employees" in result.stdout
    assert re.search(r"- the login is open and should be closed  \(edited in Ditio\)", result.stdout)
    assert re.search(r"~ workTitle is \"Direktør\", wanted \".+\"  \(edited in Ditio\)", result.stdout)
    assert "1 should-be-inactive, 1 field, 3 unmanaged. 2 repaired" in result.stdout
    assert ": 7 of 7 people are in sync." in result.stdout
    assert "no DELETE and no PUT" in result.stdout
    assert result.stdout.endswith("Everything agrees.\n")
    assert [each.name for each in tmp_path.iterdir()] == ["scim-bridge.toml"]


def too_wide(text: str, folder: Path) -> list[str]:
    """The lines that a terminal of 80 columns would break, apart from those with a path of this machine."""
    wide = [line for line in text.splitlines() if len(line.rstrip()) > 80]
    return [line for line in wide if str(folder) not in line and sys.prefix not in line]


def test_the_demo_stays_up_until_it_is_told_to_end(tmp_path: Path):
    """Without `--once` people look around, with the commands that are shown; Ctrl-C ends everything, with 0."""
    with subprocess.Popen(
        [sys.executable, *either(["-m", "scim_bridge"], ["-c", SHORT]), "demo", "--people", "5"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        shown = "".join(itertools.takewhile(lambda line: "-X DELETE" not in line, lines))
        try:
            tried = f"{re.search(r'^ +(. .+/demo.env)$', shown, re.MULTILINE)[1]}\n" + "\n".join(
                re.findall(r"^ +(.*(?:outbox list|people show \d+))$", shown, re.MULTILINE)
            )
            checked = subprocess.run(
                ["sh", "-ec", tried],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
            url = re.search(r"Bridge +(http://\S+)", shown)[1]
            assert requests.get(url, timeout=5).status_code == 401
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0

    assert too_wide(shown, tmp_path) == []
    assert checked.returncode == 0, checked.stderr
    assert "no deliveries" in checked.stdout
    assert "is employee 1002" in checked.stdout
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    assert list(tmp_path.iterdir()) == []


@thorough_only
def test_what_was_changed_behind_the_bridge_is_found(monkeypatch: pytest.MonkeyPatch):
    """The proof would be worth nothing if it could not fail: the person is listed, and the exit code is 1."""

    def tamper(scene: Scene) -> Iterator[Check]:
        scene.ditio.employee("1001").work_title = "Direktør"
        yield Check(True, "somebody has edited an employee in Ditio")

    monkeypatch.setattr(command, "ACTS", [*ACTS[:2], Act("Tamper", "Somebody edits in Ditio.", tamper)])

    result = CliRunner().invoke(command.demo, ["--once", "--people", "5"])

    assert result.exit_code == 1
    assert re.search(r"^ +1001 .+ title .+ Direktør", result.stdout, re.MULTILINE)
    assert "✗ 2 of 3 people" in result.stdout
    assert "twice: 2 creations" in result.stdout
    assert "Not everything agrees: see Tamper." in result.stdout


def test_a_bridge_that_does_not_come_up_says_why(tmp_path: Path):
    with (
        pytest.raises(BridgeError, match=r"(?s)the bridge ended at once; .*DITIO__API_URL"),
        running_bridge(tmp_path, "not-an-address"),
    ):
        pass
