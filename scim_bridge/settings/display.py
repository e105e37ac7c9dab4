"""Settings as they may be shown: secrets and passwords masked, and no value or name that may be one by mistake."""

import re
from typing import get_args

from pydantic import SecretStr

from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.model import Settings
from scim_bridge.settings.names import Path

MASK = "********"

NOT_SHOWN = "(not shown)"

_PASSWORD_IN_URL = re.compile(r"(?<=:)([^:@]*):.*@")
"""Also where the address is none, because a slash was forgotten."""

_PASSWORD_IN_QUERY = re.compile(r"(?i)(password=)[^&\s]*")

_USER_IN_URL = re.compile(r"//.*@")
_AFTER_PATH = re.compile(r"[?#].*", re.DOTALL)


def effective(settings: Settings) -> dict[str, object]:
    """Every setting by section, as JSON can carry it."""
    document = settings.model_dump(mode="json", by_alias=True)
    return {name: _masked((name,), value) for name, value in document.items()}


def _masked(path: Path, value: object) -> object:
    if path in CATALOGUE:
        return MASK if is_secret(path) and value is not None else shown(value)
    if isinstance(value, dict):
        return {name: _masked((*path, name), inner) for name, inner in value.items()}
    return value


def is_secret(path: Path) -> bool:
    """Whether a setting's value may not be shown at all."""
    annotation = CATALOGUE[path].annotation if path in CATALOGUE else None
    return SecretStr in (annotation, *get_args(annotation))


def shown(value: object) -> object:
    """A value without the password that a URL may carry."""
    if not isinstance(value, str):
        return value
    return _PASSWORD_IN_QUERY.sub(rf"\1{MASK}", _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", value))


def refused(value: object) -> str:
    """A value that can't be used, for a message: somebody may have put a secret in the wrong place.

    Nothing of a table is shown, whose names may be the secret, and of an address neither user nor query.
    """
    value = shown(value)
    if isinstance(value, str):
        value = _AFTER_PATH.sub(f"?{MASK}", _USER_IN_URL.sub(f"//{MASK}@", value))
    text = repr(value)
    return NOT_SHOWN if "{" in text else text
