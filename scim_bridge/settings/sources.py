"""The sources of settings: environment variables, secret files, and the TOML file. Typos are reported."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

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

_SECTIONS = {path for path, _ in sections()}
_KNOWN = [dotted(path) for path in (*CATALOGUE, *_SECTIONS, (TENANTS,))]


@dataclass(frozen=True, slots=True)
class Said:
    """The value of one setting. :param origin: The variable or file that says it."""

    value: object
    origin: str
    is_text: bool = False
    """Whether it is the text of a variable, where lists and tables are JSON."""


@dataclass(slots=True)
class Given:
    """What a source says of each setting, and what is wrong with the source.

    The paths of a company's own settings begin with `tenants` and its name.
    """

    values: dict[Path, Said] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    tenants: dict[str, None] = field(default_factory=dict)
    """The companies that are named, in their order; also those without any setting."""

    def add(self, path: Path, said: Said) -> None:
        """Store a value, or report why a company can't have one."""
        if path[0] == TENANTS and len(path) > 1:
            if not self._may_be_called(path[1], said.origin):
                return
            if is_shared(path[2:]):
                words = f"{both(path)} can't be set, because all companies share it: set {both(path[2:])}"
                self.problems.append(f"{said.origin}: {words}")
                return
        self.values[path] = said

    def add_tables(self, document: dict[str, Any], origin: str) -> None:
        """Store what a TOML file says, its companies last."""
        tenants = document.pop(TENANTS, {})
        self._add_table(document, origin)
        self._add_tenants(tenants, origin)

    def replace_tenants(self, said: Said) -> None:
        """Store all companies from JSON, in place of those of the file."""
        self.values = {path: each for path, each in self.values.items() if path[0] != TENANTS}
        self.tenants = {}
        try:
            document = json.loads(str(said.value))
        except (ValueError, RecursionError):
            # The error's own text is not shown: it may quote a secret.
            words = 'is not valid JSON: write {"NAME":{"SECTION":{"SETTING":…}}}'
            self.problems.append(f"{said.origin} {words}")
        else:
            self._add_tenants(document, said.origin)

    def _add_tenants(self, tenants: object, origin: str) -> None:
        if not isinstance(tenants, dict):
            self.problems.append(f"{origin}: tenants holds companies: write [tenants.NAME.SECTION], settings below")
            return
        for place, (name, table) in enumerate(tenants.items(), start=1):
            if not self._may_be_called(name, f"{origin}: company {place} of tenants, whose name is not shown"):
                continue
            if isinstance(table, dict):
                self._add_table(table, origin, (TENANTS, name))
            else:
                words = f"tenants.{name} is a company: write [tenants.{name}.SECTION], settings below"
                self.problems.append(f"{origin}: {words}")

    def _may_be_called(self, name: str, which: str) -> bool:
        """Note a company's name, or report an invalid one. It is not shown: it may be a secret."""
        if is_name(name):
            self.tenants[name] = None
        elif (words := f"{which}: {NAME_WORDS}") not in self.problems:
            self.problems.append(words)
        return name in self.tenants

    def _add_table(self, table: Mapping[str, object], origin: str, start: Path = (), inside: Path = ()) -> None:
        """Store all settings of a table, and those of the tables inside it. :param start: Whose they are."""
        for name, value in table.items():
            path = (*inside, name)
            full = (*start, *path)
            if path in CATALOGUE:
                self.add(full, Said(value, origin))
            elif path not in _SECTIONS:
                self.problems.append(f"{origin}: {_unknown(full, start)}")
            elif isinstance(value, dict):
                self._add_table(value, origin, start, path)
            else:
                self.problems.append(f"{origin}: {dotted(full)} is a section: write [{dotted(full)}], settings below")


LONGEST_SHOWN = 32
"""The longest unknown name that is shown, in characters: longer than any setting's name in a table."""

_LIKE_A_SETTING = re.compile(r"[a-z]+(_[a-z]+)*")


def _unknown(path: Path, start: Path) -> str:
    """Return the message about a name in a table that is not a setting. A typo is shown, a possible secret is not."""
    *where, name = path
    is_like_one = _LIKE_A_SETTING.fullmatch(name) is not None and len(name) <= LONGEST_SHOWN
    if is_like_one or get_close_matches(name, {each.rpartition(".")[2] for each in _KNOWN}, n=1, cutoff=0.75):
        known = [dotted((*start, each)) for each in _KNOWN]
        return f"{dotted(path)}: unknown setting{_closest(dotted(path), known)}"
    table = f"[{'.'.join(where)}]" if where else "the top"
    return f"{table} has a name (not shown) that is not a setting: `scim-bridge settings example` lists all settings"


def _closest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the name that was probably meant, or an empty text if no name is similar."""
    # Compared without the prefix that all names share, which would make any two of them similar.
    by_core = {_core(other): other for other in sorted(known)}
    longer = [core for core in by_core if core.startswith(_core(name) + "_")]
    close = longer or get_close_matches(_core(name), by_core, n=1, cutoff=0.75)
    return f"; did you mean {by_core[close[0]]}?" if close else ""


def _core(name: str) -> str:
    return name.removeprefix(PREFIX).replace(DELIMITER, "_")


def read_file(file: FilePath) -> Given:
    """Read a TOML file."""
    given = Given()
    try:
        given.add_tables(tomllib.loads(file.read_text(encoding="utf-8")), str(file))
    except OSError as exc:
        given.problems.append(f"{file} can't be read: {exc.strerror}")
    except ValueError as exc:
        given.problems.append(f"{file} is not valid TOML: {exc}")
    return given


CONFIG_VARIABLE = f"{PREFIX}CONFIG"
FILE_SUFFIX = "_FILE"

TENANTS_VARIABLE = variable((TENANTS,))
"""All companies at once, as JSON."""

_OF_TENANT = TENANTS_VARIABLE + DELIMITER

_VARIABLES = {variable(path): path for path in (*CATALOGUE, (TENANTS,))}

# Kubernetes sets such variables in every container for a Service that is called scim-bridge.
_KUBERNETES = re.compile(r"(_|^)(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)$")
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")


def read_environment(environ: Mapping[str, str]) -> Given:
    """Find the variables that are settings, and read the files that `…_FILE` variables name.

    An empty variable means not set: `${NAME:-}` in a compose file makes a missing variable empty. The JSON of all
    companies is stored as the value of `("tenants",)`.
    """
    given = Given()
    for name, text in sorted(environ.items()):
        if not name.startswith(PREFIX) or name == CONFIG_VARIABLE or not text or _is_kubernetes(name, text):
            continue
        plain = name.removesuffix(FILE_SUFFIX)
        if (path := _path_of(name)) is not None:
            given.add(path, Said(text, name, is_text=True))
        elif (path := _path_of(plain)) is None:
            given.problems.append(f"{name}: unknown setting{_closest_variable(name)}")
        elif environ.get(plain):
            given.problems.append(f"{name} and {plain} are both set: keep one")
        else:
            try:
                given.add(path, Said(_contents(text), name, is_text=True))
            except ValueError as exc:
                given.problems.append(f"{name}: {exc}")
    return given


def _path_of(name: str) -> Path | None:
    """Return the path of the setting that a variable sets, or None if there is none."""
    if not name.startswith(_OF_TENANT):
        return _VARIABLES.get(name)
    tenant, _, rest = name.removeprefix(_OF_TENANT).partition(DELIMITER)
    path = _VARIABLES.get(PREFIX + rest)
    return (TENANTS, tenant.lower(), *path) if path is not None and path in CATALOGUE else None


def _contents(file: str) -> str:
    try:
        contents = FilePath(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        # The variable may hold the secret itself instead of a file's name, so its value is not shown.
        raise ValueError(f"the file that it names (not shown) can't be read: {reason}") from None
    if not contents.strip():
        raise ValueError(f"{file} is empty: write the value into it, or unset the variable")
    return contents.removesuffix("\n").removesuffix("\r")


def _closest_variable(name: str) -> str:
    if not name.startswith(_OF_TENANT):
        return _closest(name, _VARIABLES)
    tenant, delimiter, _ = name.removeprefix(_OF_TENANT).partition(DELIMITER)
    if not delimiter:
        return f"; write {name}{DELIMITER}SECTION{DELIMITER}NAME, or all companies as JSON in {TENANTS_VARIABLE}"
    return _closest(name, [f"{_OF_TENANT}{tenant}{DELIMITER}{known.removeprefix(PREFIX)}" for known in _VARIABLES])


def _is_kubernetes(name: str, text: str) -> bool:
    if DELIMITER in name:
        return False
    is_port = name.endswith("_PORT") and _KUBERNETES_PORT.match(text)
    return bool(is_port or _KUBERNETES.search(name.removeprefix(PREFIX)))
