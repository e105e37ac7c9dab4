"""A small world whose operators get notices."""

from collections.abc import Iterator
from typing import Any

import pytest

from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.notify.receivers import MailServer, Receiver, receiving, taking_mail
from tests.world import World, a_user


class Watching(World):
    """A world in which a worker looks for notices now and then."""

    def looks(self, times: int = 1) -> None:
        """The worker's turn comes, and comes again."""
        for _ in range(times):
            self.clock.passes(seconds=15)
            self.parts.notifiers["default"].look()

    def waits(self, **span: float) -> None:
        """Time passes, and the worker looks at the end of it."""
        self.clock.passes(**span)
        self.looks()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with taking_mail() as mail:
        yield mail


def by_mail(mail: MailServer, **more: Any) -> dict[str, Any]:
    """The settings of a mail server on loopback."""
    return {
        "smtp_host": "127.0.0.1",
        "smtp_port": mail.port,
        "smtp_tls": "none",
        "smtp_from": "scim-bridge@contractor.example",
        "smtp_to": ["operations@contractor.example"],
        **more,
    }


def another(number: int, **changes: Any) -> EntraUser:
    """One of several people."""
    mail = f"person{number}@contractor.example"
    own: dict[str, Any] = {
        "object_id": f"5d1f3c0e-0000-4000-8000-00000000{number:04d}",
        "employee_id": str(2000 + number),
        "mobile": f"+47 987 6{number:04d}",
    }
    return a_user(**{"user_principal_name": mail, "mail": mail, **own, **changes})


@pytest.fixture
def world(database: Database, clock: Clock, receiver: Receiver) -> Watching:
    return Watching(database, clock, settings={"notify": {"webhook_url": receiver.url}})
