"""Several processes write about the same people: no one is in another's way, and nothing is lost.

Rule A2: none of it is a 5xx, whatever the database thinks of two writers (SQLite: "database is locked"; PostgreSQL: a
deadlock, a failed serialization).
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from scim_bridge.domain.outcome import State
from scim_bridge.scim.reading import ENTERPRISE_URN
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import history, people
from tests.processes.writers import Answer, Request, Writers, let_in, patch, writers


@pytest.fixture(scope="module")
def processes() -> Iterator[Writers]:
    with writers() as started:
        yield started


class Bridge:
    """One database, and the processes that write into it."""

    def __init__(self, url: str, processes: Writers) -> None:
        self.database = Database(url)
        self._url = url
        self._processes = processes
        let_in(self.database)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Request:
        named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return Request(self._url, method, path, body, named)

    def all_at_once(self, requests: list[Request]) -> list[Answer]:
        """Several processes send them."""
        answers = self._processes.send(requests)
        assert [answer for answer in answers if answer.status >= 500] == []
        return answers

    def asks(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One request that succeeds; its body."""
        (answer,) = self.all_at_once([self.request(method, path, body, **headers)])
        assert answer.status < 300, answer
        return answer.body

    def creates(self, path: str = "/Users", **attributes: Any) -> str:
        return str(self.asks("POST", path, attributes)["id"])

    def people(self) -> list[Any]:
        with self.database.read() as s:
            return list(s.connection.execute(select(people)))

    def told(self) -> Counter[str]:
        """What intake has noted of all people, and how often."""
        with self.database.read() as s:
            return Counter(row.what for row in s.connection.execute(select(history.c.what)))


@pytest.fixture
def bridge(database_url: str, processes: Writers) -> Iterator[Bridge]:
    bridge = Bridge(database_url, processes)
    yield bridge
    bridge.database.close()


def statuses(answers: list[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def test_patches_of_one_user_never_meet_a_412_and_lose_nothing(bridge: Bridge):
    """Each adds an entry and sets an attribute of its own, as Entra writes it; every one is 200 and a version."""
    kari = bridge.creates(userName="kari")
    attributes = ("title", "nickName", "displayName", "locale", "timezone", "userType")
    requests = [
        bridge.request(
            "PATCH",
            f"/Users/{kari}",
            patch(
                {"op": "Add", "path": "roles", "value": [{"value": str(number)}]},
                {"op": "Replace", "path": attributes[number % len(attributes)], "value": f"number {number}"},
            ),
        )
        for number in range(36)
    ]

    assert statuses(bridge.all_at_once(requests)) == {200: 36}
    stored = bridge.asks("GET", f"/Users/{kari}")
    assert sorted(int(role["value"]) for role in stored["roles"]) == list(range(36))
    assert all(stored[name].startswith("number ") for name in attributes)
    assert stored["meta"]["version"] == 'W/"37"'
    assert bridge.told() == {"user-created": 1, "user-changed": 36}
    (person,) = bridge.people()
    assert (person.state, person.revision) == (State.due, 1 + 1 + 36)


def test_members_of_one_group_come_and_go_without_a_loss(bridge: Bridge):
    """RFC 7644 §3.5.2: half of the requests add a member each, half remove one, in both ways to say it."""
    stay, leave, come = ([f"{name}-{number}" for number in range(12)] for name in ("stays", "leaves", "comes"))
    group = bridge.creates("/Groups", displayName="Anlegg", members=[{"value": each} for each in stay + leave])
    operations = [{"op": "Add", "path": "members", "value": [{"value": each}]} for each in come] + [
        {"op": "Remove", "path": "members", "value": [{"value": each}]}
        if number % 2
        else {"op": "remove", "path": f'members[value eq "{each}"]'}
        for number, each in enumerate(leave)
    ]
    # One of each in turn.
    operations = [each for pair in zip(operations[:12], operations[12:], strict=True) for each in pair]

    answers = bridge.all_at_once([bridge.request("PATCH", f"/Groups/{group}", patch(each)) for each in operations])

    assert statuses(answers) == {200: 24}
    stored = bridge.asks("GET", f"/Groups/{group}")
    assert sorted(member["value"] for member in stored["members"]) == sorted(stay + come)
    assert stored["meta"]["version"] == 'W/"25"'


def test_a_user_name_is_given_once(bridge: Bridge):
    """RFC 7644 §3.3: 409 `uniqueness`, however it is spelled; of the others nothing is left, no person either."""
    names = ["kari@contractor.example", "KARI@contractor.example", "Kari@Contractor.Example"]
    answers = bridge.all_at_once([bridge.request("POST", "/Users", {"userName": names[n % 3]}) for n in range(24)])

    assert statuses(answers) == {201: 1, 409: 23}
    assert {answer.body["scimType"] for answer in answers if answer.status == 409} == {"uniqueness"}
    assert bridge.asks("GET", "/Users")["totalResults"] == 1
    assert len(bridge.people()) == 1


def test_each_version_is_replaced_once(bridge: Bridge):
    """RFC 7644 §3.14: of all who name the same version in `If-Match`, one wins, and the others are 412."""
    kari = bridge.creates(userName="kari")
    for version in range(1, 6):
        answers = bridge.all_at_once(
            [
                bridge.request(
                    "PUT", f"/Users/{kari}", {"userName": "kari", "title": f"{version}-{n}"}, If_Match=f'W/"{version}"'
                )
                for n in range(8)
            ]
        )

        assert statuses(answers) == {200: 1, 412: 7}
        (winner,) = (answer.body for answer in answers if answer.status == 200)
        assert winner["meta"]["version"] == f'W/"{version + 1}"'
        assert bridge.asks("GET", f"/Users/{kari}") == winner


def test_a_person_who_is_deleted_while_others_change_him_is_gone_and_due(bridge: Bridge):
    """P1, L7: a PATCH is 200 before the DELETE and 404 after it; the person stays, without a user, and is due."""
    users = [bridge.creates(userName=f"user {number}") for number in range(10)]
    requests = [
        request
        for number, user in enumerate(users)
        for request in (
            bridge.request("PATCH", f"/Users/{user}", patch({"op": "Replace", "path": "title", "value": "x"})),
            bridge.request("DELETE", f"/Users/{user}"),
            bridge.request("PATCH", f"/Users/{user}", patch({"op": "Replace", "path": "active", "value": "False"})),
            bridge.request("DELETE", f"/Users/{user}"),
        )
    ]

    answers = bridge.all_at_once(requests)

    of_patches = statuses([answer for request, answer in zip(requests, answers, strict=True) if request.body])
    of_deletes = statuses([answer for request, answer in zip(requests, answers, strict=True) if not request.body])
    assert of_deletes == {204: 10, 404: 10}
    assert set(of_patches) <= {200, 404}
    assert bridge.asks("GET", "/Users")["totalResults"] == 0
    left = bridge.people()
    assert [(person.user_id, person.state, person.active) for person in left] == [(None, State.due, False)] * 10
    assert all(person.due_since is not None for person in left)
    told = bridge.told()
    assert (told["user-created"], told["user-changed"], told["user-deleted"]) == (10, of_patches[200], 10)


def test_two_who_want_each_others_number_wait_for_it_and_not_for_each_other(bridge: Bridge):
    """P3: both writes look at the other's person; neither is refused, and both people are due."""
    users = [bridge.creates(userName=f"user {n}", **{ENTERPRISE_URN: {"employeeNumber": f"10{n}"}}) for n in (0, 1)]
    requests = [
        bridge.request(
            "PATCH",
            f"/Users/{users[number % 2]}",
            patch(
                {"op": "Replace", "path": "title", "value": f"number {number}"},
                {"op": "Replace", "path": f"{ENTERPRISE_URN}:employeeNumber", "value": f"10{(number + 1) % 2}"},
            ),
        )
        for number in range(32)
    ]

    assert statuses(bridge.all_at_once(requests)) == {200: 32}
    assert [(person.state, person.revision) for person in bridge.people()] == [(State.due, 1 + 1 + 16)] * 2


def an_incomplete_user(number: int) -> dict[str, Any]:
    """As Entra sends one, with a text for a boolean and a bare manager."""
    return {
        "userName": f"user {number}",
        "active": "True",
        ENTERPRISE_URN: {"employeeNumber": str(1000 + number), "manager": "somebody"},
    }


def test_a_company_is_taken_in_by_several_processes(bridge: Bridge):
    """Writes of different people, and searches between them, wait for each other rather than fail."""
    requests = [
        request
        for number in range(24)
        for request in (
            bridge.request("GET", f'/Users?filter=userName eq "user {number}"'),
            bridge.request("POST", "/Users", an_incomplete_user(number)),
        )
    ]

    assert statuses(bridge.all_at_once(requests)) == {200: 24, 201: 24}
    assert bridge.asks("GET", "/Users?count=0")["totalResults"] == 24
    assert [person.state for person in bridge.people()] == [State.due] * 24
    assert bridge.told() == {"user-created": 24}
