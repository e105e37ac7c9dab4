"""A refused step that has been taken already: every step of leaving and returning is tolerant of that (rule L6)."""

from collections.abc import Mapping

from scim_bridge.delivery.acknowledging import acknowledge
from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.holders import is_theirs
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.operations import CreateEmployment, Disable, Enable, EndEmployment, Operation
from scim_bridge.domain.person import Standing
from scim_bridge.plan.readback import is_recent
from scim_bridge.plan.steps import plan_person

_STANDING: Mapping[type[Operation], Standing] = {
    Disable: Standing.login,
    Enable: Standing.login,
    EndEmployment: Standing.employment,
    CreateEmployment: Standing.employment,
}


def is_so_already(errand: Errand, operation: Operation, number: EmployeeNumber) -> bool:
    """Whether a refused step has been taken already: ending an employment may have closed the login, for one.

    Only what Ditio shows proves it, and not while a read may still show the time before our last write (rule C5).
    """
    standing = _STANDING.get(type(operation))
    if standing is None:
        return False
    changed_at = errand.person.acknowledged.changed_at.get(standing)
    if changed_at is not None and is_recent(changed_at, errand.now(), errand.tenant.read_lag_seconds):
        return False
    found = errand.get(number)
    if found is None or not is_theirs(errand, found):
        return False
    plan = plan_person(errand.person, errand.wish, found, errand.tenant.policy, today=errand.today)
    if any(type(each) is type(operation) for each in plan.standing):
        return False
    acknowledge(errand, plan.seen.values, login=plan.seen.login, employed=plan.seen.employed)
    return True
