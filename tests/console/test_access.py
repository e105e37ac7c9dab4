"""Who may see and do what: roles, companies, forged forms, and scripts that Entra sends."""

import pytest

from scim_bridge.storage.database import Database
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, person_id, signed_in
from tests.world import World, a_user

SCRIPT = "<script>alert('x')</script>"


@pytest.fixture
def held(world: World) -> str:
    """Kari has no phone, so she is held; her id."""
    world.provisions(a_user(mobile=None))
    return person_id(world, "1042")


ACTIONS = [
    "people/{id}/retry",
    "people/{id}/hands-off",
    "people/{id}/hands-off/clear",
    "waiting/retry",
    "waiting/decided",
    "pause",
    "resume",
    "end-sessions",
    "people/{id}/preview",
    "connect/tokens",
    "connect/revoke",
    "doctor/run",
    "certificates/import/check",
    "certificates/import/apply",
    "drift/compare",
    "drift/a-plan/approved",
    "drift/a-plan/stopped",
    "first-day/find",
    "first-day/decide",
    "first-day/link",
]


@pytest.mark.parametrize("path", ACTIONS)
def test_a_viewer_may_not_act(world: World, signs_in: SignsIn, held: str, path: str):
    viewer = signs_in("viewer")
    before = everything(world)

    answer = viewer.post(path.format(id=held), reason="because", person=held, decision="release")

    assert answer.status_code == 403
    assert everything(world) == before
    assert viewer.get().status_code == 200


@pytest.mark.parametrize("path", ACTIONS)
@pytest.mark.parametrize("token", ["", "forged"])
def test_a_form_without_the_token_of_the_session_does_nothing(
    world: World, signs_in: SignsIn, held: str, path: str, token: str
):
    """CSRF: another site can send a form, but does not know the token."""
    kari = signs_in()
    before = everything(world)

    answer = kari.post(path.format(id=held), token, reason="because", person=held, decision="release")

    assert answer.status_code == 403
    assert everything(world) == before


def test_the_token_of_another_session_does_nothing(world: World, signs_in: SignsIn, held: str):
    kari, ola = signs_in(), signs_in(name="Ola")

    assert kari.post(f"people/{held}/retry", ola.token()).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_does_nothing_even_with_the_token(world: World, signs_in: SignsIn, held: str, site: str):
    answer = signs_in().post(f"people/{held}/retry", headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 403


@pytest.mark.parametrize("path", ACTIONS)
def test_an_action_is_no_link(world: World, signs_in: SignsIn, held: str, path: str):
    """A GET changes nothing: no image, prefetch or link can act."""
    assert signs_in().get(path.format(id=held)).status_code in (404, 405)


def test_a_viewer_sees_no_birth_date(world: World, signs_in: SignsIn):
    world.provisions(a_user(birth_date="1990-05-15"))
    page = f"people/{person_id(world, '1042')}"

    for seen, role in ((False, "viewer"), (True, "operator")):
        told = signs_in(role).get(page).text
        assert ("1990-05-15" in told or "15 May 1990" in told) is seen
        assert "Nordmann" in told


def test_texts_of_entra_are_never_markup(world: World, signs_in: SignsIn):
    """Stored script in every text field, and in what is searched for."""
    names = ("display_name", "given_name", "surname", "job_title", "department")
    world.provisions(a_user(**dict.fromkeys(names, SCRIPT), mobile="+47 987 65 432"))
    refused = a_user(object_id="two", user_principal_name=f"{SCRIPT}@x.no", employee_id="1042", display_name=SCRIPT)
    world.provisions(refused)
    kari = signs_in(name=SCRIPT)
    id = person_id(world, "1042")

    for path in ("", "people", f"people?q={SCRIPT}", f"people?department={SCRIPT}", f"people/{id}", "waiting"):
        told = kari.get(path).text
        assert "<script" not in told
        assert "alert(" in told


def test_a_message_shows_no_markup_of_a_reason(world: World, signs_in: SignsIn, held: str):
    kari = signs_in()

    assert "<script" not in kari.get(f"people?done={SCRIPT}&n=1").text
    assert "<script" not in kari.get(f"waiting/held/{SCRIPT}").text


@pytest.mark.parametrize("name", ["reason", "until"])
def test_what_a_form_lacks_is_said_and_nothing_is_done(world: World, signs_in: SignsIn, held: str, name: str):
    form = {"reason": "on leave", "until": "", **{name: "" if name == "reason" else "tomorrow"}}
    before = everything(world)

    answer = signs_in().post(f"people/{held}/hands-off", **form)

    assert answer.status_code == 400
    assert {key: rows for key, rows in everything(world).items() if key != "console"} == before


def test_all_people_are_tried_again_by_one_button(world: World, signs_in: SignsIn, held: str):
    world.provisions(a_user(object_id="two", user_principal_name="ola@x.no", mail="ola@x.no", mobile=None))

    answer = signs_in().post("waiting/retry", all="1")

    assert answer.headers["Location"] == "/console/default/waiting?done=retried&n=2"
    with world.database.read("default") as s:
        assert s.outbox.status().due == 2


def test_a_form_that_names_no_one_does_nothing(world: World, signs_in: SignsIn, held: str):
    before = everything(world)

    assert signs_in().post("waiting/retry").status_code == 400
    assert signs_in().post("waiting/decided", reason="because", decision="release").status_code == 400
    assert everything(world) == before


def everything(world: World) -> dict[str, object]:
    """What an action would change."""
    with world.database.read("default") as s:
        person = s.connection.exec_driver_sql("SELECT id, state, reason, revision, hands_off FROM people").all()
        history = s.connection.exec_driver_sql("SELECT count(*) FROM history").all()
        pause = s.connection.exec_driver_sql("SELECT paused_at FROM breakers").all()
        tokens = s.connection.exec_driver_sql("SELECT id, revoked_at FROM tokens").all()
        return {"people": person, "history": history, "pause": pause, "tokens": tokens}


class TestCompanies:
    """Two companies in one bridge."""

    @pytest.fixture
    def companies(self, database: Database, clock: Clock) -> Companies:
        return Companies(database, clock, "nord", common=CONSOLE)

    def test_another_companys_pages_are_not_there(self, companies: Companies):
        """404, as for a company that does not exist."""
        kari = signed_in(companies, company="nord")

        assert kari.get("/console/nord/").status_code == 200
        for path in ("", "people", "waiting", "people/some-id"):
            assert kari.get(f"/console/default/{path}").status_code == 404
            assert kari.get(f"/console/unknown/{path}").status_code == 404
        assert kari.post("/console/default/pause", reason="because").status_code == 404

    def test_another_companys_person_is_not_there(self, companies: Companies):
        companies.provisions("default", a_user())
        with companies.database.read("default") as s:
            record = s.people.find("1042")
        assert record is not None
        id, kari = record.person.id, signed_in(companies, company="nord")

        assert kari.get(f"people/{id}").status_code == 404
        assert kari.post(f"people/{id}/hands-off", reason="because").status_code == 404
        assert kari.post("waiting/retry", person=id).headers["Location"].endswith("n=0")
        with companies.database.read("nord") as s:
            assert {each.deed.action for each in s.audit.page(since=None, until=None)} == {"signed-in"}
        with companies.database.read("default") as s:
            after = s.people.find("1042")
        assert after == record
        assert "Nordmann" not in kari.get("people?q=nordmann").text
