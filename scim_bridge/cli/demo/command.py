"""`scim-bridge demo`: a simulated Entra, the real bridge and a simulated Ditio, to watch."""

import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from scim_bridge.cli.demo.acts import ACTS
from scim_bridge.cli.demo.around import show_around
from scim_bridge.cli.demo.bridge import Bridge, running_bridge
from scim_bridge.cli.demo.cast import FEWEST, cast, plant
from scim_bridge.cli.demo.closing import close
from scim_bridge.cli.demo.scene import Scene, perform
from scim_bridge.cli.demo.stage import Stage
from scim_bridge.cli.sandbox import CLIENT_ID, CLIENT_SECRET
from scim_bridge.errors import BridgeError
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import running

ZONE = ZoneInfo("Europe/Oslo")

INTRODUCTION = (
    "Entra ID is Microsoft's directory: it knows who works here. Ditio is where a construction company keeps hours, "
    "machines and certificates, and needs to know the same people. scim-bridge stands between them: Entra speaks SCIM "
    "to it, and it makes employees in Ditio of that. Entra and Ditio are simulated here; the bridge is the real one."
)


def _enough(_: click.Context, __: click.Parameter, people: int) -> int:
    if people < FEWEST:
        raise click.BadParameter(f"the demo needs at least {FEWEST} people to give out all parts")
    return people


@click.command()
@click.option(
    "--people", metavar="N", type=int, default=25, show_default=True, callback=_enough, help="How many are hired."
)
@click.option("--once", is_flag=True, help="End after the tables: with 0 if everything agrees, else with 1.")
def demo(people: int, once: bool) -> None:
    """Watch a company being hired, changed and ended, from a simulated Entra to a simulated Ditio.

    Nothing has to be set up and nothing is left behind: it runs in a temporary folder, on free ports of this machine.

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
    """Whatever ends the demo, its bridge ends with it: all signals are like Ctrl-C."""
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
    raise BridgeError(f"the bridge has ended by itself, with exit code {code}")
