"""All settings: their list, their errors in plain words, their values without secrets, and the example file."""

import json
import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from textwrap import fill
from typing import get_args

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from scim_bridge.settings.model import Settings
from scim_bridge.settings.types import (
    DEFAULT_TENANT,
    MOST_LETTERS,
    SHARED_SECTIONS,
    SHARED_SETTINGS,
    TENANTS,
    Path,
    both,
    dotted,
    is_own,
    variable,
)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the class of a field that is a section, or None for a setting."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def sections() -> Iterator[tuple[Path, type[BaseModel]]]:
    """Yield all sections in their order, each before the sections inside it."""
    yield from _sections((), Settings)


def _sections(path: Path, model: type[BaseModel]) -> Iterator[tuple[Path, type[BaseModel]]]:
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is not None:
            yield (*path, name), section
            yield from _sections((*path, name), section)


def settings_of(path: Path, section: type[BaseModel]) -> dict[Path, FieldInfo]:
    """Return the settings of one section, without those of the sections inside it."""
    return {(*path, name): field for name, field in section.model_fields.items() if section_of(field) is None}


CATALOGUE: Mapping[Path, FieldInfo] = {
    path: field for start, section in sections() for path, field in settings_of(start, section).items()
}
"""All settings by their path."""


MASK = "********"

NOT_SHOWN = "(not shown)"

_PASSWORD_IN_URL = re.compile(r"(?<=:)([^:@]*):.*@")
"""It also finds the password in text that is no valid URL, because a slash is missing."""

_PASSWORD_IN_QUERY = re.compile(r"(?i)(password=)[^&\s]*")

_USER_IN_URL = re.compile(r"//.*@")
_AFTER_PATH = re.compile(r"[?#].*", re.DOTALL)


def effective(settings: Settings) -> dict[str, object]:
    """Return every setting by section, as values for JSON, with secrets masked."""
    document = settings.model_dump(mode="json", by_alias=True)
    return {name: _masked((name,), value) for name, value in document.items()}


def _masked(path: Path, value: object) -> object:
    if path in CATALOGUE:
        return MASK if is_secret(path) and value is not None else shown(value)
    if isinstance(value, dict):
        return {name: _masked((*path, name), inner) for name, inner in value.items()}
    return value


def is_secret(path: Path) -> bool:
    """Return whether a setting's value must not be shown."""
    annotation = CATALOGUE[path].annotation if path in CATALOGUE else None
    return SecretStr in (annotation, *get_args(annotation))


def shown(value: object) -> object:
    """Return a value without the password that a URL may carry."""
    if not isinstance(value, str):
        return value
    return _PASSWORD_IN_QUERY.sub(rf"\1{MASK}", _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", value))


def refused(value: object) -> str:
    """Return an invalid value for a message, without anything that may be a secret in the wrong place.

    Tables are not shown, because their names may be the secret. URLs are shown without user and query.
    """
    value = shown(value)
    if isinstance(value, str):
        value = _AFTER_PATH.sub(f"?{MASK}", _USER_IN_URL.sub(f"//{MASK}@", value))
    text = repr(value)
    return NOT_SHOWN if "{" in text else text


_HEAD = """\
# The settings of scim-bridge. They are read from the file named by --config or SCIM_BRIDGE_CONFIG. The default
# is scim-bridge.toml in the working directory.
#
# A line that begins with "#" and no space is a setting with its default, or with an example where it says
# so: remove the "#" to set it. The environment variable named above a setting sets it too, and has priority.
# The value may also be in a file: the variable with _FILE added then names that file. In the environment,
# lists and tables are JSON, and an empty variable means not set.
"""

_TENANTS = """\
Several companies in one bridge. The settings above are for the company without a name. It is served at /scim/v2, and
at /tenants/{default}/scim/v2. [tenants.NAME.SECTION] is for another company, served at /tenants/NAME/scim/v2. A setting
there is for that company alone and replaces the one above; all other settings are inherited from above. Only these are
never inherited, or one company would let in clients of another, or write into its payroll: {own}. These are shared by
all companies and can only be set above: {shared}.

If companies are named here, and none of the settings that are never inherited is set above, there is no company without
a name. A name has lower-case letters and digits, with single hyphens or underscores between them, at most {most}
characters. A variable has the name in capitals, with `_` for a hyphen of a name that this file has. {all} sets all
companies at once, as JSON.
"""

_OF_TENANT: dict[Path, str] = {
    ("ditio", "client_id"): "the API client of that company",
    ("ditio", "client_secret"): "the secret of that API client",
    ("delivery", "on_incomplete"): "refuse",
}
"""The settings of one company in the example."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def example() -> str:
    """Return a complete TOML file in which every setting is commented out."""
    return _HEAD + "".join(_lines()) + "".join(_tenant_lines("nord-bygg"))


def _lines() -> Iterator[str]:
    for path, section in sections():
        yield "\n" + _comment(section.__doc__ or "") + f"[{dotted(path)}]\n"
        for setting, field in settings_of(path, section).items():
            yield "\n" + _comment(field.description or "") + _setting(setting, field)


def _tenant_lines(name: str) -> Iterator[str]:
    shared = [f"[{section}]" for section in sorted(SHARED_SECTIONS)] + [dotted(path) for path in SHARED_SETTINGS]
    words = _TENANTS.format(
        default=DEFAULT_TENANT,
        own=", ".join(dotted(path) for path in CATALOGUE if is_own(path)),
        shared=", ".join(sorted(shared)),
        most=MOST_LETTERS,
        all=variable((TENANTS,)),
    )
    for paragraph in words.split("\n\n"):
        yield "\n" + _comment(fill(" ".join(paragraph.split()), 113, break_on_hyphens=False))
    section = None
    for path, value in _OF_TENANT.items():
        if path[0] != section:
            section = path[0]
            yield f"\n#[{dotted((TENANTS, name, section))}]\n"
        yield f"# {variable((TENANTS, name, *path))} (an example)\n#{path[-1]} = {_toml(value)}\n"


def _setting(path: Path, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    is_shown = _is_shown(default, field)
    note = "" if is_shown else " (not set by default; an example)"
    value = default if is_shown else (field.examples or [""])[0]
    return f"# {variable(path)}{note}\n#{path[-1]} = {_toml(value)}\n"


def _is_shown(default: object, field: FieldInfo) -> bool:
    return default is not None and default != {} and not (default == () and field.examples)


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in cleandoc(text).splitlines())


def _toml(value: object) -> str:
    match value:
        case dict():
            pairs = [f"{_key(str(key))} = {_toml(inner)}" for key, inner in value.items()]
            return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
        case list() | tuple():
            return "[" + ", ".join(_toml(inner) for inner in value) + "]"
        case _:
            # Text, numbers and truth values are written in TOML as they are in JSON.
            return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


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
"""Plain words for errors of the library that an operator would not understand."""


def explained(error: ValidationError, values: Mapping[Path, object], start: Path) -> dict[Path, str]:
    """Return one line for each invalid setting. :param start: The path of a company's settings; empty for all."""
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
    """Return the path of the setting whose value contains this location."""
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
