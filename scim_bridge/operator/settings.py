"""What is set and where; secrets are never shown."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from scim_bridge.settings import Settings, effective
from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.load import SHARED_OUT
from scim_bridge.settings.model import DEFAULT
from scim_bridge.settings.types import TENANTS, dotted, is_own, is_shared
from scim_bridge.settings.types import Path as Setting


def rows_of(settings: Settings) -> list[dict[str, object]]:
    """Return each setting, its value without secrets, and where it is set; of each company, what differs from that."""
    of_all = effective(settings)
    rows = [_row(settings, (), path, of_all) for path in CATALOGUE]
    for name, own in settings.tenants.items():
        document = effective(own)
        for path in CATALOGUE:
            is_otherwise = own.origin(path) != settings.origin(path) or _at(document, path) != _at(of_all, path)
            if is_otherwise or (own.start and is_own(path)):
                rows.append(_row(own, (TENANTS, name), path, document))
    return rows


def _row(settings: Settings, start: Setting, path: Setting, document: object) -> dict[str, object]:
    return {"setting": dotted((*start, *path)), "value": _at(document, path), "from": settings.origin(path)}


def _at(document: object, path: tuple[str, ...]) -> object:
    for name in path:
        document = document[name] if isinstance(document, dict) else None
    return document


def warnings(settings: Settings) -> Iterator[str]:
    """Yield settings that work, but may accept more clients than intended."""
    if (unpinned := settings.auth.unpinned(settings.start)) is not None:
        yield unpinned
    if (foreign := settings.entra.foreign(settings.start, settings.auth.entra_tenant_id)) is not None:
        yield foreign


@dataclass(frozen=True, slots=True)
class Shown:
    """One setting of a company."""

    name: str
    value: str | None
    """As it is written in the file, or the mask of a secret; None if it has no value."""

    origin: str
    """The variable or the file that sets it."""

    is_set: bool
    """Whether a source sets it; otherwise it has its default."""

    is_share: bool
    """Whether the value is the share of one process."""

    about: str
    """What it means."""

    @property
    def section(self) -> str:
        """The section that it stands in."""
        return self.name.rpartition(".")[0]


def shown(settings: Settings, *, with_shared: bool) -> list[Shown]:
    """Return the settings of one company. :param with_shared: Also those that all companies share."""
    document = effective(settings)
    return [
        Shown(
            name=dotted(path),
            value=_written(_at(document, path)),
            origin=settings.origin(path),
            is_set=settings.origin(path) != DEFAULT,
            is_share=path in SHARED_OUT,
            about=" ".join((field.description or "").split()),
        )
        for path, field in CATALOGUE.items()
        if with_shared or not is_shared(path)
    ]


def _written(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
