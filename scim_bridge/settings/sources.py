"""The sources of settings: environment variables, secret files, and the TOML file. Typos are reported."""

import json
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from scim_bridge.settings.catalogue import CATALOGUE, sections
from scim_bridge.settings.types import (
    DELIMITER,
    NAME_WORDS,
    PREFIX,
    TENANTS,
    Path,
    both,
    dotted,
    is_name,
    is_shared,
    variable,
)


@dataclass(slots=True)
class SourceValues:
    """The values of one source by setting, the origin of each, and what is wrong with the source.

    The paths of a company's own settings begin with `tenants` and its name.
    """

    values: dict[Path, object] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    tenants: dict[str, None] = field(default_factory=dict)
    """The companies that are named, in their order; also those without any setting."""

    def add(self, path: Path, value: object, origin: str) -> None:
        """Store a value and its origin."""
        self.values[path] = value
        self.origins[path] = origin

    def add_of_tenant(self, name: str, path: Path, value: object, origin: str) -> None:
        """Store a company's own value, or report why the company can't have one."""
        if not self.may_be_called(name, origin):
            return
        full = (TENANTS, name, *path)
        if is_shared(path):
            words = f"{origin}: {both(full)} can't be set, because all companies share it: set {both(path)}"
            self.problems.append(words)
        else:
            self.add(full, value, origin)

    def may_be_called(self, name: str, origin: str, which: str = "") -> bool:
        """Store the company's name and return True if it is valid; otherwise report it and return False.

        :param which: Says which company it is, if `origin` does not. An invalid name is not shown: it may be a secret.
        """
        if is_name(name):
            self.tenants[name] = None
            return True
        words = f"{origin}: {which}{NAME_WORDS}"
        if words not in self.problems:
            self.problems.append(words)
        return False

    def without_tenants(self) -> "SourceValues":
        """Return the same values without those of single companies."""
        kept = {path: value for path, value in self.values.items() if path[0] != TENANTS}
        origins = {path: origin for path, origin in self.origins.items() if path in kept}
        return SourceValues(kept, origins, self.problems)


LONGEST_SHOWN = 32
"""The longest unknown name that is shown, in characters: longer than any setting's name in a table."""

_LIKE_A_SETTING = re.compile(r"[a-z]+(_[a-z]+)*")


def unknown(where: Path, name: str, known: Collection[str]) -> str:
    """Return the message about a name in a table that is not a setting. A typo is shown, a possible secret is not.

    :param where: The path of the table.
    """
    names = {each.rpartition(".")[2] for each in known}
    is_like_one = _LIKE_A_SETTING.fullmatch(name) is not None and len(name) <= LONGEST_SHOWN
    if is_like_one or get_close_matches(name, names, n=1, cutoff=0.75):
        return f"{dotted((*where, name))}: unknown setting{closest(dotted((*where, name)), known)}"
    table = f"[{dotted(where)}]" if where else "the top"
    return f"{table} has a name (not shown) that is not a setting: `scim-bridge settings example` lists all settings"


def closest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the name that was probably meant, or an empty text if no name is similar."""
    # Compared without the prefix that all names share, which would make any two of them similar.
    by_core = {_core(other): other for other in sorted(known)}
    longer = [core for core in by_core if core.startswith(_core(name) + "_")]
    close = longer or get_close_matches(_core(name), by_core, n=1, cutoff=0.75)
    return f"; did you mean {by_core[close[0]]}?" if close else ""


def _core(name: str) -> str:
    return name.removeprefix(PREFIX).replace(DELIMITER, "_")


CONFIG_VARIABLE = f"{PREFIX}CONFIG"
FILE_SUFFIX = "_FILE"

TENANTS_VARIABLE = variable((TENANTS,))
"""All companies at once, as JSON."""

_OF_TENANT = TENANTS_VARIABLE + DELIMITER

_VARIABLES = {variable(path): path for path in (*CATALOGUE, (TENANTS,))}

# Kubernetes sets such variables in every container for a Service that is called scim-bridge.
_KUBERNETES = re.compile(r"(_|^)(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)$")
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")


class EnvironmentSource(EnvSettingsSource):
    """The library's parser of variables (nesting, JSON, plain words), for the given values only."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[Path, object]) -> None:
        self._given = {variable(path).lower(): str(value) for path, value in values.items()}
        super().__init__(settings_cls, env_prefix=PREFIX, env_nested_delimiter=DELIMITER)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._given

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Leave invalid JSON as it is: validation then names the variable and what is allowed."""
        try:
            return json.loads(value)
        except ValueError:
            return value


def read_environment(environ: Mapping[str, str]) -> SourceValues:
    """Find the variables that are settings, and read the files that `…_FILE` variables name.

    An empty variable means not set: `${NAME:-}` in a compose file makes a missing variable empty. The JSON of all
    companies is stored unparsed as the value of `("tenants",)`.
    """
    given = SourceValues()
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
    """Return the path of the setting that a variable sets, or None if there is none."""
    if not name.startswith(_OF_TENANT):
        return _VARIABLES.get(name)
    tenant, _, rest = name.removeprefix(_OF_TENANT).partition(DELIMITER)
    path = _VARIABLES.get(PREFIX + rest)
    return None if path is None else (TENANTS, tenant.lower(), *path)


def _add(given: SourceValues, path: Path, text: str, name: str) -> None:
    if path[0] == TENANTS and len(path) > 1:
        given.add_of_tenant(path[1], path[2:], text, name)
    else:
        given.add(path, text, name)


def _contents(given: SourceValues, name: str, file: str) -> str | None:
    try:
        contents = FilePath(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        # The variable may hold the secret itself instead of a file's name, so its value is not shown.
        given.problems.append(f"{name}: the file that it names (not shown) can't be read: {reason}")
        return None
    if not contents.strip():
        given.problems.append(f"{name}: {file} is empty: write the value into it, or unset the variable")
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


_SECTIONS = {path for path, _ in sections()}
_KNOWN = [dotted(path) for path in (*CATALOGUE, *_SECTIONS, (TENANTS,))]


def read_file(file: FilePath) -> SourceValues:
    """Read a TOML file."""
    given = SourceValues()
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as exc:
        given.problems.append(f"{file} can't be read: {exc.strerror}")
    except ValueError as exc:
        given.problems.append(f"{file} is not valid TOML: {exc}")
    else:
        tenants = document.pop(TENANTS, {})
        _Tables(given, str(file)).add((), document)
        _add_tenants(given, tenants, str(file))
    return given


def read_tenants(text: str, origin: str) -> SourceValues:
    """Read all companies from JSON. :param origin: The variable that holds the JSON or names its file."""
    given = SourceValues()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        # The error's own text is not shown: it may quote a secret.
        given.problems.append(f'{origin} is not valid JSON: write {{"NAME":{{"SECTION":{{"SETTING":…}}}}}}')
    else:
        _add_tenants(given, document, origin)
    return given


def _add_tenants(given: SourceValues, tenants: object, origin: str) -> None:
    if not isinstance(tenants, dict):
        given.problems.append(f"{origin}: tenants holds companies: write [tenants.NAME.SECTION], settings below")
        return
    for place, (name, table) in enumerate(tenants.items(), start=1):
        if not given.may_be_called(name, origin, f"company {place} of tenants, whose name is not shown: "):
            continue
        if isinstance(table, dict):
            _Tables(given, origin, name).add((), table)
        else:
            given.problems.append(
                f"{origin}: tenants.{name} is a company: write [tenants.{name}.SECTION], settings below"
            )


class _Tables:
    """Reads tables of settings. :param tenant: The company they belong to; None for the settings of all."""

    def __init__(self, given: SourceValues, origin: str, tenant: str | None = None) -> None:
        self._given = given
        self._origin = origin
        self._tenant = tenant
        self._start: Path = () if tenant is None else (TENANTS, tenant)

    def add(self, start: Path, table: Mapping[str, object]) -> None:
        """Store all settings of a table, and those of the tables inside it."""
        for name, value in table.items():
            path = (*start, name)
            if path in CATALOGUE:
                self._keep(path, value)
            elif path not in _SECTIONS:
                known = [dotted((*self._start, each)) for each in _KNOWN]
                self._complain(unknown((*self._start, *start), name, known))
            elif isinstance(value, dict):
                self.add(path, value)
            else:
                self._complain(f"{self._named(path)} is a section: write [{self._named(path)}], settings below")

    def _keep(self, path: Path, value: object) -> None:
        if self._tenant is None:
            self._given.add(path, value, self._origin)
        else:
            self._given.add_of_tenant(self._tenant, path, value, self._origin)

    def _named(self, path: Path) -> str:
        return dotted((*self._start, *path))

    def _complain(self, words: str) -> None:
        self._given.problems.append(f"{self._origin}: {words}")
