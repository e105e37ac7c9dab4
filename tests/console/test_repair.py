"""A plan is approved in the console, and repaired by a worker: chosen rows, guards, two at once, runs that die."""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.employee import Field
from scim_bridge.domain.person import PersonId
from scim_bridge.reconcile import apply, certificates
from scim_bridge.reconcile.apply import ENTRA_MOVED, NOT_SETTLED
from scim_bridge.reconcile.report import Report, Request
from scim_bridge.reconcile.run import Asked
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.asked import AskedRun, AskedRuns
from scim_bridge.storage.database import Database
from scim_bridge.storage.plans import APPROVED, blank_person
from scim_bridge.storage.runs import ProcessKind, beat
from scim_bridge.tenant import Tenant
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.company import person
from tests.console.conftest import CONSOLE, SignsIn, Visitor, at_once, meeting, person_id, signed_in
from tests.console.test_drift import compared, store
from tests.graph.story import EntraWorld
from tests.scenarios.test_certificate_drift import a_company
from tests.world import World

WHY = {"reason": "agreed with payroll"}

WANTED = tuple(str(person(number).job_title) for number in (1001, 1002, 1003))
"""The titles that Entra gives them."""


@dataclass
class Ended:
    """A process that has run, and is over."""

    exit: int

    def poll(self) -> int | None:
        return self.exit

    def terminate(self) -> None: ...


def run_of(world: World, asked: AskedRun) -> Report:
    """What the command of the run does."""
    request = Request(apply=asked.plan_id is not None, plan_id=asked.plan_id, approved=asked.plan_id is not None)
    return world.parts.reconciliations["default"].run(request)


def works(world: World, *, dies: bool = False) -> Asked:
    """What one worker does about what was asked for. :param dies: Each process dies before it does anything."""

    def start(tenant: str, asked: AskedRun) -> Ended:
        assert tenant == "default"
        return Ended(-9 if dies else run_of(world, asked).exit)

    ids = iter(f"holder-{number}" for number in range(1000))
    runs = Asked(world.database, ["default"], start, lambda: next(ids), 4)
    runs.look()  # Starts it,
    runs.look()  # and sees that it has ended.
    return runs


def titles(world: World, *numbers: str) -> list[str | None]:
    return [world.employee(number).work_title for number in numbers]


def position(world: World, plan: str, number: str) -> int:
    with world.database.read("default") as s:
        return next(row.position or 0 for row in s.plan(plan).all() if row.employee_number == number)


def outcomes(world: World, plan: str) -> dict[int, str | None]:
    with world.database.read("default") as s:
        return s.plan(plan).outcomes()


def deeds(world: World, kind: str = "plan") -> list[tuple[str, str | None, str | None]]:
    with world.database.read("default") as s:
        return [
            (row.deed.action, row.author.actor.id, row.deed.detail)
            for row in s.audit.page(since=None, until=None)
            if row.deed.resource_type == kind
        ]


def confirmed(visitor: Visitor, plan: str, query: str = "all=1") -> dict[str, object]:
    """The form of the page that asks whether to go on, as its button sends it; without the token and the reason."""
    told = visitor.get(f"drift/{plan}/repair?{query}").text
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', told)
    form: dict[str, object] = {name: value for name, value in fields if name not in ("token", "who")}
    return {**form, "who": [value for name, value in fields if name == "who"]}


def approves(visitor: Visitor, plan: str, query: str = "all=1", **form: object):
    return visitor.post(f"drift/{plan}/approved", **{**confirmed(visitor, plan, query), **WHY, **form})


@pytest.fixture
def users(world: World) -> list[EntraUser]:
    """Three people, whose titles were edited in Ditio."""
    users = [person(number) for number in (1001, 1002, 1003)]
    for each in users:
        world.provisions(each)
    world.clock.passes(hours=1)
    for number in ("1001", "1002", "1003"):
        world.employee(number).work_title = "Sjef"
    return users


@pytest.fixture
def plan(world: World, users: list[EntraUser]) -> str:
    found = compared(world).run.id
    world.forget()
    return found


def test_a_plan_is_approved_in_the_console_and_repaired_by_a_worker(world: World, signs_in: SignsIn, plan: str):
    """The page only stores it: the request calls no Ditio, and outlives no process."""
    kari = signs_in()

    answer = approves(kari, plan)

    assert answer.headers["Location"] == f"/console/default/drift/{plan}/progress?done=approved&n=3"
    assert world.sent() == []
    assert outcomes(world, plan) == {}
    works(world)
    assert titles(world, "1001", "1002", "1003") == list(WANTED)
    assert list(outcomes(world, plan).values()) == [None] * 3
    assert deeds(world) == [("applied", "Kari", "agreed with payroll")]
    told = kari.get(f"drift/{plan}/progress").text
    assert "No repair goes on" in told
    assert "3 repaired, 0 skipped" in told


def test_the_page_before_says_what_would_be_done_and_to_whom(world: World, signs_in: SignsIn, plan: str):
    people = {number: PersonId(person_id(world, str(number))) for number in (1001, 1002, 1003)}
    store(
        world,
        Drift(Kind.should_be_inactive, Cause.edited_in_ditio, "1001", "u1", "disabled", person_id=people[1001]),
        Drift(Kind.field, Cause.edited_in_ditio, "1001", "u1", "workTitle", person_id=people[1001]),
        Drift(Kind.left_without_notice, Cause.unassigned, "1002", "u2", person_id=people[1002]),
        Drift(Kind.missing, Cause.never_delivered, "1003", "u3", person_id=people[1003]),
        Drift(Kind.unmanaged, Cause.created_outside, "9999", listed="no user"),
        Drift(Kind.field, Cause.edited_in_ditio, "1003", "u3", "email", person_id=people[1003], listed="held"),
    )
    kari = signs_in()
    told = kari.get("drift/a-plan/repair?all=1").text

    assert "Repair 4 differences?" in told
    parts = re.split(r'<section class="cause[^"]*" aria-labelledby="effect-(\w+)">', told)[1:]
    said = dict(zip(parts[::2], parts[1::2], strict=True))
    assert list(said) == ["ends", "creates", "changes"]
    assert [f">{number}<" in said["ends"] for number in (1001, 1002, 1003)] == [True, True, False]
    assert ">2 people<" in said["ends"]
    assert ">1003<" in said["creates"]
    assert ">1003<" not in said["changes"]
    assert ">9999<" not in told
    chosen = kari.get("drift/a-plan/repair?kind=left-without-notice&all=1").text
    assert "Repair 1 difference?" in chosen


def test_the_page_before_says_what_clearing_would_do(world: World, signs_in: SignsIn):
    """Without a leave date, who has left is employed again; without a slot, a certificate is withdrawn."""
    cleared: dict[str, Any] = {"kind": Kind.cleared_in_entra, "cause": Cause.entra_sends_no_nulls}
    store(
        world,
        Drift(**cleared, employee_number="1001", field=Field.end_date, found="2026-01-31", person_id=PersonId("a")),
        Drift(**cleared, employee_number="1002", field="certificate1", found="C1", person_id=PersonId("b")),
        Drift(**cleared, employee_number="1003", field=Field.email, found="u3@x.no", person_id=PersonId("c")),
    )
    told = signs_in().get("drift/a-plan/repair?all=1").text
    parts = re.split(r'<section class="cause[^"]*" aria-labelledby="effect-(\w+)">', told)[1:]
    said = dict(zip(parts[::2], parts[1::2], strict=True))
    assert {effect: re.findall(r">(100\d)<", text) for effect, text in said.items()} == {
        "opens": ["1001"],
        "changes": ["1003"],
        "certificates": ["1002"],
    }
    assert "<del>u3@x.no</del> → <ins>nothing</ins>" in said["changes"]


def test_only_the_chosen_people_are_repaired_and_the_others_can_be_later(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()
    told = kari.get(f"drift/{plan}").text
    assert len(re.findall(r'<input type="checkbox" form="choose" name="who"', told)) == 3

    approves(kari, plan, f"who={position(world, plan, '1002')}")
    works(world)

    assert titles(world, "1001", "1002", "1003") == ["Sjef", WANTED[1], "Sjef"]
    told = kari.get(f"drift/{plan}").text
    assert "2 differences can be repaired" in told
    assert len(re.findall(r'<input type="checkbox" form="choose" name="who"', told)) == 2
    approves(kari, plan)
    works(world)
    assert "Sjef" not in titles(world, "1001", "1002", "1003")
    assert "can be repaired" not in kari.get(f"drift/{plan}").text


def test_a_person_whose_first_row_is_only_listed_can_be_chosen(world: World, signs_in: SignsIn):
    """The box of a person stands at their first row, whatever that is."""
    of_one = {"employee_number": "1", "user_name": "u", "person_id": PersonId("p")}
    store(
        world,
        Drift(Kind.should_be_inactive, Cause.never_delivered, field="disabled", listed="held", **of_one),
        Drift(Kind.field, Cause.edited_in_ditio, field="workTitle", **of_one),
    )
    kari = signs_in()
    (box,) = re.findall(r'form="choose" name="who" value="(\d+)"', kari.get("drift/a-plan").text)
    assert "Repair 1 difference?" in kari.get(f"drift/a-plan/repair?who={box}").text


def test_only_a_kind_is_repaired(world: World, users: list[EntraUser], signs_in: SignsIn):
    world.employee("1001").disabled = True
    plan = compared(world).run.id
    kari = signs_in()

    approves(kari, plan, "all=1&kind=should-be-active")
    works(world)

    assert not world.employee("1001").disabled
    assert titles(world, "1001", "1002") == ["Sjef", "Sjef"]


def test_how_far_it_is_can_be_seen_without_a_script(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()
    told = kari.get(approves(kari, plan).headers["Location"])

    assert told.headers["Refresh"] == f"3; url=/console/default/drift/{plan}/progress?refresh=auto"
    assert '<progress id="bar" max="3" value="0">' in told.text
    assert "No process runs that would do it" in told.text
    with world.database.write("default") as s:
        beat(s, ProcessKind.worker, "one", "bridge-1")
    assert "A worker begins within seconds" in kari.get(f"drift/{plan}/progress").text

    world.clock.passes(seconds=1)
    with world.database.write("default") as s:
        assert s.asked.take(f"repair:{plan}", "one", alive_seconds=20)
        s.plan(plan).settle([(position(world, plan, "1001"), None)])
    told = kari.get(f"drift/{plan}/progress")
    assert '<progress id="bar" max="3" value="1">' in told.text
    assert "The repair goes on" in told.text
    assert "Refresh" not in kari.get(f"drift/{plan}/progress?refresh=no").headers
    assert f"/console/default/drift/{plan}/progress" in kari.get("drift").text
    assert f"/console/default/drift/{plan}/progress" in kari.get(f"drift/{plan}").text

    with world.database.write("default") as s:
        s.plan(plan).settle([(place, None) for place in sorted(s.plan(plan).approved())])
        s.asked.end(f"repair:{plan}", "one")
    assert "Refresh" not in kari.get(f"drift/{plan}/progress").headers


def test_a_second_approval_is_refused_while_one_goes_on(world: World, signs_in: SignsIn, plan: str):
    other = compared(world).run.id
    kari, ola = signs_in(), signs_in(name="Ola")
    form = {name: confirmed(ola, name) for name in (plan, other)}
    approves(kari, plan, f"who={position(world, plan, '1001')}")

    for name in (plan, other):
        answer = ola.post(f"drift/{name}/approved", **form[name], **WHY)
        assert answer.status_code == 409
        assert "goes on already" in answer.text
        assert "goes on already" in ola.get(f"drift/{name}/repair?all=1").text
    works(world)
    assert titles(world, "1001", "1002", "1003") == [WANTED[0], "Sjef", "Sjef"]
    assert len(deeds(world)) == 1


@pytest.mark.parametrize("is_same", [True, False], ids=["one plan", "two plans"])
def test_of_two_who_approve_at_one_instant_one_is_refused(
    world: World, signs_in: SignsIn, plan: str, is_same: bool, monkeypatch: pytest.MonkeyPatch
):
    """Each alone is under the limits of the guard, and both together may be over them."""
    plans = (plan, plan if is_same else compared(world).run.id)
    kari, ola = signs_in(), signs_in(name="Ola")
    chosen = [f"who={position(world, each, number)}" for each, number in zip(plans, ("1001", "1002"), strict=True)]
    kari_sends, ola_sends = (
        partial(visitor.post, f"drift/{each}/approved", visitor.token(), **confirmed(visitor, each, who), **WHY)
        for visitor, each, who in zip((kari, ola), plans, chosen, strict=True)
    )
    monkeypatch.setattr(AskedRuns, "ask", meeting(AskedRuns.ask))

    assert sorted(at_once(kari_sends, ola_sends)) == [303, 409]

    with world.database.read("default") as s:
        assert len(s.asked.all()) == 1
        assert sum(len(s.plan(each).approved()) for each in {*plans}) == 1
    works(world)
    assert titles(world, "1001", "1002", "1003").count("Sjef") == 2


def test_what_was_not_seen_is_not_approved(world: World, signs_in: SignsIn, plan: str):
    """Two operators read the same plan: the second one is told that it is no longer what they saw."""
    kari, ola = signs_in(), signs_in(name="Ola")
    seen = confirmed(ola, plan)
    approves(kari, plan, f"who={position(world, plan, '1001')}")
    works(world)

    answer = ola.post(f"drift/{plan}/approved", **seen, **WHY)

    assert answer.status_code == 409
    assert "not what you saw" in answer.text
    with world.database.read("default") as s:
        assert (s.plan(plan).approved(), s.asked.all()) == (frozenset(), [])


FORGED: dict[str, tuple[dict[str, object], int]] = {
    "no reason": ({"all": "1", "seen": "others", "reason": ""}, 400),
    "no one": ({"seen": "others"}, 400),
    "no number": ({"who": ["x", "' OR 1=1", "\0"], "seen": "others"}, 400),
    "not in the plan": ({"who": ["999", "-1"], "seen": "others"}, 409),
    "other rows": ({"all": "1", "seen": "others"}, 409),
    "none seen": ({"all": "1"}, 409),
    "an unknown kind is all of them": ({"all": "1", "kind": "nonsense", "seen": "others"}, 409),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_form_stores_nothing(world: World, signs_in: SignsIn, plan: str, case: str):
    form, code = FORGED[case]

    assert signs_in().post(f"drift/{plan}/approved", **{**WHY, **form}).status_code == code
    with world.database.read("default") as s:
        assert (s.plan(plan).approved(), s.asked.all()) == (frozenset(), [])
    assert deeds(world) == []


def test_what_is_only_listed_is_never_approved(world: World, signs_in: SignsIn):
    store(
        world,
        Drift(Kind.unmanaged, Cause.created_outside, "9999", listed="no user"),
        Drift(Kind.field, Cause.edited_in_ditio, "1", "u", "workTitle", person_id=PersonId("p"), listed="held"),
        Drift(Kind.renumbered, Cause.renumbered, "2", "v", person_id=PersonId("q")),
    )
    kari = signs_in()

    assert "Nothing of this can be repaired" in kari.get("drift/a-plan/repair?all=1").text
    for who in ({"all": "1"}, {"who": ["0", "1", "2"]}):
        assert kari.post("drift/a-plan/approved", **who, **WHY, seen="others").status_code == 409
    assert 'name="who"' not in kari.get("drift/a-plan").text


@pytest.mark.parametrize("page", ["approved", "stopped"])
def test_a_viewer_approves_nothing(world: World, signs_in: SignsIn, plan: str, page: str):
    viewer = signs_in("viewer")

    assert viewer.post(f"drift/{plan}/{page}", all="1", seen="others", **WHY).status_code == 403
    assert viewer.get(f"drift/{plan}/repair?all=1").status_code == 403
    assert viewer.get(f"drift/{plan}/progress").status_code == 200
    told = viewer.get(f"drift/{plan}").text
    assert 'name="who"' not in told
    assert "Repair all" not in told
    with world.database.read("default") as s:
        assert (s.plan(plan).approved(), s.asked.all()) == (frozenset(), [])


def test_the_plan_of_another_company_is_not_there(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    row = Drift(Kind.field, Cause.edited_in_ditio, "1", "u", "workTitle", person_id=PersonId("p"))
    with database.write("default") as s:
        s.runs.begin("theirs", "theirs", is_whole=True)
        s.plan("theirs").add([row], 0)
        s.runs.note("theirs", by_kind={"field": 1})
        s.runs.finish("theirs", exit=2)
    kari = signed_in(companies, company="nord")

    for path in ("drift/theirs/repair?all=1", "drift/theirs/progress", "/console/default/drift/theirs/repair?all=1"):
        assert kari.get(path).status_code == 404
    for path in ("drift/theirs/approved", "drift/theirs/stopped", "/console/default/drift/theirs/approved"):
        assert kari.post(path, all="1", seen="others", **WHY).status_code == 404
    with database.read("default") as s:
        assert (s.plan("theirs").approved(), s.asked.all()) == (frozenset(), [])


@pytest.mark.parametrize("plan", ["unknown", "%00", "%3Cscript%3E"])
def test_a_plan_that_is_not_there_is_404(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()

    assert kari.get(f"drift/{plan}/repair?all=1").status_code == 404
    assert kari.get(f"drift/{plan}/progress").status_code == 404
    for page in ("approved", "stopped"):
        assert kari.post(f"drift/{plan}/{page}", all="1", seen="others", **WHY).status_code == 404


# The guard


def test_the_guard_stops_it_until_it_is_confirmed(world: World, users: list[EntraUser], signs_in: SignsIn):
    world.restarts_with(**CONSOLE, reconcile={"max_changes": 2})
    plan = compared(world).run.id
    world.forget()
    kari = signs_in()
    told = kari.get(f"drift/{plan}/repair?all=1").text
    assert "RECONCILE__MAX_CHANGES" in told
    assert 'name="force" value="yes" required' in told

    answer = approves(kari, plan)
    assert answer.status_code == 409
    assert "A guard stops this repair" in answer.text
    with world.database.read("default") as s:
        assert (s.plan(plan).approved(), s.asked.all()) == (frozenset(), [])

    assert approves(kari, plan, force="yes").status_code == 303
    works(world)
    assert "Sjef" not in titles(world, "1001", "1002", "1003")
    assert deeds(world) == [("applied", "Kari", "agreed with payroll")]


def test_the_guard_is_not_passed_in_slices(world: World, users: list[EntraUser], signs_in: SignsIn):
    """A plan under the limit for a schedule, over it with what only a reviewed plan repairs: parts of it add up."""
    del world.ditio.company.employees["1001"]
    world.restarts_with(**CONSOLE, reconcile={"max_changes": 2})
    plan = compared(world).run.id
    kari = signs_in()
    for number in ("1002", "1003"):
        answer = approves(kari, plan, f"who={position(world, plan, number)}")
        assert answer.status_code == 303
        works(world)

    answer = approves(kari, plan, f"who={position(world, plan, '1001')}")

    assert answer.status_code == 409
    assert "A guard stops this repair" in answer.text


def test_what_was_repaired_of_other_plans_within_a_day_is_said(world: World, signs_in: SignsIn, plan: str):
    """Q4: the guard measures each plan alone, as with the command; an administrator sees all of them together."""
    kari = signs_in()
    approves(kari, plan, f"who={position(world, plan, '1001')}")
    works(world)
    world.employee("1001").work_title = "Formann"
    later = compared(world).run.id

    of_the_same = kari.get(f"drift/{plan}/repair?all=1").text
    of_another = kari.get(f"drift/{later}/repair?all=1").text
    world.clock.passes(days=2)
    long_after = signs_in().get(f"drift/{later}/repair?all=1").text

    told = "1 difference of other plans was repaired too"
    assert [told in page for page in (of_the_same, of_another, long_after)] == [False, True, False]


def test_the_guard_is_not_passed_in_slices_while_ditio_is_down(world: World, users: list[EntraUser], signs_in: SignsIn):
    """What a worker continues later was begun, though it has not settled: the next part counts it."""
    del world.ditio.company.employees["1001"]
    world.restarts_with(**CONSOLE, reconcile={"max_changes": 2})
    plan = compared(world).run.id
    kari = signs_in()
    world.ditio.faults.plan(Fault(kind="status", method="PATCH", status=503, times=99))
    for number in ("1002", "1003"):
        approves(kari, plan, f"who={position(world, plan, number)}")
        works(world)
    assert list(outcomes(world, plan).values()) == [NOT_SETTLED] * 2

    told = kari.get(f"drift/{plan}/repair?who={position(world, plan, '1001')}").text
    assert "3 differences would be repaired" in told
    # Who is tried again is not counted twice.
    assert "A guard stops" not in kari.get(f"drift/{plan}/repair?who={position(world, plan, '1002')}").text


def test_what_ditio_showed_is_believed_once_it_is_confirmed(world: World, users: list[EntraUser], signs_in: SignsIn):
    """As by `--force`: the next run is measured by it."""
    for number in ("1001", "1002"):
        del world.ditio.company.employees[number]
    stopped = compared(world)
    assert stopped.stopped is not None
    kari = signs_in()
    where = position(world, stopped.run.id, "1003")

    assert approves(kari, stopped.run.id, f"who={where}").status_code == 409
    approves(kari, stopped.run.id, f"who={where}", force="yes")
    works(world)

    assert titles(world, "1003") == [WANTED[2]]
    assert compared(world).stopped is None


def test_what_entra_showed_is_believed_once_it_is_confirmed(database: Database, clock: Clock):
    """As by `--force`: Entra has fewer assignments by now, and that is right."""
    entra = EntraWorld(database, clock, settings=CONSOLE)
    users = entra.hires(5)
    entra.compares()
    for user in users[:3]:
        user.assigned = False
        entra.entra.overlook(user.object_id)
    entra.clock.passes(hours=1)
    entra.employee("3004").work_title = "Sjef"
    stopped = entra.compares()
    assert "assigned users, fewer than half" in str(stopped.stopped)

    assert approves(signed_in(entra), stopped.run.id, force="yes").status_code == 303
    works(entra)

    assert "assigned users" not in str(entra.compares().stopped)


@pytest.fixture
def unsure(database: Database, clock: Clock) -> EntraWorld:
    """Entra has far fewer assignments than before, and no one differs from Ditio: the plan is stopped, and empty."""
    entra = EntraWorld(database, clock, settings=CONSOLE)
    users = entra.hires(5)
    entra.compares()
    for user in users[:3]:
        user.assigned = False
        entra.entra.overlook(user.object_id)
    entra.clock.passes(hours=1)
    return entra


def test_a_stopped_plan_without_anything_to_repair_can_be_confirmed(unsure: EntraWorld):
    """Otherwise each run after it would be stopped, too."""
    stopped = unsure.compares()
    assert "assigned users, fewer than half" in str(stopped.stopped)
    path, kari = f"drift/{stopped.run.id}", signed_in(unsure)
    assert "Confirm what was shown…" in kari.get(path).text
    told = kari.get(f"{path}/repair?all=1").text
    assert "Confirm what was shown?" in told
    assert 'name="force" value="yes" required' in told
    lacking: list[dict[str, str]] = [{"reason": ""}, {"force": ""}, {"seen": "others"}]
    for each in lacking:
        assert approves(kari, stopped.run.id, **{"force": "yes", **each}).status_code in (400, 409)
    unsure.clock.passes(minutes=5)
    last = unsure.compares()
    assert "assigned users" in str(last.stopped)

    answer = approves(kari, last.run.id, force="yes")

    assert answer.headers["Location"] == "/console/default/drift?done=confirmed&n=0"
    assert deeds(unsure) == [("applied", "Kari", "agreed with payroll")]
    with unsure.database.read("default") as s:
        assert s.asked.all() == []
    assert "assigned users" not in str(unsure.compares().stopped)


def test_a_stopped_plan_is_not_confirmed_once_a_later_one_tells_more(unsure: EntraWorld):
    """A form that was left open over night confirms nothing about what was shown since."""
    stopped = unsure.compares()
    kari = signed_in(unsure)
    form = {**confirmed(kari, stopped.run.id), "force": "yes"}
    unsure.clock.passes(minutes=5)
    unsure.compares()

    assert kari.post(f"drift/{stopped.run.id}/approved", **form, **WHY).status_code == 409
    told = kari.get(f"drift/{stopped.run.id}").text
    assert "Nothing of this can be repaired or confirmed" in told
    assert deeds(unsure) == []


def test_what_entra_showed_since_stays_the_measure_when_an_older_plan_is_repaired(unsure: EntraWorld):
    """The older plan was stopped, too; by now a later read is believed, and the next one is measured by that."""
    unsure.employee("3004").work_title = "Sjef"
    older, kari = unsure.compares(), signed_in(unsure)
    unsure.clock.passes(minutes=5)
    last = unsure.compares()
    approves(kari, last.run.id, force="yes")
    works(unsure)
    assert "assigned users" not in str(unsure.compares().stopped)
    with unsure.database.read("default") as s:
        marked = s.entra.marked()
        assert marked is not None
        assert marked.assigned == 2

    assert approves(kari, older.run.id, force="yes").status_code == 303

    with unsure.database.read("default") as s:
        assert s.entra.marked() == marked


def test_a_viewer_confirms_nothing(unsure: EntraWorld):
    stopped = unsure.compares()
    viewer = signed_in(unsure, "viewer")

    assert "Confirm what was shown…" not in viewer.get(f"drift/{stopped.run.id}").text
    assert (
        viewer.post(f"drift/{stopped.run.id}/approved", all="1", seen="others", force="yes", **WHY).status_code == 403
    )


# What happens in between


def test_nothing_is_approved_while_deliveries_are_paused(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()
    form = confirmed(kari, plan)
    kari.post("pause", **WHY)

    answer = kari.post(f"drift/{plan}/approved", **form, **WHY)

    assert answer.status_code == 409
    assert "paused" in answer.text
    assert "Deliveries are paused" in kari.get(f"drift/{plan}/repair?all=1").text


def test_a_pause_after_the_approval_skips_the_rows_and_they_can_be_tried_again(
    world: World, signs_in: SignsIn, plan: str
):
    kari = signs_in()
    approves(kari, plan)
    kari.post("pause", **WHY)
    works(world)
    assert world.sent() == []
    assert all("paused" in (why or "") for why in outcomes(world, plan).values())

    kari.post("resume", **WHY)
    told = kari.get(f"drift/{plan}").text
    assert "3 differences were skipped, and can be tried again" in told
    approves(kari, plan)
    works(world)
    assert "Sjef" not in titles(world, "1001", "1002", "1003")


def test_a_pause_leaves_alone_what_was_not_approved(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()
    place = position(world, plan, "1002")
    approves(kari, plan, f"who={place}")
    kari.post("pause", **WHY)
    works(world)

    assert set(outcomes(world, plan)) == {place}


def test_what_entra_changed_since_is_skipped(world: World, users: list[EntraUser], signs_in: SignsIn, plan: str):
    approves(signs_in(), plan)
    world.changes(users[0], department="Kran")
    works(world)

    assert outcomes(world, plan)[position(world, plan, "1001")] == ENTRA_MOVED
    assert titles(world, "1002", "1003") == list(WANTED[1:])


def test_a_run_that_dies_is_begun_again_and_repairs_nothing_twice(
    world: World, signs_in: SignsIn, plan: str, monkeypatch: pytest.MonkeyPatch
):
    approves(signs_in(), plan)
    repaired: list[str] = []
    until_the_second_person(monkeypatch, repaired)
    with pytest.raises(MemoryError):
        works(world)
    assert len(repaired) == 1
    monkeypatch.undo()
    assert list(outcomes(world, plan).values()) == [None]

    # Its worker died with it: another one takes it as soon as no sign of life can come any more.
    works(world)
    assert len(outcomes(world, plan)) == 1
    world.clock.passes(seconds=21)
    works(world)
    assert titles(world, "1003") == [WANTED[2]]
    # The person who was worked on is a worker's now, and only for the rows of the plan.
    world.clock.passes(hours=1)
    world.worker.run_until_idle()
    assert list(outcomes(world, plan).values()) == [None] * 3
    assert "Sjef" not in titles(world, "1001", "1002", "1003")
    assert len([path for method, path, _ in world.sent() if method == "PATCH"]) == 3
    assert "No repair goes on" in signs_in().get(f"drift/{plan}/progress").text


def until_the_second_person(monkeypatch: pytest.MonkeyPatch, repaired: list[str]) -> None:
    """The run repairs one person, and then its process dies."""
    deliver = apply.deliver_person

    def once(tenant: Tenant, person_id: PersonId, *rest: object, **more: object) -> None:
        if repaired:
            raise MemoryError
        deliver(tenant, person_id, *rest, **more)  # type: ignore[arg-type]
        repaired.append(person_id)

    monkeypatch.setattr(apply, "deliver_person", once)


def test_a_run_that_ends_too_early_is_told_and_tried_again_after_a_minute(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()
    approves(kari, plan)
    with world.database.write("default") as s:
        beat(s, ProcessKind.worker, "one", "bridge-1")
    works(world, dies=True)
    assert "ended too early" in kari.get(f"drift/{plan}/progress").text

    works(world)
    assert titles(world, "1001") == ["Sjef"]
    world.clock.passes(seconds=61)
    works(world)
    assert titles(world, "1001") == [WANTED[0]]


def test_a_person_who_was_erased_since_keeps_nothing_waiting(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()
    approves(kari, plan)
    with world.database.write("default") as s:
        blank_person(s, PersonId(person_id(world, "1001")))
    works(world)

    assert titles(world, "1001", "1002") == ["Sjef", WANTED[1]]
    assert "No repair goes on" in kari.get(f"drift/{plan}/progress").text
    with world.database.read("default") as s:
        assert s.asked.all() == []


def test_a_plan_whose_rows_are_gone_keeps_nothing_waiting(world: World, signs_in: SignsIn, plan: str):
    approves(signs_in(), plan)
    with world.database.write("default") as s:
        s.plan(plan).forget(limit=1000)

    works(world, dies=True)
    with world.database.read("default") as s:
        assert s.asked.all() == []


def test_a_repair_is_stopped_between_two_people(
    world: World, signs_in: SignsIn, plan: str, monkeypatch: pytest.MonkeyPatch
):
    """Who is worked on is finished; the others stay as they are, and can be approved again."""
    kari = signs_in()
    approves(kari, plan)
    deliver, done = apply.deliver_person, list[object]()

    def and_stop(*of: object, **more: object) -> None:
        deliver(*of, **more)  # type: ignore[arg-type]
        if not done:
            kari.post(f"drift/{plan}/stopped", reason="the wrong plan")
        done.append(of)

    monkeypatch.setattr(apply, "deliver_person", and_stop)
    works(world)

    assert len(done) == 1
    assert titles(world, "1001", "1002", "1003") == [WANTED[0], "Sjef", "Sjef"]
    assert deeds(world) == [("applied", "Kari", "agreed with payroll"), ("dropped", "Kari", "the wrong plan")]
    monkeypatch.undo()
    approves(kari, plan)
    works(world)
    assert "Sjef" not in titles(world, "1001", "1002", "1003")


def test_certificates_are_stopped_between_two_batches(world: World, signs_in: SignsIn, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(certificates, "BATCH", 1)
    a_company(world)
    plan = compared(world).run.id
    kari = signs_in()
    approves(kari, plan)
    send = certificates._send

    def and_stop(*of: Any) -> None:
        send(*of)
        kari.post(f"drift/{plan}/stopped", reason="the wrong plan")

    monkeypatch.setattr(certificates, "_send", and_stop)
    works(world)

    assert len(world.ditio.certificates) == 1
    assert list(outcomes(world, plan).values()) == [None]


def test_a_repair_that_no_worker_has_begun_is_stopped_at_once(world: World, signs_in: SignsIn, plan: str):
    kari = signs_in()
    approves(kari, plan)

    answer = kari.post(f"drift/{plan}/stopped", reason="the wrong plan")

    assert answer.headers["Location"] == f"/console/default/drift/{plan}?done=repair-stopped&n=3"
    works(world)
    assert world.sent() == []
    assert approves(kari, plan).status_code == 303


def test_the_command_shows_and_repairs_a_plan_that_was_approved(world: World, signs_in: SignsIn, plan: str):
    """The two ways do not get into each other's: a row is repaired once."""
    approves(signs_in(), plan)
    report = world.parts.reconciliations["default"].run(Request(apply=True, plan_id=plan))
    assert (report.exit, report.applied) == (0, 3)
    world.forget()

    works(world)
    assert world.sent() == []
    assert APPROVED not in outcomes(world, plan).values()
    assert len(deeds(world)) == 2


# A comparison


def test_an_operator_has_all_people_compared_now(world: World, users: list[EntraUser], signs_in: SignsIn):
    kari = signs_in()
    world.forget()
    answer = kari.post("drift/compare")
    assert answer.headers["Location"] == "/console/default/drift?done=comparing&n=0"
    told = kari.get("drift").text
    assert "No process runs that would do it" in told
    assert "Compare now" not in told
    kari.post("drift/compare")

    works(world)
    assert world.sent() == []
    told = kari.get("drift").text
    assert "Compare now" in told
    with world.database.read("default") as s:
        (run,) = s.runs.list()
        assert (run.is_whole, run.by_kind) == (True, {"field": 3})


def test_a_comparison_that_dies_is_not_repeated(world: World, users: list[EntraUser], signs_in: SignsIn):
    """An operator asks again; one that ends the worker's memory must not do so every minute."""
    signs_in().post("drift/compare")
    works(world, dies=True)
    with world.database.read("default") as s:
        assert s.asked.all() == []


def test_a_viewer_has_nothing_compared(world: World, signs_in: SignsIn):
    viewer = signs_in("viewer")

    assert viewer.post("drift/compare").status_code == 403
    assert "Compare now" not in viewer.get("drift").text
