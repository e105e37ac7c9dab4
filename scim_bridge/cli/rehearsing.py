"""What a SCIM user would cause: the whole bridge, on a database that is thrown away, with Ditio's writes kept back.

It is the bridge's own path from the request to the call, so that what it shows is what would be sent.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import requests
from pydantic import SecretStr

from scim_bridge import logs
from scim_bridge.bootstrap import Parts, build
from scim_bridge.ditio.dry_run import Rehearsal, WouldBeSent
from scim_bridge.domain.delivery_state import State
from scim_bridge.domain.documents import JsonObject, UserId
from scim_bridge.domain.employee import Wish
from scim_bridge.errors import BridgeError, NotFound
from scim_bridge.settings import Settings
from scim_bridge.storage import schema
from scim_bridge.storage.database import Database
from scim_bridge.storage.documents import document_of
from scim_bridge.storage.excerpt import Excerpt
from scim_bridge.storage.people import People
from scim_bridge.storage.person_rows import Record
from scim_bridge.storage.tokens import Tokens
from scim_bridge.web.app import create_app

NOWHERE = "https://ditio.invalid"
"""Stands for Ditio's address where none is set; nothing is sent there."""


class Refused(BridgeError):
    """The bridge does not take this user; the message has the status and what Entra would be told."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How it went."""

    document: JsonObject
    """The user, as the bridge would keep it."""

    wish: Wish
    record: Record
    """The person afterwards, if everything that would be sent had been taken."""

    calls: tuple[WouldBeSent, ...]


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """Rehearses what one request would cause.

    :param settings: Those of the tenant, as if there were no other.
    :param reads: Makes sessions on which Ditio is read; None where it is not to be.
    """

    settings: Settings
    tenant: str
    reads: Callable[[], requests.Session] | None = None

    def user(self, body: bytes, known: Excerpt | None = None) -> Rehearsed:
        """What a SCIM user would cause, sent as Entra would send it.

        :param known: What the bridge knows of the people concerned; None: nobody.
        :raises Refused: the bridge would answer 4xx.
        :raises BridgeError: Ditio can't be read.
        """
        database = Database("sqlite://")
        try:
            schema.upgrade(database)
            rehearsal = Rehearsal(
                self.settings.ditio.api_url or NOWHERE, self.settings.ditio.identity_url or NOWHERE, self.reads
            )
            parts = build(self._settings(), database=database, session_factory=rehearsal.session)
            if known is not None:
                with database.write() as connection:
                    known.put_into(connection)
            with logs.rehearsal():
                return self._sent(parts, body, known.user_id if known else None, rehearsal)
        finally:
            database.close()

    def _sent(self, parts: Parts, body: bytes, known: UserId | None, rehearsal: Rehearsal) -> Rehearsed:
        user_id = self._accepted(parts, body, known)
        with parts.database.read() as connection:
            document = document_of(connection, self.tenant, user_id) or {}
            before = People(connection, self.tenant).of_user(user_id)
            tenant, person = parts.tenants[self.tenant], before.person if before else None
            wish = tenant.wish(document, person, tenant.today(parts.database.now(connection)))
        parts.worker(places=1).run_until_idle()
        with parts.database.read() as connection:
            record = People(connection, self.tenant).of_user(user_id)
        if record is None:
            raise NotFound("another user has taken this one's person over, and he is inactive: nothing is sent")
        if record.state is State.due:
            raise BridgeError(record.detail or "the delivery did not come to an end")
        return Rehearsed(document, wish, record, tuple(rehearsal.kept_back))

    def _accepted(self, parts: Parts, body: bytes, known: UserId | None) -> UserId:
        """The id of the user, once the request is answered as Entra's would be."""
        secret = secrets.token_urlsafe()
        with parts.database.write() as connection:
            now = parts.database.now(connection)
            Tokens(connection, self.tenant).add("rehearsal", "rehearsal", secret, now=now, expires_at=None)
        answer = (
            create_app(parts)
            .test_client()
            .open(
                f"/tenants/{self.tenant}/scim/v2/Users" + (f"/{known}" if known else ""),
                method="PUT" if known else "POST",
                data=body,
                headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/scim+json"},
            )
        )
        document = answer.get_json()
        if answer.status_code not in (200, 201):
            raise Refused(f"the bridge would answer {answer.status_code}: {document.get('detail')}")
        return UserId(document["id"])

    def _settings(self) -> Settings:
        """The settings, but that everything is delivered afterwards, and by a worker: it has the time that it takes."""
        return self.settings.each(self._delivering_afterwards)

    def _delivering_afterwards(self, settings: Settings) -> Settings:
        ditio, delivery = settings.ditio, settings.delivery
        if self.reads is None:
            unset = {"api_url": NOWHERE, "identity_url": NOWHERE, "client_id": "-", "client_secret": SecretStr("-")}
            given = {name: value for name, value in unset.items() if getattr(ditio, name) is None}
            ditio = ditio.model_copy(update=given)
        return settings.model_copy(
            update={
                "ditio": ditio,
                "delivery": delivery.model_copy(update={"inline_seconds": 0.0, "on_incomplete": "hold"}),
            }
        )
