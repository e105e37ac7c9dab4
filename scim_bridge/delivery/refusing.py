"""What Ditio refused, in words for the administrator."""

from collections.abc import Iterator

from scim_bridge.delivery.outcome import Note
from scim_bridge.domain.delivery_state import Reason
from scim_bridge.domain.documents import JsonObject
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.operations import Operation
from scim_bridge.errors import PermanentError
from scim_bridge.mapping.to_ditio import call_for


def refusal(error: PermanentError, operation: Operation | None = None) -> Note:
    """Ditio's words. About a field that was not sent they mean missing data, not a refusal (rule H3).

    :param operation: What was refused; None for a read.
    """
    is_missing = error.field is not None and operation is not None and error.field not in _sent(operation)
    return Note(f"{error}: {error.words}", Reason.incomplete if is_missing else Reason.refused)


def _sent(operation: Operation) -> frozenset[str]:
    return frozenset(_names(call_for(operation, EmployeeNumber("0")).body)) | {"employeeNumber"}


def _names(body: JsonObject) -> Iterator[str]:
    for name, value in body.items():
        yield name
        if isinstance(value, dict):
            yield from _names(value)
