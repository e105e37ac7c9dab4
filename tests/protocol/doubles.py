"""What stands behind the protocol while nothing but the protocol is tested."""

from typing import Any, cast
from uuid import uuid4

from scim_bridge.delivery.intake import Ticket
from scim_bridge.domain.audit import Actor, ActorKind, Author
from scim_bridge.plan.steps import Policy
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database
from scim_bridge.tenant import Tenant, build_rules

SOMEBODY = Actor(ActorKind.token, "a-token-id")
AUTHOR = Author(SOMEBODY, "request-1")


def a_tenant(name: str) -> Tenant:
    """A company with the settings that no one has changed, and without a Ditio."""
    rules = build_rules(Settings())
    return Tenant(name, rules, Policy(rules.owners(), [], []), cast(Any, None), cast(Any, None))


class NoIntake:
    """Notes what it was told. Makes no one due, unless it is given a ticket to hand out.

    :param database: Where certificates are kept, for a person who writes some.
    """

    def __init__(self, ticket: Ticket | None = None, database: Database | None = None, tenant: str = "default") -> None:
        self.database = database
        self.tenant = a_tenant(tenant)
        self.new_id = lambda: str(uuid4())
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

    def certificate_said(self, connection, person_id, what):
        return self._note(what, person_id)

    def user_deleted(self, connection, user_id, before):
        return self._note("deleted", user_id, before)

    def _note(self, *told: Any) -> Ticket | None:
        if self.refusal is not None:
            raise self.refusal
        self.told.append(told)
        return self.ticket
