"""What Entra is told when Ditio says no (rule R1): a write is taken back whole, or stays and is parked."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from scim_bridge.domain.operations import OperationName, name_of
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.operator.history import changed_attributes, sentence
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.admin_tables import audit
from scim_bridge.storage.tables import claim_waiters, claims, history, people
from tests.world import World, a_user, day

pytestmark = pytest.mark.usefixtures("ends_at_once")

DITIO_URN = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PER = {
    "object_id": "5d1f3c0e-0000-4000-8000-00000000beef",
    "user_principal_name": "per@contractor.example",
    "mail": "per@contractor.example",
    "mobile": "41234567",
    "given_name": "Per",
    "surname": "Hansen",
    "employee_id": "2042",
    "birth_date": "1980-01-01",
}


def refuses(world: World, path: str, *, status: int = 400, method: str = "PATCH", times: int | None = 1) -> None:
    world.ditio.faults.plan(Fault(kind="status", status=status, method=method, path=path, times=times))


def claimed(world: World) -> set[str]:
    with world.database.read() as s:
        return set(s.connection.execute(select(claims.c.value)).scalars())


def meanwhile(world: World, monkeypatch: pytest.MonkeyPatch, name: OperationName, act: Callable[[], object]) -> None:
    """Just before the bridge sends this operation for the first time, something else happens."""
    ditio = world.parts.tenants["default"].ditio
    send, acts = ditio.send, [act]

    def sending(operation: Any, number: Any, **options: Any) -> Any:
        if name_of(operation) is name and acts:
            acts.pop()()
        return send(operation, number, **options)

    monkeypatch.setattr(ditio, "send", sending)


def patch(world: World, user: Any, **values: object) -> Any:
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    path = f"/Users/{world.entra.scim_id(user.object_id)}"
    return world.scim("PATCH", path, {"schemas": schemas, "Operations": operations})


# A refused create


def test_a_refused_create_is_undone(styled: World):
    """R1: 400 with Ditio's words, attribute and cure; nothing stays, and Entra's next try is a new one."""
    styled.restyle(payroll_locked_until=day("2026-03-31"))
    kari = a_user()

    step = styled.provisions(kari)

    assert (step.status, step.scim_type) == (400, "invalidValue")
    assert "Lønnsperioden er låst" in str(step.detail)
    assert "Nothing of this user was stored" in str(step.detail)
    if styled.ditio.style.errors in ("v5", "problem"):
        assert f"{DITIO_URN}:employmentStartDate" in str(step.detail)
        assert "(in Ditio: startDate)" in str(step.detail)
    assert styled.scim("GET", "/Users").json()["totalResults"] == 0
    assert claimed(styled) == set()

    styled.restyle(payroll_locked_until=None)
    assert styled.cycle().status == 201
    assert styled.employee("1042").created_count == 1
    assert styled.state(kari) == ("delivered", None)


@pytest.mark.parametrize(("status", "told"), [(400, 400), (409, 409), (422, 400), (418, 400)])
def test_what_a_refusal_is_towards_entra(world: World, status: int, told: int):
    """R1: 409 where Ditio said 409, 400 for any other 4xx; the words name the attributes that may be at fault."""
    refuses(world, "/employees", status=status, method="POST")

    step = world.provisions(a_user())

    assert step.status == told
    assert f"({status}, request " in str(step.detail)
    if told == 409:
        assert step.scim_type == "uniqueness"
        assert f'{ENTERPRISE_URN}:employeeNumber "1042" (in Ditio: employeeNumber)' in str(step.detail)
        assert 'phoneNumbers[type eq "mobile"].value "+4798765432" (in Ditio: phone)' in str(step.detail)
    with world.database.read() as s:
        assert s.connection.execute(select(people.c.id)).all() == []
        rows = s.connection.execute(select(history.c.what, history.c.outcome, history.c.status)).all()
        deeds = s.connection.execute(select(audit.c.actor, audit.c.actor_id, audit.c.action).order_by(audit.c.id)).all()
    assert ("undo", "undone", told) in [tuple(row) for row in rows]
    assert [tuple(deed) for deed in deeds][1:] == [("bridge", "undo", "undone")], "whoever reads the trail sees both"


def test_park_keeps_what_is_refused(world: World):
    """R1: `DELIVERY__ON_REFUSED` = `park`: 2xx, parked with Ditio's words."""
    world.restarts_with(delivery={"on_refused": "park"})
    refuses(world, "/employees", status=422, method="POST")
    kari = a_user()

    assert world.provisions(kari).status == 201
    state, detail = world.state(kari)
    assert state == "parked"
    assert "422" in str(detail)


def test_no_one_is_undone_who_may_be_in_ditio(world: World):
    """R1, R4: adopted, then refused: the employee is there, so 201, and the rest is parked."""
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", work_title="Lærling")
    refuses(world, "/employees/1042", status=422)
    kari = a_user()

    assert world.provisions(kari).status == 201
    assert world.state(kari)[0] == "parked"


@pytest.mark.parametrize("kind", ["timeout-after", "reset-before"])
def test_an_ambiguous_create_is_not_undone(world: World, kind: str):
    """R1, R4: no one knows whether Ditio took him: 201, and what comes of it later is parked."""
    world.ditio.faults.plan(Fault(kind=kind, method="POST", path="/employees"))
    kari = a_user()

    assert world.provisions(kari).status == 201
    refuses(world, "/employees", status=422, method="POST", times=None)
    for _ in range(3):
        world.clock.passes(hours=1)
        world.worker.run_until_idle()
    assert world.state(kari)[0] in ("delivered", "parked")


def test_an_undone_create_wakes_who_waited(world: World, monkeypatch: pytest.MonkeyPatch):
    """P3: an undone write gives its claims up in its own transaction, and who waited for them goes on."""
    kari, per = a_user(), {"userName": "per@contractor.example", "active": True}
    per |= {
        "name": {"givenName": "Per", "familyName": "Hansen"},
        "phoneNumbers": [{"type": "mobile", "value": "41234567"}],
    }
    per |= {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], ENTERPRISE_URN: {"employeeNumber": "1042"}}
    answers = []
    refuses(world, "/employees", method="POST")
    meanwhile(world, monkeypatch, OperationName.create, lambda: answers.append(world.scim("POST", "/Users", per)))

    assert world.provisions(kari).status == 400
    assert answers[0].json()[DITIO_URN]["deliveryState"] == "held"
    world.worker.run_until_idle()

    assert world.employee("1042").first_name == "Per"
    with world.database.read() as s:
        assert s.connection.execute(select(claim_waiters)).all() == []
    assert claimed(world) == {"1042", "+4741234567"}


def test_missing_data_that_only_ditio_knows_of(world: World):
    """H3: `DELIVERY__ON_INCOMPLETE` = `refuse` answers 400 and stores nothing, whatever `ON_REFUSED` says."""
    world.restarts_with(delivery={"on_incomplete": "refuse", "on_refused": "park"})
    world.restyle(birth_date_required=True)
    kari = a_user(birth_date=None)

    step = world.provisions(kari)

    assert step.status == 400
    assert f"{DITIO_URN}:birthDate" in str(step.detail)
    assert world.scim("GET", "/Users").json()["totalResults"] == 0
    assert world.changes(kari, birth_date="1990-05-15").status == 201


# A refused change


def test_a_half_applied_change_is_brought_back(styled: World):
    """R1: undone whole: Ditio took the phone and refused the day, so the phone is brought back by the same path."""
    kari = a_user(hire_date="2026-04-01")
    styled.provisions(kari)
    before = styled.user(kari)
    styled.restyle(payroll_locked_until=day("2026-04-30"))
    styled.forget()

    step = styled.changes(kari, mobile="41234567", hire_date="2026-04-15")

    assert step.status == 400
    assert "Lønnsperioden er låst" in str(step.detail)
    assert f'The attribute is {DITIO_URN}:employmentStartDate "2026-04-15" (in Ditio: startDate)' in str(step.detail)
    phones = [body for _, path, body in styled.sent() if path.endswith("change-phone-number")]
    assert phones == [{"phone": "+4741234567"}, {"phone": "+4798765432"}]
    assert styled.employee("1042").phone == "+4798765432"
    assert claimed(styled) == {"1042", "+4798765432"}
    after = styled.user(kari)
    assert {**after, "meta": None, DITIO_URN: None} == {**before, "meta": None, DITIO_URN: None}
    assert after[DITIO_URN]["employmentStartDate"] == "2026-04-01"
    # The version goes on: no ETag stands for two documents.
    assert (before["meta"]["version"], after["meta"]["version"]) == ('W/"1"', 'W/"3"')
    assert styled.state(kari) == ("delivered", None)


def test_the_story_of_a_person_tells_of_the_undo(world: World):
    """R1, D5: `people show` has a line for it, between what was refused and what came after."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "/employees/1042", status=422)
    world.changes(kari, job_title="Formann")

    with world.database.read("default") as s:
        person = s.connection.execute(select(people.c.id)).scalar_one()
        entries = s.history.of(PersonId(person))
        changed = changed_attributes(s, {PersonId(person): entries})
    lines = " ".join(sentence(entry, changed) for entry in entries)
    asked, refused, undone = (lines.index(text) for text in ("user: title", "profile: refused", "change of title was"))
    assert asked < refused < undone < lines.rindex("Delivered")


def test_a_put_is_undone_like_a_patch(world: World):
    """R1: by document, keys included: the old user name is found again, the new one is no one's."""
    kari = a_user()
    world.provisions(kari)
    document = world.user(kari)
    refuses(world, "/employees/1042", status=422)

    answer = world.scim("PUT", f"/Users/{document['id']}", {**document, "userName": "other", "title": "Formann"})

    assert answer.status_code == 400
    found = [
        world.scim("GET", f'/Users?filter=userName eq "{name}"').json()["totalResults"]
        for name in (kari.user_principal_name, "other")
    ]
    assert found == [1, 0]
    assert world.user(kari)["title"] == "Maskinfører"


def test_a_user_name_that_was_taken_meanwhile_is_not_taken_back(world: World, monkeypatch: pytest.MonkeyPatch):
    """R1: what can't be put back stays, parked; no one loses a name."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "/employees/1042", status=422, times=None)
    other: JsonObject = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": kari.user_principal_name,
        "active": False,
    }
    meanwhile(world, monkeypatch, OperationName.patch, lambda: world.scim("POST", "/Users", other))

    assert patch(world, kari, userName="kari@new.example", title="Formann").status_code == 200
    assert world.user(kari)["userName"] == "kari@new.example"
    assert world.state(kari)[0] == "parked"


def test_a_newer_write_is_never_undone(world: World, monkeypatch: pytest.MonkeyPatch):
    """R1: compare-and-set lost: both writes stay, and what is refused is parked."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "change-phone-number", status=409, times=None)
    newer = []
    meanwhile(
        world,
        monkeypatch,
        OperationName.change_phone_number,
        lambda: newer.append(patch(world, kari, title="Formann")),
    )

    answer = patch(world, kari, **{'phoneNumbers[type eq "mobile"].value': "41234567"})

    assert (answer.status_code, newer[0].status_code) == (200, 200)
    assert world.user(kari)["phoneNumbers"][0]["value"] == "41234567"
    assert world.user(kari)["title"] == "Formann"
    assert world.employee("1042").work_title == "Formann"
    assert world.state(kari)[0] == "parked"


def test_an_external_id_is_undone_for_the_person_too(world: World):
    """R1, P2: he is recognised by what Entra said before, and not by what was refused with the rest."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "change-phone-number", status=409)
    answer = patch(world, kari, externalId="another", **{'phoneNumbers[type eq "mobile"].value': "41234567"})
    assert answer.status_code == 409
    world.deletes(kari)
    world.clock.passes(hours=1)

    mail = "kari.hansen@contractor.example"
    again = a_user(user_principal_name=mail, mail=mail, mobile="92345678", surname="Hansen", birth_date=None)
    world.provisions(again)

    assert world.state(again)[0] == "delivered"
    employee = world.employee("1042")
    assert (employee.created_count, employee.last_name, employee.disabled) == (1, "Hansen", False)


def test_who_is_deleted_meanwhile_stays_deleted(world: World, monkeypatch: pytest.MonkeyPatch):
    """L6: the DELETE is not lost in an undo."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "change-phone-number", status=409)
    path = f"/Users/{world.entra.scim_id(kari.object_id)}"
    meanwhile(world, monkeypatch, OperationName.change_phone_number, lambda: world.scim("DELETE", path))

    patch(world, kari, **{'phoneNumbers[type eq "mobile"].value': "41234567"})
    world.worker.run_until_idle()

    assert world.scim("GET", path).status_code == 404
    assert world.employee("1042").disabled


def test_nothing_is_undone_once_the_time_is_spent(world: World, monkeypatch: pytest.MonkeyPatch):
    """R1, A4: budget spent: no undo, parked."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "/employees/1042", status=422)
    meanwhile(world, monkeypatch, OperationName.patch, lambda: world.clock.passes(seconds=6))

    assert patch(world, kari, title="Formann").status_code == 200
    assert world.user(kari)["title"] == "Formann"
    assert world.state(kari)[0] == "parked"


def test_a_refused_return_is_undone(styled: World):
    """R1, L4: the login that was opened is closed again, and the last day is the one it was."""
    kari = a_user()
    styled.provisions(kari)
    styled.changes(kari, account_enabled=False)
    styled.clock.passes(days=30)
    styled.restyle(payroll_locked_until=day("2026-12-31"))
    styled.forget()

    step = styled.changes(kari, account_enabled=True)

    assert step.status == 400
    assert "Lønnsperioden er låst" in str(step.detail)
    assert styled.employee("1042").disabled
    assert [each.end for each in styled.employee("1042").employments] == [day("2026-03-02")]
    assert not any("end-employment" in path for _, path, _ in styled.sent())
    assert styled.user(kari)["active"] is False
    assert styled.state(kari) == ("delivered", None)


def test_completed_data_that_is_refused_leaves_the_person_held_as_before(world: World):
    """R1, H1: a change is undone for a person without an employee too."""
    world.ditio.plant("1042", "Ola", "Hansen", "+4741111111", email="ola@elsewhere.example")
    kari = a_user(mobile=None)
    world.provisions(kari)

    step = world.changes(kari, mobile="98765432")

    assert step.status == 409
    assert "adopt --accept 1042" in str(step.detail)
    assert world.state(kari)[0] == "held"
    assert world.sent() == []


def test_what_was_refused_before_undoes_no_later_change(world: World):
    """R1: a refused value that stands already is no reason to refuse every change after it."""
    kari = a_user()
    world.provisions(kari)
    world.restarts_with(delivery={"on_refused": "park"})
    refuses(world, "change-phone-number", status=409, times=None)
    world.changes(kari, mobile="41234567")
    world.restarts_with(delivery={"on_refused": "report"})

    assert world.changes(kari, job_title="Formann").status == 200
    assert world.employee("1042").work_title == "Formann"
    assert world.state(kari)[0] == "parked"


# What is never undone


@pytest.mark.parametrize("change", [{"account_enabled": False}, {"leave_date": "2026-03-01"}], ids=["active", "date"])
def test_an_ending_is_never_refused(world: World, change: dict[str, Any]):
    """L6, R1: 2xx, whatever else the write carries; what was refused is parked with Ditio's words."""
    kari = a_user(hire_date="2026-02-01")
    world.provisions(kari)
    world.restyle(payroll_locked_until=day("2026-03-31"))
    refuses(world, "change-phone-number", status=409)

    step = world.changes(kari, mobile="41234567", **change)

    assert step.status == 200
    assert world.employee("1042").disabled
    state, detail = world.state(kari)
    assert state == "parked"
    assert "Lønnsperioden er låst" in str(detail)


def test_a_delete_is_never_refused(world: World):
    """L6: DELETE is an ending."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "end-employment", status=422)
    path = f"/Users/{world.entra.scim_id(kari.object_id)}"

    assert world.scim("DELETE", path).status_code == 204
    assert world.scim("GET", path).status_code == 404
    assert world.employee("1042").disabled


def test_an_unknown_operation_is_held_and_not_undone(world: World):
    """R1: 404 or 405 on an operation while the employee can be read is `no-operation`."""
    kari = a_user()
    world.provisions(kari)
    world.restyle(operations_method="POST")

    assert world.changes(kari, mobile="41234567").status == 200
    assert world.state(kari)[0] == "held"
    assert world.user(kari)["phoneNumbers"][0]["value"] == "41234567"


@pytest.mark.parametrize("status", [404, 405])
def test_an_unknown_creation_is_held_until_its_setting_is_right(world: World, status: int):
    """R1: a creation has no employee who could be read; no time cures a setting, so it is not tried for ever."""
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/employees", status=status, times=1))
    kari = a_user()

    assert world.provisions(kari).status == 201
    state, detail = world.state(kari)
    assert state == "held"
    assert "DITIO__" in str(detail)
    world.clock.passes(days=1)
    assert world.worker.run_until_idle() == 0

    with world.database.write("default") as s:
        s.outbox.retry()
    world.worker.run_until_idle()
    assert world.state(kari) == ("delivered", None)
    assert world.employee("1042").created_count == 1


@pytest.mark.parametrize("status", [404, 405])
def test_an_unknown_creation_is_not_believed_while_an_earlier_one_may_show(world: World, status: int):
    """R4, R1: a POST that was never answered may have been applied late: he stays due, and is not held."""
    world.ditio.faults.plan(Fault(kind="reset-before", method="POST", path="/employees", times=1))
    kari = a_user()
    world.provisions(kari)
    world.ditio.faults.plan(Fault(kind="status", method="POST", path="/employees", status=status, times=1))
    world.clock.passes(seconds=5)
    world.worker.run_until_idle()
    assert [path for method, path, _ in world.sent() if method == "POST"] == ["", ""]
    assert world.state(kari)[0] == "due"

    world.clock.passes(minutes=5)
    world.worker.run_until_idle()
    assert world.state(kari) == ("delivered", None)
    assert world.employee("1042").created_count == 1


def test_a_take_over_is_never_undone(world: World):
    """P2, R1: a person who continues a former person is parked; the person, his link and his last day stay."""
    kari = a_user()
    world.provisions(kari)
    world.deletes(kari)
    world.clock.passes(days=30)
    world.restyle(payroll_locked_until=day("2026-12-31"))
    again = a_user(object_id="again")

    assert world.provisions(again).status == 201
    assert world.state(again)[0] == "parked"
    world.restyle(payroll_locked_until=None)
    patch(world, again, title="Maskinfører")
    assert world.employee("1042").created_count == 1
    assert world.state(again)[0] == "delivered"


def test_a_number_that_a_leaver_gave_up_is_not_lost_in_an_undo(world: World):
    """P2, R1: what a former person gave up for a newcomer can't be given back, so the newcomer is parked."""
    world.provisions(kari := a_user())
    world.deletes(kari)
    per = a_user(**{**PER, "employee_id": "1042"})

    assert world.provisions(per).status == 201
    state, detail = world.state(per)
    assert state == "parked"
    assert "adopt --accept 1042 per@contractor.example" in str(detail)


def test_a_bulk_request_only_queues(world: World):
    """R1, A4: no one waits for Ditio, so nothing is undone."""
    refuses(world, "/employees", method="POST")
    data = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "kari",
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "phoneNumbers": [{"type": "mobile", "value": "98765432"}],
        ENTERPRISE_URN: {"employeeNumber": "1042"},
    }
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": "/Users", "bulkId": "1", "data": data}],
    }
    assert world.scim("POST", "/Bulk", body).json()["Operations"][0]["status"] == "201"
    world.worker.run_until_idle()

    found = world.scim("GET", "/Users").json()["Resources"]
    assert [user[DITIO_URN]["deliveryState"] for user in found] == ["parked"]


# A crash in between


def test_an_undo_that_fails_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch):
    """R1, A2: the undo is one transaction: it happens whole, or the write stays and was accepted."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "/employees/1042", status=422, times=None)

    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed between two steps")

    with monkeypatch.context() as patched:
        patched.setattr("scim_bridge.delivery.undo.settle_claims", fails)
        assert patch(world, kari, title="Formann").status_code == 200
    assert world.user(kari)["title"] == "Formann"
    world.clock.passes(hours=1)
    world.worker.run_until_idle()

    assert world.user(kari)["title"] == "Formann"
    assert world.state(kari)[0] == "parked"


def test_a_database_that_is_lost_during_an_undo_is_503(world: World, monkeypatch: pytest.MonkeyPatch):
    """A3: no one knows whether the write stays, so Entra is neither told that it does nor that it does not."""
    kari = a_user()
    world.provisions(kari)
    refuses(world, "/employees/1042", status=422)

    def lost(*_: Any, **__: Any) -> None:
        raise OperationalError("COMMIT", {}, Exception("the connection was lost"))

    with monkeypatch.context() as patched:
        patched.setattr("scim_bridge.delivery.undo.Undo.confirm", lost)
        answer = patch(world, kari, title="Formann")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert world.user(kari)["title"] == "Maskinfører"
    assert patch(world, kari, title="Formann").status_code == 200
    assert world.employee("1042").work_title == "Formann"
