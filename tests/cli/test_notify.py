"""`scim-bridge notify test`, and what `doctor` says of notices."""

import json
from collections.abc import Iterator

import pytest

from scim_bridge.storage.database import Database
from scim_bridge.storage.notices import Queued
from tests.cli.conftest import Run
from tests.notify.receivers import MailServer, Receiver, receiving, taking_mail


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with taking_mail() as mail:
        yield mail


def settings(receiver: Receiver, mail: MailServer) -> dict[str, str]:
    names = {
        "WEBHOOK_URL": receiver.url,
        "WEBHOOK_FORMAT": "json",
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(mail.port),
        "SMTP_TLS": "none",
        "SMTP_FROM": "bridge@contractor.example",
        "SMTP_TO": '["ops@contractor.example"]',
    }
    return {f"SCIM_BRIDGE_NOTIFY__{name}": text for name, text in names.items()}


def test_a_test_reaches_each_channel(run: Run, receiver: Receiver, mail: MailServer):
    """It needs neither Ditio nor a database: the notices may be set up first."""
    result = run("notify", "test", "--format", "json", **settings(receiver, mail))

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [(each["channel"], each["result"]) for each in told] == [("webhook", "sent"), ("mail", "sent")]
    assert receiver.kinds() == ["test"]
    assert len(mail.got) == 1


def test_a_channel_that_fails_is_named_and_the_others_are_tested(run: Run, receiver: Receiver, mail: MailServer):
    """Exit 1. The address of the webhook is a secret."""
    receiver.status, receiver.said = 404, b"no_service"
    result = run("notify", "test", **settings(receiver, mail))

    assert result.exit_code == 1
    assert "404" in result.stdout
    assert "no_service" in result.stdout
    assert "a-secret-of-the-webhook" not in result.output
    assert len(mail.got) == 1


def test_without_a_channel_it_says_what_to_set(run: Run):
    result = run("notify", "test")

    assert result.exit_code == 1
    assert "NOTIFY__WEBHOOK_URL" in result.stderr


def test_half_a_mail_server_is_said(run: Run):
    result = run("notify", "test", SCIM_BRIDGE_NOTIFY__SMTP_HOST="smtp.example.com")

    assert result.exit_code == 1
    assert "NOTIFY__SMTP_FROM" in result.stderr


def notices_of_doctor(run: Run, **environment: str) -> list[tuple[str, str]]:
    result = run("doctor", "--format", "json", **environment)
    found = [each for each in json.loads(result.stdout) if each["check"] == "notices"]
    return [(each["status"], f"{each['detail']} {each['cure']}") for each in found]


def test_doctor_says_whether_notices_arrive(run: Run, database: Database, receiver: Receiver, mail: MailServer):
    """Nothing where none is set; what a receiver answered where one fails, and since when."""
    assert notices_of_doctor(run) == []
    ((status, told),) = notices_of_doctor(run, **settings(receiver, mail))
    assert status == "ok"
    assert "webhook (json), mail" in told
    with database.write("default") as s:
        queued = Queued("webhook", "1", s.now, {})
        s.notices.queue(queued)
        s.notices.postpone(queued, seconds=30, why="the webhook answered 404")

    ((status, told),) = notices_of_doctor(run, **settings(receiver, mail))
    assert status == "fails"
    assert "404" in told
    assert "`scim-bridge notify test`" in told
    assert [status for status, _ in notices_of_doctor(run, SCIM_BRIDGE_NOTIFY__SMTP_HOST="x.example")] == [
        "fails",
        "fails",
        "fails",
    ]
