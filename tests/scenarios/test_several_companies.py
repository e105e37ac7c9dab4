"""Two companies in one bridge, each with an Entra and a Ditio: their lives do not meet."""

import threading
from typing import Any

import pytest

from scim_bridge.domain.breaker import Breaker
from scim_bridge.domain.drift import Kind
from scim_bridge.reconcile.report import Request
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.outbox import Status
from tests.companies import Companies, Overrides
from tests.conftest import Clock
from tests.world import a_user, day

NORD, SOR = "nord", "sor"


@pytest.fixture
def both(database: Database, clock: Clock) -> Companies:
    return Companies(database, clock, NORD, SOR, common={"delivery": {"end_employment": "at-once"}})


def waiting(companies: Companies, name: str) -> Status:
    with companies.database.read(name) as s:
        return s.at(companies.clock()).outbox.status()


def test_two_lives_under_one_number_name_and_phone_do_not_meet(both: Companies):
    """P3: claims never cross tenants; a whole life at one company leaves no trace at the other."""
    people = {NORD: a_user(), SOR: a_user()}
    for name, user in people.items():
        both.provisions(name, user)
    assert [len(both.ditio[name].company.employees) for name in both.names] == [0, 1, 1]

    for name, other in ((NORD, SOR), (SOR, NORD)):
        before = both.rows(other)
        for ditio in both.ditio.values():
            ditio.forget_requests()
        lives(both, name, people[name])
        assert both.rows(other) == before
        assert both.ditio[other].calls() == []
        employee = both.ditio[name].employee("1042")
        assert (employee.disabled, employee.phone, len(employee.employments)) == (True, "+4790011222", 2)
    assert both.ditio["default"].calls() == []


def lives(companies: Companies, name: str, user: EntraUser) -> None:
    """A person who is hired changes, leaves, comes back, and is deleted."""
    entra = companies.entra[name]
    user.mobile, user.job_title = "+47 900 11 222", "Formann"
    entra.cycle()
    user.account_enabled = False
    entra.cycle()
    companies.clock.passes(days=3)
    user.account_enabled = True
    entra.cycle()
    entra.directory.hard_delete(user.object_id)
    entra.cycle()
    companies.works()


def test_each_company_is_called_with_its_own_client_and_mapped_by_its_own_rules(database: Database, clock: Clock):
    """Design, section 5: `[tenants.NAME]` overrides any section for one company, and the others keep theirs."""
    own = {
        "mapping": {"payroll": 0, "fields": {"employeeNumber": {"from": ["externalId"]}}},
        "delivery": {"offboarding": ["disable"], "inline_seconds": 0},
        "scim": {"patch_status": 204, "max_page_size": 7},
    }
    common: Overrides = {"delivery": {"end_employment": "at-once"}}
    companies = Companies(database, clock, NORD, SOR, settings={NORD: own}, common=common)
    for name in (NORD, SOR):
        companies.provisions(name, a_user(object_id="A-77"))
    assert companies.ditio[NORD].calls() == []
    companies.works()

    employees = [dict(companies.ditio[name].company.employees) for name in (NORD, SOR)]
    assert [list(each) for each in employees] == [["A-77"], ["1042"]]
    (one,), (other,) = (employee.employments for each in employees for employee in each.values())
    assert (one.payroll, other.payroll) == (0, 1)
    statuses = [leaves(companies, name) for name in (NORD, SOR)]
    companies.works()
    assert statuses == [204, 200]
    assert (one.end, other.end) == (None, day("2026-03-02"))
    offers = [companies.scim(name, "GET", "/ServiceProviderConfig").json() for name in (NORD, SOR)]
    assert [offer["pagination"]["maxPageSize"] for offer in offers] == [7, 200]


def leaves(companies: Companies, name: str) -> int:
    """The only user of a company is blocked; how the request is answered."""
    patch = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": False}],
    }
    (user,) = companies.scim(name, "GET", "/Users").json()["Resources"]
    return companies.scim(name, "PATCH", f"/Users/{user['id']}", patch).status_code


DOWN = {
    "down": Fault("status", status=503, path="/api/", times=None),
    "refuses the client": Fault("status", status=403, path="/api/", times=None),
    "out of reach": Fault("refused-connection", times=None),
}


@pytest.mark.parametrize("trouble", DOWN)
def test_one_companys_trouble_with_ditio_is_its_own(both: Companies, trouble: str):
    """D2: breaker, back-off and probes are one company's; the other is delivered while its request waits."""
    both.ditio[NORD].faults.plan(DOWN[trouble])
    for number in range(3):
        for name in (NORD, SOR):
            both.provisions(name, person(number))
        both.works()

    assert both.ditio[NORD].company.employees == {}
    assert waiting(both, NORD).due == 3
    assert sorted(both.ditio[SOR].company.employees) == ["0", "1", "2"]
    assert waiting(both, SOR) == Status(0, 0, 0, None)
    assert [breaker(both, name).is_open for name in (NORD, SOR)] == [True, False]
    ready = both.app.test_client().get("/readyz")
    assert ready.status_code == 200
    assert [ready.json["breaker"][name]["open"] for name in both.names] == [False, True, False]
    metrics = both.app.test_client().get("/metrics").text
    assert 'scim_bridge_breaker_open{tenant="nord"} 1.0' in metrics
    assert 'scim_bridge_breaker_open{tenant="sor"} 0.0' in metrics

    both.ditio[NORD].faults.clear()
    both.clock.passes(minutes=2)
    both.works()
    assert sorted(both.ditio[NORD].company.employees) == ["0", "1", "2"]


def test_one_company_is_paused_by_setting_or_command(database: Database, clock: Clock):
    """D4: for each tenant."""
    companies = Companies(database, clock, NORD, SOR, settings={NORD: {"delivery": {"paused": True}}})
    with database.write("default") as s:
        s.pauses.pause()
    for name in companies.names:
        companies.provisions(name, a_user())
    companies.works()

    assert [list(companies.ditio[name].company.employees) for name in companies.names] == [[], [], ["1042"]]
    assert [waiting(companies, name).held for name in companies.names] == [1, 1, 0]
    ready = companies.app.test_client().get("/readyz").json
    assert [ready["outbox"][name]["paused"] for name in companies.names] == [True, True, False]


def test_each_company_is_reconciled_with_its_own_ditio(both: Companies):
    """Q2: what differs at one company is told of it, and repaired there."""
    for name in (NORD, SOR):
        both.provisions(name, a_user())
    both.clock.passes(minutes=1)
    for name in (NORD, SOR):
        both.ditio[name].employee("1042").work_title = "Kokk"
    theirs = both.rows(SOR)
    both.ditio[SOR].forget_requests()

    report = both.parts.reconciliations[NORD].run(Request(apply=True))

    assert report.applied == 1
    assert [both.ditio[name].employee("1042").work_title for name in (NORD, SOR)] == ["Maskinfører", "Kokk"]
    assert both.rows(SOR) == theirs
    assert both.ditio[SOR].calls() == []
    assert both.parts.reconciliations[SOR].run(Request()).run.by_kind == {Kind.field: 1}


def test_a_slow_ditio_keeps_half_the_places_of_a_server_at_most(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """A4, D2: a person who finds no place is answered 2xx and delivered later; another company finds one meanwhile."""
    companies = Companies(database, clock, NORD, SOR, common={"server": {"threads": 8}})
    slow = companies.parts.tenants[NORD].ditio
    get, answers, arrived = slow.get, threading.Event(), threading.Semaphore(0)

    def get_late(*arguments: Any, **options: Any) -> Any:
        arrived.release()
        answers.wait(60)
        return get(*arguments, **options)

    monkeypatch.setattr(slow, "get", get_late)
    creations = [threading.Thread(target=creates, args=(companies, NORD, number)) for number in range(2)]
    try:
        for thread in creations:
            thread.start()
            assert arrived.acquire(timeout=60)
        assert creates(companies, NORD, 7) == 201
        assert creates(companies, SOR, 8) == 201
        assert list(companies.ditio[SOR].company.employees) == ["8"]
        assert companies.ditio[NORD].company.employees == {}
        assert waiting(companies, NORD).due == 3
    finally:
        answers.set()
        for thread in creations:
            thread.join(60)
    monkeypatch.setattr(slow, "get", get)
    companies.works()
    assert sorted(companies.ditio[NORD].company.employees) == ["0", "1", "7"]


def person(number: int) -> EntraUser:
    return a_user(
        object_id=f"object-{number}",
        user_principal_name=f"{number}@contractor.example",
        mail=f"{number}@contractor.example",
        mobile=f"+47 9876543{number}",
        employee_id=f"{number}",
    )


def creates(companies: Companies, name: str, number: int) -> int:
    """A complete user is POSTed; how that is answered."""
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    document = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", enterprise],
        "userName": f"{number}@contractor.example",
        "active": True,
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "phoneNumbers": [{"type": "mobile", "value": f"+47 9876543{number}"}],
        enterprise: {"employeeNumber": str(number)},
    }
    return companies.scim(name, "POST", "/Users", document).status_code


def breaker(companies: Companies, name: str) -> Breaker:
    with companies.database.read(name) as s:
        return s.at(companies.clock()).breaker.get()
