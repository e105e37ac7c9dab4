"""Settings, and those of each company beside them."""

from collections.abc import Callable, Mapping
from typing import Self

from pydantic import PrivateAttr
from pydantic_settings import BaseSettings

from scim_bridge.settings.names import Path
from scim_bridge.settings.tenants import DEFAULT_TENANT

DEFAULT = "default"
"""Where a setting was set that was not."""


class Companies(BaseSettings):
    """What settings know beside their values: whose they are, where each was set, and the other companies'."""

    _origins: dict[Path, str] = PrivateAttr(default_factory=dict)
    _start: Path = PrivateAttr(default=())
    _tenants: dict[str, Self] = PrivateAttr(default_factory=dict)

    @property
    def start(self) -> Path:
        """What stands before the names of these settings: `tenants` and the name of a company, or nothing."""
        return self._start

    @property
    def whose(self) -> str:
        """What a message about these settings begins with: the company's name, where they are of one."""
        return f"{self._start[-1]}: " if self._start else ""

    @property
    def tenants(self) -> Mapping[str, Self]:
        """The settings of each company that is served, by its name; without a name it is `default`."""
        return self._tenants or {DEFAULT_TENANT: self}

    def origin(self, path: Path) -> str:
        """Where a setting was set: the variable's name, the file's, or `DEFAULT`."""
        return self._origins.get(path, DEFAULT)

    def named(self, start: Path, origins: Mapping[Path, str]) -> Self:
        """The same, with where each was set. :param start: See `start`."""
        named = self.model_copy()
        named._start, named._origins = start, dict(origins)
        return named

    def serving(self, tenants: Mapping[str, Self]) -> Self:
        """The same, with those of each company."""
        serving = self.model_copy()
        serving._tenants = dict(tenants)
        return serving

    def only(self, tenant: str) -> Self:
        """The settings of one company that is served, as if there were no other."""
        own = self.tenants[tenant]
        return own.serving({tenant: own})

    def each(self, change: Callable[[Self], Self]) -> Self:
        """The same after a change, which is made to the settings of every company."""
        return change(self).serving({name: change(own) for name, own in self._tenants.items()})
