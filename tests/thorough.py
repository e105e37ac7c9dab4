"""How much a run of the tests covers: short walks by default, all of them with `--thorough`, which `.ci/run` adds.

What a run leaves out is not collected: nothing is skipped to make a sample.
"""

from typing import TypeVar

import pytest

T = TypeVar("T")

only_thorough = pytest.mark.thorough
"""A test that a short run leaves out: another one shows the same with less."""

_is_thorough = False


def configure(config: pytest.Config) -> None:
    """Remember what was asked for, before any module of tests is imported."""
    global _is_thorough
    _is_thorough = bool(config.getoption("thorough"))
    config.addinivalue_line("markers", "thorough: runs only with --thorough")


def either(thorough: T, short: T) -> T:
    """Return how many examples, seconds or rounds this run takes."""
    return thorough if _is_thorough else short


def chosen(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a thorough run takes."""
    if _is_thorough:
        return
    left_out = [item for item in items if item.get_closest_marker("thorough") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
