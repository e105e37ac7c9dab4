"""Medians, percentiles, ratios and turns."""

import pytest

from tests.benchmarks.figures import Ratio, alternating, percentile, ratio


def test_a_percentile_is_a_value_that_was_measured():
    """Nearest rank: 95 of 100 values do not exceed the 95th percentile."""
    values = [float(each) for each in range(100, 0, -1)]

    assert percentile(values, 0.95) == 95
    assert percentile(values, 0.5) == 50
    assert percentile(values, 1.0) == 100
    assert percentile([7.0], 0.0) == 7


def test_there_is_no_percentile_of_nothing():
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_rounds_are_compared_in_pairs():
    """A machine that is ten times slower for one round slows both candidates: the ratio stays."""
    assert ratio([50, 5, 60], [100, 10, 100]) == Ratio(median=0.5, lowest=0.5, highest=0.6)


def test_only_the_same_rounds_are_compared():
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="nothing to compare"):
        ratio([], [])


def test_candidates_take_turns_there_and_back():
    assert alternating(3, 3) == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
