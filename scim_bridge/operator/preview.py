"""Preview the next delivery of a person on a copy in memory: Ditio is read as it is now, and nothing is sent."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from scim_bridge.delivery.deliver import deliver_person
from scim_bridge.domain.employee import ActualEmployee, EmployeeNumber
from scim_bridge.domain.operations import Answer, Operation, OperationName, call_for
from scim_bridge.domain.outcome import State
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BridgeError, NotFound, OperationMissing
from scim_bridge.logs import bound
from scim_bridge.operator.history import CERTIFICATES
from scim_bridge.plan.limits import HourlyLimits
from scim_bridge.storage.excerpt import excerpt_of
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.resources import document_of
from scim_bridge.storage.schema import in_memory
from scim_bridge.tenant import Budget, Ditio, Tenant, wanted_claims

ACCEPTED = 204
"""What Ditio would have answered: done, and no employee shown."""

UNLIMITED = HourlyLimits(max_ended_per_hour=10**9, max_ended_fraction=1.0)
"""The copy has no other people, so it can't count what they do within the hour."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call that would be made."""

    what: str
    """The name of an operation, or `certificates`."""

    employee_number: EmployeeNumber | None
    """None for certificates: each item names its own."""

    body: JsonObject | list[JsonObject]


@dataclass(slots=True)
class _Recorded:
    """A company's Ditio whose reads are real, and whose writes are only noted, as if Ditio had accepted them."""

    ditio: Ditio
    steps: list[Step] = field(default_factory=list)

    def permit(
        self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[None]:
        return self.ditio.permit(within=within, meanwhile=meanwhile)

    def get(self, number: EmployeeNumber, *, within: float | None = None) -> ActualEmployee | None:
        return self.ditio.get(number, within=within)

    def search(self, text: str, *, within: float | None = None) -> list[ActualEmployee]:
        return self.ditio.search(text, within=within)

    def check(self, *, within: float | None = None, renews: bool = True) -> None:
        self.ditio.check(within=within, renews=renews)

    def is_off(self, name: OperationName) -> bool:
        return self.ditio.is_off(name)

    def send(self, operation: Operation, number: EmployeeNumber, *, within: float | None = None) -> Answer:
        call = call_for(operation, number)
        if self.is_off(call.name):
            raise OperationMissing(f"the setting of the operation {call.name} is `off`", operation=call.name)
        self.steps.append(Step(call.name, number, call.body))
        return Answer(ACCEPTED)

    def post_certificates(self, items: Sequence[JsonObject], *, within: float | None = None) -> Answer:
        self.steps.append(Step(CERTIFICATES, None, list(items)))
        return Answer(ACCEPTED)


@dataclass(frozen=True, slots=True)
class Preview:
    """What the next delivery would do now."""

    steps: Sequence[Step]
    """In their order; empty if nothing would be sent."""

    record: PersonRecord
    """The person afterwards, if Ditio accepted every call."""

    @property
    def is_in_sync(self) -> bool:
        """Whether nothing would be sent because Ditio has everything already."""
        return not self.steps and self.record.state is State.delivered

    @property
    def why(self) -> str | None:
        """Return what would not be delivered, and why; None if nothing is left."""
        return self.record.detail


def preview_of(tenant: Tenant, person_id: PersonId, *, seconds: float) -> Preview:
    """Compute the next delivery of a person by the code that delivers, on a copy of what is stored about them.

    A pause, the breaker, and the guard that counts by the hour are left out: the copy has this person alone.

    :param seconds: How long reading Ditio may take.
    :raises NotFound: there is no such person, or Entra has deleted their user.
    :raises BridgeError: Ditio could not be read in time; the message says why.
    """
    with tenant.read() as s:
        record = s.people.get(person_id)
        user_id = record.person.user_id if record is not None else None
        document = document_of(s, user_id) if user_id is not None else None
        if record is None or document is None:
            raise NotFound("there is no preview: the person is not known, or Entra has deleted the user")
        now = s.now
        wanted = wanted_claims(tenant.desired(document, record.person, tenant.today(now)))
        excerpt = excerpt_of(
            s,
            user_id=user_id,
            user_name=str(document.get("userName")),
            wanted=sorted(wanted, key=lambda claim: claim.kind),
        )
    ditio, database, lease = _Recorded(tenant.ditio), in_memory(now), tenant.new_id()
    copy = replace(tenant, ditio=ditio, database=database, entra=None, is_paused=False, limits=UNLIMITED)
    try:
        with copy.write() as s:
            excerpt.put_into(s.connection)
        with copy.write() as s:
            s.outbox.mark_due(person_id, lease=lease, lease_seconds=copy.lease_seconds)
        budget = Budget(tenant.monotonic, tenant.monotonic() + seconds)
        with bound(preview=True):  # What is logged meanwhile did not happen.
            deliver_person(copy, person_id, lease, lease_seconds=copy.lease_seconds, budget=budget, cause="preview")
        with copy.read() as s:
            after = s.people.get(person_id)
    finally:
        database.close()
    if after is None:
        raise NotFound("there is no preview: the person would be forgotten, because nothing is left to deliver")
    if after.state is State.due:
        raise BridgeError(after.detail or "the preview did not end in time: try it again")
    return Preview(tuple(ditio.steps), after)
