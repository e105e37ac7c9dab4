"""Versions: ETags, and requests that depend on them (RFC 7644 §3.14, RFC 9110 §13)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from scim_bridge.storage.tables import people
from tests.world import World, a_user

USER = {"userName": "kari", "title": "Fører"}
CHANGE = {"op": "replace", "path": "title", "value": "Formann"}
SAME = {"op": "replace", "path": "title", "value": "Fører"}

MATCHING = [
    'W/"2"',
    '"2"',
    "*",
    'W/"1", W/"2"',
    'W/"x,y" ,  W/"2"',
    'w/"2"',
    ' W/"2" ',
]
"""The version is 2; both kinds of tags mean it, as SCIM's own are weak (RFC 7644 §3.14)."""

OTHERS = [
    'W/"1"',
    'W/"22"',
    'W/"1", W/"3"',
    # No tags at all: never taken for no condition.
    '"2',
    "W/",
    '""',
    ",",
    'W/"2"x',
    "garbage",
    "W/'2'",
]


class Versioned:
    """A user of version 2, and requests about him."""

    def __init__(self, scim) -> None:
        self.scim = scim
        self.user = scim.create(**{**USER, "title": "Lærling"})
        self.path = f"/Users/{self.user['id']}"
        assert scim.patch(self.user, SAME).headers["ETag"] == 'W/"2"'
        scim.intake.told.clear()

    def send(self, method: str, **headers: str) -> Any:
        """A read, or a write that would change something."""
        body: dict[str, Any] = {
            "GET": {},
            "DELETE": {},
            "PUT": {"json": {"userName": "kari", "title": "Formann"}},
            "PATCH": {"json": {"Operations": [CHANGE]}},
        }[method]
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.scim.send(method, self.path, headers=named, **body)

    def is_untouched(self) -> bool:
        """Whether nothing has become of the writes."""
        read = self.scim.send("GET", self.path)
        return read.headers["ETag"] == 'W/"2"' and read.json["title"] == "Fører" and not self.scim.intake.told


@pytest.fixture
def versioned(scim) -> Versioned:
    return Versioned(scim)


def test_every_answer_with_a_resource_has_its_version(scim):
    """RFC 7644 §3.14: the ETag header is `meta.version`."""
    created = scim.send("POST", "/Users", json=USER)
    user = created.json
    path = f"/Users/{user['id']}"
    answers = [
        created,
        scim.send("GET", path),
        scim.patch(user, CHANGE),
        scim.send("PUT", path, json={**USER, "nickName": "K"}),
        scim.send("GET", path),
    ]
    assert [answer.headers["ETag"] for answer in answers] == ['W/"1"', 'W/"1"', 'W/"2"', 'W/"3"', 'W/"3"']
    assert [answer.json["meta"]["version"] for answer in answers] == [answer.headers["ETag"] for answer in answers]
    (listed,) = scim.send("GET", "/Users").json["Resources"]
    assert listed["meta"]["version"] == 'W/"3"'


@pytest.mark.parametrize("tag", MATCHING)
def test_a_read_of_a_known_version_is_not_repeated(versioned, tag):
    """RFC 9110 §13.1.2, §15.4.5: 304 without a body, and with the ETag."""
    answer = versioned.send("GET", If_None_Match=tag)

    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == 'W/"2"'
    assert "Content-Type" not in answer.headers
    assert versioned.send("GET", If_Match=tag).status_code == 200


@pytest.mark.parametrize("tag", OTHERS)
def test_a_read_of_another_version_is_answered(versioned, tag):
    """What the client has is outdated, or was never ours; asked for that very one, there is none: 412."""
    assert versioned.send("GET", If_None_Match=tag).json["title"] == "Fører"
    assert versioned.send("GET", If_Match=tag).status_code == 412


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("tag", MATCHING)
def test_a_write_on_the_present_version_is_done(versioned, method, tag):
    """RFC 7644 §3.14: `If-Match`."""
    answer = versioned.send(method, If_Match=tag)

    assert answer.status_code == (204 if method == "DELETE" else 200)
    assert len(versioned.scim.intake.told) == 1
    if method != "DELETE":
        assert answer.headers["ETag"] == 'W/"3"'


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("tag", OTHERS)
def test_a_write_on_another_version_changes_nothing(versioned, method, tag):
    """RFC 9110 §13.1.1: 412, and no one is made due; a malformed tag protects as well as an outdated one."""
    answer = versioned.send(method, If_Match=tag)

    assert answer.status_code == 412
    assert answer.json["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert answer.json["status"] == "412"
    assert versioned.is_untouched()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("tag", MATCHING)
def test_a_write_unless_it_is_this_version_is_not_done(versioned, method, tag):
    """RFC 9110 §13.1.2: `If-None-Match` on a write is 412 where it matches."""
    assert versioned.send(method, If_None_Match=tag).status_code == 412
    assert versioned.is_untouched()
    assert versioned.send(method, If_None_Match='W/"1"').status_code in (200, 204)


def test_both_conditions_have_to_hold(versioned):
    """RFC 9110 §13.2.2: `If-Match` first."""
    assert versioned.send("PATCH", If_Match='W/"2"', If_None_Match='W/"2"').status_code == 412
    assert versioned.send("PATCH", If_Match='W/"1"', If_None_Match='W/"1"').status_code == 412
    assert versioned.send("GET", If_Match='W/"1"', If_None_Match='W/"2"').status_code == 412
    assert versioned.is_untouched()
    assert versioned.send("PATCH", If_Match='W/"2"', If_None_Match='W/"1"').status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_person_who_is_not_there_is_404_whatever_the_condition(versioned, method):
    """A 412 would say that there is a person."""
    assert versioned.send("DELETE").status_code == 204
    for condition in ({"If_Match": "*"}, {"If_Match": 'W/"2"'}, {"If_None_Match": "*"}):
        assert versioned.send(method, **condition).status_code == 404


def test_an_empty_condition_is_none(versioned):
    """Some proxies send the header without a value."""
    assert versioned.send("GET", If_None_Match="").status_code == 200
    assert versioned.send("PATCH", If_Match="").status_code == 200


def test_a_write_that_changes_nothing_keeps_the_version(versioned, clock):
    """A repeated write is a read: version and `lastModified` stay, so that a 304 stays right."""
    before = versioned.scim.read(versioned.user)
    clock.passes(hours=1)

    for answer in (
        versioned.scim.patch(versioned.user, SAME),
        versioned.scim.patch(versioned.user, SAME, headers={"If-Match": 'W/"2"'}),
        versioned.scim.patch(versioned.user, {"op": "remove", "path": "nickName"}, {"op": "add", "value": {}}),
        versioned.scim.patch(versioned.user, {"op": "add", "path": "shoeSize", "value": 44}),
        versioned.scim.send("PUT", versioned.path, json=USER),
        versioned.scim.send(
            "PUT", versioned.path, json={**USER, "roles": [], "nickName": None, "meta": {"version": "x"}}
        ),
    ):
        assert answer.status_code == 200
        assert answer.headers["ETag"] == 'W/"2"'
        assert answer.json == before
    assert versioned.send("GET", If_None_Match='W/"2"').status_code == 304


def test_a_version_never_comes_back(versioned):
    """A change that is taken back is two changes: a person who has the version between them is outdated."""
    assert versioned.scim.patch(versioned.user, CHANGE).headers["ETag"] == 'W/"3"'
    assert versioned.scim.patch(versioned.user, SAME).headers["ETag"] == 'W/"4"'
    assert versioned.send("PATCH", If_Match='W/"2"').status_code == 412


def test_what_is_refused_keeps_the_version(versioned):
    """RFC 7644 §3.5.2: a failing PATCH leaves the resource as it was, its version included."""
    other = versioned.scim.create(userName="ola")
    taken = {"op": "replace", "path": "userName", "value": "OLA"}

    assert versioned.scim.patch(versioned.user, CHANGE, taken).status_code == 409
    assert (
        versioned.scim.patch(versioned.user, CHANGE, {"op": "replace", "path": "emails[", "value": 1}).status_code
        == 400
    )
    assert versioned.scim.read(other)["meta"]["version"] == 'W/"1"'
    versioned.scim.intake.told.clear()
    assert versioned.is_untouched()


def test_a_delivery_changes_no_version(versioned, clock):
    """A6: the delivery attributes never change `meta.version` or `lastModified`, whatever becomes of them."""
    scim, before = versioned.scim, versioned.scim.read(versioned.user)
    extension = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
    with scim.database.write() as s:
        now = s.now
        person = {"tenant": "default", "id": "p", "user_id": versioned.user["id"], "active": True, "created_at": now}
        s.connection.execute(insert(people).values(**person, state="due", state_since=now))
    for state, detail in (("held", "no phone"), ("parked", "Ditio says no"), ("delivered", None)):
        clock.passes(hours=1)
        with scim.database.write() as s:
            now = s.now
            s.connection.execute(update(people).values(state=state, detail=detail, delivered_at=now, state_since=now))

        read = scim.send("GET", versioned.path)
        assert read.json[extension]["deliveryState"] == state
        assert read.json["meta"] == before["meta"]
        assert read.headers["ETag"] == 'W/"2"'
        # Neither does a client that sends them back.
        sent = {"userName": "kari", "title": "Fører", extension: read.json[extension]}
        assert scim.send("PUT", versioned.path, json=sent).headers["ETag"] == 'W/"2"'
        pushed = {"op": "replace", "path": f"{extension}:deliveryState", "value": "due"}
        assert scim.patch(versioned.user, pushed).headers["ETag"] == 'W/"2"'
    assert versioned.send("PATCH", If_Match='W/"2"').status_code == 200


DITIO = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"


def test_a_conditional_read_tells_what_became_of_the_delivery(database, clock):
    """A6: 304 while nothing that is shown has changed; the version does not tell, as it is the document's alone."""
    world = World(database, clock, settings={"delivery": {"inline_seconds": 0}})
    user = a_user()
    world.provisions(user)
    kari = world.user(user)
    path, version = f"/Users/{kari['id']}", kari["meta"]["version"]
    assert kari[DITIO]["deliveryState"] == "due"

    def asked(**parameters):
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return world.scim("GET", f"{path}?{query}", **{"If-None-Match": version})

    assert asked().status_code == 304
    # However little time has passed since the write.
    world.worker.run_until_idle()
    read = asked()
    assert (read.status_code, read.json()[DITIO]["deliveryState"]) == (200, "delivered")
    assert read.json()["meta"] == kari["meta"]
    assert read.headers["ETag"] == version
    assert asked(attributes="userName").status_code == 304
    assert asked(excludedAttributes=DITIO).status_code == 304
    assert world.scim("GET", path, **{"If-None-Match": "*"}).status_code == 304
    assert world.scim("GET", path, **{"If-None-Match": 'W/"7"'}).status_code == 200
    assert world.scim("GET", path, **{"If-Match": 'W/"7"'}).status_code == 412


@pytest.mark.parametrize("state", ["held", "parked", "delivered"])
def test_a_state_that_came_with_an_earlier_version_is_known(scim, clock, state):
    """A6: what was so before this version was written has been shown with it."""
    user = scim.create(**USER)
    with scim.database.write() as s:
        now = s.now
        person = {"tenant": "default", "id": "p", "user_id": user["id"], "active": True, "created_at": now}
        s.connection.execute(insert(people).values(**person, state=state, state_since=now))
    clock.passes(hours=1)
    known = {"If-None-Match": scim.patch(user, CHANGE).headers["ETag"]}

    assert scim.send("GET", f"/Users/{user['id']}", headers=known).status_code == 304
    clock.passes(hours=1)
    with scim.database.write() as s:
        s.connection.execute(update(people).values(detail="Ditio says no", state_since=s.now))
    assert scim.send("GET", f"/Users/{user['id']}", headers=known).status_code == 200


def test_a_retry_is_told(scim, clock):
    """A6: a person stays due, and the detail says why."""
    user = scim.create(**USER)
    with scim.database.write() as s:
        now = s.now
        person = {"tenant": "default", "id": "p", "user_id": user["id"], "active": True, "created_at": now}
        s.connection.execute(insert(people).values(**person, state="due", state_since=now, due_at=now))
    known = {"If-None-Match": user["meta"]["version"]}
    assert scim.send("GET", f"/Users/{user['id']}", headers=known).status_code == 304

    with scim.database.write() as s:
        later = s.now + timedelta(seconds=30)
        s.connection.execute(update(people).values(detail="Ditio answered 503", due_at=later))
    assert scim.send("GET", f"/Users/{user['id']}", headers=known).status_code == 200


def test_a_group_has_versions_too(scim):
    """Members that are there already change nothing."""
    group = scim.send("POST", "/Groups", json={"displayName": "Crew", "members": [{"value": "a"}]})
    path = f"/Groups/{group.json['id']}"

    def patched(value, tag, op="add"):
        operation = {"op": op, "path": "members", "value": [{"value": value}]}
        return scim.send("PATCH", path, json={"Operations": [operation]}, headers={"If-Match": tag})

    assert patched("a", 'W/"1"').headers["ETag"] == 'W/"1"'
    assert patched("z", 'W/"1"', "remove").headers["ETag"] == 'W/"1"'
    assert patched("b", 'W/"1"').headers["ETag"] == 'W/"2"'
    assert patched("c", 'W/"1"').status_code == 412
    assert scim.send("GET", path, headers={"If-None-Match": 'W/"2"'}).status_code == 304
    assert scim.send("GET", path).json["members"] == [{"value": "a"}, {"value": "b"}]
