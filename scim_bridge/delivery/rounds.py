"""What a read tells of values that Ditio took from us: believed late enough, remembered, and told (rules C2, C5)."""

from collections.abc import Mapping

from scim_bridge.delivery.acknowledging import acknowledge
from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.outcome import Note
from scim_bridge.domain.employee import EMPLOYMENT_FIELDS, EmployeeNumber, Field, FoundEmployee, Value
from scim_bridge.domain.operations import CreateEmployment
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import Taking
from scim_bridge.errors import DeliveryError
from scim_bridge.plan import readback
from scim_bridge.plan.diff import Change
from scim_bridge.plan.readback import believed
from scim_bridge.plan.steps import Plan

LONGEST_SHOWN = 60
"""Characters of a value that a note quotes."""


def believed_now(errand: Errand, found: FoundEmployee) -> FoundEmployee:
    """What was just read; what Ditio took a moment ago stands in for it (rule C5)."""
    known = errand.person.acknowledged
    if not (known.takings or known.changed_at):
        return found
    return believed(found, known, errand.now(), errand.tenant.read_lag_seconds)


def before_writing(errand: Errand, found: FoundEmployee, plan: Plan) -> dict[Field, Value | None]:
    """What was there before what is about to be sent; a new employment has nothing of the one before."""
    values = {**errand.person.acknowledged.values, **found.values}
    is_new = any(isinstance(operation, CreateEmployment) for operation in plan.standing)
    return {name: value for name, value in values.items() if not (is_new and name in EMPLOYMENT_FIELDS)}


def read_back(errand: Errand, number: EmployeeNumber, before: Mapping[Field, Taking]) -> None:
    """Look at values that had to be sent again, so that the next edit by hand is not taken for Ditio's form.

    Only here a write is read back: a value that is sent for the first time is looked at by the next delivery. A read
    that fails changes nothing: the next one tells the same.

    :param before: How these values were taken before they were sent again.
    """
    known = errand.person.acknowledged
    again = {name: known.takings[name] for name in before if known.takings.get(name, before[name]) is not before[name]}
    if not again or not errand.budget.allows_write():
        return
    try:
        found = errand.get(number)
    except DeliveryError:
        return
    if found is not None and (learned := readback.read_back(again, known.values, found.values)):
        acknowledge(errand, learned=learned)


def stuck_note(change: Change) -> Note:
    """A field that Ditio changes each time, for the administrator who has to decide whose value counts."""
    return Note(
        f"Ditio keeps changing {change.field}: it took {_shown(change.wanted)} {readback.MAX_ROUNDS} times and shows "
        f"{_shown(change.found)}. Write it in Entra as Ditio shows it, or leave the field to Ditio (MAPPING__FIELDS, "
        f'owner "ditio"), then run `scim-bridge outbox retry`.',
        Reason.not_converging,
    )


def _shown(value: Value | None) -> str:
    if value is None:
        return "nothing"
    text = str(value)
    return f'"{text[:LONGEST_SHOWN]}…"' if len(text) > LONGEST_SHOWN else f'"{text}"'
