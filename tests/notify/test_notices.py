"""What operators are told, and when: each occasion once, and a healthy hour in silence."""

import json
from typing import Any

import pytest

from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.notify.conftest import Watching, another, by_mail
from tests.notify.receivers import MailServer, Receiver
from tests.world import a_user

EMPLOYEES = "/integration/employees"
NO = Fault(kind="status", status=400, times=None, method="POST", path=EMPLOYEES)


def test_a_healthy_hour_is_silent(world: Watching, receiver: Receiver):
    """Issue 18, 5: people are hired, change and leave; every day someone waits for a moment."""
    kari = a_user()
    world.provisions(kari)
    world.provisions(another(2))
    world.looks(2)
    world.changes(kari, job_title="Formann")
    late = another(3, mobile=None)
    world.provisions(late)
    world.looks(20)
    world.changes(late, mobile="+47 987 65 003")
    world.waits(minutes=30)
    world.changes(kari, account_enabled=False)
    world.worker.run_until_idle()
    for _ in range(6):
        world.waits(minutes=10)
    assert receiver.got == []


def test_who_waits_for_over_an_hour_is_reported_once_by_cause(world: Watching, receiver: Receiver):
    """One notice for all, with counts and ids; not again while they wait."""
    for number in range(1, 8):
        world.provisions(another(number, mobile=None))
    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.provisions(another(9))
    world.waits(minutes=59)
    assert receiver.got == []

    world.waits(minutes=2)
    (told,) = receiver.got
    assert told["kind"] == "waiting"
    assert told["counts"] == {"due": 1, "incomplete": 7}
    assert [len(ids) for ids in told["ids"].values()] == [1, 5]
    assert "scim-bridge outbox list" in told["commands"]
    with world.database.read("default") as s:
        known = {row.id for row in s.outbox.waiting()}
    assert set(told["ids"]["incomplete"]) < known

    for _ in range(5):
        world.waits(hours=1)
    assert "waiting" not in receiver.kinds()[1:]


def test_who_waits_again_is_reported_again(world: Watching, receiver: Receiver):
    """An occasion ends when the person is delivered."""
    kari = a_user(mobile=None)
    world.provisions(kari)
    world.waits(hours=2)
    assert len(receiver.got) == 1
    world.changes(kari, mobile="+47 987 65 432")
    assert world.state(kari)[0] == "delivered"
    world.looks()

    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.changes(kari, job_title="Formann")
    world.waits(minutes=59)
    assert receiver.kinds().count("waiting") == 1
    world.waits(minutes=2)
    assert receiver.kinds().count("waiting") == 2


def test_who_was_delivered_for_a_moment_waits_anew(world: Watching, receiver: Receiver):
    """Also where the worker looked before it and after it only."""
    kari = a_user()
    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.provisions(kari)
    world.waits(hours=2)
    world.clock.passes(seconds=1)
    world.ditio.faults.clear()
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()
    assert world.state(kari)[0] == "delivered"
    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.changes(kari, job_title="Formann")
    world.waits(hours=2)
    assert receiver.kinds().count("waiting") == 2


def test_an_attempt_in_between_ends_no_occasion(world: Watching, receiver: Receiver):
    """A person who is tried and parked again still waits for the same."""
    kari = a_user(mobile=None)
    world.provisions(kari)
    world.waits(hours=2)
    for _ in range(3):
        with world.database.write("default") as s:
            s.outbox.retry()
        world.looks()
        world.worker.run_until_idle()
        world.waits(hours=2)
    assert receiver.kinds() == ["waiting"]


def test_another_cause_is_reported(world: Watching, receiver: Receiver):
    """Who was due because Ditio was down, and is then refused, needs another cure."""
    world.ditio.faults.plan(Fault(kind="status", status=503, times=None))
    world.provisions(a_user())
    world.waits(hours=2)
    world.ditio.faults.clear()
    world.ditio.faults.plan(NO)
    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()
    world.waits(hours=2)
    told = [each["counts"] for each in receiver.got if each["kind"] == "waiting"]
    assert told == [{"due": 1}, {"refused": 1}]


def test_an_outage_that_grows_is_reported_once_an_hour(world: Watching, receiver: Receiver):
    """Not each person who reaches the hour: the next notice has all who came since."""
    for number in range(1, 7):
        world.provisions(another(number, mobile=None))
        world.waits(minutes=5)
    world.waits(minutes=32)
    for _ in range(8):
        world.waits(minutes=5)
    assert [each["counts"]["incomplete"] for each in receiver.got] == [1]
    world.waits(minutes=30)
    assert [each["counts"]["incomplete"] for each in receiver.got] == [1, 5]


def test_a_refusal_that_repeats_is_reported_once(world: Watching, receiver: Receiver):
    """The first may be a slip; when Entra's next try is refused too, a person has to act."""
    world.ditio.faults.plan(NO)
    kari = a_user()
    step = world.provisions(kari)
    assert step.status == 400
    world.looks(3)
    assert receiver.got == []
    world.clock.passes(minutes=40)
    world.cycle()
    world.looks(3)
    assert receiver.kinds() == ["refused"]
    assert receiver.got[0]["counts"] == {"refused": 1}
    assert receiver.got[0]["ids"] == {"refused": []}  # It was undone: there is no user.
    for _ in range(4):
        world.clock.passes(minutes=40)
        world.cycle()
        world.looks()
    assert receiver.kinds() == ["refused"]

    world.ditio.faults.clear()
    world.clock.passes(minutes=40)
    world.cycle()
    assert world.state(kari)[0] == "delivered"
    world.looks()
    with world.database.read("default") as s:
        assert [key for kind, key in s.notices.marks() if kind == "refused"] == [""]


def test_what_the_guard_holds_is_reported_once_it_is_complete(
    database: Database, clock: Clock, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    """L8: with the count, the three ways on, and not again for each further person."""
    monkeypatch.setattr(
        "tests.world.World.delivery", {"end_employment": "at-once", "max_ended_per_hour": 1, "max_ended_fraction": 0.0}
    )
    world = Watching(database, clock, settings={"notify": {"webhook_url": receiver.url}})
    people = [another(number) for number in range(1, 7)]
    for each in people:
        world.provisions(each)
    world.clock.passes(days=2)
    for each in people[:3]:
        world.changes(each, account_enabled=False)
    world.looks()
    for each in people[3:]:
        world.changes(each, account_enabled=False)
    assert receiver.got == []
    world.looks(6)
    (told,) = receiver.got
    assert told["kind"] == "guard"
    assert told["counts"] == {"ending": 5}
    assert told["commands"] == ["scim-bridge outbox list", "scim-bridge outbox release", "scim-bridge outbox drop"]
    for _ in range(3):
        world.waits(hours=1)
    assert receiver.kinds() == ["guard"]

    with database.write("default") as s:
        for person_id in s.guard.release():
            s.outbox.mark_due(person_id)
    world.worker.run_until_idle()
    world.looks()
    world.clock.passes(days=1)
    for each in people:
        world.changes(each, account_enabled=True)
    world.clock.passes(days=2)
    for each in people:
        world.changes(each, account_enabled=False)
    world.looks(6)
    assert receiver.kinds() == ["guard", "guard"]


def test_trouble_with_ditio_is_reported_when_it_lasts_and_when_it_is_over(world: Watching, receiver: Receiver):
    """R3: the breaker; who waits is no longer than a probe away, so no one is named."""
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    kari = a_user()
    world.provisions(kari)
    with world.database.read("default") as s:
        assert s.breaker.get().is_open
    world.looks()
    assert receiver.got == []
    world.looks(4)
    assert receiver.kinds() == ["ditio"]
    world.looks(10)

    world.ditio.faults.clear()
    world.clock.passes(seconds=40)
    world.worker.run_until_idle()
    assert world.state(kari)[0] == "delivered"
    world.looks()
    assert receiver.kinds() == ["ditio"]
    world.waits(minutes=6)
    world.looks(5)
    assert receiver.kinds() == ["ditio", "ditio"]
    assert receiver.got[0]["title"] != receiver.got[1]["title"]


def test_trouble_that_comes_and_goes_is_one(world: Watching, receiver: Receiver):
    """A breaker that closes for two minutes and opens again is no news."""
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    kari = a_user()
    world.provisions(kari)
    world.looks(6)
    for title in ("Formann", "Anleggsleder", "Bas"):
        world.ditio.faults.clear()
        world.clock.passes(seconds=40)
        world.worker.run_until_idle()
        world.looks(2)
        world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
        world.changes(kari, job_title=title)
        world.looks(6)
    assert receiver.kinds() == ["ditio"]


def test_trouble_of_a_moment_is_not_reported(world: Watching, receiver: Receiver):
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.provisions(a_user())
    world.looks(2)
    world.ditio.faults.clear()
    world.worker.run_until_idle()
    world.looks(2)
    world.waits(minutes=10)
    assert receiver.got == []


def reconciles(world: Watching, **request: Any) -> int:
    world.clock.passes(minutes=1)  # A read may show what was there before a write.
    return world.parts.reconciliations["default"].run(Request(**request)).exit


def test_drift_is_reported_once_until_a_run_finds_more(world: Watching, receiver: Receiver):
    """With counts by kind, and the command that shows the plan."""
    for number in (1, 2):
        world.provisions(another(number))
    assert reconciles(world) == 0
    world.looks()
    assert receiver.got == []
    world.employee("2001").work_title = "by hand"
    assert reconciles(world) == 2
    world.looks(3)
    (told,) = receiver.got
    assert (told["kind"], told["counts"]) == ("drift", {"field": 1})
    assert told["commands"][0].startswith("scim-bridge reconcile show ")

    world.clock.passes(days=1)
    assert reconciles(world) == 2
    world.looks(3)
    assert len(receiver.got) == 1
    world.employee("2002").work_title = "by hand"
    world.clock.passes(days=1)
    assert reconciles(world) == 2
    world.looks(3)
    assert [each["counts"] for each in receiver.got] == [{"field": 1}, {"field": 2}]

    assert reconciles(world, apply=True) == 0
    world.looks()
    world.employee("2002").work_title = "by another hand"
    assert reconciles(world) == 2
    world.looks()
    assert len(receiver.got) == 3


def test_a_run_that_a_guard_stops_is_reported_with_the_limit(world: Watching, receiver: Receiver):
    """Q4."""
    for number in (1, 2):
        world.provisions(another(number))
    world.restarts_with(reconcile={"max_changes": 1})
    for number in ("2001", "2002"):
        world.employee(number).work_title = "by hand"
    for _ in range(2):
        assert reconciles(world) == 3
        world.looks(2)
        world.clock.passes(hours=1)
    (told,) = receiver.got
    assert told["kind"] == "stopped"
    assert "RECONCILE__MAX_CHANGES" in " ".join(told["lines"])


@pytest.mark.parametrize(("every", "hours"), [(3600.0, 2), (0.0, 48)])
def test_a_comparison_that_does_not_come_is_reported(every: float, hours: int, world: Watching, receiver: Receiver):
    """Twice the interval, or two days where a timer starts the runs; a run that fails is none."""
    world.provisions(a_user())
    world.restarts_with(reconcile={"every": every})
    assert reconciles(world) == 0
    world.waits(hours=hours - 0.5)
    assert receiver.got == []
    world.ditio.faults.plan(Fault(kind="status", status=500, times=None))
    with pytest.raises(Exception, match="500"):
        reconciles(world)
    world.waits(hours=1)
    world.looks(5)
    assert receiver.kinds() == ["overdue"]

    world.ditio.faults.clear()
    assert reconciles(world) == 0
    world.waits(hours=hours - 0.5)
    assert receiver.kinds() == ["overdue"]


def test_a_schedule_whose_runs_all_fail_is_reported(world: Watching, receiver: Receiver):
    """From the first day on: no run has ever succeeded."""
    world.provisions(a_user())
    world.restarts_with(reconcile={"every": 3600.0})
    world.ditio.faults.plan(Fault(kind="status", status=500, times=None))
    for _ in range(4):
        with pytest.raises(Exception, match="500"):
            reconciles(world)
        world.waits(minutes=55)
    assert receiver.kinds() == ["overdue"]


def test_where_no_comparison_is_asked_for_none_is_missed(world: Watching, receiver: Receiver):
    world.provisions(a_user())
    for _ in range(10):
        world.waits(days=1)
    assert receiver.got == []


def test_the_summary_comes_once_a_day_at_its_time(world: Watching, receiver: Receiver):
    """By the company's clock, and not at a restart: it is 8 o'clock UTC, 9 in Oslo."""
    world.restarts_with(notify={"webhook_url": receiver.url, "daily_at": "07:30"})
    world.looks(2)
    world.provisions(a_user())
    world.provisions(another(2, mobile=None))
    world.clock.passes(hours=22)
    world.looks()
    receiver.got.clear()
    world.waits(minutes=31)
    world.looks(5)
    (told,) = receiver.got
    assert told["kind"] == "daily"
    assert (told["counts"]["hired"], told["counts"]["held"], told["counts"]["refused"]) == (1, 1, 0)
    world.waits(hours=23)
    assert len(receiver.got) == 1
    world.waits(hours=1)
    assert len(receiver.got) == 2
    assert receiver.got[1]["counts"]["hired"] == 0


def test_the_summary_counts_certificates_before_they_end(world: Watching, receiver: Receiver):
    """A licence that runs out is seen weeks before: those that have ended, and those that end within 30 days."""
    world.restarts_with(notify={"webhook_url": receiver.url, "daily_at": "07:30"})
    world.looks(2)
    for number, end in ((1, "2026-03-01"), (2, "2026-04-01"), (3, "2026-03-20"), (4, "2026-05-31"), (5, "2026-09-01")):
        certificate = {"employeeNumber": str(number), "issuedDateTime": "2026-01-01", "validUntilDateTime": end}
        world.scim("POST", "/Certificates", {**certificate, "certificateType": "Kranførerbevis"})
    receiver.got.clear()
    world.waits(hours=24)

    told = next(each for each in receiver.got if each["kind"] == "daily")
    assert (told["counts"]["certificates_ended"], told["counts"]["certificates_ending"]) == (1, 2)
    assert "scim-bridge certificates expiring" in told["commands"]


def test_without_a_channel_nothing_is_read_or_kept(database: Database, clock: Clock):
    world = Watching(database, clock)
    world.provisions(a_user(mobile=None))
    world.waits(hours=2)
    with database.read("default") as s:
        assert s.notices.marks() == {}
        assert not s.notices.has_of_other_channels([])


DISTINCTIVE = {
    "object_id": "5d1f3c0e-0000-4000-8000-000000007788",
    "user_principal_name": "Zlatibor.Quensel@contractor.example",
    "display_name": "Zlatibor Quensel",
    "given_name": "Zlatibor",
    "surname": "Quensel",
    "mail": "Zlatibor.Quensel@contractor.example",
    "job_title": "Xylofonist",
    "department": "Qvatertest",
}


@pytest.fixture
def everything_told(world: Watching, receiver: Receiver, mail: MailServer) -> str:
    """All that two channels got in a day in which everything goes wrong for one person."""
    world.restarts_with(notify={"webhook_url": receiver.url, "daily_at": "07:30", **by_mail(mail)})
    world.looks()
    zlatibor = a_user(**DISTINCTIVE, mobile="+47 456 78 901", employee_id="Q-7788")
    world.provisions(zlatibor)
    assert world.state(zlatibor)[0] == "delivered", world.state(zlatibor)
    world.provisions(a_user())
    world.ditio.faults.plan(Fault(kind="status", status=400, times=None, method="PATCH", path=EMPLOYEES))
    for _ in range(3):
        world.changes(zlatibor, job_title="Xylofonist")
        world.waits(minutes=40)
    world.ditio.faults.clear()
    world.employee("Q-7788").work_title = "Zlatibor"
    reconciles(world)
    world.looks(2)
    world.ditio.faults.plan(Fault(kind="refused-connection", times=None))
    world.changes(zlatibor, surname="Quenselius")
    world.waits(hours=2)
    world.waits(days=3)
    return "\n".join([json.dumps(receiver.got, ensure_ascii=False), *map(str, mail.got)])


def test_no_notice_names_a_person(everything_told: str, receiver: Receiver, mail: MailServer):
    """Ids and counts: neither a name, nor a number, a phone, an address or a title."""
    assert {"waiting", "drift", "ditio", "daily", "overdue"} <= set(receiver.kinds())
    assert len(mail.got) == len(receiver.got)
    for text in ("Zlatibor", "Quensel", "Q-7788", "45678901", "456 78 901", "Xylofonist", "Qvatertest", "Kari"):
        assert text not in everything_told, text
