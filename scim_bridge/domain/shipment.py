"""A certificate on its way to Ditio."""

from dataclasses import dataclass

from scim_bridge.domain.certificate import Certificate, Line
from scim_bridge.domain.employee import EmployeeNumber


@dataclass(frozen=True, slots=True)
class Shipment:
    """One certificate to be sent."""

    line: Line
    employee_number: EmployeeNumber
    certificate: Certificate
    """As it is to be sent, with an end; of a withdrawal the day of issue counts."""

    is_withdrawal: bool = False


@dataclass(frozen=True, slots=True)
class Unsendable:
    """A certificate that can't be sent as it is, and why."""

    line: Line
    why: str
