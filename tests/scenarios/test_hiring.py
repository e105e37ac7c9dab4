"""Hired: a new person in Entra becomes an employee in Ditio."""

from tests.world import World, a_user, day, patch


def test_a_new_user_becomes_an_employee(styled: World):
    """H1, A1: read by number, absent, created; the answer says so."""
    kari = a_user()
    step = styled.provisions(kari)

    assert step.status == 201
    employee = styled.employee("1042")
    assert (employee.first_name, employee.last_name) == ("Kari", "Nordmann")
    assert employee.phone == "+4798765432"
    assert employee.email == "kari.nordmann@contractor.example"
    assert employee.work_title == "Maskinfører"
    assert employee.birth_date == day("1990-05-15")
    assert employee.employment is not None
    assert employee.employment.start == day("2026-03-01")
    assert employee.employment.department == "Anlegg"
    assert employee.employment.payroll == 1
    assert employee.created_count == 1
    assert styled.state(kari) == ("delivered", None)


def test_a_second_cycle_sends_nothing(styled: World):
    """A5: what equals the acknowledged state costs no call."""
    kari = a_user()
    styled.provisions(kari)
    styled.forget()

    styled.cycle()
    styled.scim("PATCH", f"/Users/{styled.entra.scim_id(kari.object_id)}", patch("displayName", "Kari N."))

    assert styled.ditio.requests == []
    assert styled.state(kari) == ("delivered", None)


def test_an_inactive_user_is_stored_and_hired_when_active(world: World):
    """H2: nothing is created for an inactive user; hired at the first `active` true."""
    answer = world.scim("POST", "/Users", a_scim_user(active=False))

    assert answer.status_code == 201
    extension = answer.json()["urn:ietf:params:scim:schemas:extension:ditio:2.0:User"]
    assert extension["deliveryState"] == "delivered"
    assert "inactive in Entra" in extension["deliveryDetail"]
    assert world.ditio.requests == []

    world.scim("PATCH", f"/Users/{answer.json()['id']}", patch("active", "True"))

    assert world.employee("1042").created_count == 1


def test_a_user_without_active_counts_as_active(world: World):
    """H5: `active` absent from a POST counts as true."""
    user = a_scim_user()
    del user["active"]

    assert world.scim("POST", "/Users", user).status_code == 201
    assert world.employee("1042").created_count == 1


def test_a_start_that_lies_ahead_is_created_at_once(world: World):
    """H4: created at once with that date, enabled."""
    world.provisions(a_user(hire_date="2026-04-01"))

    employee = world.employee("1042")
    assert employee.employment is not None
    assert employee.employment.start == day("2026-04-01")
    assert not employee.disabled


def test_no_start_date_means_the_day_of_provisioning(world: World):
    """H4: the start is the day of provisioning, and a later day does not move it."""
    kari = a_user(hire_date=None)
    world.provisions(kari)
    world.clock.passes(days=3)
    world.changes(kari, job_title="Anleggsleder")

    employee = world.employee("1042")
    assert employee.employment is not None
    assert employee.employment.start == day("2026-03-02")
    assert employee.work_title == "Anleggsleder"


def test_the_day_is_the_companys(world: World):
    """L1: "today" is decided in Europe/Oslo: 23:30 UTC on 1 June is the 2nd there."""
    world.clock.now = world.clock.now.replace(month=6, day=1, hour=23, minute=30)
    world.provisions(a_user(hire_date=None))

    employee = world.employee("1042")
    assert employee.employment is not None
    assert employee.employment.start == day("2026-06-02")


def test_groups_are_kept_and_go_nowhere(world: World):
    """Groups are served like any resource; Ditio hears nothing of them."""
    made = world.scim(
        "POST", "/Groups", {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Kranførere"}
    )

    assert made.status_code == 201
    found = world.scim("GET", '/Groups?filter=displayName eq "kranførere"&excludedAttributes=members')
    assert found.json()["totalResults"] == 1
    assert world.ditio.requests == []


def a_scim_user(**changes: object) -> dict[str, object]:
    return {
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "externalId": "5d1f3c0e",
        "userName": "kari.nordmann@contractor.example",
        "active": True,
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "phoneNumbers": [{"type": "mobile", "value": "98765432"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "1042"},
        **changes,
    }
