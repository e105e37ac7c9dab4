"""The ways out: a webhook in the form of Teams, of Slack or as JSON, and mail. Every wait has a limit."""

import json
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any, Literal, Protocol

import requests

from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BridgeError, DeliveryError
from scim_bridge.http.exchange import Exchange, pooled_sessions
from scim_bridge.notify.words import Notice

SEND_SECONDS = 10.0
"""How long one receiver may take to accept one notice."""

MOST_READ = 1024
"""How many bytes of a receiver's answer are read."""


class NotSent(BridgeError):
    """A receiver did not accept a notice. The message has no secret, so neither the address of a webhook."""


@dataclass(frozen=True, slots=True)
class Message:
    """A notice as it is sent. :param id: The same in each attempt, so that a receiver recognises a repetition."""

    id: str
    at: datetime
    document: JsonObject
    """The notice as JSON: what a webhook of the form `json` gets."""

    @property
    def title(self) -> str:
        """The title; it begins with the company if it has a name."""
        return str(self.document["title"])

    @property
    def lines(self) -> list[str]:
        """The text below the title, without the commands."""
        return [str(line) for line in _list(self.document["lines"])]

    @property
    def commands(self) -> list[str]:
        """What to type next."""
        return [str(line) for line in _list(self.document["commands"])]

    @property
    def bridge(self) -> str:
        """Which bridge sends it, and when: the last line."""
        return f"{self.document['bridge'] or 'scim_bridge'}, {self.at:%Y-%m-%d %H:%M} UTC"


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def document_of(
    notice: Notice, id: str, at: datetime, tenant: str, *, bridge: str | None, is_alone: bool
) -> JsonObject:
    """Return a notice as JSON.

    :param bridge: The URL at which Entra reaches this bridge.
    :param is_alone: Whether the bridge serves only this company, the one without a name.
    """
    of_tenant = "" if is_alone else f" --tenant {tenant}"
    document: dict[str, object] = {"id": id, "tenant": tenant, "at": at.isoformat(timespec="seconds"), "bridge": bridge}
    document |= asdict(notice)
    document["kind"], document["lines"] = notice.kind.value, list(notice.lines)
    document["title"] = notice.title if is_alone else f"{tenant}: {notice.title}"
    document["commands"] = [f"scim-bridge {each}{'' if each == 'doctor' else of_tenant}" for each in notice.commands]
    return document


class Channel(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """`webhook` or `mail`: notices that wait for it are stored under this name."""

    @property
    def place(self) -> str:
        """Where it leads, for operators; without a secret."""

    def send(self, message: Message) -> str:
        """Send a message, and return how the receiver answered. :raises NotSent: it was not accepted."""


Form = Literal["teams", "slack", "json"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts to an address, which is a secret."""

    url: str = field(repr=False)
    form: Form
    host: str
    sessions: Callable[[], requests.Session] = field(default_factory=lambda: pooled_sessions(1))
    name: str = "webhook"

    @property
    def place(self) -> str:
        """The host, which is all that may be shown of the address."""
        return f"{self.host} ({self.form})"

    def send(self, message: Message) -> str:
        """Post a message. A redirect is not followed: it could lead anywhere."""
        exchange = Exchange("the webhook", "NOTIFY__WEBHOOK_URL", SEND_SECONDS, time.monotonic(), time.monotonic)
        try:
            with exchange.translating():
                status, said = self._answer(message)
        except DeliveryError as error:
            raise NotSent(str(error)) from None  # The causes quote the address.
        except (OSError, ValueError) as error:
            cure = "look at the proxy and REQUESTS_CA_BUNDLE in the environment"
            raise NotSent(f"the webhook can't be called ({type(error).__name__}): {cure}") from None
        if status >= 300:
            raise NotSent(f"the webhook answered {status}{_code_in(said, self.url)}")
        return f"accepted ({status})"

    def _answer(self, message: Message) -> tuple[int, bytes]:
        """Post a message. Return the answer's status, and the beginning of its body if that tells of a failure."""
        with self.sessions().post(
            self.url,
            json=_BODIES[self.form](message),
            headers={"User-Agent": "scim_bridge"},
            timeout=SEND_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as response:
            status = response.status_code
            return status, response.raw.read1(MOST_READ, decode_content=True) if status >= 300 else b""


def _code_in(said: bytes, url: str) -> str:
    """Return the code in a receiver's answer, such as Slack's `no_service`; nothing else of it.

    Many servers repeat in a 404 what was asked for, and the address is a secret.
    """
    code: object = said.decode("utf-8", "replace").strip()
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        code = json.loads(said)["error"]["code"]
    return f": {code}" if isinstance(code, str) and _CODE.fullmatch(code) and code not in url else ""


_CODE = re.compile(r"[A-Za-z]+(_[A-Za-z]+)*")


def _teams(message: Message) -> JsonObject:
    """Return the message that a Teams workflow takes: an Adaptive Card. Its runs of text know no mark-up."""

    def block(text: str, **style: object) -> JsonObject:
        return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}

    body = [block(message.title, weight="Bolder", size="Medium"), *map(block, message.lines)]
    body += [block(each, fontType="Monospace") for each in message.commands]
    body.append(block(message.bridge, isSubtle=True, size="Small"))
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    content_type = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": content_type, "contentUrl": None, "content": card}]}


def _slack(message: Message) -> JsonObject:
    """Return the message of an incoming webhook of Slack, where &, < and > are mark-up."""

    def plain(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    lines = [f"*{plain(message.title)}*", *map(plain, message.lines)]
    lines += [f"`{plain(each)}`" for each in message.commands]
    return {"text": "\n".join([*lines, plain(message.bridge)])}


_BODIES: dict[Form, Callable[[Message], JsonObject]] = {
    "teams": _teams,
    "slack": _slack,
    "json": lambda message: message.document,
}

Tls = Literal["starttls", "tls", "none"]

PORTS: dict[Tls, int] = {"starttls": 587, "tls": 465, "none": 25}


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends through a mail server."""

    host: str
    sender: str
    recipients: Sequence[str]
    tls: Tls = "starttls"
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    seconds: float = SEND_SECONDS
    name: str = "mail"

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port or PORTS[self.tls]} ({self.tls})"

    def send(self, message: Message) -> str:
        """Send a mail to all recipients at once."""
        try:
            with closing(self._connected()) as server:
                if self.tls == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.username is not None and self.password is not None:
                    server.login(self.username, self.password)
                refused = server.send_message(self._mail(message), self.sender, list(self.recipients))
                with suppress(smtplib.SMTPException, OSError):
                    server.quit()  # What was accepted is accepted, whatever follows.
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotSent(f"the mail server {self.place}: {_why(error)}") from None
        if refused:
            return f"accepted, except for {len(refused)} of {len(self.recipients)} recipients"
        return "accepted"

    def _connected(self) -> "_InTime":
        port = self.port or PORTS[self.tls]
        if self.tls == "tls":
            return _InTimeOverTls(self.host, port, self.seconds, context=ssl.create_default_context())
        return _InTime(self.host, port, self.seconds)

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = f"scim_bridge: {message.title}"
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.recipients)
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        commands = ["", *(f"    {each}" for each in message.commands)] if message.commands else []
        mail.set_content("\n".join([*message.lines, *commands, "", message.bridge]) + "\n")
        return mail


class _InTime(smtplib.SMTP):
    """A connection that is broken when its time is over: the library's own limit counts for each line of an answer."""

    def __init__(self, host: str, port: int, seconds: float, **options: Any) -> None:
        self._over = threading.Timer(seconds, self._break)
        self._over.daemon = True
        self._over.start()
        name = socket.gethostname()
        try:
            # With a name of ours, the library asks no name server for one.
            super().__init__(host, port, name if "." in name else "[127.0.0.1]", timeout=seconds, **options)
        except BaseException:
            # Whatever ended it, the end of the process too: the timer is not needed any more.
            self._over.cancel()
            raise

    def close(self) -> None:
        self._over.cancel()
        super().close()

    def _break(self) -> None:
        if self.sock is not None:
            with suppress(OSError):
                # Of the socket itself: TLS would wait for the other side.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _InTimeOverTls(_InTime, smtplib.SMTP_SSL):
    """The same, over TLS from the first byte."""


def _why(error: Exception) -> str:
    """Return why a mail was not accepted. A server's own words may quote an address, so only its code is shown."""
    match error:
        case ssl.SSLCertVerificationError():
            return "its certificate is not trusted"
        case TimeoutError():
            return "no answer in time"
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({code for code, _ in error.recipients.values()})
            return f"it refused all recipients ({', '.join(map(str, codes))})"
        case smtplib.SMTPAuthenticationError():
            return f"it refused user name or password ({error.smtp_code})"
        case smtplib.SMTPResponseException():
            return f"it answered {error.smtp_code}"
        case smtplib.SMTPNotSupportedError():
            return "it does not offer what the settings ask for (STARTTLS, or signing in)"
        case smtplib.SMTPServerDisconnected():
            return "the connection broke"
        case UnicodeError():
            return "its name, the user name or the password has a letter that mail can't carry"
        case OSError():
            return "no connection could be made"
        case _:
            return type(error).__name__
