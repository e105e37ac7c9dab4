"""Reads the settings: environment first, then the TOML file, then the defaults."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from scim_bridge.errors import SettingsError
from scim_bridge.settings.explaining import explained
from scim_bridge.settings.given import Given
from scim_bridge.settings.model import Settings
from scim_bridge.settings.names import Path
from scim_bridge.settings.sources import CONFIG_VARIABLE, EnvironmentSource, read_environment
from scim_bridge.settings.tables import read_file, read_tenants
from scim_bridge.settings.tenants import DEFAULT_TENANT, TENANTS, alike, as_written, has_default, is_own

DEFAULT_FILE = "scim-bridge.toml"
"""Read from the working directory where no other file is named."""


def load(config: FilePath | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    :param config: The TOML file; None stands for `SCIM_BRIDGE_CONFIG`, or else for `scim-bridge.toml` in the
        working directory, if there is one.
    :param environ: The environment; None stands for the process's own.
    :raises SettingsError: with every problem, one a line.
    """
    environ = os.environ if environ is None else environ
    loading = _Loading(read_environment(environ), _file(config, environ))
    settings = loading.settings()
    if loading.problems or settings is None:
        raise SettingsError("\n".join(loading.problems))
    return settings


def _file(config: FilePath | None, environ: Mapping[str, str]) -> Given:
    named = config or environ.get(CONFIG_VARIABLE)
    if named:
        return read_file(FilePath(named))
    default = FilePath(DEFAULT_FILE)
    return read_file(default) if default.is_file() else Given()


@dataclass(frozen=True, slots=True)
class _Value:
    """What is said of one setting."""

    value: object
    origin: str
    is_text: bool
    """Whether it comes from a variable, and still has to be read."""


_Said = Mapping[Path, _Value]


class _Loading:
    """Joins the sources, and collects what is wrong."""

    def __init__(self, environment: Given, file: Given) -> None:
        tables = [file]
        if (TENANTS,) in environment.values:
            # A setting is replaced whole: the companies of the environment are not mixed with those of the file.
            text, origin = environment.values.pop((TENANTS,)), environment.origins.pop((TENANTS,))
            tables = [file.without_tenants(), read_tenants(str(text), origin)]
        self.problems = [problem for given in (environment, *tables) for problem in given.problems]
        self._wrong: set[Path] = set()
        written = [name for given in tables for name in given.tenants]
        self._names = {name: as_written(name, written) for name in environment.tenants}
        self._tenants = dict.fromkeys([*written, *self._names.values()])
        # A setting is replaced whole: a table in the environment is not mixed with the one in the file.
        self._said = {
            self._path(path): _Value(value, given.origins[path], given is environment)
            for given in (*tables, environment)
            for path, value in given.values.items()
        }

    def settings(self) -> Settings | None:
        """The settings, with those of each company; None where something is wrong."""
        common = {path: value for path, value in self._said.items() if path[0] != TENANTS}
        settings = self._made(common, (), common)
        self.problems += alike(self._tenants)
        tenants = {name: self._of_tenant(common, name) for name in self._tenants}
        if settings is None or not tenants:
            return settings
        if DEFAULT_TENANT not in tenants and has_default(common):
            tenants = {DEFAULT_TENANT: settings, **tenants}
        return settings.serving({name: each for name, each in tenants.items() if each is not None})

    def _of_tenant(self, common: _Said, name: str) -> Settings | None:
        start = (TENANTS, name)
        own = {path[2:]: value for path, value in self._said.items() if path[:2] == start}
        if name == DEFAULT_TENANT:
            # The settings without a name are this company's own.
            return self._made({**common, **own}, (), own)
        return self._made({path: value for path, value in common.items() if not is_own(path)} | own, start, own)

    def _made(self, said: _Said, start: Path, own: _Said) -> Settings | None:
        texts = {path: each.value for path, each in said.items() if each.is_text}
        values = {path: each.value for path, each in said.items() if not each.is_text}
        sources = (
            EnvironmentSource(Settings, texts),
            InitSettingsSource(Settings, init_kwargs=_nested(values)),
        )
        try:
            settings = Settings(_build_sources=(sources, {}))
        except ValidationError as exc:
            lines = explained(exc, values | texts, start)
            # What is wrong in the settings of all was told already, and is only handed down.
            self.problems += [line for path, line in lines.items() if path in own or path not in self._wrong]
            self._wrong |= set(lines)
            return None
        return settings.named(start, {path: each.origin for path, each in said.items()})

    def _path(self, path: Path) -> Path:
        return (TENANTS, self._names.get(path[1], path[1]), *path[2:]) if path[0] == TENANTS else path


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
