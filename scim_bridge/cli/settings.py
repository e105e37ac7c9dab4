"""`scim-bridge settings`: what is set, what is wrong with it, and an example file."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, Protocol

import click

from scim_bridge.cli.output import Format, format_option, print_rows
from scim_bridge.ditio.config import operation_setting
from scim_bridge.domain.operations import OperationName
from scim_bridge.errors import SettingsError
from scim_bridge.mapping.rules import rules_from
from scim_bridge.settings import Operations, Settings, effective, example, load, unservable
from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.names import Path as Setting
from scim_bridge.settings.names import dotted
from scim_bridge.settings.tenants import TENANTS, is_own


class Options(Protocol):
    """What the group above hands down."""

    @property
    def config(self) -> Path | None:
        """The file of `--config`."""


@click.group("settings")
def settings_group() -> None:
    """Check the settings, or print an example file.

    \b
    Examples:
      scim-bridge settings check
      scim-bridge settings example
    """


@settings_group.command()
@format_option
@click.pass_obj
def check(options: Options, format: Format) -> None:
    """Show every setting, where it was set, and what is wrong or missing.

    Of a company with a name, what it has for itself is shown; all else is as above. Ends with 1 if a setting is
    wrong, or if something is missing that Ditio can't be called without. Secrets are not shown.

    \b
    Examples:
      scim-bridge settings check
      scim-bridge --config /etc/scim-bridge.toml settings check --format json
    """
    try:
        settings = load(options.config)
    except SettingsError as exc:
        _fail(str(exc).splitlines())
    print_rows(_rows(settings), {"setting": "Setting", "value": "Value", "from": "Set in"}, format)
    unusable = [f"{own.whose}{problem}" for own in settings.tenants.values() for problem in _unusable(own)]
    if problems := [*unusable, *unservable(settings)]:
        _fail(problems)


@settings_group.command("example")
def example_command() -> None:
    """Print an example file with every setting, its default and what it means.

    \b
    Examples:
      scim-bridge settings example > scim-bridge.toml
    """
    click.echo(example(), nl=False)


def _rows(settings: Settings) -> list[dict[str, object]]:
    of_all = effective(settings)
    rows = [_row(settings, (), path, of_all) for path in CATALOGUE]
    for name, own in settings.tenants.items():
        document = effective(own)
        for path in CATALOGUE:
            is_otherwise = own.origin(path) != settings.origin(path) or _at(document, path) != _at(of_all, path)
            if is_otherwise or (own.start and is_own(path)):
                rows.append(_row(own, (TENANTS, name), path, document))
    return rows


def _row(settings: Settings, start: Setting, path: Setting, document: object) -> dict[str, object]:
    return {"setting": dotted((*start, *path)), "value": _at(document, path), "from": settings.origin(path)}


def _at(document: object, path: tuple[str, ...]) -> object:
    for name in path:
        document = document[name] if isinstance(document, dict) else None
    return document


def _unusable(settings: Settings) -> Iterator[str]:
    """What has the right form, and yet can't be used by the part that it is for."""
    try:
        rules_from(settings.mapping.fields)
    except ValueError as exc:
        yield str(exc)
    for name in Operations.model_fields:
        try:
            operation_setting(OperationName[name], getattr(settings.ditio.operations, name))
        except ValueError as exc:
            yield str(exc)


def _fail(problems: list[str]) -> NoReturn:
    for problem in problems:
        click.echo(problem, err=True)
    sys.exit(1)
