"""`scim-bridge`: the group of all commands. Each command is imported only when it is needed."""

import atexit
import gc
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from scim_bridge.errors import BridgeError


@dataclass(frozen=True, slots=True)
class Lazy:
    """A command that is not imported yet, so that `scim-bridge --help` does not load the web server."""

    module: str
    attribute: str
    short_help: str
    """The first sentence of the command's own help; a test compares them."""


COMMANDS: Mapping[str, Lazy] = {
    "demo": Lazy(
        "demo.command", "demo", "Run the bridge between a simulated Entra and a simulated Ditio, and show what it does."
    ),
    "serve": Lazy("serve", "serve", "Run the web server for Entra, and a delivery worker."),
    "worker": Lazy("worker", "worker", "Deliver the people who are due."),
    "preview": Lazy("preview", "preview", "Show the calls to Ditio that a SCIM user would cause, and send none."),
    "outbox": Lazy("outbox", "outbox", "List people who wait for delivery; retry, pause or resume deliveries."),
    "reconcile": Lazy(
        "reconcile",
        "reconcile",
        "Compare all people with Ditio, report what differs and why, and repair it with --apply.",
    ),
    "people": Lazy("people", "people", "Find people, show one in Entra and in Ditio, or stop deliveries to them."),
    "activity": Lazy(
        "activity",
        "activity_command",
        "List what happened to people: who was hired, changed, ended and so on, why, and who asked for it.",
    ),
    "entra": Lazy(
        "entra",
        "entra",
        "Show Entra's provisioning job, its log of one person, and the attribute mapping that it needs.",
    ),
    "adopt": Lazy("adopt", "adopt", "Link employees in Ditio to users, before the first delivery."),
    "certificates": Lazy(
        "certificates", "certificates", "Import certificates from a file, withdraw one, or list those that expire soon."
    ),
    "quirks": Lazy("audit", "quirks", "List where the client departs from the SCIM standard and was tolerated."),
    "token": Lazy("credentials", "token", "Issue, list and revoke the tokens that Entra signs in with."),
    "client": Lazy(
        "credentials", "client", "Issue, rotate, list and revoke the clients that Entra fetches access tokens with."
    ),
    "notify": Lazy("notify", "notify", "Test whether notices reach the operators."),
    "console": Lazy("console", "console", "Make a link to sign in to the console, or end all its sessions."),
    "audit": Lazy("audit", "audit", "Export the audit trail: who did what, for which person, and when."),
    "settings": Lazy("setup", "settings_group", "Check the settings, or print an example file."),
    "doctor": Lazy("doctor", "doctor", "Check the database, Ditio, clocks, public URL and tokens."),
    "db": Lazy("setup", "db", "Prepare the database."),
    "sandbox": Lazy("serve", "sandbox", "Run a simulated Ditio and a simulated Entra, to try the bridge."),
}


class Commands(click.Group):
    """The group of all commands: imports each on demand, and prints expected errors as messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command = _load(lazy.module, lazy.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.short_help) for name, lazy in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. An expected error prints its message: see `output.tell_failure`. The exit code is 1."""
        try:
            return super().invoke(ctx)
        except BridgeError as error:
            _load("output", "tell_failure")(error)
            ctx.exit(1)


def _load(module: str, attribute: str) -> Any:
    return getattr(import_module(f"scim_bridge.cli.{module}"), attribute)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        try:
            click.echo(f"scim-bridge {version('scim-bridge')}")
        except PackageNotFoundError:
            click.echo("scim-bridge, run from its source")
        ctx.exit()


@click.group(cls=Commands)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Read this TOML file.  [default: $SCIM_BRIDGE_CONFIG, else scim-bridge.toml if it exists]",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Receive people from Microsoft Entra ID over SCIM, and deliver each of them to Ditio.

    \b
    Examples:
      scim-bridge settings example > scim-bridge.toml
      scim-bridge db upgrade
      scim-bridge token issue --name entra
      scim-bridge serve
      scim-bridge outbox list
    """
    # Python would go through all objects once more before the process ends: a second for each process of a server.
    atexit.register(gc.freeze)
    ctx.obj = _load("context", "Options")(config)
