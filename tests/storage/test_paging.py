"""Pages by cursor (RFC 9865) follow each other as one long list does, on both databases."""

import json
import re
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scim2_models import (
    Context,
    Extension,
    InvalidCursorException,
    Resource,
    ResourceType,
    Schema,
    ScimProvider,
    SearchRequest,
    User,
)
from sqlalchemy import event, insert

from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.paging import MAX_SORTED_CHARACTERS
from scim_bridge.storage.tables import people
from scim_bridge.web.scim.storage import BridgeStorage
from tests.protocol.doubles import AUTHOR, NoIntake
from tests.thorough import either

PROVIDER = build_provider(max_page_size=1000)
USER, GROUP, CERTIFICATE = PROVIDER.resource_types
USER_MODEL: Any = PROVIDER.model_for("User")
GROUP_MODEL: Any = PROVIDER.model_for("Group")

LONG = "å😀" * MAX_SORTED_CHARACTERS
texts = st.sampled_from(["", "a", "A", "ab", "Å", "A\u030a", "ß", "😀", "\uffff", "10", "2", LONG, LONG + "b"])
entries = st.fixed_dictionaries({}, optional={"value": texts, "type": texts, "primary": st.booleans()})
one_primary_at_most = st.lists(entries, max_size=3).filter(
    lambda found: sum(e.get("primary", False) for e in found) < 2
)
users = st.fixed_dictionaries(
    {},
    optional={
        "displayName": texts,
        "title": texts,
        "active": st.booleans(),
        "name": st.fixed_dictionaries({}, optional={"givenName": texts, "familyName": texts}),
        "emails": one_primary_at_most,
        ENTERPRISE_URN: st.fixed_dictionaries({}, optional={"department": texts}),
        DITIO_URN: st.fixed_dictionaries({}, optional={"birthDate": texts}),
    },
)

DELIVERY = [f"{DITIO_URN}:{name}" for name in ("deliveryState", "deliveryDetail", "deliveredAt")]
SORTS = [
    None,
    "userName",
    "title",
    "displayName",
    "emails",
    "emails.type",
    "emails.primary",
    "active",
    "schemas",
    "id",
    "meta.created",
    "meta.lastModified",
    "name.givenName",
    f"{ENTERPRISE_URN}:department",
    f"{DITIO_URN}:birthDate",
    *DELIVERY,
]
FILTERS = [None, None, "displayName pr", 'userName co "1" or title pr', "not (active eq true)", "emails[value pr]"]

examples = settings(
    max_examples=either(60, 20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def storage_of(database, tenant="default"):
    """A storage; every example has a tenant of its own."""
    return BridgeStorage(database, tenant, PROVIDER, NoIntake(), lambda ticket: None, AUTHOR)


def stored(storage, documents, clock=None):
    """The documents as users; userName differs, as it must, and every second one is created later."""
    found = []
    with PROVIDER, storage.operation():
        for number, document in enumerate(documents):
            if clock is not None:
                clock.passes(seconds=number % 2)
            found.append(storage.create(USER, USER_MODEL.model_validate({"userName": f"User{number}", **document})))
    return found


def searched(storage, position=None, types=(USER,), **parameters):
    """One page, as the server asks for it."""
    models = {"User": USER_MODEL, "Group": GROUP_MODEL}
    of = Any
    for each in types:
        of = models[each.name] if of is Any else of | models[each.name]
    with PROVIDER:
        request = SearchRequest[of].model_validate(parameters, scim_ctx=Context.SEARCH_REQUEST)
        # A position goes round by way of the client.
        return storage.search(list(types), request, position=json.loads(json.dumps(position)))


def walked(storage, types=(USER,), **parameters):
    """All pages from the first to the last, and those met on the way back from the last to the first."""
    forward = [searched(storage, types=types, cursor="", **parameters)]
    while forward[-1].next is not None:
        forward.append(searched(storage, forward[-1].next, types, cursor="", **parameters))
    backward = [forward[-1]]
    while backward[-1].previous is not None:
        backward.append(searched(storage, backward[-1].previous, types, cursor="", **parameters))
    return forward, backward[::-1]


def ids(*pages):
    return [each.id for page in pages for each in page.resources]


def delivered(database, tenant, found, states):
    """How far the deliveries of users have come; every second one at the same instant."""
    with database.write() as s:
        now = s.now
        for number, (user, state) in enumerate(zip(found, states, strict=False)):
            at = now.replace(microsecond=number // 2) if state == "delivered" else None
            row = {"tenant": tenant, "id": user.id, "user_id": user.id, "state": state, "delivered_at": at}
            row |= {"active": True, "detail": None if at else f"Ø{number // 2}"}
            s.connection.execute(insert(people).values(state_since=now, created_at=now, **row))


@given(
    documents=st.lists(users, max_size=6),
    states=st.lists(st.sampled_from(["delivered", "held", "due"]), max_size=6),
    groups=st.lists(st.sampled_from(["a", "A", "å", LONG]), max_size=3),
    sort_by=st.sampled_from(SORTS),
    descending=st.booleans(),
    text=st.sampled_from(FILTERS),
    at_the_root=st.booleans(),
    count=st.integers(1, 7),
)
@examples
def test_walking_by_cursor_shows_what_one_page_by_index_shows(
    database, clock, documents, states, groups, sort_by, descending, text, at_the_root, count
):
    """RFC 9865 §2: each resource once, in the order of the index, forward and backward, whatever the page size."""
    tenant = str(uuid.uuid4())
    storage = storage_of(database, tenant)
    found = stored(storage, documents, clock)
    delivered(database, tenant, found, states)
    with PROVIDER:
        for name in groups:
            storage.create(GROUP, GROUP_MODEL(display_name=name))
    asked = {"sortBy": sort_by, "sortOrder": "descending" if descending else "ascending"} if sort_by else {}
    asked |= {"filter": text} if text else {}
    types = (USER, GROUP) if at_the_root else (USER,)

    whole = searched(storage, types=types, **asked)
    forward, backward = walked(storage, types, count=count, **asked)

    assert ids(*forward) == ids(whole)
    assert [ids(page) for page in backward] == [ids(page) for page in forward]
    assert {page.total for page in forward + backward} == {whole.total} == {len(ids(whole))}
    assert all(len(page.resources) == count for page in forward[:-1])
    assert (forward[0].previous, backward[0].previous, forward[-1].next) == (None, None, None)
    assert all(page.next is not None for page in backward[:-1])


@given(
    titles=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=8),
    changes=st.lists(st.tuples(st.sampled_from(["create", "delete"]), st.integers(0, 7)), max_size=6),
    descending=st.booleans(),
    count=st.integers(1, 3),
)
@examples
def test_what_stays_is_shown_once_while_others_come_and_go(database, titles, changes, descending, count):
    """RFC 9865 §2: a resource that is there all the time is on one page, be it created or deleted around it."""
    storage = storage_of(database, str(uuid.uuid4()))
    staying = stored(storage, [{"title": title} if title else {} for title in titles])
    asked = {"sortBy": "title", "sortOrder": "descending" if descending else "ascending", "count": count}
    passing: list[Any] = []
    seen: list[str] = []
    page = searched(storage, cursor="", **asked)
    seen += ids(page)
    while page.next is not None:
        if changes:
            change, number = changes.pop()
            if change == "create":
                document = {"userName": str(uuid.uuid4()), "title": "abc"[number % 3]}
                with PROVIDER:
                    passing.append(storage.create(USER, USER_MODEL.model_validate(document)))
            elif passing:
                storage.delete(USER, passing.pop(number % len(passing)).id)
        page = searched(storage, page.next, cursor="", **asked)
        seen += ids(page)

    assert sorted(each for each in seen if each in {user.id for user in staying}) == sorted(u.id for u in staying)
    assert len(seen) == len(set(seen))


def test_a_place_outlives_the_resource_that_it_was_beside(database):
    """RFC 9865 §2: the last of a page is deleted, with all that followed: the list ends there, and still counts."""
    storage = storage_of(database)
    users_ = stored(storage, [{}] * 4)
    first = searched(storage, cursor="", count=2, sortBy="userName")
    for user in users_[1:]:
        storage.delete(USER, user.id)

    rest = searched(storage, first.next, cursor="", count=2, sortBy="userName")

    assert (rest.resources, rest.next, rest.previous, rest.total) == ([], None, None, 1)


@pytest.mark.parametrize("filler", ["a", "å", "😀"])
def test_a_position_is_short_however_long_the_text(database, filler):
    """A cursor travels in a URL: text orders by its first characters, and where they agree the id does."""
    storage = storage_of(database)
    start = filler * 100_000
    stored(storage, [{"displayName": start + end} for end in "zax"])
    stored_before = storage.create(USER, USER_MODEL.model_validate({"userName": "z", "displayName": filler * 99}))

    whole = searched(storage, sortBy="displayName")
    forward, _ = walked(storage, sortBy="displayName", count=1)

    assert ids(whole)[0] == stored_before.id
    assert ids(whole)[1:] == sorted(ids(whole)[1:])
    assert ids(*forward) == ids(whole)
    longest = max(len(json.dumps(page.next)) for page in forward)
    assert longest < 60 + 12 * MAX_SORTED_CHARACTERS


POSITIONS = [
    "next",
    17,
    {},
    [],
    ["next"],
    ["next", "a"],
    ["next", "a", "b", "c"],
    ["sideways", "a", "b"],
    [["next"], "a", "b"],
    ["next", "a", 1],
    ["next", "a", None],
    ["next", "a", "\x00"],
    ["next", "a", "\ud800"],
    ["next", "\x00", "b"],
    ["previous", "\ud800", "b"],
    ["next", 1, "b"],
    ["next", True, "b"],
    ["next", ["a"], "b"],
    ["next", {"a": 1}, "b"],
]


@pytest.mark.parametrize("position", POSITIONS)
def test_a_position_of_another_shape_is_refused(database, position):
    """RFC 9865 §2.1: invalidCursor, never a failure of the database."""
    with pytest.raises(InvalidCursorException):
        searched(storage_of(database), position, cursor="", sortBy="userName")


@pytest.mark.parametrize(
    ("sort_by", "value"),
    [
        (None, "a"),
        (None, 1.0),
        (DELIVERY[2], "yesterday"),
        (DELIVERY[2], "2026-03-02T08:00:00"),
        (DELIVERY[2], "0001-01-01T00:00:00+14:00"),
        (DELIVERY[2], 1.0),
        ("meta.created", 1.0),
    ],
)
def test_a_position_of_another_order_is_refused(database, sort_by, value):
    """RFC 9865 §2.1: a value of another type than the one that is sorted by."""
    with pytest.raises(InvalidCursorException):
        searched(storage_of(database), ["next", value, "id"], cursor="", **{"sortBy": sort_by} if sort_by else {})


def test_numbers_are_sorted_as_numbers(database):
    """RFC 7644 §3.4.2.3, for an attribute that the configuration may add: 9 before 10, in the pages too."""
    urn = "urn:example:params:scim:Shift"
    attributes = [{"name": name, "type": name, "multiValued": False} for name in ("integer", "decimal")]
    shift: Any = Extension.from_schema(Schema.model_validate({"id": urn, "name": "Shift", "attributes": attributes}))
    core: Any = Resource.from_schema(User.to_schema())
    model: Any = core[shift]
    user = ResourceType.from_resource(model)
    provider = ScimProvider(models=[core, shift], resource_types=[user])
    storage = BridgeStorage(database, "default", provider, NoIntake(), lambda ticket: None, AUTHOR)
    numbers = [10, 9, None, -1, 9, 1.5, 2**60 + 1, 2**60, 0]
    with provider:
        for number in numbers:
            values = {"integer": number and int(number), "decimal": number and float(number)}
            storage.create(user, model.model_validate({"userName": str(uuid.uuid4()), urn: values}))

    def pages(name, **more):
        with provider:
            request = SearchRequest[model].model_validate({"sortBy": f"{urn}:{name}", **more})
            found = [storage.search([user], request)]
            while found[-1].next is not None:
                found.append(storage.search([user], request, position=json.loads(json.dumps(found[-1].next))))
        return [each for page in found for each in page.resources]

    for name in ("integer", "decimal"):
        for order in ("ascending", "descending"):
            whole = pages(name, sortOrder=order)
            told = [value for each in whole if (value := getattr(each[shift], name, None)) is not None]
            assert told == sorted(told, reverse=order == "descending", key=float)
            assert [each.id for each in pages(name, sortOrder=order, cursor="", count=2)] == [each.id for each in whole]
    with provider:
        request = SearchRequest[model].model_validate({"sortBy": f"{urn}:integer", "cursor": ""})
    for value in ("9", True, float("inf"), 10**400):
        with pytest.raises(InvalidCursorException):
            storage.search([user], request, position=["next", value, "id"])


def statements(database, run):
    """The SELECTs of a run, with their parameters, and what the run returned."""
    sent: list[tuple[str, Any]] = []

    def note(connection, cursor, statement, parameters, context, executemany):
        if statement.startswith("SELECT"):
            sent.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        return run(), sent
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("asked", [{}, {"sortBy": "title"}, {"filter": "userName pr", "sortBy": DELIVERY[0]}])
def test_a_page_is_one_statement(database, asked):
    """The page, what lies before and after it, and the total, whichever way it is turned."""
    storage = storage_of(database)
    stored(storage, [{}] * 5)
    first, sent = statements(database, lambda: searched(storage, cursor="", count=2, **asked))
    assert len(sent) == 1
    second, sent = statements(database, lambda: searched(storage, first.next, cursor="", count=2, **asked))
    assert len(sent) == 1
    again, sent = statements(database, lambda: searched(storage, second.previous, cursor="", count=2, **asked))
    assert len(sent) == 1
    assert ids(again) == ids(first)


@pytest.mark.parametrize("types", [(USER,), (USER, GROUP)])
@pytest.mark.parametrize("way", ["next", "previous"])
def test_a_page_in_the_bridges_own_order_begins_at_its_place_in_an_index(database, types, way):
    """The hundredth page costs what the first one costs: nothing before it is read, and nothing is sorted."""
    storage = storage_of(database)
    found = stored(storage, [{}] * 300)
    delivered(database, "default", found, ["due"] * 300)
    middle = sorted(user.id for user in found)[150]
    with database.write() as s:
        s.connection.exec_driver_sql("ANALYZE resources")
        s.connection.exec_driver_sql("ANALYZE people")

    page, sent = statements(database, lambda: searched(storage, [way, None, middle], types, cursor="", count=10))

    assert len(page.resources) == 10
    ((statement, parameters),) = sent
    with database.read() as s:
        if database.is_sqlite:
            plan = s.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        else:
            # So few rows are read faster without an index.
            s.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            s.connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            plan = s.connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        steps = [str(row[-1]) for row in plan]
    sought = r"(SEARCH resources USING INDEX|Index Cond).*\bid ?" + {"next": ">", "previous": "<"}[way]
    assert any(re.search(sought, step) for step in steps), steps
    # Neither sorted, nor are all people before the place gone through beside it.
    assert not any(word in step for step in steps for word in ("TEMP B-TREE", "Sort", "Merge")), steps
