"""A difference between what is wanted and what Ditio has."""

from dataclasses import dataclass

from scim_bridge.domain.employee import Field, Value


@dataclass(frozen=True, slots=True)
class Change:
    """One field that has to change. `wanted` None clears it."""

    field: Field
    wanted: Value | None
    found: Value | None
