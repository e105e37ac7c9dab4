"""When a wanted and a found value are the same."""

from datetime import date

import pytest

from scim_bridge.domain.employee import Field, Value
from scim_bridge.domain.values import canonical, same


@pytest.mark.parametrize(
    ("field", "wanted", "found"),
    [
        (Field.email, "Kari.ÅS@Firma.no", " kari.a\u030as@firma.NO "),
        (Field.last_name, "Ås", "A\u030as "),
        (Field.phone, "+4798765432", "+47 987 65 432"),
        (Field.start_date, date(2026, 3, 1), date(2026, 3, 1)),
        (Field.start_date, date(2026, 3, 1), "2026-03-01T00:00:00"),
        (Field.payroll, 1, "1"),
        (Field.payroll, 1, True),
        (Field.payroll, 0, "false"),
        (Field.work_title, None, ""),
        (Field.work_title, None, "  "),
        (Field.department, None, None),
        (Field.employee_number, "1042", " 1042 "),
    ],
)
def test_the_same_said_differently_is_the_same(field: Field, wanted: Value | None, found: Value | None) -> None:
    """C2: what is compared, and how."""
    assert same(field, wanted, found)
    assert same(field, found, wanted)


@pytest.mark.parametrize(
    ("field", "wanted", "found"),
    [
        (Field.last_name, "Ås", "ås"),
        (Field.phone, "+4798765432", "+4798765433"),
        (Field.phone, "+4798765432", None),
        (Field.start_date, date(2026, 3, 1), date(2026, 3, 2)),
        (Field.start_date, date(2026, 3, 1), "soon"),
        (Field.payroll, 0, None),
        (Field.payroll, 1, 2),
        (Field.employee_number, "1042", "01042"),
        (Field.employee_number, "a1", "A1"),
    ],
)
def test_what_differs_differs(field: Field, wanted: Value | None, found: Value | None) -> None:
    """C2, P4: names keep their case, employee numbers their zeros and their case."""
    assert not same(field, wanted, found)


@pytest.mark.parametrize("field", Field)
def test_the_canonical_form_is_its_own_canonical_form(field: Field) -> None:
    for value in ("Å x ", "+47 98", "2026-03-01", 1, date(2026, 3, 1), None, ""):
        once = canonical(field, value)
        assert canonical(field, once) == once
