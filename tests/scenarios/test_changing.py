"""Changed: what Entra changes reaches Ditio, and nothing else does."""

import pytest

from scim_bridge.sandbox.gateway import Fault
from tests.world import World, a_user, day


def test_one_change_is_one_patch_with_only_that(styled: World):
    """C1: the profile PATCH carries the changed field alone."""
    kari = a_user()
    styled.provisions(kari)
    styled.forget()

    styled.changes(kari, job_title="Anleggsleder")

    assert styled.sent() == [("PATCH", "/1042", {"workTitle": "Anleggsleder"})]
    assert styled.employee("1042").work_title == "Anleggsleder"
    assert styled.state(kari) == ("delivered", None)


def test_a_new_phone_number_goes_by_its_own_operation(styled: World):
    """C1, P6: phone is the login; it is changed by change-phone-number and by nothing else."""
    kari = a_user()
    styled.provisions(kari)
    styled.forget()

    styled.changes(kari, mobile="412 34 567")

    assert styled.sent() == [("PATCH", "/1042/change-phone-number", {"phone": "+4741234567"})]
    assert styled.employee("1042").phone == "+4741234567"
    assert styled.state(kari) == ("delivered", None)


def test_a_new_department_changes_the_employment(styled: World):
    """C1: department belongs to the employment."""
    kari = a_user()
    styled.provisions(kari)
    styled.forget()

    styled.changes(kari, department="Betong")

    assert styled.sent() == [("PATCH", "/1042/update-employment", {"department": "Betong"})]
    assert styled.employee("1042").employment.department == "Betong"


def test_several_changes_go_in_their_order(world: World):
    """C1: change-employee-number, change-phone-number, employment, profile."""
    kari = a_user()
    world.provisions(kari)
    world.forget()

    world.changes(
        kari, surname="Hansen", department="Betong", mobile="41234567", employee_id="2042", job_title="Formann"
    )

    assert world.sent() == [
        ("PATCH", "/1042/change-employee-number", {"employeeNumber": "2042"}),
        ("PATCH", "/2042/change-phone-number", {"phone": "+4741234567"}),
        ("PATCH", "/2042/update-employment", {"department": "Betong"}),
        ("PATCH", "/2042", {"lastName": "Hansen", "workTitle": "Formann"}),
    ]
    assert world.state(kari) == ("delivered", None)


def test_a_cleared_value_is_cleared_in_ditio(styled: World):
    """C1: `null` for a cleared field that may be empty."""
    kari = a_user()
    styled.provisions(kari)
    styled.forget()

    styled.entra.clears(kari, "jobTitle")

    assert styled.sent() == [("PATCH", "/1042", {"workTitle": None})]
    assert styled.employee("1042").work_title is None
    assert styled.state(kari) == ("delivered", None)


def test_a_value_that_entra_never_sent_is_not_desired(world: World):
    """H5: an attribute that Entra never sent is not desired; what Ditio has there stays."""
    kari = a_user(job_title=None, mail=None, user_principal_name="kari")
    world.provisions(kari)
    world.employee("1042").work_title = "Satt i Ditio"
    world.forget()

    world.changes(kari, surname="Hansen")

    assert world.sent() == [("PATCH", "/1042", {"lastName": "Hansen"})]
    assert world.employee("1042").work_title == "Satt i Ditio"


def test_what_ditio_owns_is_left_alone(world: World):
    """H5: payroll and birth date are seeds: Ditio's after the creation."""
    kari = a_user()
    world.provisions(kari)
    world.employee("1042").birth_date = day("1991-01-01")
    world.employee("1042").employment.payroll = 2
    world.forget()

    world.changes(kari, job_title="Formann")

    assert world.sent() == [("PATCH", "/1042", {"workTitle": "Formann"})]


def test_a_required_value_that_vanishes_keeps_what_was_acknowledged(world: World):
    """C3: a required value that is cleared keeps its acknowledged value and is named; the rest flows on."""
    kari = a_user(telephone_number="22 33 44 55")
    world.provisions(kari)
    world.forget()

    world.entra.clears(kari, "mobile")
    world.changes(kari, job_title="Formann")

    assert world.sent() == [("PATCH", "/1042", {"workTitle": "Formann"})]
    assert world.employee("1042").phone == "+4798765432"
    state, detail = world.state(kari)
    assert state == "delivered"
    assert detail is not None
    assert "phone" in detail


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mobile": "123"}, "123"),
        ({"given_name": "x" * 300, "display_name": "Kari"}, "name.givenName"),
        ({"surname": "x" * 300}, "name.familyName"),
        ({"employee_id": ".."}, "employeeNumber"),
    ],
)
def test_a_required_value_that_turns_unusable_is_named_and_the_rest_flows(
    world: World, changes: dict[str, object], named: str
):
    """C3: it keeps its acknowledged value and is named in `deliveryDetail`; everything else flows on."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.forget()
    world.changes(kari, job_title="Formann", **changes)

    assert world.sent() == [("PATCH", "/1042", {"workTitle": "Formann"})]
    state, detail = world.state(kari)
    assert state == "delivered"
    assert detail is not None
    assert named in detail
    employee = world.employee("1042")
    assert (employee.first_name, employee.last_name, employee.phone) == ("Kari", "Nordmann", "+4798765432")


@pytest.mark.usefixtures("ends_at_once")
def test_an_ending_needs_nothing_but_the_link(styled: World):
    """C3: a person who leaves is ended, whatever has become of his required values."""
    kari = a_user()
    styled.provisions(kari)
    styled.clock.passes(minutes=1)
    styled.changes(kari, mobile="123", surname="x" * 300, employee_id="..", account_enabled=False)

    assert styled.employee("1042").disabled
    assert styled.employee("1042").employment.end == day("2026-03-02")


def test_the_source_that_served_last_is_followed(world: World):
    """C3: work phone for mobile, `displayName` for names: remembered, and its changes are followed."""
    kari = a_user(mobile=None, telephone_number="22334455", given_name=None, surname=None)
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, telephone_number="22334466", display_name="Kari Hansen")

    assert world.employee("1042").phone == "+4722334466"
    assert world.employee("1042").last_name == "Hansen"
    assert world.state(kari) == ("delivered", None)


def test_a_source_earlier_in_the_list_takes_over(world: World):
    """C3: another takes over only by appearing earlier in the list; then it is the one whose changes count."""
    kari = a_user(mobile=None, telephone_number="22334455")
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, mobile="41234567")
    assert world.employee("1042").phone == "+4741234567"

    world.clock.passes(minutes=1)
    world.changes(kari, telephone_number="22334466")
    world.entra.clears(kari, "mobile")
    assert world.employee("1042").phone == "+4741234567"


def test_a_source_that_takes_over_unnoticed_is_remembered(world: World):
    """C3: a mobile that appears with the work phone's number serves from then on; when it vanishes nothing changes."""
    kari = a_user(mobile=None, telephone_number="98765432")
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, mobile="+47 987 65 432")
    world.clock.passes(minutes=1)
    world.changes(kari, telephone_number="22334466")
    world.clock.passes(minutes=1)
    world.forget()
    world.entra.clears(kari, "mobile")

    assert world.sent() == []
    assert world.employee("1042").phone == "+4798765432"
    state, detail = world.state(kari)
    assert state == "delivered"
    assert "phone" in str(detail)


OWN_VALUES = {
    "email": ("mail", "ny@contractor.example", "kari.nordmann@contractor.example"),
    "workTitle": ("job_title", "Leder", "Maskinfører"),
    "firstName": ("given_name", "Karianne", "Kari"),
    "lastName": ("surname", "Hansen", "Nordmann"),
    "phone": ("mobile", "+4741234567", "+4798765432"),
    "department": ("department", "Betong", "Anlegg"),
    "birthDate": ("birth_date", "1991-01-01", "1990-05-15"),
}


@pytest.mark.parametrize("owner", ["entra", "seed", "ditio"])
@pytest.mark.parametrize("field", OWN_VALUES)
def test_the_owner_of_every_field_is_a_setting(world: World, field: str, owner: str):
    """H5: `entra` is sent whenever it differs, `seed` at creation, `ditio` never once the employee exists."""
    world.restarts_with(mapping={"fields": {field: {"owner": owner}}})
    name, later, first = OWN_VALUES[field]
    kari = a_user()
    world.provisions(kari)
    required = field in ("firstName", "lastName", "phone")
    assert _shown_in(world, field) == (first if owner != "ditio" or required else "None")

    world.clock.passes(minutes=1)
    world.forget()
    world.changes(kari, **{name: later})

    assert bool(world.sent()) == (owner == "entra")
    assert (_shown_in(world, field) == later) == (owner == "entra")
    assert world.state(kari) == ("delivered", None)


@pytest.mark.parametrize("field", ["email", "workTitle", "department"])
def test_a_seed_is_sent_where_ditio_has_none(world: World, field: str):
    """H5: `seed`: at creation, or where Ditio has none."""
    world.restarts_with(mapping={"fields": {field: {"owner": "seed"}}})
    name, later, _ = OWN_VALUES[field]
    kari = a_user(**{name: None, "user_principal_name": "kari"})
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, **{name: later})

    assert _shown_in(world, field) == later


def test_ditios_own_number_is_not_changed(world: World):
    """H5: where Ditio owns the employee number no one is renumbered."""
    world.restarts_with(mapping={"fields": {"employeeNumber": {"owner": "seed"}}})
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, employee_id="2042")

    assert list(world.ditio.company.employees) == ["1042"]


def test_a_defaulted_value_is_never_compared(world: World):
    """H5: start and payroll that the bridge supplied are Ditio's, regardless of who owns the field."""
    world.restarts_with(mapping={"fields": {"payroll": {"owner": "entra"}}})
    kari = a_user(hire_date=None)
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.employee("1042").employment.payroll = 2
    world.employee("1042").employment.start = day("2026-01-01")
    world.forget()
    world.changes(kari, job_title="Formann")

    assert world.sent() == [("PATCH", "/1042", {"workTitle": "Formann"})]


@pytest.mark.usefixtures("ends_at_once")
def test_a_start_is_never_compared_once_an_employment_has_ended(world: World):
    """H5: `startDate` is Ditio's for good once an employment has ended, even where the new start lies ahead."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(days=1)
    world.changes(kari, account_enabled=False)
    world.clock.passes(days=10)
    world.changes(kari, account_enabled=True, hire_date="2026-05-01")
    world.clock.passes(days=1)
    world.forget()
    world.changes(kari, hire_date="2026-06-01")

    assert world.sent() == []
    assert world.employee("1042").employment.start == day("2026-05-01")


def test_linking_acknowledges_what_agrees_and_no_more(world: World):
    """H5: what both sides agree in can be cleared later; what Ditio alone has, never."""
    world.ditio.plant(
        "1042", "Kari", "Nordmann", "+4798765432", work_title="Maskinfører", department="Betong", email="k@d.example"
    )
    kari = a_user(department=None, mail=None, user_principal_name="kari")
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.forget()
    world.entra.clears(kari, "jobTitle")

    assert world.sent() == [("PATCH", "/1042", {"workTitle": None})]
    assert world.employee("1042").employment.department == "Betong"
    assert world.employee("1042").email == "k@d.example"


def test_a_start_date_that_lies_ahead_follows_entra(world: World):
    """H5: `startDate` is Entra's while the acknowledged start lies ahead, then Ditio's."""
    kari = a_user(hire_date="2026-04-01")
    world.provisions(kari)
    world.changes(kari, hire_date="2026-04-15")
    assert world.employee("1042").employment.start == day("2026-04-15")

    world.clock.passes(days=60)
    world.forget()
    world.changes(kari, hire_date="2026-05-15")

    assert world.sent() == []
    assert world.employee("1042").employment.start == day("2026-04-15")


def test_a_renumbering_whose_answer_was_lost_is_found_under_the_new_number(world: World):
    """P6: before a renumbering both numbers are stored; after an ambiguous answer both are read."""
    kari = a_user()
    world.provisions(kari)
    world.forget()
    world.ditio.faults.plan(_lost("change-employee-number"))

    world.changes(kari, employee_id="2042")
    world.clock.passes(hours=2)
    world.worker.run_until_idle()

    assert [call[1] for call in world.sent()] == ["/1042/change-employee-number"]
    assert world.state(kari) == ("delivered", None)
    assert world.employee("2042").phone == "+4798765432"


def test_an_operation_that_is_switched_off_is_held_and_the_rest_flows(world: World):
    """P6, R1: a new phone waits for a hand where the operation is off; everything else is delivered."""
    world.restarts_with(ditio={"operations": {"change_phone_number": "off"}})
    kari = a_user()
    world.provisions(kari)
    world.forget()

    world.changes(kari, mobile="41234567", job_title="Formann")

    assert world.sent() == [("PATCH", "/1042", {"workTitle": "Formann"})]
    state, detail = world.state(kari)
    assert state == "held"
    assert detail is not None
    assert "DITIO__OPERATIONS__CHANGE_PHONE_NUMBER" in detail


def test_a_new_number_waits_for_a_hand_where_the_operation_is_off(world: World):
    """P6, P5: held with the cure, the rest flows on; once it was changed by hand, a retry finds the employee there."""
    world.restarts_with(ditio={"operations": {"change_employee_number": "off"}})
    kari = a_user()
    world.provisions(kari)
    world.forget()

    world.changes(kari, employee_id="2042", job_title="Formann")

    assert world.sent() == [("PATCH", "/1042", {"workTitle": "Formann"})]
    state, detail = world.state(kari)
    assert state == "held"
    assert "DITIO__OPERATIONS__CHANGE_EMPLOYEE_NUMBER" in str(detail)

    world.ditio.company.change_number("1042", "2042")
    world.clock.passes(minutes=1)
    _retry(world)
    assert world.state(kari) == ("delivered", None)
    assert world.employee("2042").created_count == 1


def test_an_operation_that_ditio_does_not_know_is_held(world: World):
    """R1: 404 on an operation while the employee can be read is `no-operation`, never `gone`."""
    world.restyle(missing_operations=frozenset({"change-phone-number"}))
    kari = a_user()
    world.provisions(kari)

    world.changes(kari, mobile="41234567")

    assert world.state(kari)[0] == "held"
    world.restyle(missing_operations=frozenset())
    _retry(world)
    assert world.employee("1042").phone == "+4741234567"
    assert world.state(kari) == ("delivered", None)


def test_a_refused_change_is_parked_with_ditios_words(world: World):
    """R1: `park`: what Ditio refuses is parked, with its words and the request's id; Entra hears 2xx."""
    world.restarts_with(delivery={"on_refused": "park"})
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(_status(422, "PATCH", "/employees/1042"))

    step = world.changes(kari, job_title="Formann")

    assert step.status == 200
    state, detail = world.state(kari)
    assert state == "parked"
    assert detail is not None
    assert "422" in detail

    world.scim("PATCH", f"/Users/{world.entra.scim_id(kari.object_id)}", _same_title("Formann"))
    assert world.state(kari) == ("delivered", None)


def test_an_employee_who_vanished_is_parked_and_never_created_again(world: World):
    """P5: a linked person never causes a live create."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.restyle(out_of_reach=frozenset({"1042"}))
    world.forget()

    world.changes(kari, job_title="Formann")

    assert world.sent() == []
    state, detail = world.state(kari)
    assert state == "parked"
    assert detail is not None
    assert "no longer found" in detail


def test_ditio_down_costs_nothing(world: World):
    """A2, R3: Entra hears 2xx while Ditio is down, and everything arrives afterwards."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(_fault(kind="refused-connection", times=None))

    step = world.changes(kari, job_title="Formann")
    assert step.status == 200
    assert world.state(kari)[0] == "due"

    world.ditio.faults.clear()
    world.clock.passes(hours=1)
    world.worker.run_until_idle()

    assert world.employee("1042").work_title == "Formann"
    assert world.state(kari) == ("delivered", None)


def test_ten_patches_become_one_delivery(world: World):
    """D1: no payload is queued, so only what is wanted at last is sent."""
    world.restarts_with(delivery={"inline_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    for number in range(10):
        world.changes(kari, job_title=f"Tittel {number}")
    world.worker.run_until_idle()

    assert len(world.sent()) == 1
    assert world.employee("1042").work_title == "Tittel 9"


def test_the_other_dialect_says_the_same(database, clock):
    """The path-less replace of `?aadOptscim062020` changes the same fields."""
    world = World(database, clock, dialect="aadOptscim062020")
    kari = a_user()
    world.provisions(kari)
    world.forget()

    world.changes(kari, job_title="Formann", department="Betong", mobile="41234567")

    assert world.sent() == [
        ("PATCH", "/1042/change-phone-number", {"phone": "+4741234567"}),
        ("PATCH", "/1042/update-employment", {"department": "Betong"}),
        ("PATCH", "/1042", {"workTitle": "Formann"}),
    ]
    assert world.state(kari) == ("delivered", None)


def _fault(**values):
    return Fault(**values)


def _lost(path: str):
    return _fault(kind="reset-after", path=path)


def _status(status: int, method: str, path: str):
    return _fault(kind="status", status=status, method=method, path=path)


def _retry(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()


def _same_title(title: str) -> dict[str, object]:
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": "title", "value": title}],
    }


def _shown_in(world: World, field: str) -> str:
    employee = world.employee("1042")
    holder = employee.employment if field == "department" else employee
    names = {"firstName": "first_name", "lastName": "last_name", "workTitle": "work_title", "birthDate": "birth_date"}
    return str(getattr(holder, names.get(field, field)))
