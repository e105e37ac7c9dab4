"""The example file, made from the docstrings and the defaults."""

import json
import re
from collections.abc import Iterator
from inspect import cleandoc
from textwrap import fill

from pydantic.fields import FieldInfo

from scim_bridge.settings.catalogue import CATALOGUE, sections, settings_of
from scim_bridge.settings.names import Path, dotted, variable
from scim_bridge.settings.tenants import DEFAULT_TENANT, MOST_LETTERS, SHARED_SECTIONS, SHARED_SETTINGS, TENANTS, is_own

_HEAD = """\
# The settings of scim-bridge. Read from the file named by --config or SCIM_BRIDGE_CONFIG, or else from
# scim-bridge.toml in the working directory.
#
# A line that begins with "#" and no space is a setting with its default, or with an example where it says
# so: remove the "#" to set it. The variable named above a setting sets it too and comes first; its value may
# be kept in a file instead, named by the variable with _FILE added. In the environment lists and tables are
# JSON, and an empty variable counts as not set.
"""

_TENANTS = """\
Several companies in one bridge. What stands above is for the company that has no name: it is served at /scim/v2, and
at /tenants/{default}/scim/v2. [tenants.NAME.SECTION] is for another one, served at /tenants/NAME/scim/v2: what is set
there counts for it alone and comes first, and it has all else as above. Only these it has from nobody else, or one
company would let in those of another, or write into its payroll: {own}. Shared by all, and only set above: {shared}.

Where there are names, and nothing above says whom it is for by one of those, there is no company without a name.
A name has small letters and digits, with single hyphens or underscores between them, {most} at most. A variable has
it in capitals, with `_` for a hyphen of a name that this file has; {all} sets all companies at once, as JSON.
"""

_OF_TENANT: dict[Path, str] = {
    ("ditio", "client_id"): "the API client of that company",
    ("ditio", "client_secret"): "the secret of that API client",
    ("delivery", "on_incomplete"): "refuse",
}
"""What the example says of one company."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def example() -> str:
    """A complete TOML file in which every setting is commented out."""
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
