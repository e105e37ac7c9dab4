"""What one source of settings says, and what is wrong with it.

Names that nobody knows are reported, each with the closest known one: a typo would otherwise be a setting
that silently does nothing.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from scim_bridge.settings.names import DELIMITER, PREFIX, Path, both, dotted
from scim_bridge.settings.tenants import NAME_WORDS, TENANTS, is_name, is_shared


@dataclass(slots=True)
class Given:
    """What one source says: values by setting, where each was found, and what is wrong with the source.

    The paths of a company's own settings begin with `tenants` and its name.
    """

    values: dict[Path, object] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    tenants: dict[str, None] = field(default_factory=dict)
    """The companies that are named, in their order; also those of which nothing else is said."""

    def add(self, path: Path, value: object, origin: str) -> None:
        """Keep a value, and where it was found."""
        self.values[path] = value
        self.origins[path] = origin

    def add_of_tenant(self, name: str, path: Path, value: object, origin: str) -> None:
        """Keep what a company has for itself, if that is something that it can have."""
        if not self.may_be_called(name, origin):
            return
        full = (TENANTS, name, *path)
        if is_shared(path):
            words = f"{origin}: {both(full)} can't be set, because all companies share it: set {both(path)}"
            self.problems.append(words)
        else:
            self.add(full, value, origin)

    def may_be_called(self, name: str, origin: str, which: str = "") -> bool:
        """Note that there is such a company, if it may be called that.

        :param which: Says where it stands, if `origin` does not: what is no name may be a secret.
        """
        if is_name(name):
            self.tenants[name] = None
            return True
        words = f"{origin}: {which}{NAME_WORDS}"
        if words not in self.problems:
            self.problems.append(words)
        return False

    def without_tenants(self) -> "Given":
        """The same without what is said of single companies."""
        kept = {path: value for path, value in self.values.items() if path[0] != TENANTS}
        origins = {path: origin for path, origin in self.origins.items() if path in kept}
        return Given(kept, origins, self.problems)


LONGEST_SHOWN = 32
"""Letters of a name that nobody knows, and that is shown: longer than any that there is in a table."""

_LIKE_A_SETTING = re.compile(r"[a-z]+(_[a-z]+)*")


def unknown(where: Path, name: str, known: Collection[str]) -> str:
    """What is said of a name in a table that is no setting: a typo is repeated, what may be a secret is not.

    :param where: The table, from the top.
    """
    names = {each.rpartition(".")[2] for each in known}
    is_like_one = _LIKE_A_SETTING.fullmatch(name) is not None and len(name) <= LONGEST_SHOWN
    if is_like_one or get_close_matches(name, names, n=1, cutoff=0.75):
        return f"{dotted((*where, name))}: unknown setting{closest(dotted((*where, name)), known)}"
    table = f"[{dotted(where)}]" if where else "the top"
    return f"{table} has a name (not shown) that is no setting: `scim-bridge settings example` has them all"


def closest(name: str, known: Iterable[str]) -> str:
    """A hint at the name that may have been meant; empty where none comes close."""
    # Compared without what all names share, which would make any two of them alike.
    by_core = {_core(other): other for other in sorted(known)}
    longer = [core for core in by_core if core.startswith(_core(name) + "_")]
    close = longer or get_close_matches(_core(name), by_core, n=1, cutoff=0.75)
    return f"; did you mean {by_core[close[0]]}?" if close else ""


def _core(name: str) -> str:
    return name.removeprefix(PREFIX).replace(DELIMITER, "_")
