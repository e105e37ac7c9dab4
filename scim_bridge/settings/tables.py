"""Settings in tables: the TOML file, and the companies as JSON."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath

from scim_bridge.settings.catalogue import CATALOGUE, sections
from scim_bridge.settings.given import Given, unknown
from scim_bridge.settings.names import Path, dotted
from scim_bridge.settings.tenants import TENANTS

_SECTIONS = {path for path, _ in sections()}
_KNOWN = [dotted(path) for path in (*CATALOGUE, *_SECTIONS, (TENANTS,))]


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
        tenants = document.pop(TENANTS, {})
        _Tables(given, str(file)).add((), document)
        _add_tenants(given, tenants, str(file))
    return given


def read_tenants(text: str, origin: str) -> Given:
    """Read all companies from JSON. :param origin: The variable that it stands in, or that names the file."""
    given = Given()
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        # Not its own words: they may quote a secret.
        given.problems.append(f'{origin} is not valid JSON: write {{"NAME":{{"SECTION":{{"SETTING":…}}}}}}')
    else:
        _add_tenants(given, document, origin)
    return given


def _add_tenants(given: Given, tenants: object, origin: str) -> None:
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
    """Walks through tables. :param tenant: The company that they are of; None for the settings of all."""

    def __init__(self, given: Given, origin: str, tenant: str | None = None) -> None:
        self._given = given
        self._origin = origin
        self._tenant = tenant
        self._start: Path = () if tenant is None else (TENANTS, tenant)

    def add(self, start: Path, table: Mapping[str, object]) -> None:
        """Keep all settings in a table."""
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
