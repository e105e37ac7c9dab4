"""Compared: what counts as equal, what as Ditio's own form, and what as another round (rules C2, C5)."""

import pytest
from sqlalchemy import select

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.tables import acknowledged, people
from tests.scenarios.test_reconciling import hires
from tests.world import World, a_user, day

TITLE = "Anleggsleder"


@pytest.fixture(params=["body", "204"])
def answering(request: pytest.FixtureRequest, world: World) -> World:
    """The world, once with a Ditio whose writes show the employee, once with one whose writes show nothing."""
    world.restyle(answers=request.param)
    return world


def delivers(world: World, user: EntraUser, *, times: int = 1) -> list[object]:
    """Something else changes in Entra, a while later, so that the person is delivered; what was sent for a title."""
    world.forget()
    for _ in range(times):
        world.clock.passes(minutes=10)
        world.changes(user, surname=f"Hansen {world.clock.seconds:.0f}")
    return [body["workTitle"] for _, _, body in world.sent() if body and "workTitle" in body]


def reads_have_caught_up(world: World) -> None:
    """The simulated Ditio's lag counts reads: it is over."""
    for _ in range(3):
        world.parts.tenants["default"].ditio.get(EmployeeNumber("1042"))


def retries(world: World) -> None:
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()


def the_reason(world: World) -> str | None:
    with world.database.read() as s:
        reason: str | None = s.connection.execute(select(people.c.reason)).scalar_one()
    return reason


def what_is_acknowledged(world: World, field: str) -> object:
    with world.database.read() as s:
        return s.connection.execute(select(acknowledged.c.value).where(acknowledged.c.field == field)).scalar_one()


@pytest.mark.parametrize("form", ["upper", "cut", "echoed"])
def test_ditios_own_form_counts_as_equal(answering: World, form: str):
    """C2: what Ditio shows after taking a value, and shows again, is its form of it."""
    answering.restyle(forms={"workTitle": form})
    kari = a_user()
    answering.provisions(kari)
    answering.clock.passes(minutes=1)

    answering.changes(kari, job_title=TITLE)
    sent_again = delivers(answering, kari, times=5)

    assert sent_again in ([], [TITLE])
    assert answering.state(kari) == ("delivered", None)
    assert delivers(answering, kari, times=3) == []
    assert what_is_acknowledged(answering, "workTitle") == TITLE


def test_an_answer_that_shows_the_form_saves_a_second_write(world: World):
    """C2: an answer to a write is a look at what Ditio made of the value; the next read shows it again."""
    world.restyle(forms={"workTitle": "upper"})
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.changes(kari, job_title=TITLE)

    assert delivers(world, kari, times=3) == []


def test_a_form_that_a_creation_led_to(answering: World):
    """C2: a creation takes values as any other write does."""
    answering.restyle(forms={"workTitle": "upper", "lastName": "cut", "department": "upper"})
    kari = a_user(surname="Nordmann-Hansen")
    answering.provisions(kari)
    for number in range(3):
        answering.clock.passes(minutes=10)
        answering.changes(kari, mail=f"kari{number}@contractor.example")
    answering.forget()
    answering.clock.passes(minutes=10)
    answering.changes(kari, mail="kari@contractor.example")

    assert answering.sent() == [("PATCH", "/1042", {"email": "kari@contractor.example"})]
    assert answering.state(kari) == ("delivered", None)


@pytest.mark.parametrize("form", ["ignored", "alternating"])
def test_a_value_that_does_not_stay_is_parked_after_two_rounds(answering: World, form: str):
    """C2: rounds count across deliveries; after two: parked, "Ditio keeps changing FIELD"."""
    answering.restyle(forms={"workTitle": form})
    kari = a_user()
    answering.provisions(kari)
    assert what_is_acknowledged(answering, "workTitle") == "Maskinfører"
    delivers(answering, kari, times=4)

    state, detail = answering.state(kari)
    assert (state, the_reason(answering)) == ("parked", "not-converging")
    assert detail is not None
    assert "Ditio keeps changing workTitle" in detail


def test_it_is_sent_twice_and_not_once_more(answering: World):
    """C2: two rounds are two writes of the same value, whatever else is delivered meanwhile."""
    kari = a_user()
    answering.provisions(kari)
    answering.clock.passes(minutes=1)
    answering.restyle(forms={"workTitle": "ignored"})
    answering.forget()
    answering.changes(kari, job_title=TITLE)
    first = len(answering.sent())

    assert first + len(delivers(answering, kari, times=6)) == 2
    assert answering.state(kari)[0] == "parked"
    assert answering.employee("1042").last_name == kari.surname


def test_an_attempt_that_fails_is_no_round(world: World):
    """C2: a round is a value that Ditio took; trouble on the way is none."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.restyle(forms={"workTitle": "ignored"})
    world.changes(kari, job_title=TITLE)
    world.ditio.faults.plan(Fault(kind="status", status=503, method="PATCH", times=6))
    for _ in range(3):
        world.clock.passes(hours=3)
        retries(world)
    world.ditio.faults.clear()
    world.restyle(forms={})
    world.clock.passes(hours=3)
    world.worker.run_until_idle()
    delivers(world, kari)

    assert world.employee("1042").work_title == TITLE
    assert world.state(kari) == ("delivered", None)


def test_a_changed_wish_starts_anew(world: World):
    """C2: rounds count until the desired value changes."""
    kari = a_user()
    world.provisions(kari)
    world.restyle(forms={"workTitle": "ignored"})
    world.clock.passes(minutes=1)
    world.changes(kari, job_title=TITLE)
    delivers(world, kari, times=3)
    assert world.state(kari)[0] == "parked"

    world.restyle(forms={})
    world.changes(kari, job_title="Formann")
    assert world.employee("1042").work_title == "Formann"
    assert world.state(kari) == ("delivered", None)
    assert delivers(world, kari, times=2) == []


def test_outbox_retry_gives_another_try(world: World):
    """C2, D3: `outbox retry` sends once more what Ditio kept changing."""
    kari = a_user()
    world.provisions(kari)
    world.restyle(forms={"workTitle": "ignored"})
    world.clock.passes(minutes=1)
    world.changes(kari, job_title=TITLE)
    delivers(world, kari, times=3)

    world.restyle(forms={})
    world.clock.passes(minutes=1)
    retries(world)

    assert world.employee("1042").work_title == TITLE
    assert world.state(kari) == ("delivered", None)


def test_what_ditio_keeps_changing_is_not_settled_by_another_write(world: World):
    """A5, C2: equal to what Ditio acknowledged is not enough where Ditio changes it each time."""
    kari = a_user()
    world.provisions(kari)
    world.restyle(forms={"workTitle": "ignored"})
    world.clock.passes(minutes=1)
    world.changes(kari, job_title=TITLE)
    delivers(world, kari, times=3)
    world.clock.passes(minutes=1)
    world.changes(kari, display_name="Kari N.")

    assert the_reason(world) == "not-converging"


def test_a_confirmed_form_settles_without_a_call(world: World):
    """A5, C2: what Ditio acknowledged in its own form is acknowledged all the same."""
    world.restyle(forms={"workTitle": "upper"})
    kari = a_user()
    world.provisions(kari)
    delivers(world, kari, times=2)
    world.clock.passes(minutes=1)
    world.forget()
    world.changes(kari, display_name="Kari N.")

    assert world.ditio.requests == []
    assert world.state(kari) == ("delivered", None)


@pytest.mark.parametrize("edits", [["Sjef"], ["Sjef", "Konge"], ["Sjef", "Konge", "Keiser", "Gud"]])
def test_an_edit_by_hand_is_never_taken_for_ditios_form(answering: World, edits: list[str]):
    """C2, C4: a site manager's edits converge again, whenever the person is delivered."""
    kari = a_user()
    answering.provisions(kari)
    answering.clock.passes(minutes=1)
    answering.changes(kari, job_title=TITLE)
    for edit in edits:
        answering.clock.passes(minutes=1)
        answering.employee("1042").work_title = edit
        assert delivers(answering, kari) == [TITLE]

    assert answering.employee("1042").work_title == TITLE
    assert answering.state(kari) == ("delivered", None)


def test_an_edit_by_hand_that_comes_back_is_parked_in_the_end(answering: World):
    """C2: a person, or something, in Ditio who insists is named, and not fought for ever."""
    kari = a_user()
    answering.provisions(kari)
    for _ in range(5):
        answering.clock.passes(minutes=1)
        answering.employee("1042").work_title = "Sjef"
        delivers(answering, kari)

    assert the_reason(answering) == "not-converging"
    assert answering.employee("1042").work_title == "Sjef"


def test_an_edit_by_hand_of_what_has_a_form_converges_to_the_form(answering: World):
    """C2, C4: equal is the value or its form, and nothing else."""
    answering.restyle(forms={"workTitle": "upper"})
    kari = a_user()
    answering.provisions(kari)
    delivers(answering, kari, times=3)
    answering.employee("1042").work_title = "Sjef"

    assert delivers(answering, kari) == ["Maskinfører"]
    assert delivers(answering, kari, times=2) == []
    assert answering.state(kari) == ("delivered", None)


def test_a_value_that_is_emptied_by_hand_is_filled_again(answering: World):
    """C2, C4: nothing is no form of anything."""
    kari = a_user()
    answering.provisions(kari)
    for _ in range(4):
        answering.clock.passes(minutes=1)
        answering.employee("1042").work_title = None
        assert delivers(answering, kari) == ["Maskinfører"]

    assert answering.employee("1042").work_title == "Maskinfører"
    assert answering.state(kari) == ("delivered", None)


def test_a_phone_shown_in_groups_is_the_same(answering: World):
    """C2: phone as E.164."""
    answering.restyle(forms={"phone": "spaced"})
    kari = a_user()
    answering.provisions(kari)
    answering.clock.passes(minutes=1)
    answering.changes(kari, mobile="412 34 567")
    delivers(answering, kari, times=2)

    assert len(answering.ditio.calls("PATCH", "change-phone-number")) == 0
    assert answering.employee("1042").phone == "+4741234567"
    assert answering.state(kari) == ("delivered", None)


def test_a_cleared_value_that_stays_is_parked(answering: World):
    """C1, C2: `null` that Ditio ignores is a value that does not converge."""
    kari = a_user()
    answering.provisions(kari)
    answering.clock.passes(minutes=1)
    answering.restyle(forms={"workTitle": "ignored"})
    answering.entra.clears(kari, "jobTitle")
    kari.job_title = None

    assert delivers(answering, kari, times=4) == [None]
    assert the_reason(answering) == "not-converging"


def test_after_a_clearing_ditios_own_entry_stays(world: World):
    """H5: once a value is cleared, Entra asks for nothing there, and what a person enters in Ditio is his."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=1)
    world.entra.clears(kari, "jobTitle")
    kari.job_title = None
    world.clock.passes(minutes=1)
    world.employee("1042").work_title = "Satt i Ditio"

    assert delivers(world, kari, times=2) == []
    assert world.employee("1042").work_title == "Satt i Ditio"
    assert world.state(kari) == ("delivered", None)


def test_a_seed_that_ditio_does_not_keep_is_not_sent_for_ever(world: World):
    """C2, H5: where Ditio has none a seed is sent; after two rounds it is parked."""
    world.restyle(forms={"birthDate": "ignored"})
    kari = a_user()
    world.provisions(kari)
    delivers(world, kari, times=4)
    world.forget()
    delivers(world, kari, times=2)

    assert the_reason(world) == "not-converging"
    assert not any(body and "birthDate" in body for _, _, body in world.sent())


# Reads that lag


def test_a_lagging_read_does_not_make_a_value_go_twice(answering: World):
    """C5: for five seconds what was acknowledged stands in for what is read."""
    kari = a_user()
    answering.provisions(kari)
    answering.clock.passes(minutes=1)
    answering.restyle(read_lag=2)
    answering.forget()
    answering.changes(kari, job_title=TITLE)
    answering.clock.passes(seconds=2)
    answering.changes(kari, department="Betong")
    answering.clock.passes(seconds=2)
    answering.changes(kari, mail="kari.n@contractor.example")

    assert answering.sent() == [
        ("PATCH", "/1042", {"workTitle": TITLE}),
        ("PATCH", "/1042/update-employment", {"department": "Betong"}),
        ("PATCH", "/1042", {"email": "kari.n@contractor.example"}),
    ]
    assert delivers(answering, kari, times=2) == []
    assert answering.state(kari) == ("delivered", None)


def test_a_lagging_read_does_not_swallow_a_change_back(answering: World):
    """C5: what a read shows of the time before our write is not taken for what is wanted again."""
    kari = a_user(job_title="Formann")
    answering.provisions(kari)
    answering.clock.passes(minutes=1)
    answering.restyle(read_lag=2)
    answering.changes(kari, job_title=TITLE)
    answering.clock.passes(seconds=1)
    answering.changes(kari, job_title="Formann")
    reads_have_caught_up(answering)

    assert answering.employee("1042").work_title == "Formann"
    assert delivers(answering, kari) == []


def test_with_no_lag_set_every_read_is_believed(world: World):
    """C5: `DITIO__READ_LAG_SECONDS` = 0 switches it off."""
    world.restarts_with(ditio={"read_lag_seconds": 0})
    kari = a_user()
    world.provisions(kari)
    world.employee("1042").work_title = "Sjef"
    world.forget()
    world.changes(kari, surname="Hansen")

    assert world.sent() == [("PATCH", "/1042", {"lastName": "Hansen", "workTitle": "Maskinfører"})]


def test_within_the_lag_a_read_is_not_believed_and_after_it_is(world: World):
    """C5: per field, from the moment at which it was acknowledged."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(seconds=4)
    world.employee("1042").work_title = "Sjef"
    world.forget()
    world.changes(kari, surname="Hansen")
    assert world.sent() == [("PATCH", "/1042", {"lastName": "Hansen"})]

    world.clock.passes(seconds=2)
    world.changes(kari, mail="kari.n@contractor.example")
    assert world.sent()[1:] == [("PATCH", "/1042", {"email": "kari.n@contractor.example", "workTitle": "Maskinfører"})]


@pytest.mark.parametrize("lag", [1, 2, 3])
@pytest.mark.usefixtures("ends_at_once")
def test_a_return_right_after_a_leaving_reads_right(styled: World, lag: int):
    """C5, L4: a read that still shows the open login and employment does not swallow the return."""
    kari = a_user()
    styled.provisions(kari)
    styled.clock.passes(minutes=1)
    styled.restyle(read_lag=lag)
    styled.changes(kari, account_enabled=False)
    styled.clock.passes(seconds=1)
    styled.changes(kari, account_enabled=True)

    employee = styled.employee("1042")
    assert not employee.disabled
    assert [each.end for each in employee.employments] == [day("2026-03-02"), None]
    assert styled.employee("1042").employment.start == day("2026-03-03")
    assert styled.state(kari)[0] == "delivered"


@pytest.mark.parametrize("lag", [1, 3, 6])
@pytest.mark.usefixtures("ends_at_once")
def test_leaving_right_after_a_return_reads_right(styled: World, lag: int):
    """C5, L6: a read that still shows the ended employment does not leave the new one open."""
    hires(styled, 6)  # Of so many two endings within an hour are no surprise (rule L8).
    kari = a_user()
    styled.provisions(kari)
    styled.clock.passes(minutes=1)
    styled.restyle(read_lag=lag)
    for active in (False, True, False):
        styled.changes(kari, account_enabled=active)
        styled.clock.passes(seconds=1)

    employee = styled.employee("1042")
    assert employee.disabled
    assert all(each.end is not None for each in employee.employments)
    assert styled.state(kari)[0] == "delivered"


@pytest.mark.usefixtures("ends_at_once")
def test_leaving_right_after_the_creation_reads_right(styled: World):
    """C5, L6: a person who is created and leaves at once is ended, and waits for no read."""
    kari = a_user(hire_date="2026-03-10")
    styled.provisions(kari)
    styled.clock.passes(seconds=1)
    styled.changes(kari, account_enabled=False)

    assert styled.employee("1042").disabled
    assert styled.employee("1042").employment.end == day("2026-03-10")
