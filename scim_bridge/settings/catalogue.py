"""All settings: their list, their errors in plain words, their values without secrets, and the example file."""

import json
import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from textwrap import fill
from typing import Any, get_args, get_origin

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


def sections(path: Path = (), model: type[BaseModel] = Settings) -> Iterator[tuple[Path, type[BaseModel]]]:
    """Yield all sections in their order, each before the sections inside it."""
    for name, field in model.model_fields.items():
        if (section := section_of(field)) is not None:
            yield (*path, name), section
            yield from sections((*path, name), section)


def settings_of(path: Path, section: type[BaseModel]) -> dict[Path, FieldInfo]:
    """Return the settings of one section, without those of the sections inside it."""
    return {(*path, name): field for name, field in section.model_fields.items() if section_of(field) is None}


CATALOGUE: Mapping[Path, FieldInfo] = {
    path: field for start, section in sections() for path, field in settings_of(start, section).items()
}
"""All settings by their path."""


def from_text(path: Path, text: str) -> object:
    """Return the value that a variable's text stands for: lists and tables are JSON, all else is left as it is.

    Invalid JSON is left too: validation then names the variable and what is allowed.
    """
    annotation = CATALOGUE[path].annotation
    if {get_origin(each) for each in (annotation, *get_args(annotation))}.isdisjoint((tuple, dict)):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


MASK = "********"

NOT_SHOWN = "(not shown)"

_PASSWORD_IN_URL = re.compile(r"(?<=:)([^:@]*):.*@")
"""It also finds the password in text that is no valid URL, because a slash is missing."""

_PASSWORD_IN_QUERY = re.compile(r"(?i)(password=)[^&\s]*")

_USER_IN_URL = re.compile(r"//.*@")
_AFTER_PATH = re.compile(r"[?#].*", re.DOTALL)


def effective(settings: Settings) -> dict[str, object]:
    """Return every setting by section, as values for JSON, with secrets masked."""
    document: dict[str, Any] = settings.model_dump(mode="json")
    for path in CATALOGUE:
        table = document
        for part in path[:-1]:
            table = table[part]
        value = table[path[-1]]
        table[path[-1]] = MASK if is_secret(path) and value is not None else shown(value)
    return document


def is_secret(path: Path) -> bool:
    """Return whether a setting's value must not be shown."""
    annotation = CATALOGUE[path].annotation if path in CATALOGUE else None
    return SecretStr in (annotation, *get_args(annotation))


def shown(value: object) -> object:
    """Return a value without the password that a URL may carry."""
    if not isinstance(value, str):
        return value
    return _PASSWORD_IN_QUERY.sub(rf"\1{MASK}", _PASSWORD_IN_URL.sub(rf"\1:{MASK}@", value))


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

_OF_TENANT = {
    "ditio": {
        "client_id": "the API client of that company",
        "client_secret": "the secret of that API client",  # nosec B105 # words for the operator
    },
    "delivery": {"on_incomplete": "refuse"},
}
"""The settings of one company in the example."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def example() -> str:
    """Return a complete TOML file in which every setting is commented out."""
    return "".join(_lines("nord-bygg"))


def _lines(name: str) -> Iterator[str]:
    yield _HEAD
    for start, model in sections():
        yield "\n" + _comment(model.__doc__ or "") + f"[{dotted(start)}]\n"
        for path, field in settings_of(start, model).items():
            yield "\n" + _comment(field.description or "") + _setting(path, field)
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
    for section, settings in _OF_TENANT.items():
        yield f"\n#[{dotted((TENANTS, name, section))}]\n"
        for setting, value in settings.items():
            yield f"# {variable((TENANTS, name, section, setting))} (an example)\n#{setting} = {_toml(value)}\n"


def _setting(path: Path, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    note = ""
    if field.examples and value in (None, {}, ()):
        note, value = " (not set by default; an example)", field.examples[0]
    return f"# {variable(path)}{note}\n#{path[-1]} = {_toml(value)}\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in cleandoc(text).splitlines())


def _toml(value: object) -> str:
    if isinstance(value, dict):
        pairs = [f"{key if _BARE_KEY.fullmatch(key) else _toml(key)} = {_toml(value[key])}" for key in value]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # Text, numbers and truth values are written in TOML as they are in JSON.
    return json.dumps(value, ensure_ascii=False)


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
        location = tuple(str(part) for part in detail["loc"])
        path = next(location[:end] for end in range(1, len(location) + 1) if location[:end] in CATALOGUE)
        extra = CATALOGUE[path].json_schema_extra
        words = str(extra["allowed"]) if isinstance(extra, dict) else _WORDS.get(detail["type"])
        if detail["type"] == "too_short" and is_secret(path):
            words = f"it should have at least {detail['ctx']['min_length']} characters"
        words = words or detail["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        if words not in allowed.setdefault(path, []):
            allowed[path].append(words)
    return {
        path: f"{both((*start, *path))} is {_refused(path, values.get(path))}: {'; '.join(words)}"
        for path, words in allowed.items()
    }


def _refused(path: Path, value: object) -> str:
    """Return an invalid value for a message, without anything that may be a secret in the wrong place.

    Tables are not shown, because their names may be the secret. URLs are shown without user and query.
    """
    value = shown(value)
    if isinstance(value, str):
        value = _AFTER_PATH.sub(f"?{MASK}", _USER_IN_URL.sub(f"//{MASK}@", value))
    text = repr(value)
    return NOT_SHOWN if is_secret(path) or "{" in text else text
