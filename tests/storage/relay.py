"""A relay in front of PostgreSQL that can fall silent: connections stay open, and no packet passes any more."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import make_url


class Relay:
    """Forwards a loopback port to a Unix socket."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._is_silent = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def falls_silent(self) -> None:
        """From now on everything is swallowed, in both directions."""
        self._is_silent.set()

    def close(self) -> None:
        for each in (self._listener, *self._sockets):
            # Wakes the thread that waits for it, which closing alone does not.
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self._is_silent.is_set():
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._sockets.append(server)
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not self._is_silent.is_set():
                    target.sendall(data)
            if not self._is_silent.is_set():
                target.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(url: str) -> Iterator[tuple[Relay, str]]:
    """A relay to the server of a URL, and the URL that goes through it."""
    parsed = make_url(url)
    relay = Relay(f"{parsed.query['host']}/.s.PGSQL.{parsed.port or 5432}")
    through = parsed.difference_update_query(["host"]).set(host="127.0.0.1", port=relay.port)
    try:
        yield relay, through.render_as_string(hide_password=False)
    finally:
        relay.close()
