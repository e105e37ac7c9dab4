"""What the settings say of payroll, and of who owns a field: sent with each employment, seeded, or left to Ditio."""

from typing import Any

import pytest

from tests.world import World, a_user, day

PAYROLL = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User:payroll"


def employment_bodies(world: World) -> list[Any]:
    """What was said of each new employment: at the creation, and at a return."""
    return [
        body["employment"] if path == "" else body
        for _, path, body in world.sent()
        if path in ("", "/1042/create-employment")
    ]


@pytest.mark.parametrize(("payroll", "sent"), [(1, 1), (0, 0), (2, 2), ("omit", None)])
@pytest.mark.usefixtures("ends_at_once")
def test_payroll_is_a_setting(world: World, payroll: object, sent: int | None):
    """H4, L4: `MAPPING__PAYROLL`: 1, 0, 2 or `omit`, at the creation and at a return."""
    world.restarts_with(mapping={"payroll": payroll})
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=30)
    world.changes(kari, account_enabled=True)

    assert [body.get("payroll") for body in employment_bodies(world)] == [sent, sent]


@pytest.mark.usefixtures("ends_at_once")
def test_payroll_of_entras_goes_before_the_setting(world: World):
    """H4, L4: what Entra sends is carried by the creation and by create-employment."""
    kari = a_user(extra={PAYROLL: "2"})
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=30)
    world.changes(kari, account_enabled=True)

    assert [body.get("payroll") for body in employment_bodies(world)] == [2, 2]


@pytest.mark.parametrize(("owner", "follows"), [("entra", True), ("seed", False), ("ditio", False)])
def test_the_owner_of_payroll(world: World, owner: str, follows: bool):
    """H5: `entra` follows each change, `seed` is sent once, `ditio` never."""
    world.restarts_with(mapping={"fields": {"payroll": {"owner": owner}}})
    kari = a_user(extra={PAYROLL: "2"})
    world.provisions(kari)
    (first,) = employment_bodies(world)
    assert first.get("payroll") == (None if owner == "ditio" else 2)

    world.clock.passes(minutes=1)
    world.forget()
    kari.extra[PAYROLL] = "0"
    world.cycle()
    assert world.sent() == ([("PATCH", "/1042/update-employment", {"payroll": 0})] if follows else [])


@pytest.mark.parametrize(("owner", "follows"), [("entra", True), ("seed", False), ("ditio", False)])
def test_the_owner_of_the_start_date(world: World, owner: str, follows: bool):
    """H5: a start that lies ahead follows Entra only where Entra owns it."""
    world.restarts_with(mapping={"fields": {"startDate": {"owner": owner}}})
    kari = a_user(hire_date="2026-04-01")
    world.provisions(kari)
    world.changes(kari, hire_date="2026-04-15")

    assert world.employee("1042").employment.start == day("2026-04-15" if follows else "2026-04-01")


@pytest.mark.parametrize(("owner", "follows"), [("entra", True), ("seed", False), ("ditio", False)])
def test_the_owner_of_the_employee_number(world: World, owner: str, follows: bool):
    """H5, P6: no one is renumbered where Entra does not own the number."""
    world.restarts_with(mapping={"fields": {"employeeNumber": {"owner": owner}}})
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, employee_id="2042")

    assert list(world.ditio.company.employees) == (["2042"] if follows else ["1042"])


@pytest.mark.usefixtures("ends_at_once")
def test_leave_dates_that_are_ditios_own_end_no_one(world: World):
    """H5, L2: `endDate` owned by Ditio: Entra's leave date is not acted on; `active` is, all the same."""
    world.restarts_with(mapping={"fields": {"endDate": {"owner": "ditio"}}})
    kari = a_user(leave_date="2026-03-10")
    world.provisions(kari)
    world.clock.passes(days=20)
    world.worker.run_until_idle()
    assert world.employee("1042").employment.end is None
    assert not world.employee("1042").disabled

    world.changes(kari, account_enabled=False)
    assert world.employee("1042").employment.end == day("2026-03-22")


def test_an_attribute_that_entra_empties_is_cleared_once(world: World):
    """H5, C1: `null` only where a value was acknowledged before; after that there is nothing to clear."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.entra.clears(kari, "department")
    world.forget()
    world.clock.passes(minutes=1)
    world.changes(kari, surname="Hansen")

    assert world.sent() == [("PATCH", "/1042", {"lastName": "Hansen"})]


def test_a_start_that_lies_ahead_is_enabled(world: World):
    """H4: created at once with that date, enabled: no one waits for the day."""
    kari = a_user(hire_date="2026-09-01")
    world.provisions(kari)

    assert not world.employee("1042").disabled
    assert world.employee("1042").employment.start == day("2026-09-01")
    assert world.state(kari) == ("delivered", None)


def test_a_birth_date_is_never_invented(world: World):
    """H4: where Entra sends none, none is sent."""
    kari = a_user(birth_date=None)
    world.provisions(kari)

    assert world.employee("1042").birth_date is None
    assert "birthDate" not in world.sent()[0][2]
