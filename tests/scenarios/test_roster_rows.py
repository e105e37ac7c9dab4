"""The roster is stored as it comes: several rows for one person become one, whichever batch they are in."""

from datetime import date

import pytest

from scim_bridge.ditio.actual import employee_from_row
from scim_bridge.domain.employee import ActualEmployee, Employment, Field
from scim_bridge.domain.values import OSLO
from scim_bridge.errors import BridgeError
from scim_bridge.reconcile import load
from scim_bridge.reconcile.load import RosterLoading
from tests.world import World

TODAY = date(2026, 3, 2)
KARI, PER, OLA = "1001", "1002", "1003"


def row(number: str, start: str, end: str | None = None, **more: object) -> ActualEmployee:
    employment = {"startDate": f"{start}T00:00:00Z", "endDate": end and f"{end}T00:00:00Z"}
    shown = {"employeeNumber": number, "firstName": f"Given{number}", "employments": [employment], **more}
    found = employee_from_row(shown, region="NO", zone=OSLO)
    assert found is not None
    return found


@pytest.fixture
def loading(world: World, monkeypatch: pytest.MonkeyPatch) -> RosterLoading:
    """Two rows at a time."""
    monkeypatch.setattr(load, "BATCH", 2)
    return RosterLoading(world.parts.tenants["default"], "run", TODAY)


@pytest.mark.parametrize(
    "order",
    [(0, 1, 2, 3), (0, 2, 1, 3), (2, 0, 3, 1), (1, 0, 2, 3), (0, 1, 0, 2, 1, 3)],
    ids=lambda order: "".join(map(str, order)),
)
def test_rows_of_one_person_are_merged(world: World, loading: RosterLoading, order: tuple[int, ...]):
    """Design, section 9: side by side, in batches apart, and read twice: the running one's values, all employments."""
    rows = [
        row(KARI, "2020-01-01", "2021-12-31", workTitle="Lærling"),
        row(KARI, "2024-01-01", workTitle="Maskinfører"),
        row(PER, "2024-01-01"),
        row(OLA, "2024-01-01"),
    ]

    assert loading.load([rows[place] for place in order], lambda _: None) == 3

    with world.database.read("default") as s:
        found = s.snapshot("run").of([KARI, PER, OLA])
    assert found[KARI].values[Field.work_title] == "Maskinfører"
    assert {*(found[KARI].employments or ())} == {
        Employment(date(2020, 1, 1), date(2021, 12, 31)),
        Employment(date(2024, 1, 1)),
    }
    assert [found[number].values[Field.first_name] for number in (PER, OLA)] == ["Given1002", "Given1003"]


@pytest.mark.parametrize("between", [0, 2])
def test_one_number_in_two_companies_is_refused(loading: RosterLoading, between: int):
    """Two people may have it: in the same batch, and in batches apart."""
    others = [row(number, "2024-01-01") for number in (PER, OLA)[:between]]
    mixed = [row(KARI, "2024-01-01", companyId="7"), *others, row(KARI, "2024-01-01", companyId="8")]

    with pytest.raises(BridgeError, match="1001"):
        loading.load(mixed, lambda _: None)
