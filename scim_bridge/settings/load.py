"""Load the settings: join the sources, check them, and share limits between companies."""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from scim_bridge.errors import SettingsError
from scim_bridge.settings.catalogue import explained, from_text
from scim_bridge.settings.model import Settings
from scim_bridge.settings.sections import Auth
from scim_bridge.settings.sources import CONFIG_VARIABLE, Given, Said, read_environment, read_file
from scim_bridge.settings.types import DEFAULT_TENANT, TENANTS, Path, both, is_own


def unservable(settings: Settings) -> list[str]:
    """Return why the companies can't be served: a sentence for each setting at fault."""
    missing = [sentence for own in settings.tenants.values() for sentence in own.missing()]
    return [*missing, *settings.console.missing(), *shared_logins(settings)]


def shared_logins(settings: Settings) -> Iterator[str]:
    """Yield each pair of companies that accept the same sign-in: the setting, and after a colon what to do."""
    for (name, one), (other, another) in combinations(settings.tenants.items(), 2):
        setting, cure = _same(one.auth, another.auth)
        if setting:
            yield (
                f"{both((*another.start, 'auth', setting))} is the same for {name} and {other}, so a sign-in does not "
                f"show which company it is for: {cure}"
            )


def _same(one: Auth, other: Auth) -> tuple[str, str]:
    """Return the setting that lets the same JWT in at both, and what to do instead; both empty if none does."""
    if one.entra_tenant_id and other.entra_tenant_id and set(one.entra_audiences) & set(other.entra_audiences):
        tenant_ids = one.entra_tenant_id.lower(), other.entra_tenant_id.lower()
        if tenant_ids[0] == tenant_ids[1] and one.entra_issued_by() == other.entra_issued_by():
            return "entra_tenant_id", "give each company a token of `token issue` or a client of `client issue` instead"
    workloads = [(each.workload_issuer, each.workload_subject, each.workload_audience) for each in (one, other)]
    if workloads[0] == workloads[1] and workloads[0][0]:
        return "workload_subject", "give each company its own application in Entra, or its own audience"
    return "", ""


DEFAULT_FILE = "scim-bridge.toml"
"""The file that is read from the working directory if no other is named."""


def load(config: FilePath | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    :param config: The TOML file; None stands for `SCIM_BRIDGE_CONFIG`, or else for `scim-bridge.toml` in the
        working directory, if there is one.
    :param environ: The environment; None stands for the process's own.
    :raises SettingsError: with every problem, one a line.
    """
    environ = os.environ if environ is None else environ
    named = config or environ.get(CONFIG_VARIABLE)
    file = FilePath(named or DEFAULT_FILE)
    loading = _Loading(read_environment(environ), read_file(file) if named or file.is_file() else Given())
    settings = loading.settings()
    if loading.problems or settings is None:
        raise SettingsError("\n".join(loading.problems))
    return settings


_Values = Mapping[Path, Said]


class _Loading:
    """Joins environment and file, and collects their problems.

    A setting is replaced whole: a table in the environment is not mixed with the one in the file.
    """

    def __init__(self, environment: Given, tables: Given) -> None:
        if (companies := environment.values.pop((TENANTS,), None)) is not None:
            tables.replace_tenants(companies)
        self.problems = environment.problems + tables.problems
        self._wrong: set[Path] = set()
        # In a variable, `_` may stand for a hyphen of a name that a table has.
        written = {name.replace("-", "_"): name for name in reversed(tables.tenants)}
        names = {name: written.get(name.replace("-", "_"), name) for name in environment.tenants}
        self._tenants = dict.fromkeys([*tables.tenants, *names.values()])
        self._said = dict(tables.values)
        for path, said in environment.values.items():
            self._said[(TENANTS, names[path[1]], *path[2:]) if path[0] == TENANTS else path] = said

    def settings(self) -> Settings | None:
        """Return the settings, with those of each company; None if something is wrong."""
        common = {path: said for path, said in self._said.items() if path[0] != TENANTS}
        settings = self._made(common, (), common)
        self.problems += _alike(self._tenants)
        tenants = {name: self._of_tenant(common, name) for name in self._tenants}
        if settings is None or not tenants:
            return settings
        # Beside others there is a company `default` only if a setting that is never inherited says so.
        if DEFAULT_TENANT not in tenants and any(is_own(path) for path in common):
            tenants = {DEFAULT_TENANT: settings, **tenants}
        return settings.serving({name: each for name, each in tenants.items() if each is not None})

    def _of_tenant(self, common: _Values, name: str) -> Settings | None:
        start = (TENANTS, name)
        own = {path[2:]: said for path, said in self._said.items() if path[:2] == start}
        if name == DEFAULT_TENANT:
            # The settings without a company's name are this company's own, so it inherits all of them.
            return self._made({**common, **own}, (), own)
        return self._made({path: said for path, said in common.items() if not is_own(path)} | own, start, own)

    def _made(self, values: _Values, start: Path, own: _Values) -> Settings | None:
        document: dict[str, Any] = {}
        for path, said in values.items():
            table = document
            for part in path[:-1]:
                table = table.setdefault(part, {})
            table[path[-1]] = from_text(path, str(said.value)) if said.is_text else said.value
        try:
            settings = Settings.model_validate(document)
        except ValidationError as exc:
            lines = explained(exc, {path: said.value for path, said in values.items()}, start)
            # A problem in the common settings was reported already; this company has only inherited it.
            self.problems += [line for path, line in lines.items() if path in own or path not in self._wrong]
            self._wrong |= set(lines)
            return None
        return settings.named(start, {path: said.origin for path, said in values.items()})


def _alike(names: Iterable[str]) -> Iterator[str]:
    """Yield a problem for names that differ only in hyphens: one variable would mean several companies."""
    by_variable: dict[str, list[str]] = {}
    for name in names:
        by_variable.setdefault(name.replace("-", "_"), []).append(name)
    for same in by_variable.values():
        if len(same) > 1:
            yield f"the companies {' and '.join(same)} have the same name in environment variables: rename one of them"


SHARED_OUT: frozenset[Path] = frozenset({("ditio", "max_concurrency"), ("ditio", "requests_per_second")})
"""The settings of which each process has a share."""


def of_web_process(settings: Settings, *, with_worker: bool = True) -> Settings:
    """Return the settings of one web process. :param with_worker: Whether `serve` has a delivery worker, too."""
    processes = settings.server.workers + (1 if with_worker else 0)
    return settings.each(lambda own: _limited(own, max(1, own.ditio.max_concurrency // processes), processes))


def of_worker(settings: Settings) -> Settings:
    """Return the settings of the delivery worker.

    Its calls at a time are those that the web processes leave; all of them if no web process delivers.
    """
    processes = settings.server.workers + 1

    def limited(own: Settings) -> Settings:
        if own.delivery.inline_seconds == 0:
            return own
        of_web = max(1, own.ditio.max_concurrency // processes)
        return _limited(own, max(1, own.ditio.max_concurrency - settings.server.workers * of_web), processes)

    return settings.each(limited)


def _limited(settings: Settings, concurrency: int, processes: int) -> Settings:
    rate = settings.ditio.requests_per_second
    limits = {"max_concurrency": concurrency, "requests_per_second": None if rate is None else rate / processes}
    return settings.model_copy(update={"ditio": settings.ditio.model_copy(update=limits)})
