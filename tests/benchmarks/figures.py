"""Medians, percentiles and ratios: what becomes of single measurements. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of all (nearest rank).

    :param share: 0.0–1.0; 0.95 is the 95th percentile.
    :raises ValueError: there are no values.
    """
    if not values:
        raise ValueError("there is no percentile of nothing")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Ratio:
    """How one series of rounds compares to another."""

    median: float
    lowest: float
    highest: float


def ratio(ours: Sequence[float], others: Sequence[float]) -> Ratio:
    """Compare two series round by round: what slows the machine down for a while slows both, and cancels out.

    :raises ValueError: they have not the same number of rounds, or none.
    """
    rounds = [our / other for our, other in zip(ours, others, strict=True)]
    if not rounds:
        raise ValueError("there is nothing to compare")
    return Ratio(median(rounds), min(rounds), max(rounds))


def alternating(count: int, rounds: int) -> list[list[int]]:
    """In which order `count` candidates have their turns: there and back, so that no place is the better one."""
    there = list(range(count))
    return [there if number % 2 == 0 else there[::-1] for number in range(rounds)]
