"""Settings in the environment: variables, and files that variables name."""

import json
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.given import Given, closest
from scim_bridge.settings.names import DELIMITER, PREFIX, Path, variable
from scim_bridge.settings.tenants import TENANTS

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
FILE_SUFFIX = "_FILE"

TENANTS_VARIABLE = variable((TENANTS,))
"""All companies at once, as JSON."""

_OF_TENANT = TENANTS_VARIABLE + DELIMITER

_VARIABLES = {variable(path): path for path in (*CATALOGUE, (TENANTS,))}

# Kubernetes describes every Service to every container: one that is called scim-bridge, by these variables.
_KUBERNETES = re.compile(r"(_|^)(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)$")
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")


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

    An empty variable counts as not set: that is what `${NAME:-}` in a compose file makes of a missing one. All
    companies at once are the value of `("tenants",)`, unread.
    """
    given = Given()
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or not text or _is_kubernetes(name, text):
            continue
        plain = name.removesuffix(FILE_SUFFIX)
        if (path := _path_of(name)) is not None:
            _add(given, path, text, name)
        elif (file_path := _path_of(plain)) is None:
            given.problems.append(f"{name}: unknown setting{_closest(name)}")
        elif environ.get(plain):
            given.problems.append(f"{name} and {plain} are both set: keep one")
        elif (contents := _contents(given, name, text)) is not None:
            _add(given, file_path, contents, name)
    return given


def _path_of(name: str) -> Path | None:
    """The setting that a variable is for; None where there is none."""
    if not name.startswith(_OF_TENANT):
        return _VARIABLES.get(name)
    tenant, _, rest = name.removeprefix(_OF_TENANT).partition(DELIMITER)
    path = _VARIABLES.get(PREFIX + rest)
    return None if path is None else (TENANTS, tenant.lower(), *path)


def _add(given: Given, path: Path, text: str, name: str) -> None:
    if path[0] == TENANTS and len(path) > 1:
        given.add_of_tenant(path[1], path[2:], text, name)
    else:
        given.add(path, text, name)


def _contents(given: Given, name: str, file: str) -> str | None:
    try:
        contents = FilePath(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        # Somebody may have put the secret itself there: then it is no file, and is not repeated in a log.
        given.problems.append(f"{name}: the file that it names (not shown) can't be read: {reason}")
        return None
    if not contents.strip():
        given.problems.append(f"{name}: {file} is empty: write the value into it, or take the variable away")
        return None
    return contents.removesuffix("\n").removesuffix("\r")


def _closest(name: str) -> str:
    if not name.startswith(_OF_TENANT):
        return closest(name, _VARIABLES)
    tenant, delimiter, _ = name.removeprefix(_OF_TENANT).partition(DELIMITER)
    if not delimiter:
        return f"; write {name}{DELIMITER}SECTION{DELIMITER}NAME, or all companies as JSON in {TENANTS_VARIABLE}"
    start = f"{_OF_TENANT}{tenant}{DELIMITER}"
    return closest(name, [start + known.removeprefix(PREFIX) for known in _VARIABLES])


def _is_kubernetes(name: str, text: str) -> bool:
    if DELIMITER in name:
        return False
    if name.endswith("_PORT") and _KUBERNETES_PORT.match(text):
        return True
    return _KUBERNETES.search(name.removeprefix(PREFIX)) is not None
