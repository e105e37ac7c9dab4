"""How notices reach operators: at least once, once to each channel as far as possible, and never in the way."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from scim_bridge.notify import words
from scim_bridge.notify.channels import Message, NotSent, document_of
from scim_bridge.notify.sending import Notifier
from scim_bridge.storage.admin_tables import notice_messages
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.notify.conftest import Watching, another, by_mail
from tests.notify.receivers import MailServer, Receiver, receiving
from tests.world import a_user


@pytest.fixture
def both(database: Database, clock: Clock, receiver: Receiver, mail: MailServer) -> Watching:
    """A world with both channels, and a person who has waited for two hours."""
    world = Watching(database, clock, settings={"notify": {"webhook_url": receiver.url, **by_mail(mail)}})
    world.provisions(a_user(mobile=None))
    clock.passes(hours=2)
    return world


def waiting_messages(database: Database) -> list[str]:
    with database.read("default") as s:
        return list(s.connection.execute(select(notice_messages.c.channel)).scalars())


def test_each_channel_gets_it_once(both: Watching, receiver: Receiver, mail: MailServer):
    """Issue 18, 5: at a real receiver, by HTTP and by SMTP, with the same id."""
    both.looks(5)
    (posted,), (mailed,) = receiver.got, mail.got
    assert posted["kind"] == "waiting"
    assert str(mailed["Message-ID"]) == f"<{posted['id']}@contractor.example>"
    assert posted["title"] in str(mailed["Subject"])
    assert mail.recipients == [["operations@contractor.example"]]
    text = mailed.get_content()
    assert all(line in text for line in posted["lines"])
    assert all(command in text for command in posted["commands"])
    assert waiting_messages(both.database) == []


def test_a_receiver_that_is_down_gets_it_later_and_once(both: Watching, receiver: Receiver, mail: MailServer):
    """The other channel does not wait for it, and gets it once."""
    receiver.status = 503
    both.looks(60)
    assert len(mail.got) == 1
    assert 3 <= len(receiver.got) <= 8  # Ever more seldom.
    assert waiting_messages(both.database) == ["webhook"]

    receiver.status = 200
    both.waits(minutes=15)
    tries = len(receiver.got)
    assert len({each["id"] for each in receiver.got}) == 1
    both.looks(60)
    assert len(receiver.got) == tries
    assert len(mail.got) == 1
    assert waiting_messages(both.database) == []


def test_what_was_over_before_it_could_be_sent_comes_all_the_same(both: Watching, receiver: Receiver, clock: Clock):
    """At least once: a receiver that was down for a night says what the night was like."""
    receiver.status = 500
    both.looks()
    (kari,) = both.entra.directory.users.values()
    both.changes(kari, mobile="+47 987 65 432")
    assert both.state(kari)[0] == "delivered"
    both.looks()
    receiver.got.clear()
    receiver.status = 200
    both.waits(minutes=15)
    assert receiver.kinds() == ["waiting"]


def test_a_week_later_no_one_needs_it(both: Watching, receiver: Receiver):
    receiver.status = 500
    both.looks()
    both.clock.passes(days=8)
    receiver.status = 200
    receiver.got.clear()
    both.looks()
    assert receiver.got == []
    assert waiting_messages(both.database) == []


def test_once_a_receiver_works_again_the_oldest_comes_first(both: Watching, receiver: Receiver):
    """What waits for its next attempt does not wait any longer."""
    receiver.status = 500
    both.looks(3)
    for number in (2, 3):
        both.provisions(another(number, mobile=None))
        both.waits(hours=3)
    receiver.status = 200
    receiver.got.clear()
    both.waits(minutes=15)
    assert [each["at"] for each in receiver.got] == sorted(each["at"] for each in receiver.got)
    assert len(receiver.got) == len({each["id"] for each in receiver.got}) > 1


def test_one_of_several_processes_sends(both: Watching, receiver: Receiver):
    """Each has its turn, in whatever order they look."""
    notifiers = [both.parts.notifiers["default"], both._build().notifiers["default"]]
    for _ in range(6):
        for each in notifiers:
            each.look()
        both.clock.passes(seconds=5)
    assert len(receiver.got) == 1


class Dies(BaseException):
    """The process ends here."""


class Mortal:
    """A channel whose process dies when the receiver has accepted."""

    name = "webhook"
    place = "here"

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def send(self, message: Message) -> str:
        self._channel.send(message)
        raise Dies


def test_a_process_that_dies_between_sending_and_storing_is_followed_by_another(both: Watching, receiver: Receiver):
    """At least once: the receiver knows the repetition by its id. A killed process gives no turn back."""
    whole = both.parts.notifiers["default"]
    webhook, mail = whole.channels

    dying = Notifier(whole.tenant, whole.watched, [Mortal(webhook), mail])
    with both.database.write("default") as s:
        # As a process that is killed in its turn.
        assert s.schedules.take("notices", "killed", every_seconds=0, alive_seconds=30)
    dying.look()
    assert receiver.got == []
    both.clock.passes(seconds=31)
    with pytest.raises(Dies):
        dying.look()
    both.looks(4)
    assert [each["id"] for each in receiver.got] == [receiver.got[0]["id"]] * 2
    assert waiting_messages(both.database) == []


def test_what_waits_for_a_channel_that_is_no_longer_set_is_removed(both: Watching, receiver: Receiver):
    receiver.status = 500
    both.looks()
    assert waiting_messages(both.database) == ["webhook"]
    both.restarts_with(notify={})
    both.parts.notifiers["default"].tidy()
    assert waiting_messages(both.database) == []


def test_a_notice_says_which_company_it_is_about():
    """So does each command to type."""
    notice = words.of_trouble(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
    at = datetime(2026, 3, 2, 8, 1, tzinfo=UTC)
    told = document_of(notice, "1", at, "nord", bridge=None, is_alone=False)
    assert str(told["title"]).startswith("nord: ")
    assert told["commands"] == ["scim-bridge outbox status --tenant nord", "scim-bridge doctor"]


def test_a_redirect_is_not_followed(both: Watching, receiver: Receiver):
    """It could lead into the company's own network."""
    with receiving() as elsewhere:
        receiver.status, receiver.location = 307, elsewhere.url
        (webhook, _) = both.parts.notifiers["default"].channels
        both.looks()
        assert elsewhere.got == []
    assert webhook.name == "webhook"
    assert waiting_messages(both.database) == ["webhook"]


def test_a_failure_shows_no_secret(both: Watching, receiver: Receiver, caplog: pytest.LogCaptureFixture):
    """The address is a secret; `doctor` and the log say what the receiver answered."""
    receiver.status, receiver.said = 404, b"Cannot POST /hooks/a-secret-of-the-webhook"
    both.looks()
    with both.database.read("default") as s:
        (unsent,) = s.notices.unsent()
    assert (unsent.channel, unsent.count) == ("webhook", 1)
    assert unsent.why == "the webhook answered 404"
    assert "a-secret-of-the-webhook" not in caplog.text + unsent.why

    receiver.server.shutdown()
    receiver.server.server_close()
    (webhook, _) = both.parts.notifiers["default"].channels
    document = {"id": "x", "title": "x", "lines": [], "commands": [], "bridge": None}
    with pytest.raises(NotSent) as found:
        webhook.send(Message("x", both.clock.now, document))
    assert "a-secret-of-the-webhook" not in str(found.value) + repr(found.value) + repr(webhook)
    assert found.value.__cause__ is None
