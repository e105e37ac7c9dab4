"""The web server: gunicorn with threads, and a delivery worker that its arbiter keeps running."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine

from scim_bridge.logs import get_logger
from scim_bridge.storage.database import loggable
from scim_bridge.web.auth.failures import Failures
from scim_bridge.web.patient_worker import PatientWorker

log = get_logger(__name__)


GRACEFUL_SECONDS = 15
"""How long running requests and deliveries may take to finish after SIGTERM."""

KEEPALIVE_SECONDS = 75
"""How long an idle connection stays open: longer than a proxy keeps its own, so that no request is lost."""

RESTART_SECONDS = 2.0
"""The least time between two starts of a delivery worker that ends by itself."""

ERROR_URN = "urn:ietf:params:scim:api:messages:2.0:Error"

_TOO_LONG = {
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}


INVALID = "Invalid request from ip="
"""First words of gunicorn's line on a request that it could not read. The line may quote a secret from a body."""

MOST_INVALID = 60
"""How many of these lines one address may cause in a minute."""


class ServerLog(Logger):  # type: ignore[misc]  # gunicorn has no types.
    """gunicorn's log, without what a client sent.

    There is no line for each request: the URLs that Entra requests contain user names.
    """

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self._invalid = Failures(MOST_INVALID, time.monotonic)

    def access(self, *_: object) -> None:
        """Write nothing."""

    def warning(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log the kind and the address of a request that can't be read."""
        if not msg.startswith(INVALID):
            super().warning(msg, *args, **kwargs)
            return
        address, _, what = msg.removeprefix(INVALID).partition(": ")
        count, wait = self._invalid.add(address)
        if wait is None:
            log.warning("serve.invalid_request", address=address, what=what.partition(":")[0])
        elif self._invalid.is_first_too_many(count):
            log.warning("serve.invalid_requests", address=address, requests=count - 1)

    def exception(self, msg: str, *args: object, **kwargs: Any) -> None:
        """Log a fault of the server's own, without the requested URL."""
        if not msg.startswith("Error handling request"):
            super().exception(msg, *args, **kwargs)
            return
        error = sys.exception()
        log.error("serve.failed", error=type(error).__name__, exc_info=loggable(error) if error else None)


class WebWorker(PatientWorker):
    """gunicorn's threaded worker, which frees the server's address at once when its arbiter was killed."""

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer a request whose first line or header is too long as SCIM does, instead of with gunicorn's page."""
        status = next((status for kind, status in _TOO_LONG.items() if isinstance(exc, kind)), None)
        if status is None:
            super().handle_error(req, client, addr, exc)
            return
        log.info("serve.too_long", status=int(status))
        with suppress(OSError):
            client.sendall(_refusal(status))

    def is_parent_alive(self) -> bool:
        """Return whether the arbiter lives. If not, free the address for a new server before the last answer."""
        is_alive = bool(super().is_parent_alive())
        if not is_alive:
            self.set_accept_enabled(False)
            self.leave_address()
        return is_alive


def _refusal(status: HTTPStatus) -> bytes:
    """Return a SCIM Error (RFC 7644 §3.12) for a request that reaches no application; the connection ends."""
    detail = "the URL or a header is too long: send less, and a long search as POST to .search"
    error = {"schemas": [ERROR_URN], "status": str(int(status)), "detail": detail}
    body = json.dumps(error).encode()
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        f"Content-Type: application/scim+json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class DeliveryWorker:
    """The delivery worker beside the web server: a process of its own, restarted when it ends.

    :param command: What to run; it has to end by itself when its parent is gone.
    """

    def __init__(self, command: Sequence[str], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._command = command
        self._monotonic = monotonic
        self._process: subprocess.Popen[bytes] | None = None
        self._started = float("-inf")

    def keep_running(self) -> None:
        """Start it if it does not run. The arbiter may have collected its exit code: that is no error here."""
        if self._process is not None and self._process.poll() is None:
            return
        if self._monotonic() - self._started < RESTART_SECONDS:
            return
        if self._process is not None:
            log.warning("serve.worker_ended", exit_code=self._process.returncode)
        self._started, self._process = self._monotonic(), None
        try:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)  # nosec B603 # our own command, no shell
        except OSError as error:
            # The machine has no memory or process to spare: the server continues, and tries again.
            log.error("serve.worker_not_started", error=type(error).__name__, retry_in_seconds=RESTART_SECONDS)

    def ask_to_stop(self) -> None:
        """Let it finish the deliveries in progress, and end."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end, and then kill it: its leases expire by themselves."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            log.warning("serve.worker_killed")
            self._process.kill()
            self._process.wait()


class Supervisor(Arbiter):  # type: ignore[misc]  # gunicorn has no types.
    """gunicorn's arbiter, which also looks after a delivery worker."""

    def __init__(self, app: "Server", delivery: DeliveryWorker | None) -> None:
        super().__init__(app)
        self._delivery = delivery

    def manage_workers(self) -> None:
        """Look after all processes; called once a second, and whenever a process has ended."""
        super().manage_workers()
        if self._delivery is not None:
            self._delivery.keep_running()

    def stop(self, graceful: bool = True) -> None:
        """Stop everything: gracefully, with the same time for web and delivery."""
        deadline = time.monotonic() + (GRACEFUL_SECONDS if graceful else 1.0)
        if self._delivery is not None:
            self._delivery.ask_to_stop()
        super().stop(graceful)
        if self._delivery is not None:
            self._delivery.wait(deadline - time.monotonic())


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types.
    """The application as gunicorn needs it; each web process makes its own after the fork.

    :param listener: The file descriptor of a listening socket; the server takes it over.
    :param tenants: The companies that share the threads.
    :param is_trusted: Returns whether an address is a proxy, which may have any number of connections.
    """

    def __init__(
        self,
        make_app: Callable[[], Flask],
        *,
        listener: int,
        workers: int,
        threads: int,
        client_seconds: float,
        is_trusted: Callable[[str], bool] = lambda _: False,
        tenants: Collection[str] = (),
        log_level: str,
        log_config: dict[str, object],
        when_ready: Callable[[], None],
    ) -> None:
        self._make_app = make_app
        self.client_seconds = client_seconds
        self.is_trusted = is_trusted
        self.tenants = tenants
        self._options: dict[str, Any] = {
            "bind": [f"fd://{listener}"],
            "workers": workers,
            "threads": threads,
            "worker_class": WebWorker,
            "graceful_timeout": GRACEFUL_SECONDS,
            "keepalive": KEEPALIVE_SECONDS,
            "logger_class": ServerLog,
            "loglevel": log_level,
            "logconfig_dict": log_config,
            "proc_name": "scim-bridge",
            # A filter is long once it is percent-encoded; this is the most that gunicorn allows.
            "limit_request_line": 8190,
            # Entra's own JWT has some 2,000 characters; no client of ours sends a longer header than this.
            "limit_request_field_size": 8190,
            "limit_request_fields": 100,
            # gunicorn must not trust any client's word about its address or scheme.
            "forwarded_allow_ips": "",
            "control_socket_disable": True,
            "when_ready": lambda _: when_ready(),
        }
        super().__init__()

    def load_config(self) -> None:
        """Load only our own settings: no file, no environment, no command line of gunicorn's."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Return the WSGI application of one web process."""
        return self._make_app()

    def run_with(self, delivery: DeliveryWorker | None) -> None:
        """Serve until a signal ends it."""
        Supervisor(self, delivery).run()
