"""What the configuration says about the steps of leaving and returning, and about owners (rules H5, L4, L5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scim_bridge.domain.employee import Field
from scim_bridge.domain.ownership import Owner


class Step(StrEnum):
    """A step of `DELIVERY__OFFBOARDING` or `DELIVERY__REHIRING`."""

    end_employment = "end-employment"
    disable = "disable"
    enable = "enable"
    create_employment = "create-employment"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about steps and owners."""

    owners: Mapping[Field, Owner]
    offboarding: Sequence[Step] = (Step.end_employment, Step.disable)
    rehiring: Sequence[Step] = (Step.enable, Step.create_employment)
    after_last_day: bool = True
    """Whether an employment is ended only when its last day is over (rule L5); else at once."""
