"""The first day in the console: steps by stored state, pairs with both sides, decisions, and linking by a worker."""

import re
from collections.abc import Iterable
from datetime import date
from functools import partial

import pytest
from werkzeug.test import TestResponse

from scim_bridge.cli.adopt import asked_for
from scim_bridge.delivery import guard
from scim_bridge.delivery.worker import forget_old
from scim_bridge.domain.audit import Author
from scim_bridge.domain.drift import Decision, Misfit
from scim_bridge.domain.person import HandsOff
from scim_bridge.errors import BridgeError
from scim_bridge.operator import first_day as operator_side
from scim_bridge.reconcile.run import Asked
from scim_bridge.storage.asked import FIND, LINK, AskedRun, AskedRuns
from scim_bridge.storage.pairs import kept_pairs
from scim_bridge.storage.personal_data import erase_person
from scim_bridge.web.console import first_day as first_day_page
from tests.console.conftest import SignsIn, Visitor, at_once, meeting, person_id
from tests.console.test_repair import Ended, deeds, run_of
from tests.world import World, a_user

KARI, OLA, SIV = "kari@contractor.example", "ola@contractor.example", "siv@contractor.example"
WHY = {"reason": "the first day"}


@pytest.fixture
def first_day(world: World) -> None:
    """Kari is in Ditio already; of Ola's employee there only the number agrees; Siv is new."""
    with world.database.write("default") as s:
        s.pauses.pause()
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", birth_date=date(1990, 5, 15))
    world.ditio.plant("007", "=Ola", "<b>Åsen</b>", "+4740000007", birth_date=date(1980, 1, 2))
    world.provisions(a_user(user_principal_name=KARI, mail=KARI, job_title="Formann"))
    ola = {"given_name": "Ola", "surname": "Ås", "mobile": "+47 41 00 00 07", "employee_id": "007"}
    world.provisions(a_user(object_id="ola", user_principal_name=OLA, mail=OLA, birth_date="1981-01-02", **ola))
    siv = {"given_name": "Siv", "surname": "Dahl", "mobile": "+47 41 00 00 08", "employee_id": "1050"}
    world.provisions(a_user(object_id="siv", user_principal_name=SIV, mail=SIV, **siv))
    world.forget()


def works(world: World, *, dies: bool = False) -> None:
    """What one worker does about what was asked for, as its commands do.

    :param dies: The commands run to their ends, and the worker learns of no end.
    """

    def start(tenant: str, asked: AskedRun) -> Ended:
        if asked.name not in (FIND, LINK):
            return Ended(run_of(world, asked).exit)
        author: Author | None = None
        lines: Iterable[Decision | Misfit] = ()
        try:
            if asked.name == LINK:
                author, lines = asked_for(world.database, tenant)
            with world.parts.adoption(tenant).run(apply_for=author, decisions=lines, keep=True) as found:
                return Ended(2 if found.is_disputed else 0)
        except BridgeError:
            return Ended(1)

    runs = Asked(world.database, ["default"], start, lambda: "holder", 4)
    runs.look()
    if not dies:
        runs.look()


def done(told: str) -> list[str]:
    """The headings of the steps that are done."""
    return re.findall(r'<h2>([^<]+) <span class="badge is-delivered">', told)


def following(told: str) -> str:
    (found,) = re.findall(r'<h2>([^<]+) <span class="badge is-due">', told)
    return found


def form_of(told: str, *names: str) -> dict[str, str]:
    return {name: re.findall(rf'name="{name}" value="([^"]*)"', told)[0] for name in names}


def looks(world: World, visitor: Visitor) -> str:
    """Look for pairs; the page that shows them."""
    assert visitor.post("first-day/find").status_code == 303
    works(world)
    return visitor.get("first-day/pairs").text


def linked(world: World) -> set[str]:
    with world.database.read("default") as s:
        found = (s.people.find(name) for name in (KARI, OLA, SIV))
        return {str(each.person.employee_number) for each in found if each and each.person.employee_number}


def test_the_whole_first_day_in_the_browser(world: World, signs_in: SignsIn, first_day: None):
    """From the pause to a repaired plan; and in Ditio changes nothing before deliveries are resumed."""
    kari = signs_in()
    told = kari.get("first-day").text
    assert done(told) == ["Pause deliveries", "Start provisioning in Entra"]
    assert following(told) == "Look for pairs"

    pairs = looks(world, kari)
    assert following(kari.get("first-day").text) == "Decide the disputed pairs"
    decision = form_of(pairs, "run", "number", "user")
    assert (decision["number"], decision["user"]) == ("007", OLA)
    assert kari.post("first-day/decide", **decision, decision="link").status_code == 303
    told = kari.get("first-day").text
    assert following(told) == "Link the pairs"
    assert "Link 2 pairs…" in told

    pairs = kari.get("first-day/pairs").text
    answer = kari.post("first-day/link", **form_of(pairs, "run", "seen"), **WHY)
    assert answer.headers["Location"] == "/console/default/first-day?done=linking&n=2"
    works(world)
    assert linked(world) == {"1042", "007"}
    assert deeds(world, "employee") == [("linked", "Kari", "the first day"), *[("linked", "Kari", None)] * 2]
    assert following(kari.get("first-day").text) == "Compare, and read the plan"

    assert kari.post("drift/compare", back="first_day").headers["Location"].startswith("/console/default/first-day?")
    assert "It is asked for by Kari" in kari.get("first-day").text
    works(world)
    told = kari.get("first-day").text
    assert following(told) == "Resume deliveries"
    (plan,) = re.findall(r'href="/console/default/drift/([^"/]+)"', told)[:1]
    assert world.sent() == []

    assert kari.post("resume", back="first_day", **WHY).headers["Location"].startswith("/console/default/first-day?")
    world.worker.run_until_idle()
    assert world.employee("1050").first_name == "Siv"
    assert following(kari.get("first-day").text) == "Repair the plan that you read"
    confirm = kari.get(f"drift/{plan}/repair?all=1").text
    kari.post(f"drift/{plan}/approved", **form_of(confirm, "seen", "all"), **WHY)
    works(world)
    assert world.employee("1042").work_title == "Formann"
    assert world.employee("007").last_name == "Ås"


def test_who_will_be_created_is_named_before_deliveries_are_resumed(
    world: World, signs_in: SignsIn, first_day: None, monkeypatch: pytest.MonkeyPatch
):
    """Siv is new. Ola is disputed, and Kari has a pair: they are not created. So says the command `adopt`, too."""
    kari = signs_in()
    assert "Look for pairs first, to see here who will be created" in kari.get("first-day").text
    looks(world, kari)

    told = kari.get("first-day").text
    resume = told[told.index("<h2>Resume deliveries") :]
    assert SIV in resume
    assert resume.index(SIV) < resume.index("<button")
    assert OLA not in told
    assert KARI not in told
    assert SIV in signs_in("viewer").get("first-day").text
    assert world.sent() == []

    monkeypatch.setattr(first_day_page, "MOST", 0)
    assert "<code>scim-bridge adopt</code> names all of them" in kari.get("first-day").text
    monkeypatch.undo()
    kari.post("resume", **WHY)
    world.worker.run_until_idle()
    assert SIV not in kari.get("first-day").text
    assert [body["employeeNumber"] for method, _, body in world.sent() if method == "POST"] == ["1050"]


def test_no_one_is_named_who_will_not_be_created(world: World, signs_in: SignsIn, first_day: None):
    kari = signs_in()
    with world.database.write("default") as s:
        guard.set_hands_off(s, SIV, HandsOff(None))
    looks(world, kari)

    told = kari.get("first-day").text
    assert "No one will be created" in told
    assert SIV not in told


def test_the_pairs_show_both_sides(world: World, signs_in: SignsIn, first_day: None):
    kari = signs_in()
    pairs = looks(world, kari)

    disputed = pairs[pairs.index('id="disputed"') : pairs.index('id="link"')]
    for value in (OLA, "Ås<", "&lt;b&gt;Åsen&lt;/b&gt;", "+4740000007", "2 Jan 1980", "2 Jan 1981"):
        assert value in disputed
    assert KARI not in disputed
    assert "<b>" not in pairs
    exact = pairs[pairs.index('id="link"') :]
    assert KARI in exact
    assert "by number" in exact
    assert SIV not in pairs


def test_a_viewer_sees_the_pairs_without_birth_dates_and_decides_nothing(
    world: World, signs_in: SignsIn, first_day: None
):
    decision = form_of(looks(world, signs_in()), "run", "number", "user")
    viewer = signs_in("viewer")

    told = viewer.get("first-day/pairs").text
    assert OLA in told
    assert "Jan 1980" not in told
    assert "<button" not in told[told.index("<main") :]
    assert "<form" not in (page := viewer.get("first-day").text)[page.index("<main") :]
    for path in ("find", "decide", "link"):
        form = {**decision, "decision": "link", "seen": "1", **WHY}
        assert viewer.post(f"first-day/{path}", **form).status_code == 403
    with world.database.read("default") as s:
        assert s.asked.all() == []


def test_who_is_decided_to_be_another_person_is_not_linked(world: World, signs_in: SignsIn, first_day: None):
    kari = signs_in()
    pairs = looks(world, kari)
    kari.post("first-day/decide", **form_of(pairs, "run", "number", "user"), decision="skip")
    told = kari.get("first-day/pairs").text
    assert "two people" in told

    kari.post("first-day/link", **form_of(told, "run", "seen"), **WHY)
    works(world)

    assert linked(world) == {"1042"}
    told = kari.get("first-day/pairs").text
    assert "There is no pair to link" in told
    assert "No pair is disputed" in told


def test_what_is_no_longer_true_is_not_linked(world: World, signs_in: SignsIn, first_day: None):
    """Both sides are read again: Kari's employee is another person by now, and Ola's is gone, so nothing is linked."""
    kari = signs_in()
    pairs = looks(world, kari)
    kari.post("first-day/decide", **form_of(pairs, "run", "number", "user"), decision="link")
    form = form_of(kari.get("first-day/pairs").text, "run", "seen")
    del world.ditio.company.employees["007"]

    kari.post("first-day/link", **form, **WHY)
    works(world)

    assert linked(world) == set()
    told = kari.get("first-day").text
    assert "The last try ended with an error" in told
    kari.post("first-day/find")
    assert "The last try ended with an error" not in kari.get("first-day").text


def test_pairs_that_were_not_seen_are_not_linked(world: World, signs_in: SignsIn, first_day: None):
    kari = signs_in()
    seen = form_of(looks(world, kari), "run", "seen")
    looks(world, kari)

    answer = kari.post("first-day/link", **seen, **WHY)
    assert answer.status_code == 409
    assert "not those that you saw" in answer.text
    now = form_of(kari.get("first-day/pairs").text, "run", "seen")
    assert kari.post("first-day/link", run=now["run"], seen="9", **WHY).status_code == 409
    assert kari.post("first-day/link", **now).status_code == 400
    with world.database.read("default") as s:
        assert s.asked.all() == []


def test_a_pair_that_became_exact_after_it_was_shown_is_not_linked(world: World, signs_in: SignsIn, first_day: None):
    """Ola was disputed, and no one decided. By now his phone agrees with Ditio's: that is shown before it is linked."""
    kari = signs_in()
    pairs = looks(world, kari)
    seen = form_of(pairs, "run", "seen")
    assert "Link 1 pair<" in pairs
    world.ditio.company.employees["007"].phone = "+4741000007"

    kari.post("first-day/link", **seen, **WHY)
    works(world)

    assert linked(world) == {"1042"}
    told = kari.get("first-day/pairs").text
    assert OLA in told[told.index('id="link"') :]
    kari.post("first-day/link", **form_of(told, "run", "seen"), **WHY)
    works(world)
    assert linked(world) == {"1042", "007"}


def test_a_worker_that_dies_once_the_pairs_are_linked_has_no_others_linked(
    world: World, signs_in: SignsIn, first_day: None
):
    """What the run itself has found, no administrator has seen: a later worker links none of it."""
    kari = signs_in()
    seen = form_of(looks(world, kari), "run", "seen")
    world.ditio.company.employees["007"].phone = "+4741000007"
    kari.post("first-day/link", **seen, **WHY)
    works(world, dies=True)
    world.clock.passes(seconds=30)
    works(world)

    assert linked(world) == {"1042"}
    told = kari.get("first-day/pairs").text
    assert OLA in told[told.index('id="link"') :]
    kari.post("first-day/link", **form_of(told, "run", "seen"), **WHY)
    works(world)
    assert linked(world) == {"1042", "007"}


def test_pairs_that_are_gone_are_not_linked(world: World, signs_in: SignsIn, first_day: None):
    """No worker came for two days, and a run has removed what was decided."""
    kari = signs_in()
    kari.post("first-day/link", **form_of(looks(world, kari), "run", "seen"), **WHY)
    world.clock.passes(days=2)
    run_of(world, AskedRun("compare", "Kari", None, is_running=True))

    works(world)

    assert linked(world) == set()
    assert "The last try ended with an error" in signs_in().get("first-day").text


def test_one_thing_at_a_time(world: World, signs_in: SignsIn, first_day: None):
    kari = signs_in()
    pairs = looks(world, kari)
    kari.post("first-day/find")

    told = kari.get("first-day")
    assert told.headers["Refresh"] == "3; url=/console/default/first-day?refresh=auto"
    assert "It is asked for by Kari" in told.text
    decision = {**form_of(pairs, "run", "number", "user"), "decision": "link"}
    for path, form in (("find", {}), ("link", {**form_of(pairs, "run", "seen"), **WHY}), ("decide", decision)):
        answer = kari.post(f"first-day/{path}", **form)
        assert answer.status_code == 409
        assert "wait until that has ended" in answer.text


def test_of_two_who_find_and_link_at_one_instant_one_is_refused(
    world: World, signs_in: SignsIn, first_day: None, monkeypatch: pytest.MonkeyPatch
):
    kari, ola = signs_in(), signs_in(name="Ola")
    form = {**form_of(looks(world, kari), "run", "seen"), **WHY}
    finds = partial(kari.post, "first-day/find", kari.token())
    links = partial(ola.post, "first-day/link", ola.token(), **form)
    monkeypatch.setattr(AskedRuns, "ask", meeting(AskedRuns.ask))

    assert sorted(at_once(finds, links)) == [303, 409]
    with world.database.read("default") as s:
        assert len(s.asked.all()) == 1


def test_what_is_decided_while_it_is_linked_is_not_overlooked(
    world: World, signs_in: SignsIn, first_day: None, monkeypatch: pytest.MonkeyPatch
):
    """One pair was exact when one administrator had the pairs linked, and the other one decides a second pair."""
    kari, ola = signs_in(), signs_in(name="Ola")
    pairs = looks(world, kari)
    decision = {**form_of(pairs, "run", "number", "user"), "decision": "link"}
    decides = partial(kari.post, "first-day/decide", kari.token(), **decision)
    links = partial(ola.post, "first-day/link", ola.token(), **form_of(pairs, "run", "seen"), **WHY)
    monkeypatch.setattr(operator_side, "_asked", meeting(operator_side._asked, after=True))

    assert sorted(at_once(decides, links)) == [303, 409]


@pytest.mark.parametrize("decision", ["link", "skip"])
def test_a_decision_that_is_sent_twice_is_stored_once(world: World, signs_in: SignsIn, first_day: None, decision: str):
    """A browser shows the answer to the second click."""
    kari = signs_in()
    form = {**form_of(looks(world, kari), "run", "number", "user"), "decision": decision}

    assert [kari.post("first-day/decide", **form).status_code for _ in range(2)] == [303, 303]
    with world.database.read("default") as s:
        kept = kept_pairs(s)
        assert kept is not None
        assert len(s.pairs(kept.run_id).decided()) == 1
    other = {"link": "skip", "skip": "link"}[decision]
    assert kari.post("first-day/decide", **{**form, "decision": other}).status_code == 409


def test_other_pairs_than_those_that_were_seen_are_not_linked_though_they_are_as_many(
    world: World, signs_in: SignsIn, first_day: None
):
    """Kari's pair is disputed by now, and Ola's was decided meanwhile: so one pair is exact as before, and another."""
    kari = signs_in()
    pairs = looks(world, kari)
    seen, decision = form_of(pairs, "run", "seen"), form_of(pairs, "run", "number", "user")
    with world.database.write("default") as s:
        (exact,) = s.pairs(seen["run"]).exact()
        s.pairs(seen["run"]).dispute(exact, "another user has this phone")
    assert signs_in(name="Ola").post("first-day/decide", **decision, decision="link").status_code == 303
    assert "Link 1 pair<" in kari.get("first-day/pairs").text

    answer = kari.post("first-day/link", **seen, **WHY)

    assert answer.status_code == 409
    assert "not those that you saw" in answer.text


FORGED = [
    {"number": "9999"},
    {"number": "1042"},
    {"user": KARI},
    {"user": "unknown@x.no"},
    {"number": "1042", "user": OLA, "decision": "skip", "run": "another"},
    {"run": "\0"},
    {"number": "2000", "user": SIV},
]
"""What no page proposes; of the last one nothing speaks against it but that."""


@pytest.mark.parametrize("change", FORGED)
def test_a_forged_decision_is_refused(world: World, signs_in: SignsIn, first_day: None, change: dict[str, str]):
    world.ditio.plant("2000", "Per", "Lie", "+4790002000")
    kari = signs_in()
    form = {**form_of(looks(world, kari), "run", "number", "user"), "decision": "link", **change}

    assert kari.post("first-day/decide", **form).status_code == 409
    assert kari.post("first-day/decide", **{**form, "decision": "delete"}).status_code == 400
    assert "Decided" not in kari.get("first-day/pairs").text


def test_a_decision_that_fits_not_says_why(world: World, signs_in: SignsIn, first_day: None):
    """Entra gave the employee's number to another user: the words are those of the command."""
    again = a_user(object_id="ola2", user_principal_name="ola2@x.no", mail="ola2@x.no", employee_id="7", mobile=None)
    world.provisions(again)
    kari = signs_in()
    run = form_of(looks(world, kari), "run")

    def decides(language: str) -> TestResponse:
        form = {**run, "number": "007", "user": "ola2@x.no", "decision": "link"}
        return kari.post("first-day/decide", headers={"Accept-Language": language}, **form)

    answer = decides("en")
    assert answer.status_code == 409
    assert "correct it there first" in answer.text
    assert "line 1" not in answer.text
    assert "rett det der først" in decides("nb").text


def test_pairs_are_kept_for_a_day_and_hold_no_one_who_was_erased(world: World, signs_in: SignsIn, first_day: None):
    kari = signs_in()
    looks(world, kari)
    with world.database.write("default") as s:
        kept = kept_pairs(s)
        assert kept is not None
        assert set(s.snapshot(kept.run_id).of(["1042", "007"])) == {"1042", "007"}
        record = s.people.find(OLA)
        assert record is not None
        erase_person(s, record)
        assert OLA not in [pair.user_name for pair in s.pairs(kept.run_id).disputed()]

    world.clock.passes(days=2)
    run_of(world, AskedRun("compare", "Kari", None, is_running=True))
    kari = signs_in()
    assert "No pairs are kept" in kari.get("first-day/pairs").text
    with world.database.read("default") as s:
        assert s.snapshot(kept.run_id).count() == 0


def test_pairs_are_kept_for_no_more_than_a_day_though_no_run_follows(world: World, signs_in: SignsIn, first_day: None):
    """Nor is what Ditio showed of people who are no users."""
    looks(world, signs_in())
    with world.database.read("default") as s:
        kept = kept_pairs(s)
        assert kept is not None
    world.clock.passes(hours=25)

    assert "No pairs are kept" in signs_in().get("first-day/pairs").text
    forget_old(world.database, "default", 365)
    with world.database.read("default") as s:
        assert s.snapshot(kept.run_id).count() == 0
        assert s.pairs(kept.run_id).counts() == (0, 0)


def test_what_ditio_showed_of_an_erased_person_goes_with_them(world: World, signs_in: SignsIn, first_day: None):
    kari = signs_in()
    kari.post("first-day/link", **form_of(looks(world, kari), "run", "seen"), **WHY)
    works(world)
    with world.database.write("default") as s:
        kept, record = kept_pairs(s), s.people.find(KARI)
        assert kept is not None
        assert record is not None
        assert list(s.snapshot(kept.run_id).of(["1042"])) == ["1042"]
        erase_person(s, record)
        assert s.snapshot(kept.run_id).of(["1042"]) == {}


def test_a_run_that_fails_keeps_what_was_kept_before(world: World, signs_in: SignsIn, first_day: None):
    """Ditio shows no one any more, though a person is linked: the pairs that were found stay, and no half of others."""
    kari = signs_in()
    looks(world, kari)
    with world.database.read("default") as s:
        before = kept_pairs(s)
    kari.post("first-day/link", **form_of(kari.get("first-day/pairs").text, "run", "seen"), **WHY)
    works(world)
    with world.database.read("default") as s:
        kept = kept_pairs(s)
        assert kept is not None
        assert before is not None
        assert s.snapshot(before.run_id).count() == 0
    world.ditio.company.employees.clear()

    looks(world, kari)

    with world.database.read("default") as s:
        assert kept_pairs(s) == kept
    assert "ended with an error" in kari.get("first-day").text


def test_only_the_console_can_ask_for_it(world: World, first_day: None):
    with pytest.raises(BridgeError, match="no one asked in the console"):
        asked_for(world.database, "default")


def test_the_page_says_if_no_process_would_do_it(world: World, signs_in: SignsIn, first_day: None):
    assert "No process runs that would look for pairs" in signs_in().get("first-day").text
    assert 'href="/console/default/first-day"' in signs_in().get().text
    assert person_id(world, KARI)
