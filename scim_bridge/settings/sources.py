"""Where settings come from: the environment, files that it names, and the TOML file.

Names that nobody knows are reported, each with the closest known one: a typo would otherwise be a setting
that silently does nothing.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from scim_bridge.settings.catalogue import CATALOGUE, sections
from scim_bridge.settings.names import DELIMITER, PREFIX, Path, dotted, variable

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
FILE_SUFFIX = "_FILE"

_VARIABLES = {variable(path): path for path in CATALOGUE}
_SECTIONS = {path for path, _ in sections()}

# Kubernetes describes every Service to every container: one that is called scim-bridge, by these variables.
_KUBERNETES = re.compile(r"(_|^)(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)$")
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")


@dataclass(slots=True)
class Given:
    """What one source says: values by setting, where each was found, and what is wrong with the source."""

    values: dict[Path, object] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, path: Path, value: object, origin: str) -> None:
        """Keep a value, and where it was found."""
        self.values[path] = value
        self.origins[path] = origin


class EnvironmentSource(EnvSettingsSource):
    """The library's reading of variables (nesting, JSON, bare words), from the ones that were given."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[Path, object]) -> None:
        self._given = {variable(path).lower(): str(value) for path, value in values.items()}
        super().__init__(settings_cls, env_prefix=PREFIX, env_nested_delimiter=DELIMITER)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Leave what is no JSON as it is: validation then names the variable and what is allowed."""
        try:
            return json.loads(value)
        except ValueError:
            return value


def read_environment(environ: Mapping[str, str]) -> Given:
    """Find the variables that are settings, and read the files that `…_FILE` variables name.

    An empty variable counts as not set: that is what `${NAME:-}` in a compose file makes of a missing one.
    """
    given = Given()
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or not text or _is_kubernetes(name, text):
            continue
        path = _VARIABLES.get(name)
        file_path = _VARIABLES.get(name.removesuffix(FILE_SUFFIX))
        if path is not None:
            given.add(path, text, name)
        elif file_path is None:
            given.problems.append(f"{name}: unknown setting{_closest(name, _VARIABLES)}")
        elif environ.get(variable(file_path)):
            given.problems.append(f"{name} and {variable(file_path)} are both set: keep one")
        else:
            _add_contents(given, file_path, name, text)
    return given


def _add_contents(given: Given, path: Path, name: str, file: str) -> None:
    try:
        contents = FilePath(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        given.problems.append(f"{name}: {file} can't be read: {reason}")
    else:
        if not contents.strip():
            given.problems.append(f"{name}: {file} is empty: write the value into it, or take the variable away")
            return
        given.add(path, contents.removesuffix("\n").removesuffix("\r"), name)


def _is_kubernetes(name: str, text: str) -> bool:
    if DELIMITER in name:
        return False
    if name.endswith("_PORT") and _KUBERNETES_PORT.match(text):
        return True
    return _KUBERNETES.search(name.removeprefix(PREFIX)) is not None


def read_file(file: FilePath) -> Given:
    """Read a TOML file."""
    given = Given()
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        given.problems.append(f"{file} can't be read: {exc.strerror}")
    except ValueError as exc:
        given.problems.append(f"{file} is not valid TOML: {exc}")
    else:
        _add_table(given, (), document, str(file))
    return given


def _add_table(given: Given, start: Path, table: Mapping[str, object], file: str) -> None:
    for name, value in table.items():
        path = (*start, name)
        if path in CATALOGUE:
            given.add(path, value, file)
        elif path not in _SECTIONS:
            known = [dotted(known) for known in (*CATALOGUE, *_SECTIONS)]
            given.problems.append(f"{file}: {dotted(path)}: unknown setting{_closest(dotted(path), known)}")
        elif isinstance(value, dict):
            _add_table(given, path, value, file)
        else:
            given.problems.append(f"{file}: {dotted(path)} is a section: write [{dotted(path)}], settings below")


def _closest(name: str, known: Iterable[str]) -> str:
    # Compared without what all names share, which would make any two of them alike.
    by_core = {_core(other): other for other in sorted(known)}
    longer = [core for core in by_core if core.startswith(_core(name) + "_")]
    close = longer or get_close_matches(_core(name), by_core, n=1, cutoff=0.75)
    return f"; did you mean {by_core[close[0]]}?" if close else ""


def _core(name: str) -> str:
    return name.removeprefix(PREFIX).replace(DELIMITER, "_")
