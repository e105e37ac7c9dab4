"""What a write sets going: the intake in its transaction, the delivery after it."""

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from scim_bridge.delivery.intake import Ticket
from scim_bridge.domain.outcome import State, Undone
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import UndoUncertain
from scim_bridge.scim.reading import CORE_URN, DITIO_URN
from scim_bridge.storage.tables import people

TICKET = Ticket(PersonId("person-1"), "lease-1")


def person_of(scim, user, **columns):
    """Give a user a person."""
    with scim.database.write() as s:
        now = s.now
        row = {"tenant": "default", "id": user["id"], "user_id": user["id"], "active": True}
        s.connection.execute(insert(people).values(**row, state_since=now, created_at=now, **columns))


def test_every_write_of_a_user_tells_the_intake(scim):
    """The documents are what is stored, before and after."""
    user = scim.create(userName="kari", title="Old")
    scim.patch(user, {"op": "replace", "path": "title", "value": "New"})
    scim.patch(user, {"op": "replace", "path": "title", "value": "New"})
    scim.send("PUT", f"/Users/{user['id']}", json={"userName": "kari", "title": "New"})
    scim.send("PUT", f"/Users/{user['id']}", json={"userName": "Kari"})
    scim.send("DELETE", f"/Users/{user['id']}")

    old = {"schemas": [CORE_URN], "userName": "kari", "title": "Old"}
    new = {"schemas": [CORE_URN], "userName": "kari", "title": "New"}
    bare = {"schemas": [CORE_URN], "userName": "Kari"}
    assert scim.intake.told == [
        ("created", user["id"], old),
        ("changed", user["id"], new, old),
        # A5: a write that changes nothing.
        ("repeated", user["id"]),
        ("repeated", user["id"]),
        ("changed", user["id"], bare, new),
        ("deleted", user["id"], bare),
    ]


def test_reads_and_refused_writes_deliver_nothing(scim):
    """Only what is committed is delivered."""
    scim.intake.ticket = TICKET
    scim.create(userName="kari")
    assert scim.delivered == [("default", TICKET)]

    scim.send("GET", "/Users")
    scim.send("POST", "/Users", json={"userName": "KARI"})
    scim.intake.refusal = RuntimeError()
    scim.send("POST", "/Users", json={"userName": "other"})
    assert scim.delivered == [("default", TICKET)]
    assert scim.rows() == 1


@pytest.mark.parametrize(
    ("is_duplicate", "status", "scim_type"), [(True, 409, "uniqueness"), (False, 400, "invalidValue")]
)
def test_a_refusal_of_the_delivery_is_the_answer(scim, is_duplicate, status, scim_type):
    """R1: the process that delivers has undone the write, and says why."""
    scim.intake.ticket = TICKET
    scim.undone = Undone("Ditio has an employee with this number", is_duplicate, "employeeNumber", "1042")
    response = scim.send("POST", "/Users", json={"userName": "kari"})

    assert response.status_code == status
    error = response.get_json(force=True)
    assert (error["scimType"], error["detail"]) == (scim_type, "Ditio has an employee with this number")


def test_an_undo_of_which_no_one_knows_is_503(scim):
    """A3: neither 2xx nor 4xx would be true; Entra asks again."""
    scim.intake.ticket = TICKET
    scim.refusal = UndoUncertain("lost")
    response = scim.send("POST", "/Users", json={"userName": "kari"})

    assert response.status_code == 503
    assert response.headers["Retry-After"]


@pytest.mark.parametrize("failure", [RuntimeError("a bug"), TimeoutError()])
def test_trouble_while_delivering_never_reaches_entra(scim, failure):
    """A2: the document stays, so the write is answered 2xx."""
    scim.intake.ticket = TICKET
    scim.refusal = failure
    assert scim.send("POST", "/Users", json={"userName": "kari"}).status_code == 201
    assert scim.rows() == 1


@pytest.mark.parametrize("is_cause", [False, True])
def test_the_log_of_a_failed_delivery_quotes_no_row(scim, caplog, is_cause):
    """G1: a database's own words may quote the row, also where they are the cause of another error."""
    quotes = IntegrityError("INSERT", {}, Exception("DETAIL: Key (family_name)=(Hemmelig) exists"))
    failure: Exception = quotes
    if is_cause:
        failure = RuntimeError("the person can't be stored")
        failure.__cause__ = quotes
    scim.intake.ticket = TICKET
    scim.refusal = failure
    assert scim.send("POST", "/Users", json={"userName": "kari"}).status_code == 201

    assert type(failure).__name__ in caplog.text
    assert "person-1" in caplog.text
    assert "Hemmelig" not in caplog.text


def test_a_failed_delivery_is_logged_with_its_traceback(scim, caplog):
    """A person who looks for the cause finds the place."""
    scim.intake.ticket = TICKET
    scim.refusal = RuntimeError("a bug")
    scim.send("POST", "/Users", json={"userName": "kari"})

    (record,) = [each for each in caplog.records if "scim.delivery_failed" in each.getMessage()]
    assert record.msg["exc_info"] is scim.refusal


def test_the_answer_shows_the_delivery_as_it_is_now(scim):
    """A6: the delivery attributes are read last, and change neither version nor lastModified."""
    user = scim.create(userName="kari")
    person_of(scim, user, state=State.held, reason="incomplete", detail="the phone is missing")

    shown = scim.read(user)
    assert shown[DITIO_URN] == {"deliveryState": "held", "deliveryDetail": "the phone is missing"}
    assert DITIO_URN in shown["schemas"]
    assert shown["meta"] == user["meta"]

    scim.intake.ticket = TICKET
    delivers = scim._deliver

    def deliver(tenant, ticket):
        delivers(tenant, ticket)
        with scim.database.write() as s:
            now = s.now
            s.connection.execute(update(people).values(state=State.delivered, detail=None, delivered_at=now))

    scim._deliver = deliver
    answered = scim.patch(user, {"op": "replace", "path": "title", "value": "New"}).json
    assert answered[DITIO_URN] == {"deliveryState": "delivered", "deliveredAt": "2026-03-02T08:00:00Z"}
    assert scim.read(user) == answered
    (found,) = scim.send("GET", "/Users", query_string={"filter": f'{DITIO_URN}:deliveryState eq "delivered"'}).json[
        "Resources"
    ]
    assert found == answered


def test_what_is_shown_of_the_delivery_is_never_stored(scim):
    """A client that sends back what it read changes nothing."""
    user = scim.create(userName="kari")
    person_of(scim, user, state=State.due)
    shown = scim.read(user)
    assert shown[DITIO_URN] == {"deliveryState": "due"}

    assert scim.send("PUT", f"/Users/{user['id']}", json=shown).json == shown
    assert scim.patch(user, {"op": "replace", "value": {DITIO_URN: {"deliveryState": "parked"}}}).json == shown
    assert [told[0] for told in scim.intake.told] == ["created", "repeated", "repeated"]


def test_a_page_shows_the_delivery_of_each_user(scim):
    """A user without a person shows none."""
    first, second = scim.create(userName="a"), scim.create(userName="b")
    person_of(scim, first, state=State.parked)

    found = scim.send("GET", "/Users", query_string={"sortBy": "userName"}).json["Resources"]
    assert [user.get(DITIO_URN) for user in found] == [{"deliveryState": "parked"}, None]
    assert found[1] == second
