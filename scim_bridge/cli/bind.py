"""HOST:PORT on the command line, and the socket that listens there."""

import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from scim_bridge.cli.output import Command
from scim_bridge.errors import BridgeError

PATIENCE_SECONDS = 5.0
"""How long to wait for an address: the processes of a server that was killed need a moment to give it up."""

BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read HOST:PORT. :raises ValueError: it is none."""
        host, _, port = text.rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise ValueError(f"{text!r} is no address: write HOST:PORT, as 127.0.0.1:8080 or [::1]:8080")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def bind_option(default: str | None = None, *, help: str) -> Callable[[Command], Command]:
    """Add `--bind HOST:PORT`, which reaches the command as `bind`, an `Address` or None."""
    return click.option(
        "--bind",
        metavar="HOST:PORT",
        default=default,
        show_default=default is not None,
        callback=_address,
        help=help,
    )


def _address(_: click.Context, __: click.Parameter, text: str | None) -> Address | None:
    try:
        return None if text is None else Address.parse(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def listen(address: Address, *, patience_seconds: float = PATIENCE_SECONDS) -> socket.socket:
    """A socket that listens. :raises BridgeError: the address is taken, or is none of this machine's."""
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
                    f"can't listen on {address}: another program does already; stop it, or choose another with --bind"
                ) from exc
        time.sleep(0.1)


def address_of(listener: socket.socket) -> Address:
    """Where a socket listens; tells which port 0 became."""
    host, port = listener.getsockname()[:2]
    return Address(str(host), int(port))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).split(" (while")[0]
