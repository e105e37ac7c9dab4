"""Employee numbers as one segment of a URL, however hostile (rule P7)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.operations import OperationName

from .conftest import a_call

PREFIX = "https://ditio.test/core/api/v5/integration/employees/"
HOSTILE = st.text(
    st.one_of(
        st.sampled_from("/?#%\\ .~+&=;:@æøåÆØÅ2eEfF-_'\"{}<>|^`*"), st.characters(exclude_categories=["Cc", "Cs"])
    ),
    min_size=1,
    max_size=64,
).filter(lambda number: number.strip() not in ("", ".", "..") and number.strip().lower() != "search")


@pytest.mark.parametrize(
    "number", ["", " ", ".", "..", " .. ", "search", "Search", "10\n42", "1\x7f", "a\ud800", "x" * 65]
)
def test_an_unusable_number_is_refused_before_any_call(client, world, number):
    with pytest.raises(ValueError, match="employee number"):
        client.get(EmployeeNumber(number))
    for name in OperationName:
        with pytest.raises(ValueError, match="employee number"):
            client.send(*a_call(name, number, employeeNumber="7", phone="+4741234567"))
    with pytest.raises(ValueError, match="employee number"):
        client.send(*a_call(OperationName.change_employee_number, employeeNumber=number))

    assert world.sent == []


@given(number=HOSTILE)
@example(number="%2E%2E")
@example(number="../search")
@example(number="..%2fsearch?query=x#y")
@example(number="a\\b/c d%")
@example(number="...")
@example(number="Ærlig Ødegård/Å")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_hostile_number_stays_one_segment(client, world, ditio, number):
    """P7: "A property test sends hostile numbers and sees the path stay one segment"."""
    ditio.company.employees.clear()
    ditio.plant(number)

    found = client.get(EmployeeNumber(number))
    client.send(*a_call(OperationName.disable, number))

    segment = world.sent[-2].url.removeprefix(PREFIX).partition("?")[0]
    assert "/" not in segment
    assert world.sent[-1].url == f"{PREFIX}{segment}/disable"
    assert found.employee_number == number.strip()
    assert ditio.employee(number).disabled
