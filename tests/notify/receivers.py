"""Receivers of notices on loopback: a web server, and a mail server."""

import asyncio
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


class Receiver:
    """A web server that keeps what is posted to it."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.status = 202
        self.said = b""
        self.location: str | None = None
        self.holds = threading.Event()
        """Set by default; while it is not, no post is answered."""
        self.holds.set()
        self.arrived = threading.Semaphore(0)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(json.loads(body))
                receiver.paths.append(self.path)
                receiver.arrived.release()
                receiver.holds.wait(60)
                self.send_response(receiver.status)
                if receiver.location is not None:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", str(len(receiver.said)))
                self.end_headers()
                self.wfile.write(receiver.said)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def handle(self) -> None:
                # The bridge may be killed, or may have waited long enough.
                with suppress(BrokenPipeError, ConnectionResetError):
                    super().handle()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hooks/a-secret-of-the-webhook"

    def kinds(self) -> list[str]:
        return [each["kind"] for each in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A web server while the block runs."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.holds.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join(10)


class MailServer:
    """A mail server that keeps what it accepts."""

    def __init__(self, tls: ssl.SSLContext | None, password: str | None) -> None:
        self.got: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.refuses = ""
        """The answer to every message, instead of accepting it."""
        self.refused_recipient = ""
        self.port = 0
        self._tls = tls
        self._password = password

    def protocol(self) -> SMTP:
        return SMTP(
            self,
            hostname="mail.test",
            tls_context=self._tls,
            require_starttls=self._tls is not None,
            authenticator=self._authenticated if self._password else None,
            auth_required=self._password is not None,
        )

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address == self.refused_recipient:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuses:
            return self.refuses
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.got.append(message)
        self.recipients.append([str(each) for each in envelope.rcpt_tos])
        return "250 kept"

    def _authenticated(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        given = getattr(data, "password", b"")
        return AuthResult(success=given == (self._password or "").encode(), handled=False)


@contextmanager
def taking_mail(*, tls: ssl.SSLContext | None = None, password: str | None = None) -> Iterator[MailServer]:
    """A mail server while the block runs."""
    mail = MailServer(tls, password)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(mail.protocol, "127.0.0.1", 0))
    mail.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield mail
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
