"""The pages of drift: runs, the schedule, a plan by person, and the words of a guard."""

import re
from datetime import date

import pytest

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import Field
from scim_bridge.domain.person import PersonId
from scim_bridge.operator.drift import ROWS
from scim_bridge.reconcile.report import Report, Request
from scim_bridge.storage.database import Database
from scim_bridge.storage.runs import RECONCILE
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, person_id, signed_in
from tests.world import World, a_user

SCRIPT = "<script>alert('x')</script>"


def compared(world: World, *, apply: bool = False) -> Report:
    """A run as the command makes it."""
    return world.parts.reconciliations["default"].run(Request(apply=apply))


@pytest.fixture
def edited(world: World) -> Report:
    """Kari's title was edited in Ditio; a run has found it."""
    world.provisions(a_user())
    world.clock.passes(hours=1)
    world.employee("1042").work_title = "Sjef"
    return compared(world)


def test_a_plan_shows_both_sides_of_each_person(world: World, signs_in: SignsIn, edited: Report):
    kari = signs_in()
    told = kari.get(f"drift/{edited.run.id}").text

    assert f'href="/console/default/people/{person_id(world, "1042")}">Kari Nordmann</a>' in told
    row = told[told.index("Title") :]
    assert row.index("<del>Sjef</del>") < row.index("<ins>Maskinfører</ins>") < row.index("edited in Ditio")
    assert f"<code>scim-bridge reconcile --apply --plan {edited.run.id}</code>" in told
    assert f'href="/console/default/drift/{edited.run.id}"' in kari.get("drift").text


def test_a_viewer_sees_no_birth_date_and_no_command(world: World, signs_in: SignsIn, edited: Report):
    wanted, found = date(1990, 5, 15), date(1991, 6, 16)
    store(world, Drift(Kind.field, Cause.edited_in_ditio, "1", "u", Field.birth_date, wanted, found))
    page = f"drift/{edited.run.id}"
    for role, seen in (("operator", True), ("viewer", False)):
        told = signs_in(role).get(page).text
        assert "Sjef" in told
        assert ("--apply" in told) is seen
        told = signs_in(role).get("drift/a-plan").text
        assert "Birth date" in told
        for birth_date in ("16 Jun 1991", "15 May 1990"):
            assert (birth_date in told) is seen, (role, birth_date)


def test_a_certificate_is_told_in_words(world: World, signs_in: SignsIn, edited: Report):
    """A plan has it in one text, as a packed slot; a part that is missing is left out."""
    has, wants = "7;2024-01-01;2026-03-22;G1; G4", ";2024-01-01;2031-03-22;"
    store(world, Drift(Kind.certificate, Cause.edited_in_ditio, "1", "u", "Byggekort", wants, acknowledged=has))
    told = signs_in().get("drift/a-plan").text

    assert "<del>number 7, issued on 1 Jan 2024, valid until 22 Mar 2026, G1; G4</del>" in told
    assert "<ins>issued on 1 Jan 2024, valid until 22 Mar 2031</ins>" in told


def test_a_repaired_plan_says_what_became_of_each_row(world: World, signs_in: SignsIn, edited: Report):
    world.parts.reconciliations["default"].run(Request(apply=True, plan_id=edited.run.id))
    told = signs_in().get(f"drift/{edited.run.id}").text

    assert "1 repaired, 0 skipped" in told
    assert told.count('<span class="badge is-delivered">repaired</span>') == 1
    assert "--apply" not in told
    assert "repair of a plan" in signs_in().get("drift").text


def test_the_guards_refusal_is_explained(world: World, signs_in: SignsIn):
    world.provisions(a_user())
    world.clock.passes(hours=1)
    world.ditio.company.employees.clear()
    plan = compared(world).run.id
    kari = signs_in()

    assert "stopped by a guard" in kari.get("drift").text
    told = kari.get(f"drift/{plan}").text
    assert "Ditio shows no employee at all" in told
    assert "Nothing was sent to Ditio" in told
    assert f"--plan {plan} --force" in told


def test_the_schedule_is_told(world: World, signs_in: SignsIn):
    assert "RECONCILE__EVERY" in signs_in().get("drift").text

    world.restarts_with(**CONSOLE, reconcile={"every": 86400, "apply": True})
    kari = signs_in()
    told = kari.get("drift").text
    assert "every 24 hours" in told
    assert "repaired at once" in told
    assert "due now" in told
    with world.database.write("default") as s:
        assert s.schedules.take(RECONCILE, "one", every_seconds=86400, alive_seconds=20)
    assert "A run goes on" in kari.get("drift").text
    with world.database.write("default") as s:
        s.schedules.done(RECONCILE, "one")
    assert re.search(r"The next run is due at \d+ \w+ 2026", kari.get("drift").text)


def store(world: World, *rows: Drift, plan: str = "a-plan") -> None:
    """A stored plan."""
    with world.database.write("default") as s:
        s.runs.begin(plan, plan, is_whole=True)
        s.plan(plan).add(rows, 0)
        s.runs.note(plan, by_kind=s.plan(plan).by_kind())
        s.runs.finish(plan, exit=2)


def test_texts_of_ditio_are_never_markup(world: World, signs_in: SignsIn):
    store(
        world,
        Drift(Kind.field, Cause.edited_in_ditio, SCRIPT, SCRIPT, "workTitle", SCRIPT, SCRIPT, SCRIPT, listed=SCRIPT),
        Drift(Kind.certificate, Cause.edited_in_ditio, SCRIPT, SCRIPT, SCRIPT, SCRIPT, acknowledged=SCRIPT),
    )
    told = signs_in().get("drift/a-plan").text

    assert "<script" not in told
    assert told.count("alert(") >= 6


def test_a_long_plan_has_pages_and_kinds(world: World, signs_in: SignsIn):
    """No row is lost between two pages, and none is there twice."""
    field = [
        Drift(Kind.field, Cause.edited_in_ditio, f"{number:04}", f"u{number:04}@x.no", "workTitle")
        for number in range(ROWS + 30)
    ]
    store(world, *field, Drift(Kind.unmanaged, Cause.created_outside, "9999", listed="no user"))
    kari = signs_in()

    first = kari.get("drift/a-plan").text
    (following,) = re.findall(r'rel="next" href="/console/default/([^"]+)"', first)
    second = kari.get(following.replace("&amp;", "&")).text
    found = re.findall(r"u\d{4}@x\.no", first + second)
    assert sorted(set(found)) == [f"u{number:04}@x.no" for number in range(ROWS + 30)]
    assert 'rel="next"' not in second
    assert "employee 9999" in second
    only = kari.get("drift/a-plan?kind=unmanaged").text
    assert "employee 9999" in only
    assert "@x.no" not in only


def test_what_is_left_to_repair_is_counted_as_the_command_does(world: World):
    """Parity of the count in SQL with `Drift.may_be_repaired`, for every kind and form of row."""
    rows = [
        Drift(kind, Cause.edited_in_ditio, "1", "u", "workTitle", person_id=person, listed=listed)
        for kind in Kind
        for person in (None, PersonId("p"))
        for listed in (None, "held")
    ]
    store(world, *rows)
    with world.database.write("default") as s:
        plan = s.plan("a-plan")
        stored = list(plan.all())
        can = [row for row in stored if row.may_be_repaired(reviewed=True)]
        assert plan.count_left() == len(can) > 5
        plan.settle([(can[0].position or 0, None), (can[1].position or 0, "changed since")])
        assert plan.count_left() == len(can) - 2


@pytest.mark.parametrize("plan", ["unknown", "%00", "a", "%3Cscript%3E"])
def test_a_plan_that_is_not_there_is_404(world: World, signs_in: SignsIn, plan: str):
    answer = signs_in().get(f"drift/{plan}")

    assert answer.status_code == 404
    assert "<script>" not in answer.text


@pytest.mark.parametrize("query", ["skip=-1", "skip=99999999999999999999", "skip=x", "kind=nonsense", "skip=5000"])
def test_odd_parameters_do_no_harm(world: World, signs_in: SignsIn, edited: Report, query: str):
    assert signs_in().get(f"drift/{edited.run.id}?{query}").status_code == 200


def test_another_companys_plan_is_not_there(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    with database.write("default") as s:
        s.runs.begin("theirs", "theirs", is_whole=True)
        s.runs.note("theirs", by_kind={})
        s.runs.finish("theirs", exit=0)
    kari = signed_in(companies, company="nord")

    assert kari.get("drift/theirs").status_code == 404
    assert kari.get("/console/default/drift/theirs").status_code == 404
    assert "theirs" not in kari.get("drift").text


def test_people_are_in_sync_once_they_were_compared(world: World, signs_in: SignsIn):
    """Before the first comparison they are only delivered: on the first day, no one has looked at Ditio yet."""
    world.provisions(a_user())
    kari = signs_in()

    def first_tile() -> str:
        found = re.search(r'<a class="tile is-delivered[^>]*>(.*?)</a>', kari.get().text)
        return re.sub("<[^>]+>", "", found.group(1)) if found else ""

    assert first_tile() == "1 delivered"
    compared(world)
    assert first_tile() == "1 in sync"
