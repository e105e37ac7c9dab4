"""A plan, cut down to the differences that are to be repaired (rule Q3)."""

from scim_bridge.domain.drift import LOGIN, Drift, Kind
from scim_bridge.domain.employee import EMPLOYMENT_FIELDS, Field
from scim_bridge.domain.operations import (
    CreateEmployment,
    Disable,
    Enable,
    EndEmployment,
    Operation,
    UpdateEmployee,
    UpdateEmployment,
)
from scim_bridge.plan.changes import Rounds
from scim_bridge.plan.drift import fields_of
from scim_bridge.plan.steps import Plan, Seen


def restricted(plan: Plan, items: tuple[Drift, ...]) -> Plan:
    """The plan with the operations that make these differences good, and no others.

    A new employment brings its department along: it has nothing of the one before (rule L4).
    """
    kinds = {(item.kind, item.field) for item in items}
    standing = tuple(operation for operation in plan.standing if _key(operation) in kinds)
    fields = {name for kind, name in kinds if kind is Kind.field and name is not None}
    if any(isinstance(operation, CreateEmployment) for operation in standing):
        fields |= {name.value for name in EMPLOYMENT_FIELDS}
    changes = tuple(kept for operation in plan.changes if (kept := _only(operation, fields)) is not None)
    repeated = {name: taking for name, taking in plan.rounds.repeated.items() if name.value in fields}
    return Plan(standing, changes, Seen(), Rounds(repeated=repeated))


def _key(operation: Operation) -> tuple[Kind, str | None]:
    match operation:
        case Disable():
            return Kind.should_be_inactive, LOGIN
        case EndEmployment():
            return Kind.should_be_inactive, Field.end_date.value
        case Enable():
            return Kind.should_be_active, LOGIN
        case CreateEmployment():
            return Kind.should_be_active, Field.start_date.value
    raise AssertionError(f"{operation} is no step of leaving or returning")


def _only(operation: Operation, fields: set[str]) -> Operation | None:
    kept = {name: value for name, value in fields_of(operation).items() if name.value in fields}
    if not kept:
        return None
    match operation:
        case UpdateEmployee():
            return UpdateEmployee(kept)
        case UpdateEmployment():
            return UpdateEmployment(kept)
    return operation
