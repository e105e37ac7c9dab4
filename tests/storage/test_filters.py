"""A filter in SQL finds what `ScimFilter.match` finds, on both databases."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import cycle
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scim2_models import Context, InvalidFilterException, ScimFilter, SearchRequest
from scim2_models.path.visitor import _Evaluator
from sqlalchemy import event, insert

from scim_bridge.ditio.answers import words_of
from scim_bridge.domain.values import SEVERAL
from scim_bridge.scim.provider import NAME, build_provider
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.tables import people
from scim_bridge.web.scim.storage import BridgeStorage
from tests.protocol.doubles import AUTHOR, NoIntake
from tests.storage import filter_cases as cases
from tests.thorough import either

PROVIDER = build_provider(max_page_size=1000)
USER, GROUP, CERTIFICATE = PROVIDER.resource_types
USER_MODEL: Any = PROVIDER.model_for("User")
GROUP_MODEL: Any = PROVIDER.model_for("Group")

SORTS = [
    None,
    "userName",
    "title",
    "emails",
    "emails.type",
    "emails.primary",
    "phoneNumbers",
    "active",
    "schemas",
    "id",
    "meta.created",
    "name.givenName",
    f"{ENTERPRISE_URN}:department",
]

examples = settings(
    max_examples=either(60, 20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def storage_of(database, tenant="default"):
    """A storage; every example has a tenant of its own."""
    return BridgeStorage(database, tenant, PROVIDER, NoIntake(), lambda ticket: None, AUTHOR)


def stored(storage, documents):
    """The documents as users; userName differs, as it must."""
    with PROVIDER:
        return [
            storage.create(USER, USER_MODEL.model_validate({"userName": f"User{number}", **document}))
            for number, document in enumerate(documents)
        ]


def search(storage, **parameters):
    """A search of users as the server builds it."""
    with PROVIDER:
        request = SearchRequest[USER_MODEL].model_validate(parameters, scim_ctx=Context.SEARCH_REQUEST)
        return request, storage.search([USER], request)


@dataclass
class Asked:
    """The statements that the database was asked, with their parameters."""

    sent: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def statements(self) -> list[tuple[str, Any]]:
        """Those that are more than the bounds of a transaction."""
        return [each for each in self.sent if not each[0].startswith(("BEGIN", "COMMIT", "ROLLBACK"))]


@contextmanager
def asked_of(database) -> Iterator[Asked]:
    """What is asked of a database meanwhile."""
    asked = Asked()

    def note(connection, cursor, statement, parameters, context, executemany):
        asked.sent.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@contextmanager
def no_filtering_in_python() -> Iterator[None]:
    """A person who evaluates a filter in Python meanwhile fails."""

    def refuse(*args, **kwargs):
        raise AssertionError("a filter was evaluated in Python")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ScimFilter, "match", refuse)
        patched.setattr(_Evaluator, "visit", refuse)
        patched.setattr(_Evaluator, "select", refuse)
        yield


def delivered(database, tenant, resource, delivery):
    """A user whose person has come this far, as the server shows it."""
    with database.write() as s:
        now = s.now
        row = {"tenant": tenant, "active": True, "state_since": now, "created_at": now}
        s.connection.execute(insert(people).values(**row, id=resource.id, user_id=resource.id, **delivery))
    shown = resource.model_copy(deep=True)
    extension = getattr(shown, NAME) or type(resource).get_extension_model(NAME)()
    extension.delivery_state, extension.delivery_detail = delivery["state"], delivery.get("detail")
    extension.delivered_at = delivery.get("delivered_at")
    setattr(shown, NAME, extension)
    return shown


def population(database, clock, people_of, groups_of):
    """A tenant's storage, and its users and groups as the server shows them."""
    tenant, ids = str(uuid.uuid4()), iter([*cases.IDS, *(f"id-{number}" for number in range(2, 20))])
    storage = BridgeStorage(
        database, tenant, PROVIDER, NoIntake(), lambda ticket: None, AUTHOR, new_id=lambda: next(ids)
    )
    shown, moments = [], cycle(cases.MOMENTS)
    with PROVIDER:
        for number, (document, delivery) in enumerate(people_of):
            clock.now = next(moments)
            user = storage.create(USER, USER_MODEL.model_validate({"userName": f"User{number}", **document}))
            shown.append(delivered(database, tenant, user, delivery) if delivery else user)
        for document in groups_of:
            clock.now = next(moments)
            shown.append(storage.create(GROUP, GROUP_MODEL.model_validate(document)))
    return storage, shown


def compare(database, storage, shown, types, models, text, start=1, count=1000):
    """A filter in SQL finds what the library finds, in one statement."""
    parameters = {"filter": text, "startIndex": start, "count": count}
    with PROVIDER:
        try:
            request = SearchRequest[models].model_validate(parameters, scim_ctx=Context.SEARCH_REQUEST)
        except ValidationError:
            # No meaning for the attribute's type: refused before any storage is asked.
            return
        expected = sorted(each.id for each in shown if request.filter.match(each))
        with asked_of(database) as asked, no_filtering_in_python():
            page = storage.search(types, request)
    assert [each.id for each in page.resources] == expected[start - 1 : start - 1 + count], text
    assert page.total == len(expected), text
    # A page that isn't the last one is counted as well; both are one statement with the whole filter in it.
    is_last = len(page.resources) < count and (page.resources or start == 1)
    assert len(asked.statements) == (1 if is_last else 2), asked.statements


@given(data=st.data(), vocabulary=cases.vocabularies)
@examples
def test_sql_finds_the_users_that_the_library_finds(database, clock, data, vocabulary):
    """RFC 7644 §3.4.2.2, as `ScimFilter.match` reads it; the delivery attributes like all others (A6)."""
    case = cases.Cases(vocabulary)
    storage, shown = population(database, clock, data.draw(st.lists(case.people, min_size=2, max_size=4)), [])
    for text in data.draw(st.lists(case.user_filters, min_size=1, max_size=6)):
        compare(database, storage, shown, [USER], USER_MODEL, text)


@given(data=st.data(), vocabulary=cases.vocabularies)
@examples
def test_sql_finds_the_groups_that_the_library_finds(database, clock, data, vocabulary):
    """Members by `members.value`, `members[value eq "x"]` and all other ways."""
    case = cases.Cases(vocabulary)
    storage, shown = population(database, clock, [], data.draw(st.lists(case.groups, min_size=2, max_size=4)))
    for text in data.draw(st.lists(case.group_filters, min_size=1, max_size=6)):
        compare(database, storage, shown, [GROUP], GROUP_MODEL, text)


@given(data=st.data(), vocabulary=cases.vocabularies, start=st.integers(1, 4), count=st.integers(1, 4))
@examples
def test_sql_finds_what_the_library_finds_among_all_types(database, clock, data, vocabulary, start, count):
    """RFC 7644 §3.4.2.1: a search from the root, page by page; what a type doesn't declare is false for it."""
    case = cases.Cases(vocabulary)
    people_of = data.draw(st.lists(case.people, min_size=1, max_size=3))
    storage, shown = population(database, clock, people_of, data.draw(st.lists(case.groups, min_size=1, max_size=3)))
    for text in data.draw(st.lists(case.filters, min_size=1, max_size=5)):
        compare(database, storage, shown, [USER, GROUP], USER_MODEL | GROUP_MODEL, text, start, count)


@given(
    documents=cases.vocabularies.flatmap(lambda vocabulary: st.lists(cases.Cases(vocabulary).users, max_size=6)),
    sort_by=st.sampled_from(SORTS),
    descending=st.booleans(),
    start=st.integers(1, 7),
    count=st.integers(0, 7),
)
@examples
def test_sql_sorts_as_the_library_sorts(database, documents, sort_by, descending, start, count):
    """RFC 7644 §3.4.2.3: missing values last; equal ones by id; descending is ascending from behind."""
    storage = storage_of(database, str(uuid.uuid4()))
    resources = stored(storage, documents)
    sorting = {"sortBy": sort_by, "sortOrder": "descending" if descending else "ascending"} if sort_by else {}

    request, page = search(storage, startIndex=start, count=count, **sorting)

    resources.sort(key=lambda each: each.id, reverse=bool(sort_by) and descending)
    with PROVIDER:
        expected = [each.id for each in request.sort(resources)][start - 1 : start - 1 + count]
    assert [each.id for each in page.resources] == expected
    assert page.total == len(documents)


def test_an_attribute_of_users_matches_no_group_in_a_search_of_both(database):
    """RFC 7644 §3.4.2.1: an attribute that a type doesn't declare is false for it."""
    storage = storage_of(database)
    (user,) = stored(storage, [{"displayName": "x", "title": "t"}])
    group = storage.create(GROUP, GROUP_MODEL(display_name="X", external_id="e"))

    def found(text):
        with PROVIDER:
            request = SearchRequest[USER_MODEL | GROUP_MODEL](filter=text, sort_by="displayName")
            return {each.id for each in storage.search([USER, GROUP], request).resources}

    assert found('title ne "other"') == {user.id}
    assert found('displayName eq "x"') == {user.id, group.id}
    assert found('not (members eq "x")') == {user.id, group.id}
    assert found(f'id eq "{group.id}"') == {group.id}


def test_the_delivery_is_filtered_and_sorted_where_it_is_kept(database):
    """The delivery attributes are the person's, not the document's."""
    storage = storage_of(database)
    held, delivered, alone = stored(storage, [{}, {}, {}])
    with database.write() as s:
        now = s.now
        row = {"tenant": "default", "active": True, "state_since": now, "created_at": now}
        for user, state, detail, at in (
            (held, "held", "phone ÅÆ is missing", None),
            (delivered, "delivered", None, now),
        ):
            person = {"id": user.id, "user_id": user.id, "state": state, "detail": detail, "delivered_at": at}
            s.connection.execute(insert(people).values(**row, **person))

    def found(text):
        return [each.id for each in search(storage, filter=text, sortBy="userName")[1].resources]

    assert found(f'{DITIO_URN}:deliveryState eq "Held"') == [held.id]
    assert found(f'{DITIO_URN}:deliveryState ne "held"') == [delivered.id, alone.id]
    assert found(f"not ({DITIO_URN}:deliveryState pr)") == [alone.id]
    assert found(f'{DITIO_URN}:deliveryDetail co "ÅÆ"') == [held.id]
    assert found(f'{DITIO_URN}:deliveredAt gt "2000-01-01T00:00:00Z"') == [delivered.id]
    assert found(f'{DITIO_URN}:deliveredAt lt "2000-01-01T00:00:00+01:00"') == []
    page = search(storage, sortBy=f"{DITIO_URN}:deliveryState")[1]
    assert [each.id for each in page.resources] == [delivered.id, held.id, alone.id]


def test_a_second_work_address_is_found_too(database):
    """The index knows one work address; the entries decide."""
    storage = storage_of(database)
    two, _, trap = stored(
        storage,
        [
            {"emails": [{"type": "work", "value": "one@x.no"}, {"type": "work", "value": "Two@x.no"}]},
            {"emails": [{"type": "home", "value": "two@x.no"}]},
            {"emails": [{"type": "work", "value": SEVERAL}]},
        ],
    )

    for text in ("one@x.no", "TWO@x.no"):
        page = search(storage, filter=f'emails[type eq "work"].value eq "{text}"')[1]
        assert [each.id for each in page.resources] == [two.id]
    page = search(storage, filter=f'emails[type eq "work"].value eq "{SEVERAL}"')[1]
    assert [each.id for each in page.resources] == [trap.id]


def test_a_text_longer_than_an_index_takes_is_found(database):
    """PostgreSQL refuses long entries of an index; the client isn't told about that."""
    storage = storage_of(database)
    long = "Å" * 5000
    user, _ = stored(storage, [{"userName": long, "displayName": long, "externalId": long}, {"displayName": long[1:]}])

    for text in (f'userName eq "{long.lower()}"', f'externalId eq "{long}"', f'displayName sw "{long}"'):
        assert [each.id for each in search(storage, filter=text)[1].resources] == [user.id]


def test_a_text_that_looks_like_the_hash_of_another_is_not_it(database, clock):
    """Long texts are indexed by their hash; a person who is called like that hash is another person."""
    long = "x" * 1001
    named = {"displayName": f"sha256:{sha256(long.encode()).hexdigest()}", "externalId": "sha256:"}
    storage, shown = population(database, clock, [({"displayName": long, "externalId": long}, None), (named, None)], [])

    for name in ("displayName", "externalId"):
        for text in (long, *named.values()):
            compare(database, storage, shown, [USER], USER_MODEL, f'{name} eq "{text}"')


def test_the_words_of_a_delivery_are_found_however_they_are_composed(database, clock):
    """RFC 7643 §2.2 compares text in NFC: Å is Å, whether Ditio sent it as one character or as two."""
    said = words_of("A\u030asen".encode(), "text/plain").words
    person = ({}, {"state": "parked", "detail": said})
    storage, shown = population(database, clock, [person], [])

    for text in ("Åsen", "A\u030asen"):
        compare(database, storage, shown, [USER], USER_MODEL, f'{DITIO_URN}:deliveryDetail eq "{text}"')


def test_an_instant_beyond_the_calendar_is_compared_too(database, clock):
    """A2: what a client sent is never a 500; in UTC the first hours of year 1 would lie before it."""
    storage, shown = population(database, clock, [({}, {"state": "delivered", "delivered_at": clock.now})], [])

    for name in ("meta.created", f"{DITIO_URN}:deliveredAt"):
        for moment in ("0001-01-01T00:00:00+14:00", "0999-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00"):
            for op in cases.ORDER:
                compare(database, storage, shown, [USER], USER_MODEL, f'{name} {op} "{moment}"')


@pytest.mark.parametrize("op", ["co", "sw", "ew", "gt", "ge", "lt", "le"])
@pytest.mark.parametrize("name", ["active", "emails.primary", f"{CORE_URN}:active", "not (emails[primary {} true])"])
def test_booleans_are_equal_or_not_and_nothing_else(database, op, name):
    """RFC 7644 §3.4.2.2: a boolean has no order and no parts: 400, never "0 results"."""
    text = name.format(op) if "{}" in name else f"{name} {op} true"
    with pytest.raises(ValidationError, match="boolean"):
        search(storage_of(database), filter=text)


@pytest.mark.parametrize("text", ['userName eq "a\\u0000b"', 'title co "\\ud800"', 'emails[value eq "\\u0000"]'])
def test_text_that_cannot_be_stored_is_refused(database, text):
    """A7: a NUL character is 400."""
    with pytest.raises(InvalidFilterException, match="NUL"):
        search(storage_of(database), filter=text)


def test_a_filter_of_many_conditions_is_answered_and_one_of_too_many_refused(database):
    """Databases limit the depth of an expression; ours is lower, and says so."""
    storage = storage_of(database)
    (user,) = stored(storage, [{}])

    many = " or ".join(["name pr", "emails[value pr or type pr]", 'userName eq "user0"'] * 50)
    assert [each.id for each in search(storage, filter=many)[1].resources] == [user.id]
    with pytest.raises(InvalidFilterException, match="201 conditions, 200 are allowed"):
        search(storage, filter=" or ".join(["title pr"] * 201))
    with pytest.raises(InvalidFilterException, match=r"1200 conditions, .*\bpr\b.* 800 are allowed"):
        search(storage, filter=" or ".join(["name pr"] * 200))


def test_a_deeply_nested_filter_is_answered(database):
    """Parentheses alone nest nothing; the library refuses what nests deeper than 32."""
    storage = storage_of(database)
    (user,) = stored(storage, [{}])

    deep = "not (" * 30 + "title pr" + ")" * 30
    assert search(storage, filter=deep)[1].total == 0
    assert [each.id for each in search(storage, filter="(" * 400 + "userName pr" + ")" * 400)[1].resources] == [user.id]


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ('userName eq "User7"', "uq_resources_user_name"),
        ('externalId eq "e7"', "ix_resources_external_id_key"),
        ('emails[type eq "work"].value eq "E7"', "ix_resources_work_email_key"),
        ('emails[type eq "work" and value eq "e7"]', "ix_resources_work_email_key"),
        ('displayName eq "D7" and active ne false', "ix_resources_display_name_key"),
    ],
)
def test_what_entra_asks_all_the_time_is_answered_by_an_index(database, text, index):
    """Design, section 11: the cost of a match is flat from 1,000 to 1,000,000 users."""
    storage = storage_of(database)
    resources = stored(
        storage,
        [
            {"displayName": f"d{n}", "externalId": f"e{n}", "emails": [{"type": "work", "value": f"e{n}"}]}
            for n in range(100)
        ],
    )
    with database.write() as s:
        s.connection.exec_driver_sql("ANALYZE resources")
    sent: list[tuple[str, Any]] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append((statement, parameters))

    assert [each.id for each in search(storage, filter=text, count=100)[1].resources] == [resources[7].id]
    event.remove(database.engine, "before_cursor_execute", note)

    ((statement, parameters),) = [each for each in sent if each[0].startswith("SELECT")]
    with database.read() as s:
        if database.is_sqlite:
            plan = s.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        else:
            # So few rows are read faster without an index.
            s.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = s.connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        assert index in str(plan.all())
