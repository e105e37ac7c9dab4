"""What intake hands to the request that waits: whom to deliver, and what may be taken back."""

from dataclasses import dataclass, replace

from scim_bridge.delivery.undo import Undoable
from scim_bridge.domain.employee import Problem
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import BridgeError
from scim_bridge.storage.resources import StoredResource


@dataclass(frozen=True, slots=True)
class Ticket:
    """What to deliver once the transaction is committed."""

    person_id: PersonId
    lease: str | None
    """This request's own lease on the due mark; None when there is nothing to deliver while it waits."""

    lease_seconds: float = 0.0
    undoable: Undoable | None = None
    """What may be taken back if Ditio refuses it while the request waits; None for what never is (rule R1)."""

    def over(self, before: StoredResource, version: int) -> "Ticket":
        """The same, of a write that replaced a document, which has this version now."""
        if self.undoable is None:
            return self
        return replace(self, undoable=replace(self.undoable, document=before, version=version))


class IncompleteRefused(BridgeError):
    """`DELIVERY__ON_INCOMPLETE` is `refuse`, and required values are missing or unusable (rule H3)."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems
