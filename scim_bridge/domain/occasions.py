"""What the guard on the live stream counts, and when Entra said it (rule L8)."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

HOUR = timedelta(hours=1)
"""Over which changes are counted."""


class Guarded(StrEnum):
    """A kind of change of which only so many pass within an hour, each kind counted apart."""

    ending = "ending"
    creation = "creation"
    phone = "phone"
    employee_number = "employee-number"


class Verdict(StrEnum):
    """What became of one change that met the guard."""

    counted = "counted"
    """It may be sent, and counts: also one that the operator released."""

    held = "held"
    dropped = "dropped"
    """The operator withdrew it: it is not sent until Entra changes it."""


@dataclass(frozen=True, slots=True)
class Occasions:
    """When a person's changes were said that are still to come: which hour they count in, and which change it is.

    All are aware instants in UTC: the commit of the write, or the end of the day that a leave date names. None where
    there is nothing of the kind, or nobody noted when.
    """

    ending: datetime | None = None
    """From when the person is not at work any more; it lies ahead where a leave date does, and stays afterwards."""

    is_announced: bool = False
    """Whether the ending comes on a leave date that was stored at least a day before it passes: no surprise."""

    creation: datetime | None = None
    """Since when a person without an employee may be hired."""

    phone: datetime | None = None
    """Since when another phone is wanted than Ditio acknowledged; likewise the number."""

    employee_number: datetime | None = None

    def noting(self, kind: Guarded, said_at: datetime) -> "Occasions":
        """The same, with the occasion of one kind."""
        match kind:
            case Guarded.ending:
                return replace(self, ending=said_at)
            case Guarded.creation:
                return replace(self, creation=said_at)
            case Guarded.phone:
                return replace(self, phone=said_at)
            case Guarded.employee_number:
                return replace(self, employee_number=said_at)

    def of(self, kind: Guarded) -> datetime | None:
        """That of one kind."""
        match kind:
            case Guarded.ending:
                return self.ending
            case Guarded.creation:
                return self.creation
            case Guarded.phone:
                # What is found to differ when somebody is adopted was said by the write that hired him.
                return self.phone or self.creation
            case Guarded.employee_number:
                return self.employee_number or self.creation
