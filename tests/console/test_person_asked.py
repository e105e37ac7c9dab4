"""What a person's page shows on demand: the user in Entra now, and what the next delivery would send."""

from typing import Any

import pytest

from scim_bridge.domain.person import PersonId
from scim_bridge.errors import NotFound
from scim_bridge.operator.preview import Preview, preview_of
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.web.console import people
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, person_id, signed_in
from tests.console.test_access import everything
from tests.graph.story import EntraWorld
from tests.world import SETTINGS, World, a_user

SCRIPT = "<script>alert('x')</script>"


@pytest.fixture
def entra(database: Database, clock: Clock) -> EntraWorld:
    return EntraWorld(database, clock, settings=CONSOLE)


def test_entra_is_read_on_a_click_alone(entra: EntraWorld):
    entra.provisions(a_user())
    viewer, id = signed_in(entra, "viewer"), person_id(entra, "1042")
    before = len(entra.graph.requests)

    assert "Read Entra now" in viewer.get(f"people/{id}").text
    assert len(entra.graph.requests) == before
    assert viewer.post(f"people/{id}/entra").status_code == 200
    assert len(entra.graph.requests) > before
    assert viewer.post(f"people/{id}/entra", "forged").status_code == 403


def test_what_differs_in_entra_stands_beside_what_was_said(entra: EntraWorld):
    kari = a_user()
    entra.provisions(kari)
    kari.job_title = SCRIPT
    page = f"people/{person_id(entra, '1042')}/entra"

    told = signed_in(entra, "viewer").post(page).text
    section = told[told.index('id="in-entra"') : told.index('id="history"')]

    assert "<script" not in told
    assert "alert(" in section
    assert "Maskinfører" in section
    assert "enabled" in section


def test_a_viewer_sees_no_birth_date_of_entra(entra: EntraWorld):
    kari = a_user(birth_date="1990-05-15")
    entra.provisions(kari)
    kari.birth_date = "1991-06-16"
    page = f"people/{person_id(entra, '1042')}/entra"

    assert "1991-06-16" not in signed_in(entra, "viewer").post(page).text


def test_graph_that_is_down_is_told_and_the_page_is_there(entra: EntraWorld):
    entra.provisions(a_user())
    entra.graph.faults.plan(Fault("refused-connection", times=None))

    answer = signed_in(entra).post(f"people/{person_id(entra, '1042')}/entra")

    assert answer.status_code == 200
    assert "Entra was not read:" in answer.text
    assert "Maskinfører" in answer.text


def test_graph_that_is_slow_is_given_up(entra: EntraWorld, monkeypatch: pytest.MonkeyPatch):
    entra.provisions(a_user())
    monkeypatch.setattr(people, "ENTRA_SECONDS", 0.0)

    answer = signed_in(entra).post(f"people/{person_id(entra, '1042')}/entra")

    assert answer.status_code == 200
    assert "Entra was not read:" in answer.text
    assert "too slow" in answer.text


def test_without_the_settings_nothing_is_offered(world: World, signs_in: SignsIn):
    world.provisions(a_user())
    kari, id = signs_in(), person_id(world, "1042")

    assert "Read Entra now" not in kari.get(f"people/{id}").text
    assert kari.post(f"people/{id}/entra").status_code == 200
    assert kari.post("people/unknown/entra").status_code == 404


def preview(world: World, number: str = "1042") -> Preview:
    return preview_of(world.parts.tenants["default"], PersonId(person_id(world, number)), seconds=5.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"job_title": "Formann"},
        {"job_title": None, "mail": "kari@new.example"},
        {"mobile": "+47 987 65 499"},
        {"employee_id": "1077"},
        {"account_enabled": False},
        {"leave_date": "2026-03-01"},
        {"surname": "Hansen", "department": "Kran", "hire_date": "2026-02-01"},
    ],
    ids=str,
)
def test_what_is_previewed_is_what_is_then_sent(world: World, changes: dict[str, Any]):
    """The write waits for a worker; what it would send is what the worker sends."""
    kari = a_user()
    world.provisions(kari)
    world.restarts_with(delivery={"inline_seconds": 0.0, "max_ended_fraction": 1.0, "end_employment": "at-once"})
    world.clock.passes(minutes=10)
    world.changes(kari, **changes)
    world.forget()
    before = everything(world)

    found = preview(world, "kari.nordmann@contractor.example")
    assert world.sent() == []
    assert everything(world) == before
    world.worker.run_until_idle()

    assert [each.body for each in found.steps] == [body or {} for _, _, body in world.sent()]
    assert found.steps


def test_a_new_person_is_previewed(world: World):
    world.restarts_with(delivery={"inline_seconds": 0.0})
    world.provisions(a_user())

    found = preview(world, "kari.nordmann@contractor.example")
    world.worker.run_until_idle()

    assert [each.what for each in found.steps] == ["create"]
    assert [each.body for each in found.steps] == [body for _, _, body in world.sent()]


def test_a_delivered_person_is_in_sync(world: World, signs_in: SignsIn):
    world.provisions(a_user())

    assert preview(world).is_in_sync
    assert "Ditio has everything as desired" in signs_in().post(f"people/{person_id(world, '1042')}/preview").text


def test_an_edit_by_hand_in_ditio_is_seen_on_the_page(world: World, signs_in: SignsIn):
    world.provisions(a_user())
    world.clock.passes(minutes=10)
    world.employee("1042").work_title = "Byggeleder"
    world.forget()
    before = everything(world)

    told = signs_in().post(f"people/{person_id(world, '1042')}/preview").text

    assert "Change the profile" in told
    assert "Maskinfører" in told[told.index('class="steps"') :]
    assert world.sent() == []
    assert everything(world) == before


def test_a_held_person_is_told_why_nothing_is_sent(world: World, signs_in: SignsIn):
    world.provisions(a_user(mobile=None))

    told = signs_in().post(f"people/{person_id(world, '1042')}/preview").text
    section = told[told.index('id="preview"') :]

    assert "Nothing would be sent." in section
    assert "phone" in section


def test_a_pause_and_the_guard_are_left_out(world: World):
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=10)
    world.restarts_with(delivery={"paused": True, "max_ended_per_hour": 0, "max_ended_fraction": 0.0})
    world.changes(kari, account_enabled=False)

    assert "disable" in [each.what for each in preview(world).steps]


def test_an_operation_that_is_off_is_not_previewed(world: World):
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=10)
    world.restarts_with(
        ditio={**SETTINGS["ditio"], "operations": {"change_phone_number": "off"}},
        delivery={"inline_seconds": 0.0},
    )
    world.changes(kari, mobile="+47 987 65 499")
    world.forget()

    found = preview(world)
    world.worker.run_until_idle()

    assert [each.body for each in found.steps] == [body for _, _, body in world.sent()]
    assert found.record.reason == "no-operation"


def test_ditio_that_is_down_is_told(world: World, signs_in: SignsIn):
    world.provisions(a_user())
    world.ditio.faults.plan(Fault("refused-connection", times=None))

    answer = signs_in().post(f"people/{person_id(world, '1042')}/preview")

    assert answer.status_code == 200
    assert "There is no preview:" in answer.text


def test_a_deleted_user_has_no_preview(world: World):
    kari = a_user()
    world.provisions(kari)
    id = person_id(world, "1042")
    world.deletes(kari)

    with pytest.raises(NotFound):
        preview_of(world.parts.tenants["default"], PersonId(id), seconds=5.0)


def test_another_companys_person_is_not_read(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    companies.provisions("default", a_user())
    with database.read("default") as s:
        record = s.people.find("1042")
    assert record is not None
    kari = signed_in(companies, company="nord")

    for what in ("preview", "entra"):
        assert kari.post(f"people/{record.person.id}/{what}").status_code == 404
        assert kari.post(f"people/%00/{what}").status_code == 404
