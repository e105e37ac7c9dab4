"""After the demo: where everything is, and what to try while it stays up."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from scim_bridge.cli.demo.bridge import Bridge
from scim_bridge.cli.demo.cast import Cast
from scim_bridge.cli.demo.stage import Stage
from scim_bridge.cli.output import private_file

ENVIRONMENT = "demo.env"
"""The file with what the commands need in another terminal."""


def show_around(stage: Stage, bridge: Bridge, ditio_url: str, cast: Cast) -> None:
    """Say where everything is and what to try."""
    file = bridge.folder / ENVIRONMENT
    with private_file(file) as text:
        text.write(environment_file(bridge, ditio_url, os.environ))
    stage.heading("It all stays up until Ctrl-C")
    for name, value in {
        "Bridge": f"{bridge.tenant_url}  (Entra's Tenant URL)",
        "Token": f"{bridge.token}  (Entra's Secret Token)",
        "Database": str(bridge.folder / "bridge.db"),
        "Log": str(bridge.log),
        "Ditio": f"{ditio_url}/_sandbox/employees",
    }.items():
        stage.line((f"    {name:<9} ", "bold"), (value, ""))
    stage.say()
    stage.line(("    # in another terminal, first: what the commands below need", "dim"))
    stage.line((f"    . {file}", "cyan"))
    for command, what in _to_try(cast):
        stage.line((f"\n    # {what}", "dim"))
        stage.line((f"    {command}", "cyan"))
    stage.say()


def environment_file(bridge: Bridge, ditio_url: str, environ: Mapping[str, str]) -> str:
    """Lines for a shell: the settings of this bridge, and no others that happen to be set."""
    others = sorted(name for name in environ if name.startswith("SCIM_BRIDGE_") and name not in bridge.settings)
    variables = {**bridge.settings, "BRIDGE": bridge.tenant_url, "TOKEN": bridge.token, "DITIO": ditio_url}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*(f"unset {name}" for name in others), *exports, ""])


def command_name(environ_path: str | None, executable: str) -> str:
    """How `scim-bridge` is called here: by name, by the path of the installed script, or as a module.

    :param environ_path: Where the shell looks for commands.
    :param executable: The Python that runs this.
    """
    script = Path(executable).parent / "scim-bridge"
    if shutil.which("scim-bridge", path=environ_path):
        return "scim-bridge"
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(executable)} -m scim_bridge"


def _to_try(cast: Cast) -> Iterable[tuple[str, str]]:
    command = command_name(os.environ.get("PATH"), sys.executable)
    unavailable = '{"kind":"status","status":503,"times":null}'
    return [
        (f"{command} people show {cast.adopted.employee_id}", "one person from both sides, with the history"),
        (f"{command} outbox list", "who waits, and why: nobody now"),
        (f"{command} reconcile", "everybody compared with Ditio: what differs, and why"),
        (f"{command} token list", "who may provision"),
        ('curl -s -H "Authorization: Bearer $TOKEN" "$BRIDGE/Users?count=1"', "a person, as Entra reads it"),
        (f"curl -s -d '{unavailable}' \"$DITIO/_sandbox/faults\"", "take Ditio down"),
        ('curl -s -X DELETE "$DITIO/_sandbox/faults"', "and bring it back"),
    ]
