"""Guards: what is too little to be believed, and too much to be sent (rule Q4)."""

from typing import Any

import pytest

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.person import PersonId
from scim_bridge.plan.limits import CompanySize, Limits, limit_exceeded, roster_doubt


def ended(count: int, **changes: Any) -> list[Drift]:
    return [
        Drift(Kind.should_be_inactive, Cause.never_delivered, person_id=PersonId(f"p{place}"), **changes)
        for place in range(count)
    ]


@pytest.mark.parametrize(
    ("company", "is_believed"),
    [
        (CompanySize(shown=0, linked=0, at_work=0), True),
        (CompanySize(shown=0, linked=1, at_work=0), False),
        (CompanySize(shown=0, linked=1, at_work=0, shown_before=0), False),
        (CompanySize(shown=1, linked=2, at_work=1), True),
        (CompanySize(shown=2, linked=5, at_work=1), False),
        (CompanySize(shown=50, linked=40, at_work=1, shown_before=100), True),
        (CompanySize(shown=49, linked=40, at_work=1, shown_before=100), False),
        (CompanySize(shown=49, linked=40, at_work=1), True),
    ],
)
def test_an_empty_or_halved_answer_is_not_believed(company: CompanySize, is_believed: bool):
    """Q4: no one while anybody is linked; fewer than half of the last complete read, else of the links."""
    assert (roster_doubt(company) is None) is is_believed


@pytest.mark.parametrize(
    ("people", "at_work", "is_stopped"), [(10, 100, False), (11, 100, True), (19, 19, False), (3, 20, True)]
)
def test_a_share_of_endings(people: int, at_work: int, is_stopped: bool):
    """Q4: more than RECONCILE__MAX_ENDED_FRACTION; under 20 people it does not apply."""
    found = limit_exceeded(ended(people), CompanySize(at_work, at_work, at_work), Limits(), reviewed=False)

    assert (found is not None) is is_stopped
    if found is not None:
        assert f"{people} of {at_work}" in found
        assert "RECONCILE__MAX_ENDED_FRACTION" in found


def test_a_person_is_ended_once():
    """Login and employment of one leaver are one ending, and two changes."""
    rows = [*ended(10), *ended(10)]

    assert limit_exceeded(rows, CompanySize(100, 100, 100), Limits(), reviewed=False) is None
    assert limit_exceeded(rows, CompanySize(100, 100, 100), Limits(max_changes=19), reviewed=False) is not None


def test_what_is_only_listed_does_not_count():
    rows = ended(50, listed="parked")

    assert limit_exceeded(rows, CompanySize(100, 100, 100), Limits(max_changes=0), reviewed=False) is None


def test_creations_count_where_they_would_be_made():
    """P5: only from a reviewed plan."""
    rows = [Drift(Kind.missing, Cause.never_delivered, person_id=PersonId("p"))]

    assert limit_exceeded(rows, CompanySize(9, 9, 9), Limits(max_changes=0), reviewed=False) is None
    assert limit_exceeded(rows, CompanySize(9, 9, 9), Limits(max_changes=0), reviewed=True) is not None
