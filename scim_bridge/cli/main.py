"""`scim-bridge`: the group of all commands. Each is imported only when it is asked for."""

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
    """A command that is not imported yet: the help of the whole must not load the web server."""

    module: str
    attribute: str
    short_help: str
    """The first sentence of the command's own help; a test keeps the two alike."""


COMMANDS: Mapping[str, Lazy] = {
    "demo": Lazy(
        "demo.command",
        "demo",
        "Watch a company being hired, changed and ended, from a simulated Entra to a simulated Ditio.",
    ),
    "serve": Lazy("serve", "serve", "Answer Entra, and deliver to Ditio."),
    "worker": Lazy("worker", "worker", "Deliver what is due."),
    "preview": Lazy("preview", "preview", "Show the calls to Ditio that a SCIM user would cause, and send none."),
    "outbox": Lazy("outbox", "outbox", "See who waits for Ditio, and try again."),
    "reconcile": Lazy(
        "reconcile",
        "reconcile",
        "Compare everybody with Ditio, say what differs and why, and repair it if asked.",
    ),
    "people": Lazy("people", "people", "Look at one person from both sides, or put him aside."),
    "adopt": Lazy("adopt", "adopt", "Say which employees of Ditio's are which users, before the first delivery."),
    "certificates": Lazy(
        "certificates",
        "certificates",
        "Import certificates from a file, withdraw one, and see which are about to end.",
    ),
    "quirks": Lazy(
        "records",
        "quirks",
        "See what the client does that departs from the SCIM standard, and was tolerated.",
    ),
    "token": Lazy("credentials", "token", "Issue, list and revoke the tokens that Entra signs in with."),
    "client": Lazy(
        "credentials", "client", "Issue, rotate, list and revoke the clients that Entra fetches access tokens with."
    ),
    "audit": Lazy("records", "audit", "See who did what to whom, and when."),
    "settings": Lazy("setup", "settings_group", "Check the settings, or print an example file."),
    "doctor": Lazy("doctor", "doctor", "Look whether all is well: database, Ditio, clocks, public URL, tokens."),
    "db": Lazy("setup", "db", "Look after the database."),
    "sandbox": Lazy("serve", "sandbox", "Run a simulated Ditio to try the bridge on."),
}


class Commands(click.Group):
    """Imports a command on demand, and turns what the bridge raises on purpose into a message."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which they are told."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by name."""
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
        """Run a command; an expected error is its message on standard error and exit code 1."""
        try:
            return super().invoke(ctx)
        except BridgeError as error:
            click.echo(str(error), err=True)
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
    help="The settings, a TOML file.  [default: $SCIM_BRIDGE_CONFIG, else scim-bridge.toml if it is there]",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it.")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """A SCIM server that Microsoft Entra ID provisions into, delivering each person to Ditio.

    \b
    Examples:
      scim-bridge settings example > scim-bridge.toml
      scim-bridge db upgrade
      scim-bridge token issue --name entra
      scim-bridge serve
      scim-bridge outbox list
    """
    ctx.obj = _load("context", "Options")(config)
