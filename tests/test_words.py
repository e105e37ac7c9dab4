"""The words of the product: what the field calls things, and plain English (CONTRIBUTING.md)."""

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

VAGUE = re.compile(
    r"\b(whoever|whomever|whom|nobody|somebody|everybody|he|him|his)\b|counts until|is told", re.IGNORECASE
)
"""A sentence names its subject: user, person, employee, operator, client; and a person is "they"."""

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
