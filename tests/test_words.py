"""The words of product and tests: what the field calls things, and plain English (CONTRIBUTING.md)."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

READ = [
    *sorted((ROOT / "scim_bridge").rglob("*.py")),
    *sorted(ROOT.glob("*.md")),
    ROOT / "openapi.yaml",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "deploy").glob("*.md")),
]
"""What a newcomer, an operator or an administrator reads."""

TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)]

VAGUE = re.compile(
    r"\b(whoever|whomever|whom|nobody|somebody|everybody|he|him|his)\b|counts until|is told", re.IGNORECASE
)
"""A sentence names its subject: user, person, employee, operator, client; and a person is "they"."""

VAGUE_IN_TESTS = re.compile(r"whoever|whomever|nobody|somebody|everybody", re.IGNORECASE)
"""Also as a part of a name: `test_nobody_waits`."""

RETIRED = re.compile(
    r"\b(Errand|Wish|FoundEmployee|Taking|Occasions|Deed|Audited|Shipment|ResourceShape|Toleration|Unmoved|Glance|"
    r"SlotKeeping|Certifying|Flaw|PeopleHold|Withheld|ScimWorld|NotedRefusals|Doorkeeper|Unacceptable|Rehearsal|"
    r"errand|wish|wishes|takings|put_aside|look_at_holders|is_let_through|kept_back)\b"
)
"""Words of an earlier version: the field has words for these."""

ALLOWED = {'set_hands_off = "put_aside"': "the value is in the audit trails of today"}
"""Where one of them has to stay: the line's text, and why."""


@pytest.mark.parametrize("words", [VAGUE, RETIRED], ids=["vague", "retired"])
def test_no_retired_word_is_read(words: re.Pattern[str]):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match.group(0)}"
        for path in READ
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in words.finditer(line)
        if line.strip() not in ALLOWED
    ]
    assert found == []


@pytest.mark.parametrize("words", [VAGUE_IN_TESTS, RETIRED], ids=["vague", "retired"])
def test_no_retired_word_names_or_explains_a_test(words: re.Pattern[str]):
    """Names of functions and classes, and docstrings; what a test asserts may have any word."""
    found = [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {match.group(0)}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for match in words.finditer(f"{getattr(node, 'name', '')} {ast.get_docstring(node) or ''}")
    ]
    assert found == []
