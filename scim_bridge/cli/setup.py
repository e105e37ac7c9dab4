"""`scim-bridge settings` and `scim-bridge db`: check the settings, and prepare the database."""

import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import click

from scim_bridge import logs
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_rows
from scim_bridge.ditio.config import operation_setting
from scim_bridge.domain.operations import OperationName
from scim_bridge.errors import SettingsError
from scim_bridge.operator.settings import rows_of, warnings
from scim_bridge.scim.mapping import rules_from
from scim_bridge.settings import Operations, Settings, example, load, unservable
from scim_bridge.settings.model import DEFAULT
from scim_bridge.settings.types import both, is_loopback
from scim_bridge.storage.schema import upgrade


@click.group()
def db() -> None:
    """Prepare the database.

    \b
    Examples:
      scim-bridge db upgrade
    """


@db.command("upgrade")
@click.pass_obj
def upgrade_command(options: Options) -> None:
    """Migrate the database to this version; create it if there is none.

    `serve` does the same when it starts. If the database is up to date, nothing happens.

    \b
    Examples:
      scim-bridge db upgrade
      scim-bridge --config /etc/scim-bridge.toml db upgrade
    """
    logs.configure(options.settings.log.level, options.settings.log.format)
    with options.database(any_schema=True) as database:
        upgrade(database)
    click.echo("The database has the schema of this version.")


COLUMNS = {"setting": "Setting", "value": "Value", "from": "Set in"}


@click.group("settings")
def settings_group() -> None:
    """Check the settings, or print an example file.

    \b
    Examples:
      scim-bridge settings check
      scim-bridge settings example
    """


@settings_group.command()
@click.option(
    "--all", "is_all", is_flag=True, help="Show settings with their default value, too; JSON always has them."
)
@format_option
@click.pass_obj
def check(options: Options, is_all: bool, format: Format) -> None:
    """Show what is wrong or missing, then each setting and where it is set.

    For a company with a name, only its own settings are shown; the others are as above. The exit code is 1 if a
    setting is wrong, or if a setting needed to call Ditio is missing. Secrets are not shown.

    \b
    Examples:
      scim-bridge settings check
      scim-bridge settings check --all
      scim-bridge --config /etc/scim-bridge.toml settings check --format json
    """
    try:
        settings = load(options.config)
    except SettingsError as exc:
        _tell(str(exc).splitlines())
        sys.exit(1)
    faults = [*_faults(settings)]
    _tell([*faults, *(f"warning: {words}" for own in settings.tenants.values() for words in warnings(own))])
    rows = [row for row in rows_of(settings) if is_all or format == "json" or row["from"] != DEFAULT]
    print_rows(rows, COLUMNS, format, empty="nothing is set: `--all` shows the defaults")
    if faults:
        sys.exit(1)


@settings_group.command("example")
def example_command() -> None:
    """Print an example file with every setting, its default and what it means.

    \b
    Examples:
      scim-bridge settings example > scim-bridge.toml
    """
    click.echo(example(), nl=False)


def _faults(settings: Settings) -> Iterator[str]:
    """Yield each fault in the settings, as a sentence."""
    url = settings.server.base_url or ""
    if url.startswith("http:") and not is_loopback(urlsplit(url).hostname or ""):
        yield f"{both(('server', 'base_url'))} is {url}: Entra calls over https only, so write https"
    for own in settings.tenants.values():
        yield from (f"{own.whose}{problem}" for problem in _unusable(own))
        yield from own.missing_for_entra()
    yield from unservable(settings)


def _unusable(settings: Settings) -> Iterator[str]:
    """Yield settings with the right form that their part of the bridge can't use."""
    try:
        rules_from(settings.mapping.fields)
    except ValueError as exc:
        yield str(exc)
    for name in Operations.model_fields:
        try:
            operation_setting(OperationName[name], getattr(settings.ditio.operations, name))
        except ValueError as exc:
            yield str(exc)


def _tell(sentences: list[str]) -> None:
    for sentence in sentences:
        click.echo(sentence, err=True)
