"""Changed: what Entra changes reaches Ditio, and nothing else does."""

from scim_bridge.sandbox.faults import Fault
from scim_bridge.storage.outbox import Outbox
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


def test_a_value_that_entra_never_sent_is_no_wish(world: World):
    """H5: an attribute that Entra never sent is not a wish; what Ditio has there stays."""
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
    """R1: what Ditio refuses is parked, with its words and the request's id; Entra hears 2xx."""
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
    with world.database.write() as connection:
        Outbox(connection, "default", world.clock()).retry()
    world.worker.run_until_idle()


def _same_title(title: str) -> dict[str, object]:
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Replace", "path": "title", "value": title}],
    }
