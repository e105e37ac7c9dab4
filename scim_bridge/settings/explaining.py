"""What is wrong with a value, in words for whoever set it."""

from collections.abc import Mapping

from pydantic import ValidationError

from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.display import NOT_SHOWN, is_secret, refused
from scim_bridge.settings.names import Path, both

_WORDS = {
    "tuple_type": 'write a list, in the environment as JSON: ["…","…"]',
    "dict_type": 'write a table, in the environment as JSON: {"…":"…"}',
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
}
"""The library's errors that a person who sets things would not understand."""


def explained(error: ValidationError, values: Mapping[Path, object], start: Path) -> dict[Path, str]:
    """One line for each setting at fault. :param start: What stands before the names, of a company's settings."""
    allowed: dict[Path, list[str]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        path = _setting_at(tuple(str(part) for part in detail["loc"]))
        words = _own_words(path) or _WORDS.get(detail["type"]) or _plain(detail["msg"])
        if words not in allowed.setdefault(path, []):
            allowed[path].append(words)
    return {
        path: f"{both((*start, *path))} is {_value(path, values)}: {'; '.join(words)}"
        for path, words in allowed.items()
    }


def _setting_at(location: Path) -> Path:
    """The setting that a place inside its value belongs to."""
    lengths = range(len(location), 0, -1)
    return next((location[:n] for n in lengths if location[:n] in CATALOGUE), location)


def _own_words(path: Path) -> str | None:
    extra = CATALOGUE[path].json_schema_extra if path in CATALOGUE else None
    return str(extra["allowed"]) if isinstance(extra, dict) and "allowed" in extra else None


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "it should be")


def _value(path: Path, values: Mapping[Path, object]) -> str:
    if is_secret(path):
        return NOT_SHOWN
    return refused(values.get(path))
