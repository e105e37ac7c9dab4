"""Whether a plan may be a disaster: guards that stop a run before anything is sent (rule Q4). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from scim_bridge.domain.drift import Drift, Kind

FEW = 20
"""With fewer people at work than this a share says nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`RECONCILE__MAX_ENDED_FRACTION` and `RECONCILE__MAX_CHANGES`."""

    max_ended_fraction: float = 0.1
    max_changes: int = 500


@dataclass(frozen=True, slots=True)
class Company:
    """The figures that a plan is measured by."""

    shown: int
    """Employees that Ditio showed."""

    linked: int
    """People who have an employee."""

    at_work: int
    """Linked people whom Ditio shows as employed, or with an open login."""

    shown_before: int | None = None
    """Employees in the last read that was complete and believed; None before there was one."""


def distrust(company: Company) -> str | None:
    """Why what Ditio showed is not believed, as figure and limit; None where it is."""
    if company.shown == 0 and company.linked > 0:
        return f"Ditio shows no employee at all, and {company.linked} people are linked to one"
    before = company.linked if company.shown_before is None else company.shown_before
    if company.shown * 2 < before:
        whose = "are linked" if company.shown_before is None else "were shown by the last complete read"
        return f"Ditio shows {company.shown} employees, fewer than half of the {before} that {whose}"
    return None


def excess(items: Iterable[Drift], company: Company, limits: Limits, *, reviewed: bool) -> str | None:
    """Why a plan would change too much, as figure and limit; None where it would not.

    :param reviewed: Whether what only a reviewed plan does is counted too.
    """
    changes = 0
    ended: set[str] = set()
    for item in items:
        if item.may_be_repaired(reviewed=reviewed):
            changes += 1
            if item.kind is Kind.should_be_inactive and item.person_id is not None:
                ended.add(item.person_id)
    return excess_of(changes, len(ended), company, limits)


def excess_of(changes: int, ended: int, company: Company, limits: Limits) -> str | None:
    """The same by figures.

    :param changes: Differences that would be repaired.
    :param ended: People who would be ended.
    """
    if company.at_work >= FEW and ended > limits.max_ended_fraction * company.at_work:
        return (
            f"{ended} of {company.at_work} people at work would be ended, more than the share of "
            f"{limits.max_ended_fraction:g} that RECONCILE__MAX_ENDED_FRACTION allows"
        )
    if changes > limits.max_changes:
        return (
            f"{changes} differences would be repaired, more than RECONCILE__MAX_CHANGES ({limits.max_changes}) allows"
        )
    return None
