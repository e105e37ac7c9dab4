"""How much a run of the tests covers: short walks by default, all of them with `--thorough`, which `.ci/run` adds.

A short run takes each story on SQLite, each fifth one of those in a rarer form of Ditio's answers, and each ninth one
on PostgreSQL too. A thorough run takes all stories about deliveries, Entra and notices on both, and each third one
about commands, pages and requests, as well as of those in a rarer form, which is read before anything is stored. SQL
itself is tried on both in each run, but for what a change for one company does to another. What a run leaves out is not
collected: nothing is skipped to make a sample.
"""

from pathlib import Path
from typing import TypeVar
from zlib import crc32

import pytest

from scim_bridge.sandbox.style import Style

T = TypeVar("T")

short_on_sqlite = pytest.mark.short_on_sqlite
"""A long test, which a short run takes on SQLite alone."""

thorough_only = pytest.mark.thorough_only
"""A long test of what others try too, which a short run leaves out."""

STORIES = ("cli", "console", "delivery", "graph", "notify", "protocol", "scenarios", "web")
"""Folders of tests that reach the database through the whole bridge."""

IN_FULL = ("delivery", "graph", "notify", "scenarios")
"""Those of which a thorough run leaves out none."""

EACH_NTH, EACH_NTH_IF_THOROUGH, EACH_NTH_OF_RARER_FORMS = 9, 3, 5

_is_thorough = False


def configure(config: pytest.Config) -> None:
    """Remember what was asked for, before any module of tests is imported."""
    global _is_thorough
    _is_thorough = bool(config.getoption("thorough"))
    config.addinivalue_line("markers", "short_on_sqlite: a short run takes it on SQLite alone")
    config.addinivalue_line("markers", "thorough_only: a short run leaves it out")


def either(thorough: T, short: T) -> T:
    """Return how many examples, seconds or rounds this run takes."""
    return thorough if _is_thorough else short


def chosen(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only a thorough run takes, unless tests were named."""
    if any("::" in argument for argument in config.args):
        return
    left_out = {item for item in items if _is_left_out(item)}
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item) -> bool:
    is_on_postgresql = "postgresql" in item.name
    leaves_out = {"thorough_only", "short_on_sqlite"} if is_on_postgresql else {"thorough_only"}
    if not _is_thorough and any(marker.name in leaves_out for marker in item.iter_markers()):
        return True
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    return folder in STORIES and crc32(item.nodeid.encode()) % _nth(item, folder, is_on_postgresql) > 0


def _nth(item: pytest.Item, folder: str, is_on_postgresql: bool) -> int:
    """Each so manieth story of this kind is taken."""
    has_a_rarer_form = _has_a_rarer_form(item)
    if not is_on_postgresql:
        return EACH_NTH_OF_RARER_FORMS if has_a_rarer_form and not _is_thorough else 1
    if not _is_thorough:
        return EACH_NTH
    return EACH_NTH_IF_THOROUGH if has_a_rarer_form or folder not in IN_FULL else 1


def _has_a_rarer_form(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    style = call.params.get("style") if call is not None else None
    return isinstance(style, Style) and style != Style()
