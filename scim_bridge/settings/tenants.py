"""Several companies in one bridge: what `[tenants.NAME]` may say, and what a company has from the settings of all.

Sources: design of the bridge, *Settings* and *Security*; rule A3.
"""

import re
from collections.abc import Collection

from scim_bridge.settings.names import Path

DEFAULT_TENANT = "default"
"""The company whose settings have no name before them. It is served at `/scim/v2`, too."""

TENANTS = "tenants"

MOST_LETTERS = 63

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")

NAME_WORDS = (
    f"a company's name is a part of its address: write 1 to {MOST_LETTERS} small letters and digits, "
    "with single hyphens or underscores between them, as nord-bygg"
)

SHARED_SECTIONS = frozenset({"database", "server", "log"})
"""What all companies have together, because it is about the processes and not about whom they serve."""

SHARED_SETTINGS: frozenset[Path] = frozenset(
    # Failures count by address, whoever's address they are sent to; keys are fetched once for all.
    {("auth", "max_failures_per_minute"), ("auth", "jwks_min_refetch_seconds")}
)

_CREDENTIALS: frozenset[Path] = frozenset({("ditio", "client_id"), ("ditio", "client_secret"), ("ditio", "company_id")})


def is_name(text: str) -> bool:
    """Whether a company may be called that."""
    return len(text) <= MOST_LETTERS and _NAME.fullmatch(text) is not None


def is_shared(path: Path) -> bool:
    """Whether a setting is one for all companies, so that none can have its own."""
    return path[0] in SHARED_SECTIONS or path in SHARED_SETTINGS


def is_own(path: Path) -> bool:
    """Whether a company has this setting from nobody but itself.

    Who is let in: the Entra of one company would open every other. Who calls Ditio, and for which company there: a
    company that forgot to say it would write into the payroll of another. The addresses of Ditio are no secret and
    nobody's own.
    """
    return path in _CREDENTIALS or (path[0] == "auth" and path[-1].startswith(("entra_", "workload_")))


def as_written(name: str, known: Collection[str]) -> str:
    """A company's name as the file has it: a variable can have no hyphen, so there `_` stands for it."""
    return next((each for each in known if each.replace("-", "_") == name.replace("-", "_")), name)


def alike(names: Collection[str]) -> list[str]:
    """What is wrong with names that only a hyphen tells apart: a variable would mean both."""
    by_variable: dict[str, list[str]] = {}
    for name in names:
        by_variable.setdefault(name.replace("-", "_"), []).append(name)
    return [
        f"the companies {' and '.join(same)} have names that are one in a variable: call one of them otherwise"
        for same in by_variable.values()
        if len(same) > 1
    ]


def has_default(common: Collection[Path]) -> bool:
    """Whether there is a company `default` beside others: not where nothing says who it would be.

    :param common: What the settings without a company's name set.
    """
    return any(is_own(path) for path in common)
