"""`scim-bridge demo`: a simulated Entra, the real bridge and a simulated Ditio."""

import os
import random
import shlex
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import click
from rich.table import Column
from rich.text import Text

from scim_bridge.cli.demo.acts import ACTS, Act
from scim_bridge.cli.demo.scene import FEWEST, Cast, Scene, running_bridge
from scim_bridge.cli.demo.stage import FACTS, READS, Check, Stage, by_kind, mark, proofs
from scim_bridge.cli.output import private_file
from scim_bridge.errors import BridgeError
from scim_bridge.sandbox.ditio import CLIENT_ID, CLIENT_SECRET, SandboxDitio
from scim_bridge.sandbox.server import running

INTRODUCTION = (
    "Entra ID is Microsoft's directory: it knows who works here. Ditio is where a construction company keeps hours, "
    "machines and certificates, and needs the same people. scim-bridge is between them: Entra sends people over SCIM, "
    "and the bridge creates and updates employees in Ditio. Here Entra and Ditio are simulated; the bridge is real."
)
MOST_DIFFERENCES = 50


@click.command()
@click.option("--people", metavar="N", type=int, default=25, show_default=True, help="Hire this many people.")
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
    if people < FEWEST:
        raise click.BadParameter(f"the demo needs at least {FEWEST} people for all parts", param_hint="'--people'")
    stage, zone, chance = Stage(), ZoneInfo("Europe/Oslo"), random.SystemRandom()
    stage.console.print(INTRODUCTION)
    with ExitStack() as started:
        for number in (signal.SIGTERM, signal.SIGHUP):  # Like Ctrl-C, so that the bridge ends with the demo.
            started.callback(signal.signal, number, signal.signal(number, signal.default_int_handler))
        folder = Path(started.enter_context(TemporaryDirectory(prefix="scim-bridge-demo-")))
        ditio = SandboxDitio(
            now=lambda: datetime.now(zone), client_id=CLIENT_ID, client_secret=CLIENT_SECRET, random=chance
        )
        ditio_url = started.enter_context(running(ditio.app))
        with stage.console.status("The bridge is starting …", spinner_style="cyan"):
            bridge = started.enter_context(running_bridge(folder, ditio_url))
        stage.line("\n    Entra ", ("──SCIM──▶ ", "cyan"), "scim-bridge", (" ──API──▶ ", "cyan"), "Ditio")
        stage.line((f"    The bridge: {bridge.tenant_url}\n    Its log: {bridge.log}\n    Ditio: {ditio_url}", "dim"))
        scene = Scene(stage, Cast(people), ditio, bridge)
        agrees = perform(scene, ACTS)
        if not once:
            show_around(scene, ditio_url)
            with suppress(KeyboardInterrupt):
                raise BridgeError(f"the bridge ended by itself, with exit code {bridge.process.wait()}")
            stage.line(("Ending …", "dim"))
    if once and not agrees:
        sys.exit(1)


def perform(scene: Scene, acts: Iterable[Act]) -> bool:
    """Perform the acts and show the closing tables; return whether everything agrees."""
    stage, calls, rows, failed = scene.stage, scene.ditio.requests, [], []
    for number, (title, why, play) in enumerate(acts, 1):
        steps_before, calls_before, checks = len(scene.steps), len(calls), []
        stage.heading(f"{number}  {title}", why)
        for check in chain(play(scene), _compared(scene)):
            stage.check(check)
            checks.append(check)
        # The outcome is the first failed check, else what sums up, else the last.
        outcome = next((check for check in checks if check.sums_up), checks[-1])
        outcome = next((check for check in checks if not check.ok), outcome)
        if not outcome.ok:
            failed.append(title)
        changes = Counter(step.action for step in scene.steps[steps_before:] if step.action != "none")
        told = Text.assemble(mark(outcome.ok), f" {outcome.text}")
        rows.append((f"{number} {title}", _counted(changes), _counted(by_kind(calls[calls_before:])), told))
    stage.heading("What Entra changed, and what Ditio was sent")
    stage.table("Act", "Entra", Column("Ditio", width=22), "Outcome", rows=rows, show_lines=True)
    stage.heading("All people, Entra compared with Ditio")
    agrees = not failed
    for check in _final_checks(scene):
        stage.check(check)
        agrees &= check.ok
    if found := scene.differences():
        shown = [(*each[:3], Text(each.entra or "–", "green"), Text(each.ditio or "–", "red")) for each in found]
        stage.table("Employee", "Name", "Field", "Entra", "Ditio", rows=shown[:MOST_DIFFERENCES])
        if len(found) > MOST_DIFFERENCES:
            stage.line(f"  … and {len(found) - MOST_DIFFERENCES} more.")
    see = f": see {', '.join(failed)}" if failed else ""
    stage.line(("\nEverything agrees.", "bold green") if agrees else (f"\nNot everything agrees{see}.", "bold red"))
    return agrees


def _compared(scene: Scene) -> Iterator[Check]:
    if left := scene.arrive():
        yield Check(False, f"{left} people are still not delivered.")
    differing, count = {each.employee_number for each in scene.differences()}, len(scene.arrived())
    waiting = [each for each in scene.cast.users if each.object_id in scene.waiting]
    told = f", {len(waiting)} waiting" if waiting else ""
    if differing or any(scene.delivery_of(each)[0] not in ("held", "parked", "refused") for each in waiting):
        yield Check(False, f"{len(differing)} of {count} people differ{told}")
    elif count:
        yield Check(True, f"{count} of {count} people agree{told}")


def _counted(counts: Counter[str]) -> Text:
    width, styles = len(str(max(counts.values(), default=0))), {"failed": "yellow"} | dict.fromkeys(READS, "dim")
    lines = [Text(f"{count:>{width}} {kind}", styles.get(kind, "")) for kind, count in counts.items()]
    return Text("\n").join(lines or [Text("–", "dim")])


def _final_checks(scene: Scene) -> Iterator[Check]:
    people, strangers, employees = scene.arrived(), scene.cast.strangers, scene.ditio.company.employees
    differing = len({each.employee_number for each in scene.differences()})
    told = f"{len(people) - differing} of {len(people)} people agree in every field: {', '.join(FACTS)}."
    yield Check(not differing, told)
    hired = len(people) - 1  # One was adopted.
    yield from proofs(scene.ditio.requests, employees, hired=hired, people=len(people), strangers=len(strangers))
    *others, last = (each.name for each in strangers)
    told = f"Employees that Entra does not know are unchanged: {', '.join(others)} and {last}."
    yield Check(all(employees.get(each.employee_number) == each for each in strangers), told)
    answers = ", ".join(f"{count} × {status}" for status, count in sorted(scene.answers.items()))
    told = f"Entra sent {scene.answers.total()} requests; the answers were {answers}."
    yield Check(all(status < 300 or status == 409 for status in scene.answers), told)


def show_around(scene: Scene, ditio_url: str) -> None:
    """Show where everything is, and what to try; a file has the variables that commands in another terminal need."""
    stage, bridge, file = scene.stage, scene.bridge, scene.bridge.folder / "demo.env"
    others = sorted(name for name in os.environ if name.startswith("SCIM_BRIDGE_") and name not in bridge.settings)
    variables = {**bridge.settings, "BRIDGE": bridge.tenant_url, "TOKEN": bridge.token, "DITIO": ditio_url}
    variables["SCIM_BRIDGE_SERVER__BASE_URL"] = bridge.tenant_url.removesuffix("/scim/v2")
    with private_file(file) as text:
        text.writelines(f"unset {name}\n" for name in others)
        text.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    stage.heading("Everything stays up until Ctrl-C")
    stage.line(("    Bridge        ", "bold"), f"{bridge.tenant_url}  (Entra's Tenant URL)")
    stage.line(("    Secret Token  ", "bold"), bridge.token)
    stage.line(("    Database      ", "bold"), str(bridge.folder / "bridge.db"))
    stage.line(("    Log           ", "bold"), str(bridge.log))
    stage.line(("    Ditio         ", "bold"), f"{ditio_url}/_sandbox/employees")
    command, adopted = command_name(os.environ.get("PATH"), sys.executable), scene.cast.adopted.employee_id
    for what, line in {
        "in another terminal, first: load what the commands below need": f". {file}",
        "show one person in Entra and in Ditio, with the history": f"{command} people show {adopted}",
        "open the console in a browser, by the link that this prints": f"{command} console login-link --role operator",
        "list who waits, and why: no one now": f"{command} outbox list",
        "compare all people with Ditio: what differs, and why": f"{command} reconcile",
        "list the tokens that may provision": f"{command} token list",
        "read a person as Entra does": 'curl -s -H "Authorization: Bearer $TOKEN" "$BRIDGE/Users?count=1"',
        "take Ditio down": """curl -d '{"kind":"status","status":503,"times":null}' $DITIO/_sandbox/faults""",
        "bring it back": 'curl -s -X DELETE "$DITIO/_sandbox/faults"',
    }.items():
        stage.line((f"\n    # {what}", "dim"), (f"\n    {line}", "cyan"))
    stage.line()


def command_name(path: str | None, executable: str) -> str:
    """Return how to call `scim-bridge` here: by name if it is on the path, by its own path, or as a module."""
    script = Path(executable).parent / "scim-bridge"
    if shutil.which("scim-bridge", path=path):
        return "scim-bridge"
    return shlex.quote(str(script)) if script.exists() else f"{shlex.quote(executable)} -m scim_bridge"
