"""Several companies in one bridge: each with its Entra and its Ditio, all in one process and without a socket."""

import json
import random
from collections.abc import Iterator
from typing import Any

import requests
from sqlalchemy import select

from scim_bridge.bootstrap import Parts, build
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.entra import EntraUser, SandboxEntra
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.settings import DEFAULT_TENANT, Settings, load
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import metadata
from scim_bridge.web.app import create_app
from tests.conftest import Clock
from tests.world import BRIDGE

Overrides = dict[str, dict[str, Any]]


def ditio_of(name: str) -> str:
    """Where a company's Ditio is."""
    return f"https://{name}.ditio.test"


def token_of(name: str) -> str:
    """The secret token that a company's Entra has."""
    return f"the-token-of-{name}"


def own_settings(name: str) -> Overrides:
    """The least that a company has for itself."""
    return {
        "ditio": {
            "api_url": f"{ditio_of(name)}/core",
            "identity_url": ditio_of(name),
            "client_id": f"client-{name}",
            "client_secret": f"secret-{name}",
        }
    }


class Companies:
    """A bridge for `default` and the companies named.

    :param settings: For each company, beside the least that it needs.
    :param common: For all.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *names: str,
        settings: dict[str, Overrides] | None = None,
        common: Overrides | None = None,
    ) -> None:
        self.clock = clock
        self.database = database
        self.names = (DEFAULT_TENANT, *names)
        self.settings: Settings = _loaded(names, settings or {}, common or {})
        self.ditio = {
            name: SandboxDitio(now=clock, client_id=f"client-{name}", client_secret=f"secret-{name}")
            for name in self.names
        }
        self.parts: Parts = build(
            self.settings,
            database=database,
            session_factory=self._session,
            monotonic=clock.monotonic,
            jitter=lambda: 0.5,
        )
        self.app = create_app(self.parts)
        self.http = requests.Session()
        self.http.mount(BRIDGE, WsgiTransport(self.app))
        with database.write() as s:
            for name in self.names:
                s.of(name).tokens.add(f"t-{name}", "Entra", token_of(name), expires_at=None)
        self.entra = {
            name: SandboxEntra(self.http, self.url(name), token_of(name), random=random.Random(1))
            for name in self.names
        }

    def url(self, name: str) -> str:
        """The Tenant URL of a company."""
        return f"{BRIDGE}/scim/v2" if name == DEFAULT_TENANT else f"{BRIDGE}/tenants/{name}/scim/v2"

    def scim(self, name: str, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """A raw SCIM request with a company's own token."""
        headers = {"Authorization": f"Bearer {token_of(name)}", **headers}
        return self.http.request(method, self.url(name) + path, json=body, headers=headers)

    def provisions(self, name: str, *users: EntraUser) -> None:
        """Entra has these users in scope, and a cycle runs."""
        for user in users:
            self.entra[name].directory.add(user)
        self.entra[name].cycle()

    def works(self) -> int:
        """The worker of all companies delivers what is due, one person after another."""
        return self.parts.worker(places=1).run_until_idle()

    def rows(self, name: str) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that the database has of a company."""
        with self.database.read() as s:
            return {
                table.name: sorted(
                    (tuple(row) for row in s.connection.execute(select(table).where(table.c.tenant == name))), key=repr
                )
                for table in metadata.tables.values()
                if "tenant" in table.c
            }

    def _session(self) -> requests.Session:
        session = requests.Session()
        for name, ditio in self.ditio.items():
            session.mount(ditio_of(name), WsgiTransport(ditio.app))
        return session


def _loaded(names: tuple[str, ...], settings: dict[str, Overrides], common: Overrides) -> Settings:
    """By the way that they are read in earnest: those of all as variables, those of the companies as JSON."""
    merged = {name: _merged(own_settings(name), settings.get(name, {})) for name in names}
    of_all = _merged(_merged({"server": {"base_url": BRIDGE}}, own_settings(DEFAULT_TENANT)), common)
    return load(environ={**dict(_variables(of_all)), "SCIM_BRIDGE_TENANTS": json.dumps(merged)})


def _merged(one: Overrides, other: Overrides) -> Overrides:
    return {name: {**one.get(name, {}), **other.get(name, {})} for name in {**one, **other}}


def _variables(sections: Overrides) -> Iterator[tuple[str, str]]:
    for section, settings in sections.items():
        for name, value in settings.items():
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"SCIM_BRIDGE_{section}__{name}".upper(), text
