"""What stands behind the protocol while nothing but the protocol is tested."""

from typing import Any

from scim_bridge.delivery.ticket import Ticket
from scim_bridge.domain.audit import Actor, ActorKind, Author

SOMEBODY = Actor(ActorKind.token, "a-token-id")
AUTHOR = Author(SOMEBODY, "request-1")


class NoIntake:
    """Notes what it was told. Makes nobody due, unless it is given a ticket to hand out."""

    def __init__(self, ticket: Ticket | None = None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.ticket = ticket
        self.refusal: Exception | None = None
        self.queues_only = False

    def user_created(self, connection, user_id, document):
        return self._note("created", user_id, document)

    def user_changed(self, connection, user_id, document, before):
        return self._note("changed", user_id, document, before)

    def user_repeated(self, connection, user_id):
        return self._note("repeated", user_id)

    def user_deleted(self, connection, user_id, before):
        return self._note("deleted", user_id, before)

    def _note(self, *told: Any) -> Ticket | None:
        if self.refusal is not None:
            raise self.refusal
        self.told.append(told)
        return self.ticket
