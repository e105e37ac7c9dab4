"""The example file, made from the docstrings and the defaults."""

import json
import re
from collections.abc import Iterator
from inspect import cleandoc

from pydantic.fields import FieldInfo

from scim_bridge.settings.catalogue import sections, settings_of
from scim_bridge.settings.names import Path, dotted, variable

_HEAD = """\
# The settings of scim-bridge. Read from the file named by --config or SCIM_BRIDGE_CONFIG, or else from
# scim-bridge.toml in the working directory.
#
# A line that begins with "#" and no space is a setting with its default, or with an example where it says
# so: remove the "#" to set it. The variable named above a setting sets it too and comes first; its value may
# be kept in a file instead, named by the variable with _FILE added. In the environment lists and tables are
# JSON, and an empty variable counts as not set.
"""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def example() -> str:
    """A complete TOML file in which every setting is commented out."""
    return _HEAD + "".join(_lines())


def _lines() -> Iterator[str]:
    for path, section in sections():
        yield "\n" + _comment(section.__doc__ or "") + f"[{dotted(path)}]\n"
        for setting, field in settings_of(path, section).items():
            yield "\n" + _comment(field.description or "") + _setting(setting, field)


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
