"""The example file is complete, documented, and true."""

import re
import tomllib
from pathlib import Path

import pytest

from scim_bridge.settings import Settings, effective, example, load
from scim_bridge.settings.catalogue import CATALOGUE, sections
from scim_bridge.settings.types import Path as Name
from scim_bridge.settings.types import variable


def uncommented() -> str:
    """The example with every setting switched on."""
    return re.sub(r"^#(?=[a-z[])", "", example(), flags=re.MULTILINE)


def test_the_example_as_it_is_sets_nothing(tmp_path: Path):
    """A person who copies it starts from the defaults."""
    file = tmp_path / "example.toml"
    file.write_text(example(), encoding="utf-8")

    assert load(file, {}) == Settings()


def test_the_example_uncommented_sets_everything(tmp_path: Path):
    """Each setting in it is valid, and those with a default are at their default."""
    file = tmp_path / "example.toml"
    file.write_text(uncommented(), encoding="utf-8")

    settings = load(file, {})

    assert {settings.origin(path) for path in CATALOGUE} == {str(file)}
    assert [own.missing() for own in settings.tenants.values()] == [[], []]
    assert list(settings.tenants) == ["default", "nord-bygg"]
    shown, default = effective(settings), effective(Settings())
    assert {name for name in shown if shown[name] != default[name]} == {
        "server",
        "auth",
        "ditio",
        "mapping",
        "certificates",
        "notify",
        "entra",
        "console",
    }
    assert tomllib.loads(uncommented())["delivery"]["inline_seconds"] == 5.0


@pytest.mark.parametrize("path", CATALOGUE, ids=".".join)
def test_every_setting_is_documented_and_named(path: Name):
    """Conventions, *Settings*: the docstring is the documentation."""
    assert (CATALOGUE[path].description or "").endswith(".")
    assert f"# {variable(path)}" in example()


def test_every_section_says_what_it_is():
    """The docstring of the class stands above the section."""
    assert all(section.__doc__ for _, section in sections())
