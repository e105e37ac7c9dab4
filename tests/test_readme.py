"""What the README says of fields, owners, states and reasons is what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scim_bridge.domain.delivery_state import Reason, State, state_of
from scim_bridge.domain.employee import Field
from scim_bridge.domain.explanations import BY_REASON, DUE, explained
from scim_bridge.mapping.rules import DEFAULT_RULES

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")

D3 = {
    *("incomplete", "claimed", "guard", "hands-off", "paused", "no-operation"),
    *("refused", "gone", "not-converging", "out-of-reach"),
}


def rows_under(heading: str) -> Iterator[list[str]]:
    """The cells of the table with this first heading."""
    _, _, table = README.partition(f"| {heading} |")
    assert table, f"the README has no table that begins with {heading}"
    for line in table.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_with_its_cure(reason: Reason):
    """D3: the README has each reason with the words of the commands; the row to write is in the message."""
    words = explained(state_of(reason), reason)

    assert words is not None
    row = f"| `{state_of(reason)}`, `{reason}` | {words.meaning} | {words.cure} |"
    assert row in README.splitlines(), f"the README lacks the row\n{row}"


def test_no_reason_is_explained_that_there_is_not():
    """D3 has ten; the README's words of those are the code's."""
    assert set(BY_REASON) == D3
    told = {tuple(re.findall(r"`([^`]+)`", cells[0])): cells[1:] for cells in rows_under("State, reason")}

    assert told.pop(("due",)) == [DUE.meaning, DUE.cure]
    for (state, name), words in told.items():
        assert State(state) in (State.held, State.parked)
        assert words == [BY_REASON[name].meaning, BY_REASON[name].cure]


def test_whoever_is_delivered_needs_no_explanation():
    assert explained(State.delivered, None) is None
    assert explained(State.due, None) is DUE


def test_the_mapping_table_is_the_mapping():
    """Design, section 6; H5: every field, every source, every owner."""
    told: dict[str, list[str]] = {}
    for cells in rows_under("Ditio"):
        told |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[0]), cells)

    assert set(told) == set(Field)
    for field, rule in DEFAULT_RULES.by_field.items():
        _, sources, owner, sent = told[field]
        assert owner.startswith(f"`{rule.owner}`"), field
        assert sent
        for source in rule.sources:
            assert source.attribute in sources
            assert source.sub_attribute in (None, "value") or source.sub_attribute in sources
            assert all(
                str(condition.value) in sources for condition in source.conditions if condition.value is not True
            )
