"""A filter in SQL finds what `ScimFilter.match` finds, on both databases."""

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scim2_models import Context, InvalidFilterException, ScimFilter, SearchRequest
from sqlalchemy import event, insert

from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.keys import SEVERAL
from scim_bridge.storage.tables import people
from scim_bridge.web.scim.storage import BridgeStorage
from tests.protocol.doubles import NoIntake

PROVIDER = build_provider(max_page_size=1000)
USER, GROUP = PROVIDER.resource_types
USER_MODEL: Any = PROVIDER.model_for("User")
GROUP_MODEL: Any = PROVIDER.model_for("Group")

# Letters that SQLite's lower() doesn't know, decomposed ones, LIKE's wildcards, and what orders oddly.
TEXTS = ["", "a", "A", "ab", "Å", "å", "A\u030a", "%", "_", "a_b%", "ß", "İ", "😀", "z'\"\\", "10", "2", "Work"]
texts = st.sampled_from(TEXTS)
kinds = st.sampled_from(["work", "Work", "home", ""])
entries = st.fixed_dictionaries({}, optional={"value": texts, "type": kinds, "primary": st.booleans()})


def lists_of(entry):
    """Lists with one primary entry at most, as the protocol demands."""
    return st.lists(entry, max_size=3).filter(lambda found: sum(e.get("primary", False) for e in found) < 2)


users = st.fixed_dictionaries(
    {},
    optional={
        "displayName": texts,
        "title": texts,
        "externalId": texts,
        "active": st.booleans(),
        "name": st.fixed_dictionaries({}, optional={"givenName": texts, "familyName": texts}),
        "emails": lists_of(entries),
        "phoneNumbers": lists_of(entries),
        "x509Certificates": st.lists(st.fixed_dictionaries({"value": st.sampled_from(["YQ==", "Yg=="])})),
        ENTERPRISE_URN: st.fixed_dictionaries(
            {}, optional={"department": texts, "manager": st.fixed_dictionaries({"value": texts})}
        ),
        DITIO_URN: st.fixed_dictionaries({}, optional={"birthDate": texts, "payroll": texts}),
    },
)

PATHS = [
    "displayName",
    "title",
    "externalId",
    "userName",
    "id",
    "name.givenName",
    "name.familyName",
    "emails",
    "emails.value",
    "emails.type",
    "phoneNumbers.value",
    "addresses",
    "name",
    "schemas",
    "meta.version",
    "meta.resourceType",
    "meta.location",
    "groups",
    f"{ENTERPRISE_URN}:department",
    f"{ENTERPRISE_URN}:manager",
    f"{ENTERPRISE_URN}:manager.value",
    f"{DITIO_URN}:birthDate",
    f"{DITIO_URN}:deliveryState",
    f"{DITIO_URN}:deliveryDetail",
]
OPERATORS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
quoted = texts.map(ScimFilter.quote)
values = st.one_of(quoted, quoted, quoted, st.just("null"))
comparisons = st.builds("{} {} {}".format, st.sampled_from(PATHS), st.sampled_from(OPERATORS), values)
others = st.sampled_from(
    [
        *(f"{path} pr" for path in [*PATHS, "active", "emails.primary", "x509Certificates", "meta.created", "meta"]),
        "active eq true",
        "active ne true",
        "active eq null",
        "emails.primary eq true",
        "emails.primary ne false",
        'x509Certificates eq "YQ=="',
        'x509Certificates.value ne "YQ=="',
        'meta.created gt "2000-01-01T00:00:00Z"',
        'meta.created le "2000-01-01T00:00:00+02:00"',
        'meta.lastModified ge "2000-01-01T00:00:00"',
        'meta.created ne "2000-01-01T00:00:00"',
        'meta.created co "20"',
        'emails[type eq "work" and value eq "a"]',
        'emails[type eq "WORK"].value eq "Å"',
        'emails[type eq "work" and value eq ""]',
        'schemas[value co "enterprise"]',
        'schemas[not (value ew "user")]',
        "schemas[value pr]",
        'schemas[other eq "x"]',
        'addresses[not (type eq "x")]',
        f'{DITIO_URN}:deliveryState eq "HELD"',
        f"{DITIO_URN}:deliveredAt pr",
        f'{DITIO_URN}:deliveredAt gt "2000-01-01T00:00:00Z"',
        f'{DITIO_URN}:deliveredAt ne "2000-01-01T00:00:00Z"',
    ]
)
inner = st.one_of(
    st.builds("{} {} {}".format, st.sampled_from(["value", "type", "display"]), st.sampled_from(OPERATORS), values),
    st.sampled_from(["value pr", "primary eq true", "primary ne true", "primary pr", "type eq null"]),
)


def combined(simple):
    """Filters joined by and, or, not."""
    return st.recursive(
        simple,
        lambda nested: st.one_of(
            st.builds("not ({})".format, nested),
            st.builds("({}) and ({})".format, nested, nested),
            st.builds("({}) or ({})".format, nested, nested),
        ),
        max_leaves=4,
    )


selections = st.builds("{}[{}]".format, st.sampled_from(["emails", "phoneNumbers"]), combined(inner))
filters = combined(st.one_of(comparisons, others, selections))

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

examples = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def storage_of(database, tenant="default"):
    """A storage; every example has a tenant of its own."""
    return BridgeStorage(database, tenant, PROVIDER, NoIntake(), lambda ticket: None)


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


@given(documents=st.lists(users, min_size=1, max_size=4), texts=st.lists(filters, min_size=1, max_size=6))
@examples
def test_sql_finds_what_the_library_finds(database, documents, texts):
    """RFC 7644 §3.4.2.2, as `ScimFilter.match` reads it."""
    storage = storage_of(database, str(uuid.uuid4()))
    resources = stored(storage, documents)

    for text in texts:
        request, page = search(storage, filter=text)
        with PROVIDER:
            expected = sorted(each.id for each in resources if request.filter.match(each))
        assert sorted(each.id for each in page.resources) == expected, text
        assert page.total == len(expected)


@given(
    documents=st.lists(users, max_size=6),
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
    with database.write() as connection:
        now = database.now(connection)
        row = {"tenant": "default", "active": True, "state_since": now, "created_at": now}
        for user, state, detail, at in (
            (held, "held", "phone ÅÆ is missing", None),
            (delivered, "delivered", None, now),
        ):
            person = {"id": user.id, "user_id": user.id, "state": state, "detail": detail, "delivered_at": at}
            connection.execute(insert(people).values(**row, **person))

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
    with database.write() as connection:
        connection.exec_driver_sql("ANALYZE resources")
    sent: list[tuple[str, Any]] = []

    @event.listens_for(database.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append((statement, parameters))

    assert [each.id for each in search(storage, filter=text, count=100)[1].resources] == [resources[7].id]
    event.remove(database.engine, "before_cursor_execute", note)

    ((statement, parameters),) = [each for each in sent if each[0].startswith("SELECT")]
    with database.read() as connection:
        if database.is_sqlite:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        else:
            # So few rows are read faster without an index.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        assert index in str(plan.all())
