"""What all commands share: settings, database, audit trail, `--tenant`, and HOST:PORT."""

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import click
from sqlalchemy.exc import DatabaseError

from scim_bridge import logs
from scim_bridge.cli.output import Command, known_tenant, tenant_option_with
from scim_bridge.domain.audit import Actor, ActorKind, AuditEvent, Author
from scim_bridge.errors import BridgeError
from scim_bridge.settings import Settings, load
from scim_bridge.settings.catalogue import shown
from scim_bridge.storage.audit import tenants_that_acted
from scim_bridge.storage.credentials import tenants_with_credentials
from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.engine import COMMANDS
from scim_bridge.storage.schema import require_current
from scim_bridge.storage.trouble import Why, trouble_of

PATIENCE_SECONDS = 5.0
"""How long to wait for an address: the processes of a killed server need a moment to release it."""

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parse HOST:PORT. :raises ValueError: it is not an address."""
        host, _, port = text.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f"{text!r} is not an address: write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def bind_option(default: str | None = None, *, help: str) -> Callable[[Command], Command]:
    """Add `--bind HOST:PORT`, which reaches the command as `bind`, an `Address` or None."""
    return click.option(
        "--bind", metavar="HOST:PORT", default=default, show_default=default is not None, callback=_address, help=help
    )


def _address(_: click.Context, __: click.Parameter, text: str | None) -> Address | None:
    try:
        return None if text is None else Address.parse(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def listen(address: Address, *, patience_seconds: float = PATIENCE_SECONDS) -> socket.socket:
    """Return a listening socket. :raises BridgeError: the address is in use, or not on this machine."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise BridgeError(f"can't listen on {address}: {_reason(exc)}") from exc
            if time.monotonic() >= deadline:
                raise BridgeError(
                    f"can't listen on {address}: another program uses it; stop it, or choose another with --bind"
                ) from exc
        time.sleep(0.1)


def address_of(listener: socket.socket) -> Address:
    """Return the address of a listening socket, with the real port in place of 0."""
    host, port = listener.getsockname()[:2]
    return Address(str(host), int(port))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).split(" (while")[0]


T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """The options of the group, with the settings and the database that they lead to."""

    config: Path | None = None
    """The file of `--config`."""

    @cached_property
    def settings(self) -> Settings:
        """Load the settings. :raises SettingsError: with every problem."""
        return load(self.config)

    def of(self, tenant: str) -> Settings:
        """Return the settings of one served company, as if there were no other."""
        return self.settings.only(tenant)

    @contextmanager
    def database(self, *, any_schema: bool = False) -> Iterator[Database]:
        """Open the database, and close it at the end.

        :param any_schema: Accept an older schema; only for a command that migrates.
        :raises SchemaOutdated: see `require_current` (rule D7).
        :raises BridgeError: the database is out of reach.
        """
        database = Database(self.settings.database.url, patience=COMMANDS)
        try:
            if not any_schema:
                require_current(database)
            yield database
        except DatabaseError as exc:
            reason = str(exc.orig).strip().splitlines()
            where = shown(self.settings.database.url)
            found = trouble_of(exc)
            cure = "" if found.why is Why.out_of_reach else f". What to do: {found.cure}"
            raise BridgeError(
                f"the database at {where} (DATABASE__URL) can't be used: "
                f"{reason[0] if reason else 'no reason given'}{cure}"
            ) from exc
        finally:
            database.close()

    def command(self, *words: str) -> list[str]:
        """Return a command of the bridge with the same `--config`, for a process of its own."""
        config = ["--config", str(self.config)] if self.config is not None else []
        return [sys.executable, "-m", "scim_bridge", *config, *words]

    def write(self, tenant: str, work: Callable[[Session], T]) -> T:
        """Do some work in a writing transaction of a company. See `Database.transact`."""
        with self.database() as database:
            return database.transact(tenant, work)


def operator() -> Author:
    """Return the user who runs this command, by number; with `sudo`, the user who called it."""
    uid = os.getuid()
    behind = os.environ.get("SUDO_UID", "")
    return Author(Actor(ActorKind.operator, behind if uid == 0 and behind.isdecimal() else str(uid)))


def author(options: Options) -> Author:
    """Return who runs this command, for the audit trail, whose log is prepared."""
    logs.configure(options.settings.log.level, options.settings.log.format)
    return operator()


def note(options: Options, s: Session, event: AuditEvent) -> None:
    """Record an operator's action in the audit trail."""
    s.audit.add(event, author(options))


def stored_tenant_option(command: Command) -> Command:
    """Add `--tenant NAME`: a company in the settings, or one that only the database still has."""
    what = "Use this company, also one that is no longer in the settings."
    return tenant_option_with(_stored_tenant, what)(command)


def _stored_tenant(ctx: click.Context, _: click.Parameter, name: str) -> str:
    options: Options = ctx.find_root().obj
    if name in options.settings.tenants:
        return name
    # Without a database there is no other company.
    with suppress(BridgeError), options.database() as database, database.read() as s:
        if name in (*tenants_with_credentials(s.connection), *tenants_that_acted(s.connection)):
            return name
    return known_tenant(options.settings, name)
