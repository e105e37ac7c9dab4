"""Who may import whom, and what a module looks like (design, section 3)."""

import ast
from functools import cache
from pathlib import Path

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PROJECT = str(ROOT / "pyproject.toml")
CONTRACTS = [contract["id"] for contract in read_configuration(PROJECT)["contracts_options"]]
MODULES = sorted((ROOT / "scim_bridge").rglob("*.py"))
LONGEST = 450


def names_of(paths: list[Path]) -> list[str]:
    """Paths as they are written in a test's id."""
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_imports_keep_the_contract(contract: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Design, section 3: each line may import the lines below it, never the ones above."""
    monkeypatch.syspath_prepend(ROOT)
    # It would silence the loggers of whatever was imported before, for the tests that come after.
    monkeypatch.setattr("importlinter.cli.logging_config.dictConfig", lambda _: None)

    kept = lint_imports(PROJECT, limit_to_contracts=(contract,), no_cache=True, no_logo=True) == 0

    assert kept, capsys.readouterr().out


@pytest.mark.parametrize("module", MODULES, ids=names_of(MODULES))
def test_a_module_says_what_it_is_about_and_stays_short(module: Path):
    """Conventions: a file holds one subject, and its first line names it. Design, section 3: past 450, split."""
    text = module.read_text(encoding="utf-8")

    if "migrations" in module.parts:
        return
    docstring = ast.get_docstring(ast.parse(text), clean=False)
    assert docstring is not None, "its first line has to name its subject"
    assert docstring.splitlines()[0].strip(), "its first line has to name its subject"
    assert text.startswith(('"""', 'r"""'))
    assert len(text.splitlines()) < LONGEST


def test_no_module_collects_the_rest():
    """Design, section 3: no `utils`, `helpers`, `common`."""
    assert not {module.stem for module in MODULES} & {"utils", "util", "helpers", "helper", "common"}
    assert not {module.parent.name for module in MODULES} & {"utils", "util", "helpers", "helper", "common"}


MOST_MODULES, LONGEST_CHAIN = 258, 19
MOST_WITH_ONE_IMPORTER = 0.19
"""As a share of all modules."""

ROOMS_OF_DELIVERY, FLOORS_OF_DELIVERY = 15, 6


def test_the_house_has_few_rooms():
    """Few modules, each used by several others, in few layers: a line is found in a minute."""
    graph = grimp.build_graph("scim_bridge", cache_dir=None)
    modules = {
        name for name in graph.modules if not (ROOT / name.replace(".", "/")).is_dir() and ".migrations" not in name
    }

    @cache
    def height(name: str) -> int:
        return 1 + max(map(height, graph.find_modules_directly_imported_by(name)), default=0)

    assert len(modules) <= MOST_MODULES
    alone = {name for name in modules if len(graph.find_modules_that_directly_import(name)) == 1}
    assert len(alone) <= MOST_WITH_ONE_IMPORTER * len(modules)
    assert max(map(height, graph.modules)) <= LONGEST_CHAIN
    of_delivery = {name for name in modules if name.startswith("scim_bridge.delivery.")}

    assert len(of_delivery) <= ROOMS_OF_DELIVERY

    @cache
    def floor(name: str) -> int:
        below = graph.find_modules_directly_imported_by(name) & of_delivery
        return 1 + max(map(floor, below), default=0)

    assert max(map(floor, of_delivery)) <= FLOORS_OF_DELIVERY
