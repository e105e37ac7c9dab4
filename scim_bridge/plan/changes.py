"""A difference between what is wanted and what Ditio has."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scim_bridge.domain.employee import Field, Value
from scim_bridge.domain.person import Taking


@dataclass(frozen=True, slots=True)
class Change:
    """One field that has to change. `wanted` None clears it."""

    field: Field
    wanted: Value | None
    found: Value | None


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a read tells of values that Ditio took from us earlier (rule C2)."""

    learned: Mapping[Field, Taking] = field(default_factory=dict)
    """To be remembered: a value or its form was shown, or it is not sent any more."""

    repeated: Mapping[Field, Taking] = field(default_factory=dict)
    """To be sent again, and remembered once Ditio has taken it."""

    stuck: tuple[Change, ...] = ()
    """What Ditio keeps changing."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What needs no operation, because Ditio shows it as wanted already: to be acknowledged (rule L6)."""

    login: bool | None = None
    employed: bool | None = None
    values: Mapping[Field, Value | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to acknowledge."""
        return self.login is not None or self.employed is not None or bool(self.values)
