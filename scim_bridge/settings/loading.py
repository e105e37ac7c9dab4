"""Reads the settings: environment first, then the TOML file, then the defaults."""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from scim_bridge.errors import SettingsError
from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.display import is_secret, shown
from scim_bridge.settings.model import Settings
from scim_bridge.settings.names import Path, both
from scim_bridge.settings.sources import (
    CONFIG_VARIABLE,
    EnvironmentSource,
    Given,
    read_environment,
    read_file,
)

DEFAULT_FILE = "scim-bridge.toml"
"""Read from the working directory where no other file is named."""

_WORDS = {
    "tuple_type": 'write a list, in the environment as JSON: ["…","…"]',
    "dict_type": 'write a table, in the environment as JSON: {"…":"…"}',
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
}
"""The library's errors that a person who sets things would not understand."""


def load(config: FilePath | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    :param config: The TOML file; None stands for `SCIM_BRIDGE_CONFIG`, or else for `scim-bridge.toml` in the
        working directory, if there is one.
    :param environ: The environment; None stands for the process's own.
    :raises SettingsError: with every problem, one a line.
    """
    environ = os.environ if environ is None else environ
    environment = read_environment(environ)
    written = _file(config, environ)
    # A setting is replaced whole: a table in the environment is not mixed with the one in the file.
    behind = {path: value for path, value in written.values.items() if path not in environment.values}
    problems = [*environment.problems, *written.problems]
    try:
        settings = Settings(
            _build_sources=(
                (
                    EnvironmentSource(Settings, environment.values),
                    InitSettingsSource(Settings, init_kwargs=_nested(behind)),
                ),
                {},
            )
        )
    except ValidationError as exc:
        problems += _explained(exc, behind | environment.values)
    if problems:
        raise SettingsError("\n".join(problems))
    settings._origins.update(written.origins | environment.origins)
    return settings


def _file(config: FilePath | None, environ: Mapping[str, str]) -> Given:
    named = config or environ.get(CONFIG_VARIABLE)
    if named:
        return read_file(FilePath(named))
    default = FilePath(DEFAULT_FILE)
    return read_file(default) if default.is_file() else Given()


def _nested(values: Mapping[Path, object]) -> dict[str, object]:
    document: dict[str, object] = {}
    for path, value in values.items():
        table = document
        for part in path[:-1]:
            inner = table.setdefault(part, {})
            assert isinstance(inner, dict)
            table = inner
        table[path[-1]] = value
    return document


def _explained(error: ValidationError, values: Mapping[Path, object]) -> list[str]:
    """One line for each setting at fault."""
    allowed: dict[Path, list[str]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        path = _setting_at(tuple(str(part) for part in detail["loc"]))
        words = _own_words(path) or _WORDS.get(detail["type"]) or _plain(detail["msg"])
        if words not in allowed.setdefault(path, []):
            allowed[path].append(words)
    return [f"{both(path)} is {_value(path, values)}: {'; '.join(words)}" for path, words in allowed.items()]


def _setting_at(location: Path) -> Path:
    """The setting that a place inside its value belongs to."""
    lengths = range(len(location), 0, -1)
    return next((location[:n] for n in lengths if location[:n] in CATALOGUE), location)


def _own_words(path: Path) -> str | None:
    extra = CATALOGUE[path].json_schema_extra if path in CATALOGUE else None
    return str(extra["allowed"]) if isinstance(extra, dict) and "allowed" in extra else None


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "it should be")


def _value(path: Path, values: Mapping[Path, object]) -> str:
    if is_secret(path):
        return "(not shown)"
    return repr(shown(values.get(path)))
