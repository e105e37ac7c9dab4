"""The forms of a notice, and mail servers: encrypted, with a password, slow, and refusing."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scim_bridge.notify import words
from scim_bridge.notify.channels import Form, Mail, Message, NotSent, Webhook, document_of
from tests.notify.receivers import Receiver, taking_mail

AT = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def a_message() -> Message:
    notice = words.Notice(
        words.Kind.guard, "The guard holds <5> & more", ["a_b *c*", "two"], ["outbox list"], {"ending": 5}
    )
    document = document_of(notice, "id-1", AT, "default", bridge="https://scim.example.com", is_alone=True)
    return Message("id-1", AT, document)


def posted(receiver: Receiver, form: Form) -> dict[str, Any]:
    webhook = Webhook(receiver.url, form, "127.0.0.1")
    assert webhook.send(a_message()) == "accepted (202)"
    return receiver.got[-1]


def test_json_is_the_notice(receiver: Receiver):
    """For a program: kind, counts and ids have names of their own."""
    assert posted(receiver, "json") == {
        "id": "id-1",
        "tenant": "default",
        "at": "2026-03-02T08:00:00+00:00",
        "bridge": "https://scim.example.com",
        "kind": "guard",
        "title": "The guard holds <5> & more",
        "lines": ["a_b *c*", "two"],
        "commands": ["scim-bridge outbox list"],
        "counts": {"ending": 5},
        "ids": {},
    }


def test_slack_gets_text_without_foreign_mark_up(receiver: Receiver):
    """Slack: & and the angle brackets are mark-up; `<!channel>` would call everyone."""
    told = posted(receiver, "slack")
    assert list(told) == ["text"]
    assert "*The guard holds &lt;5&gt; &amp; more*" in told["text"]
    assert "`scim-bridge outbox list`" in told["text"]


def test_teams_gets_an_adaptive_card(receiver: Receiver):
    """The message of a Teams workflow: one attachment, whose content is the card."""
    told = posted(receiver, "teams")
    (attachment,) = told["attachments"]
    assert (told["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    texts = [run["text"] for block in card["body"] for run in block["inlines"]]
    assert texts[:4] == ["The guard holds <5> & more", "a_b *c*", "two", "scim-bridge outbox list"]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"no_service", ": no_service"),
        (b'{"error":{"code":"DirectApiAuthorizationRequired","message":"..."}}', ": DirectApiAuthorizationRequired"),
        (b'{"error":{"code":"/hooks/a-secret-of-the-webhook"}}', ""),
        (b"hooks", ""),
        (b"no\x1b[31m", ""),
        (b"[" * 1024, ""),
        (b"\xff\xfe", ""),
        (b"", ""),
    ],
)
def test_of_an_answer_only_a_code_is_shown(said: bytes, shown: str, receiver: Receiver):
    """A 404 often repeats the address that was asked for, and that is a secret."""
    receiver.status, receiver.said = 403, said
    with pytest.raises(NotSent) as found:
        posted(receiver, "json")
    assert str(found.value) == f"the webhook answered 403{shown}"


def test_a_webhook_has_a_limited_time(receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    """A receiver that takes the notice and says nothing is a failure."""
    monkeypatch.setattr("scim_bridge.notify.channels.SEND_SECONDS", 0.3)
    receiver.holds.clear()
    with pytest.raises(NotSent, match="no answer in time"):
        Webhook(receiver.url, "json", "127.0.0.1").send(a_message())


def test_a_webhook_that_never_ends_its_answer_is_left(monkeypatch: pytest.MonkeyPatch):
    """Each of its bytes comes in time; while it is awaited, no other company's notices are sent."""
    monkeypatch.setattr("scim_bridge.notify.channels.SEND_SECONDS", 0.5)
    with dribbling(b"H", 0.05) as port:
        began = time.monotonic()
        with pytest.raises(NotSent, match="no answer in time"):
            Webhook(f"http://127.0.0.1:{port}/a-secret", "json", "127.0.0.1").send(a_message())
        assert time.monotonic() - began < 10


def test_what_the_environment_makes_impossible_is_a_failure_too(monkeypatch: pytest.MonkeyPatch):
    """Neither is an error of HTTP or SMTP; as any other, it ended the turn, so the next channel got nothing."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/is/not/there.pem")
    with pytest.raises(NotSent, match="REQUESTS_CA_BUNDLE") as found:
        Webhook("https://127.0.0.1:1/a-secret", "json", "127.0.0.1").send(a_message())
    assert "a-secret" not in str(found.value)
    with pytest.raises(NotSent, match="letter"):
        Mail("mail..contractor.example", "b@c.example", ["ops@contractor.example"], "none").send(a_message())


def a_certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's certificate of its own, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    no_password = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, file


def a_mail(port: int, **changes: Any) -> Mail:
    settings = {"tls": "none", "port": port, **changes}
    return Mail("127.0.0.1", "bridge@contractor.example", ["ops@contractor.example"], **settings)


def test_mail_goes_encrypted_and_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """STARTTLS with a certificate that this machine trusts, then signing in."""
    context, file = a_certificate(tmp_path, "trusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with taking_mail(tls=context, password="a-password") as server:
        mail = a_mail(server.port, tls="starttls", username="bridge", password="a-password")
        assert mail.send(a_message()) == "accepted"
        (got,) = server.got
        assert got["Auto-Submitted"] == "auto-generated"
        with pytest.raises(NotSent, match="535"):
            a_mail(server.port, tls="starttls", username="bridge", password="wrong-one").send(a_message())


def test_a_certificate_that_is_not_trusted_ends_it(tmp_path: Path):
    """Nothing is sent then: no password and no notice."""
    context, _ = a_certificate(tmp_path, "unknown")
    with taking_mail(tls=context) as server:
        with pytest.raises(NotSent, match="not trusted"):
            a_mail(server.port, tls="starttls").send(a_message())
        assert server.got == []


def test_a_server_without_starttls_gets_nothing():
    """It may have been taken out on the way."""
    with taking_mail() as server:
        with pytest.raises(NotSent, match="STARTTLS"):
            a_mail(server.port, tls="starttls", username="bridge", password="a-password").send(a_message())
        assert server.got == []


def test_what_a_mail_server_refuses_is_told_without_addresses():
    with taking_mail() as server:
        server.refuses = "554 ops@contractor.example is on a list"
        with pytest.raises(NotSent) as found:
            a_mail(server.port).send(a_message())
        assert "554" in str(found.value)
        assert "ops@" not in str(found.value)
        server.refuses, server.refused_recipient = "", "ops@contractor.example"
        with pytest.raises(NotSent, match=r"all recipients \(550\)"):
            a_mail(server.port).send(a_message())
        several = Mail("127.0.0.1", "b@c.example", ["ops@contractor.example", "x@c.example"], "none", server.port)
        assert "1 of 2" in several.send(a_message())
    with pytest.raises(NotSent, match="no connection"):
        a_mail(server.port).send(a_message())


@contextmanager
def dribbling(said: bytes, seconds: float) -> Iterator[int]:
    """A server that says something again and again, and comes to no end before the test does."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def go_on() -> None:
        connection, _ = listener.accept()
        with connection:
            ends_at = time.monotonic() + 20
            while not over.is_set() and time.monotonic() < ends_at:
                try:
                    connection.sendall(said)
                except OSError:
                    return
                over.wait(seconds)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        thread.join(10)
        listener.close()


@pytest.mark.parametrize("said", [b"2", b"220-more\r\n"])
def test_a_mail_server_that_never_ends_is_left(said: bytes):
    """Each of its bytes comes in time; the limit is for the whole."""
    with dribbling(said, 0.05) as port:
        began = time.monotonic()
        with pytest.raises(NotSent):
            a_mail(port, seconds=0.5).send(a_message())
        assert time.monotonic() - began < 10
