"""`scim-bridge demo`: a simulated Entra, the real bridge and a simulated Ditio."""

import os
import random
import shlex
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.text import Text

from scim_bridge.cli.demo.acts import ACTS
from scim_bridge.cli.demo.bridge import Bridge, running_bridge
from scim_bridge.cli.demo.scene import FEWEST, Cast, Played, Scene, cast, perform, plant
from scim_bridge.cli.demo.stage import FIELDS, Check, Difference, Stage, mark, proofs
from scim_bridge.cli.output import private_file
from scim_bridge.cli.serve import CLIENT_ID, CLIENT_SECRET
from scim_bridge.errors import BridgeError
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import running

ENVIRONMENT = "demo.env"
"""The file with the variables that commands in another terminal need."""


def show_around(stage: Stage, bridge: Bridge, ditio_url: str, cast: Cast) -> None:
    """Show where everything is, and what to try."""
    file = bridge.folder / ENVIRONMENT
    with private_file(file) as text:
        text.write(environment_file(bridge, ditio_url, os.environ))
    stage.heading("Everything stays up until Ctrl-C")
    for name, value in {
        "Bridge": f"{bridge.tenant_url}  (Entra's Tenant URL)",
        "Token": f"{bridge.token}  (Entra's Secret Token)",
        "Database": str(bridge.folder / "bridge.db"),
        "Log": str(bridge.log),
        "Ditio": f"{ditio_url}/_sandbox/employees",
    }.items():
        stage.line((f"    {name:<9} ", "bold"), (value, ""))
    stage.say()
    stage.line(("    # in another terminal, first: load what the commands below need", "dim"))
    stage.line((f"    . {file}", "cyan"))
    for command, what in _to_try(cast):
        stage.line((f"\n    # {what}", "dim"))
        stage.line((f"    {command}", "cyan"))
    stage.say()


def environment_file(bridge: Bridge, ditio_url: str, environ: Mapping[str, str]) -> str:
    """Return lines for a shell that set the settings of this bridge, and unset any others."""
    others = sorted(name for name in environ if name.startswith("SCIM_BRIDGE_") and name not in bridge.settings)
    variables = {**bridge.settings, "BRIDGE": bridge.tenant_url, "TOKEN": bridge.token, "DITIO": ditio_url}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*(f"unset {name}" for name in others), *exports, ""])


def command_name(environ_path: str | None, executable: str) -> str:
    """Return how to call `scim-bridge` here: by name, by the path of the installed script, or as a module.

    :param environ_path: The folders where the shell looks for commands.
    :param executable: The Python that runs this process.
    """
    script = Path(executable).parent / "scim-bridge"
    if shutil.which("scim-bridge", path=environ_path):
        return "scim-bridge"
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(executable)} -m scim_bridge"


def _to_try(cast: Cast) -> Iterable[tuple[str, str]]:
    command = command_name(os.environ.get("PATH"), sys.executable)
    unavailable = '{"kind":"status","status":503,"times":null}'
    return [
        (
            f"{command} people show {cast.adopted.employee_id}",
            "show one person in Entra and in Ditio, with the history",
        ),
        (f"{command} outbox list", "list who waits, and why: no one now"),
        (f"{command} reconcile", "compare all people with Ditio: what differs, and why"),
        (f"{command} token list", "list the tokens that may provision"),
        ('curl -s -H "Authorization: Bearer $TOKEN" "$BRIDGE/Users?count=1"', "read a person as Entra does"),
        (f"curl -s -d '{unavailable}' \"$DITIO/_sandbox/faults\"", "take Ditio down"),
        ('curl -s -X DELETE "$DITIO/_sandbox/faults"', "bring it back"),
    ]


MOST_DIFFERENCES = 50

_QUIET = ("read", "search", "sign-in")


def close(scene: Scene, played: Sequence[Played]) -> bool:
    """Show the closing tables, and return whether everything agrees."""
    stage = scene.stage
    stage.heading("What was asked, and what was sent")
    stage.table(["Act", "Entra asked", "Ditio was sent", "Outcome"], _rows(played), lines=True)
    stage.heading("All people, Entra compared with Ditio")
    found = scene.differences()
    checks = _final_checks(scene, found)
    for check in checks:
        stage.check(check)
    if found:
        _show_differences(stage, found)
    agrees = not found and all(check.ok for check in checks) and all(each.ok for each in played)
    stage.say()
    if agrees:
        stage.say("Everything agrees.", "bold green")
    else:
        failed = [each.title for each in played if not each.ok]
        stage.say(f"Not everything agrees{': see ' + ', '.join(failed) if failed else ''}.", "bold red")
    return agrees


def _rows(played: Sequence[Played]) -> list[list[Text]]:
    return [
        [
            Text(f"{number} {each.title}"),
            _counted(each.asked),
            _counted(each.sent),
            Text.assemble(mark(each.ok), " ", _outcome(each)),
        ]
        for number, each in enumerate(played, 1)
    ]


def _outcome(played: Played) -> str:
    """Return the first failed check, else the result of the act."""
    wrong = [check.text for check in played.checks if not check.ok]
    summary = next((check.text for check in played.checks if check.sums_up), played.checks[-1].text)
    return wrong[0] if wrong else summary


def _counted(counts: Counter[str]) -> Text:
    if not counts:
        return Text("–", "dim")
    width = max(len(str(count)) for count in counts.values())
    loud = [(f"{count:>{width}} {kind}", _style(kind)) for kind, count in counts.items() if kind not in _QUIET]
    quiet = ", ".join(f"{count} {kind}" for kind, count in counts.items() if kind in _QUIET)
    lines = [*loud, *([(quiet, "dim")] if quiet else [])]
    return Text("\n").join(Text(text, style) for text, style in lines)


def _style(kind: str) -> str:
    return "yellow" if kind == "failed" else ""


def _final_checks(scene: Scene, found: Sequence[Difference]) -> list[Check]:
    cast, company = scene.cast, scene.ditio.company
    people = [each for each in scene.known() if each.object_id not in scene.waiting]
    differing = len({each.employee_number for each in found})
    untouched = all(company.employees.get(each.employee_number) == each for each in cast.strangers)
    return [
        Check(
            differing == 0,
            f"{len(people) - differing} of {len(people)} people agree in every field: {', '.join(FIELDS)}.",
        ),
        *proofs(
            scene.ditio.requests,
            company.employees,
            hired=len(people) - 1,
            people=len(people),
            strangers=len(cast.strangers),
        ),
        Check(
            untouched,
            f"Employees that Entra does not know are unchanged: {_listed([each.name for each in cast.strangers])}.",
        ),
        Check(
            all(status < 300 or status == 409 for status in scene.statuses),
            f"Entra sent {sum(scene.statuses.values())} requests; the answers were "
            f"{', '.join(f'{count} × {status}' for status, count in sorted(scene.statuses.items()))}.",
        ),
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]])


def _show_differences(stage: Stage, found: Sequence[Difference]) -> None:
    rows = [
        [
            Text(each.employee_number),
            Text(each.name),
            Text(each.field),
            Text(each.entra or "–", "green"),
            Text(each.ditio or "–", "red"),
        ]
        for each in found[:MOST_DIFFERENCES]
    ]
    stage.table(["Employee", "Name", "Field", "Entra", "Ditio"], rows)
    if len(found) > MOST_DIFFERENCES:
        stage.say(f"  … and {len(found) - MOST_DIFFERENCES} more.")


ZONE = ZoneInfo("Europe/Oslo")

INTRODUCTION = (
    "Entra ID is Microsoft's directory: it knows who works here. Ditio is where a construction company keeps hours, "
    "machines and certificates, and needs the same people. scim-bridge is between them: Entra sends people over SCIM, "
    "and the bridge creates and updates employees in Ditio. Here Entra and Ditio are simulated; the bridge is real."
)


def _enough(_: click.Context, __: click.Parameter, people: int) -> int:
    if people < FEWEST:
        raise click.BadParameter(f"the demo needs at least {FEWEST} people for all parts")
    return people


@click.command()
@click.option(
    "--people", metavar="N", type=int, default=25, show_default=True, callback=_enough, help="Hire this many people."
)
@click.option(
    "--once",
    is_flag=True,
    help="End after the tables, with exit code 0 if everything agrees, else 1.  [default: stay up]",
)
def demo(people: int, once: bool) -> None:
    """Run the bridge between a simulated Entra and a simulated Ditio, and show what it does.

    The people of a small company are hired, changed, ended and rehired. The demo needs no set-up and leaves nothing
    behind: it runs in a temporary folder, on free ports of this machine.

    \b
    Examples:
      scim-bridge demo
      scim-bridge demo --once --people 500
    """
    stage, company, ditio = Stage(), cast(people), _ditio()
    stage.say(INTRODUCTION)
    with ExitStack() as started:
        started.enter_context(_ending_on_signals())
        folder = started.enter_context(_folder())
        ditio_url = started.enter_context(running(ditio.app))
        with stage.busy("The bridge is starting …"):
            bridge = started.enter_context(running_bridge(folder, ditio_url))
        _introduce(stage, bridge, ditio_url)
        plant(company, ditio)
        scene = Scene(stage, company, ditio, bridge)
        agrees = close(scene, perform(scene, ACTS))
        if not once:
            show_around(stage, bridge, ditio_url, company)
            _stay_up(bridge, stage)
    if once and not agrees:
        sys.exit(1)


def _ditio() -> SandboxDitio:
    return SandboxDitio(
        now=lambda: datetime.now(ZONE),
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        random=random.SystemRandom(),
    )


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Treat all signals like Ctrl-C, so that the bridge ends with the demo."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="scim-bridge-demo-") as folder:
        yield Path(folder)


def _introduce(stage: Stage, bridge: Bridge, ditio_url: str) -> None:
    stage.say()
    stage.line(
        ("    Entra ", "bold"),
        ("──SCIM──▶ ", "cyan"),
        ("scim-bridge ", "bold"),
        (bridge.url, "dim"),
        (" ──API──▶ ", "cyan"),
        ("Ditio ", "bold"),
        (ditio_url, "dim"),
    )
    stage.line((f"    The bridge's log: {bridge.log}", "dim"))


def _stay_up(bridge: Bridge, stage: Stage) -> None:
    try:
        code = bridge.process.wait()
    except KeyboardInterrupt:
        stage.say("Ending …", "dim")
        return
    raise BridgeError(f"the bridge ended by itself, with exit code {code}")
