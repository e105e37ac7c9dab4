"""Load the settings: join the sources, check them, and share limits between companies."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path as FilePath

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from scim_bridge.errors import SettingsError
from scim_bridge.settings.catalogue import explained
from scim_bridge.settings.model import Settings
from scim_bridge.settings.sections import Auth
from scim_bridge.settings.sources import (
    CONFIG_VARIABLE,
    EnvironmentSource,
    SourceValues,
    read_environment,
    read_file,
    read_tenants,
)
from scim_bridge.settings.types import DEFAULT_TENANT, TENANTS, Path, alike, as_written, both, has_default, is_own


def unservable(settings: Settings) -> list[str]:
    """Return why the companies can't be served: a sentence for each setting at fault."""
    missing = [sentence for own in settings.tenants.values() for sentence in own.missing()]
    return [*missing, *shared_logins(settings)]


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
    loading = _Loading(read_environment(environ), _file(config, environ))
    settings = loading.settings()
    if loading.problems or settings is None:
        raise SettingsError("\n".join(loading.problems))
    return settings


def _file(config: FilePath | None, environ: Mapping[str, str]) -> SourceValues:
    named = config or environ.get(CONFIG_VARIABLE)
    if named:
        return read_file(FilePath(named))
    default = FilePath(DEFAULT_FILE)
    return read_file(default) if default.is_file() else SourceValues()


@dataclass(frozen=True, slots=True)
class _Value:
    """The value that a source gives to one setting."""

    value: object
    origin: str
    is_text: bool
    """Whether it comes from an environment variable, and still has to be parsed."""


_Said = Mapping[Path, _Value]


class _Loading:
    """Joins the sources, and collects their problems."""

    def __init__(self, environment: SourceValues, file: SourceValues) -> None:
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
        """Return the settings, with those of each company; None if something is wrong."""
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
            # The settings without a company's name are this company's own, so it inherits all of them.
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
            # A problem in the common settings was reported already; this company has only inherited it.
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


def of_web_process(settings: Settings, *, with_worker: bool = True) -> Settings:
    """Return the settings of one web process. :param with_worker: Whether `serve` has a delivery worker, too."""
    processes = settings.server.workers + (1 if with_worker else 0)
    return settings.each(lambda own: _limited(own, max(1, own.ditio.max_concurrency // processes), processes))


def of_worker(settings: Settings) -> Settings:
    """Return the settings of the delivery worker.

    Its calls at a time are those that the web processes leave; all of them if no web process delivers.
    """
    return settings.each(_of_worker)


def _of_worker(settings: Settings) -> Settings:
    if settings.delivery.inline_seconds == 0:
        return settings
    processes = settings.server.workers + 1
    of_web = max(1, settings.ditio.max_concurrency // processes)
    left = settings.ditio.max_concurrency - settings.server.workers * of_web
    return _limited(settings, max(1, left), processes)


def _limited(settings: Settings, concurrency: int, processes: int) -> Settings:
    rate = settings.ditio.requests_per_second
    limits = {"max_concurrency": concurrency, "requests_per_second": None if rate is None else rate / processes}
    return settings.model_copy(update={"ditio": settings.ditio.model_copy(update=limits)})
