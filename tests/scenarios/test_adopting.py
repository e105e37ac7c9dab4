"""An employee who is there already: adopted where it is certain, left alone where not."""

import pytest

from tests.world import World, a_user, day


def test_an_existing_employee_is_adopted_and_updated(styled: World):
    """H1: found by number, the phone agrees: linked, and the difference is sent; no one is created."""
    styled.ditio.plant(
        "1042",
        "Kari",
        "Nordmann",
        "+4798765432",
        email="kari.nordmann@contractor.example",
        start=day("2020-01-01"),
        department="Anlegg",
        work_title="Lærling",
    )
    kari = a_user()

    styled.provisions(kari)

    employee = styled.employee("1042")
    assert employee.created_count == 0
    assert employee.work_title == "Maskinfører"
    assert employee.employment.start == day("2020-01-01")
    # A birth date that Ditio does not show is unknown: a seed is sent only where Ditio certainly has none.
    birth_date = {} if styled.ditio.style.omit_empty else {"birthDate": "1990-05-15"}
    assert styled.sent() == [("PATCH", "/1042", {"workTitle": "Maskinfører", **birth_date})]
    assert styled.state(kari) == ("delivered", None)


@pytest.mark.parametrize(
    "planted",
    [
        {"phone": "+4798765432"},
        {"phone": "+4741111111", "email": "Kari.Nordmann@contractor.example"},
        {"phone": "+4741111111", "last_name": "nordmann".title(), "birth_date": day("1990-05-15")},
    ],
    ids=["phone", "e-mail", "birth date and last name"],
)
def test_what_verify_accepts(world: World, planted: dict[str, object]):
    """H1: phone, e-mail, or birth date and last name agree."""
    world.ditio.plant("1042", **planted)
    kari = a_user()
    world.provisions(kari)

    assert world.state(kari)[0] == "delivered"
    assert world.employee("1042").first_name == "Kari"
    assert world.employee("1042").phone == "+4798765432"


def test_a_stranger_is_left_alone(styled: World):
    """H1, R1: nothing agrees: 409, both sides and the cure named; Ditio's employee is untouched."""
    styled.ditio.plant("1042", "Ola", "Hansen", "+4741111111", email="ola@elsewhere.example")
    kari = a_user()

    step = styled.provisions(kari)

    assert (step.status, step.scim_type) == (409, "uniqueness")
    assert styled.sent() == []
    employee = styled.employee("1042")
    assert (employee.first_name, employee.phone) == ("Ola", "+4741111111")
    assert "+4741111111" in str(step.detail)
    assert "+4798765432" in str(step.detail)
    assert f"`scim-bridge adopt --accept 1042 {kari.user_principal_name}`: Entra's next try uses it" in str(step.detail)


def test_a_stranger_whose_refusal_no_one_waits_for_is_parked(world: World):
    """H1: parked with both sides and the cure where the request waits no more."""
    world.restarts_with(delivery={"inline_seconds": 0})
    world.ditio.plant("1042", "Ola", "Hansen", "+4741111111", email="ola@elsewhere.example")
    kari = a_user()
    assert world.provisions(kari).status == 201
    world.worker.run_until_idle()

    state, detail = world.state(kari)
    assert state == "parked"
    assert "+4741111111" in str(detail)
    assert "+4798765432" in str(detail)
    assert f"`scim-bridge adopt --accept 1042 {kari.user_principal_name}`" in str(detail)


def test_the_same_phone_under_another_number_is_never_a_create(styled: World):
    """P4: a hit under another number is a refusal that names that number."""
    styled.ditio.plant("77", "Kari", "Nordmann", "+4798765432")
    kari = a_user()

    step = styled.provisions(kari)

    assert styled.sent() == []
    assert step.status == 409
    assert "employee 77" in str(step.detail)
    assert 'phoneNumbers[type eq "mobile"].value' in str(step.detail)


def test_the_same_e_mail_under_another_number_is_never_a_create(world: World):
    """P4: before a create Ditio is searched by e-mail too."""
    world.ditio.plant("77", "Kari", "Nordmann", "+4741111111", email="KARI.nordmann@contractor.example")
    step = world.provisions(a_user())

    assert world.sent() == []
    assert step.status == 409
    assert 'emails[type eq "work"].value' in str(step.detail)


@pytest.mark.parametrize("told", [{"phone": "+4798765432"}, {"email": "kari.nordmann@contractor.example"}], ids=str)
def test_someone_without_a_number_who_has_the_phone_or_e_mail_is_never_doubled(world: World, told: dict[str, str]):
    """P4: Ditio's own SCIM app creates employees without a number: no read finds them, the search does."""
    world.restyle(duplicates="update-all")
    world.ditio.plant("", "Kari", "Nordmann", **{"phone": "+4741111111", **told})
    step = world.provisions(a_user())

    assert world.sent() == []
    assert step.status == 409
    assert "employee without a number" in str(step.detail)
    assert "the number 1042 in Ditio" in str(step.detail)


def test_a_phone_of_someone_without_a_number_is_not_taken(world: World):
    """P4: nor by a change of phone."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.plant("", phone="+4741234567")
    world.forget()

    assert world.changes(kari, mobile="41234567").status == 409
    assert world.sent() == []


@pytest.mark.parametrize("told", [{"phone": "+4798765432"}, {"email": "kari.nordmann@contractor.example"}], ids=str)
def test_a_search_that_shows_names_alone_hides_no_one(world: World, told: dict[str, str]):
    """P4: what a search shows of an employee is not documented: one of whom it shows too little is read."""
    world.restyle(brief_search=True)
    world.ditio.plant("77", "Kari", "Nordmann", **{"phone": "+4741111111", **told})
    step = world.provisions(a_user())

    assert world.sent() == []
    assert step.status == 409
    assert "employee 77" in str(step.detail)


@pytest.mark.parametrize(("adopt", "created"), [("always", 201), ("never", 409)])
def test_the_setting_decides(world: World, adopt: str, created: int):
    """H1: `DELIVERY__ADOPT` = `always`, `never`."""
    world.restarts_with(delivery={"adopt": adopt})
    world.ditio.plant("1042", "Ola", "Hansen", "+4741111111" if adopt == "always" else "+4798765432")
    assert world.provisions(a_user()).status == created


def test_adoption_clears_nothing(world: World):
    """H5: an attribute that Entra never sent is not desired; adoption clears nothing."""
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", email="old@contractor.example", work_title="Formann")
    world.provisions(a_user(job_title=None, mail=None, user_principal_name="kari"))

    assert world.employee("1042").email == "old@contractor.example"
    assert world.employee("1042").work_title == "Formann"


def test_a_former_employee_is_hired_again(world: World):
    """H1, L4: a former employee, ended and disabled, is adopted, enabled and gets a new employment."""
    world.ditio.plant(
        "1042", "Kari", "Nordmann", "+4798765432", start=day("2020-01-01"), end=day("2024-12-31"), disabled=True
    )
    kari = a_user()
    world.provisions(kari)

    employee = world.employee("1042")
    assert not employee.disabled
    assert employee.employment.start == day("2026-03-01")
    assert employee.created_count == 0
    assert world.state(kari) == ("delivered", None)


def test_a_change_of_phone_to_a_strangers_number_is_not_sent(world: World):
    """P4, R1: before a change of phone Ditio is searched by phone; the change is undone whole."""
    kari = a_user()
    world.provisions(kari)
    world.ditio.plant("77", phone="+4741234567")
    world.forget()

    step = world.changes(kari, mobile="41234567", job_title="Formann")

    assert step.status == 409
    assert "employee 77" in str(step.detail)
    titles = [{"workTitle": "Formann"}, {"workTitle": "Maskinfører"}]
    assert world.sent() == [("PATCH", "/1042", title) for title in titles]
    assert world.employee("1042").phone == "+4798765432"
    assert world.state(kari) == ("delivered", None)
