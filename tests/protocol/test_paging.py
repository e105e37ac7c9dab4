"""Lists by cursor (RFC 9865) beside lists by index, as a client walks them."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update

from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.admin_tables import secrets
from scim_bridge.storage.tables import people
from scim_bridge.web.scim.storage import BridgeStorage
from tests.protocol.conftest import PROVIDER, Scim
from tests.protocol.doubles import AUTHOR, NoIntake
from tests.thorough import either

PEOPLE = either(250, 180)
MAX_PAGE = 50
"""As the `scim` fixture is set up."""

STATES = (None, "held", "delivered", "due")


def users_in(scim: Scim, documents: list[dict[str, Any]]) -> list[str]:
    """The ids of new users, stored without a request for each."""
    storage = BridgeStorage(scim.database, "default", PROVIDER, NoIntake(), lambda ticket: None, AUTHOR)
    model: Any = PROVIDER.model_for("User")
    with PROVIDER, storage.operation():
        return [storage.create(PROVIDER.resource_types[0], model.model_validate(each)).id for each in documents]


@pytest.fixture
def company(scim: Scim) -> Scim:
    """Many users, most of them alike, whose deliveries have come variously far, and three groups."""
    ids = users_in(
        scim,
        [
            {
                "userName": f"user-{number:03}@firma.example",
                "displayName": f"Å{number % 40:02} Nordmann",
                **({"active": number % 3 > 0} if number % 8 else {}),
                **({ENTERPRISE_URN: {"department": f"Lag {number % 5}"}} if number % 7 else {}),
            }
            for number in range(PEOPLE)
        ],
    )
    with scim.database.write() as s:
        now = s.now
        for number, user_id in enumerate(ids):
            if state := STATES[number % 4]:
                row = {"tenant": "default", "id": user_id, "user_id": user_id, "active": True, "state": state}
                s.connection.execute(insert(people).values(**row, state_since=now, created_at=now))
    for name in ("Anlegg", "Åsgård", "Betong"):
        assert scim.send("POST", "/Groups", json={"displayName": name}).status_code == 201
    return scim


@pytest.fixture
def crew(scim: Scim) -> Scim:
    """Seven users."""
    users_in(scim, [{"userName": f"user-{number}", "displayName": "Å"} for number in range(7)])
    return scim


def listed(scim: Scim, path: str = "/Users", **query: object) -> Any:
    """A list that is answered."""
    answer = scim.send("GET", path, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def walk(scim: Scim, path: str = "/Users", *, by: str = "nextCursor", cursor: str = "", **query: object) -> Iterator:
    """The pages from a cursor on, each asked for by the cursor that the one before it gives."""
    while True:
        page = listed(scim, path, cursor=cursor, **query)
        yield page
        if by not in page:
            return
        cursor = page[by]


def ids(*pages: Any) -> list[str]:
    return [each["id"] for page in pages for each in page["Resources"]]


def refused(answer: Any, scim_type: str, *words: str) -> None:
    """It is 400 with this type, and its detail has these words."""
    assert (answer.status_code, answer.json["scimType"]) == (400, scim_type)
    for word in words:
        assert word in answer.json["detail"]


def by_index(scim: Scim, path: str = "/Users", **query: object) -> list[str]:
    """The whole list, counted through."""
    found: list[str] = []
    while True:
        page = listed(scim, path, startIndex=len(found) + 1, **query)
        found += ids(page)
        if len(found) >= page["totalResults"]:
            return found


@pytest.mark.parametrize("count", [13, 49, 50, 51, 1000, None])
def test_every_user_is_on_one_page_whatever_its_size(company, count):
    """RFC 9865 §2: `count` is cut to the largest page; without one it is the page's usual size."""
    asked = {"attributes": "userName"} | ({} if count is None else {"count": count})

    pages = list(walk(company, **asked))

    size = min(count or MAX_PAGE, MAX_PAGE)
    assert [page["itemsPerPage"] for page in pages] == [size] * (PEOPLE // size) + [PEOPLE % size] * (PEOPLE % size > 0)
    assert ids(*pages) == by_index(company)
    assert {page["totalResults"] for page in pages} == {PEOPLE}
    assert not any("startIndex" in page for page in pages)
    assert "previousCursor" not in pages[0]
    assert all("previousCursor" in page for page in pages[1:])
    back = list(walk(company, by="previousCursor", cursor=pages[-1]["previousCursor"], **asked))
    assert [ids(page) for page in reversed(back)] == [ids(page) for page in pages[:-1]]


SORTS = [
    "displayName",
    "active",
    "meta.created",
    "id",
    f"{ENTERPRISE_URN}:department",
    f"{DITIO_URN}:deliveryState",
    f"{DITIO_URN}:deliveredAt",
]


@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_the_pages_keep_the_order_that_was_asked_for(company, order, subtests):
    """RFC 9865 §2, RFC 7644 §3.4.2.3: with many that are equal, or have no value, at the end of a page."""
    for sort_by in SORTS:
        with subtests.test(sort_by):
            asked = {"sortBy": sort_by, "sortOrder": order, "filter": 'userName co "1"', "attributes": "userName"}

            pages = list(walk(company, count=13, **asked))

            assert ids(*pages) == by_index(company, **asked)
            assert len(pages) >= 3
            back = list(walk(company, by="previousCursor", cursor=pages[-1]["previousCursor"], count=13, **asked))
            assert [ids(page) for page in reversed(back)] == [ids(page) for page in pages[:-1]]


@pytest.mark.parametrize("asked", [{}, {"sortBy": "displayName"}, {"sortBy": "active", "sortOrder": "descending"}])
def test_users_and_groups_are_one_list(company, asked):
    """RFC 7644 §3.4.2.1: at the root, a cursor goes through all types."""
    pages = list(walk(company, "", count=40, **asked))

    assert ids(*pages) == by_index(company, "", **asked)
    assert len(set(ids(*pages))) == PEOPLE + 3


@pytest.mark.parametrize("path", ["/Users/.search", "/.search"])
def test_a_search_with_a_body_goes_by_cursor_too(company, path):
    """RFC 9865 §3: an empty `cursor` in the body asks for the first page; the cursor serves a GET as well."""
    asked = {"sortBy": "userName", "count": 50, "cursor": ""}
    first = company.send("POST", path, json=asked).json
    second = company.send("POST", path, json={**asked, "cursor": first["nextCursor"]}).json
    again = listed(company, path.removesuffix("/.search"), sortBy="userName", count=50, cursor=first["nextCursor"])

    assert ids(first, second) == by_index(company, path.removesuffix("/.search"), sortBy="userName")[:100]
    assert ids(again) == ids(second)


def test_a_page_of_none_tells_the_total_and_gives_no_cursor(crew):
    """RFC 9865 §2, `count` 0: a client that follows cursors comes to an end."""
    page = listed(crew, cursor="", count=0)

    assert page == {"schemas": page["schemas"], "totalResults": 7, "itemsPerPage": 0, "Resources": []}


def test_a_list_without_anybody_has_no_other_page(scim):
    page = listed(scim, cursor="", filter='userName eq "nobody"')

    assert (page["totalResults"], page["Resources"]) == (0, [])
    assert "nextCursor" not in page
    assert "previousCursor" not in page


def test_a_person_who_stays_is_seen_once_while_others_come_leave_and_are_renamed(company):
    """RFC 9865 §2: after each page a person leaves, comes and gets another name, on the way there and back."""
    asked = {"sortBy": "userName", "count": PEOPLE // 10}
    everybody = by_index(company, sortBy="userName")
    leaving, moving = everybody[3::9], everybody[5::9]
    staying = [each for each in everybody if each not in {*leaving, *moving}]

    def amid_changes(pages: Iterator) -> Iterator:
        for number, page in enumerate(pages):
            yield page
            assert company.send("DELETE", f"/Users/{leaving.pop()}").status_code == 204
            company.create(userName=f"user-{number * 17 % PEOPLE:03} {len(leaving)}")
            name = {"op": "replace", "path": "userName", "value": f"user-{number * 29 % PEOPLE:03} {len(moving)}"}
            assert company.patch({"id": moving.pop()}, name).status_code == 200

    there = list(amid_changes(walk(company, **asked)))
    assert [each for each in ids(*there) if each in staying] == staying
    back = list(amid_changes(walk(company, by="previousCursor", cursor=there[-1]["previousCursor"], **asked)))
    seen = ids(*reversed(back), there[-1])
    assert [each for each in seen if each in staying] == staying
    assert len(back) >= 9


def test_another_process_and_another_machine_goes_on_with_the_cursor(crew):
    """The secret is in the database: each request here is served by an application of its own."""
    first = listed(crew, cursor="", count=5)
    another = Scim(crew.database)

    assert ids(listed(another, cursor=first["nextCursor"], count=5)) == by_index(crew)[5:]
    with crew.database.read() as s:
        assert [row.name for row in s.connection.execute(select(secrets))] == ["cursors"]


def test_a_cursor_that_was_made_up_or_altered_is_refused(crew):
    """RFC 9865 §2.1: invalidCursor, with what to do."""
    cursor = listed(crew, cursor="", count=5)["nextCursor"]
    middle = len(cursor) // 2
    altered = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]

    for wrong in (altered, cursor[:-4], cursor[4:], cursor + cursor, "x", "next", "ø", "a b", "AQ" * 50, "~", "%00"):
        answer = crew.send("GET", "/Users", query_string={"cursor": wrong, "count": 5})
        refused(answer, "invalidCursor", "nextCursor", "an empty cursor for the first page")
        answer = crew.send("POST", "/Users/.search", json={"cursor": wrong, "count": 5})
        refused(answer, "invalidCursor", "nextCursor", "an empty cursor for the first page")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/Groups", {}),
        ("", {}),
        ("/Users", {"sortBy": "userName"}),
        ("/Users", {"sortBy": "displayName", "sortOrder": "descending"}),
        ("/Users", {"sortBy": "displayName", "filter": "active eq true"}),
        ("/Users", {"sortBy": "displayName", "attributes": "userName"}),
    ],
)
def test_a_cursor_of_another_list_is_refused(crew, path, asked):
    """RFC 9865 §2.1: a cursor belongs to the query whose pages it turns."""
    cursor = listed(crew, cursor="", count=5, sortBy="displayName")["nextCursor"]

    answer = crew.send("GET", path, query_string={"cursor": cursor, "count": 5, **asked})

    refused(answer, "invalidCursor", "parameters of the first page unchanged")


def test_a_cursor_of_another_company_is_refused(crew):
    """Design, section 10: a tenant's cursor is worthless at another."""
    cursor = listed(crew, cursor="", count=5)["nextCursor"]

    answer = crew.send("GET", "/Users", base="/tenants/other/scim/v2", query_string={"cursor": cursor, "count": 5})

    refused(answer, "invalidCursor")


def test_another_count_or_a_start_index_beside_the_cursor_is_refused(crew):
    """RFC 9865 §2.1 and §2.4: invalidCount, and one way of paging at a time."""
    cursor = listed(crew, cursor="", count=5)["nextCursor"]

    answer = crew.send("GET", "/Users", query_string={"cursor": cursor, "count": 6})
    refused(answer, "invalidCount", "the same count for every page")
    for text in (cursor, ""):
        answer = crew.send("GET", "/Users", query_string={"cursor": text, "startIndex": 1, "count": 5})
        refused(answer, "invalidValue", "both cursor and startIndex")


def test_a_cursor_fits_into_a_request_line(scim):
    """gunicorn's default is 4,094 bytes; a name may be as long as a body."""
    users_in(scim, [{"userName": f"user-{number}", "displayName": "😀" * 100_000 + str(number)} for number in range(3)])

    pages = list(walk(scim, sortBy="displayName", count=1))

    assert len(set(ids(*pages))) == 3
    assert all(len(page.get("nextCursor", "")) < 1900 for page in pages)


def test_the_discovery_announces_both_ways_of_paging(scim):
    """RFC 9865 §4: by index unless a cursor is asked for; no cursor expires."""
    pagination = scim.send("GET", "/ServiceProviderConfig").json["pagination"]

    assert pagination == {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": MAX_PAGE,
        "maxPageSize": MAX_PAGE,
    }


def test_a_person_who_asks_for_no_cursor_pays_nothing_for_it(scim):
    """Design, section 11: the match query reads no secret, and none is made."""
    sent: list[str] = []

    @event.listens_for(scim.database.engine, "before_cursor_execute")
    def note(connection, cursor, statement, parameters, context, executemany):
        sent.append(statement)

    listed(scim, filter='userName eq "kari"')
    scim.send("GET", "/Users/none")
    assert not any("secrets" in statement for statement in sent)
    listed(scim, cursor="")
    assert not any("secrets" in statement for statement in sent)


def test_a_cursor_of_a_secret_that_is_gone_is_refused(crew):
    """As after another database was put in its place: the client begins anew."""
    cursor = listed(crew, cursor="", count=5)["nextCursor"]
    with crew.database.write() as s:
        s.connection.execute(update(secrets).values(value="another"))

    another = Scim(crew.database)
    refused(another.send("GET", "/Users", query_string={"cursor": cursor, "count": 5}), "invalidCursor")
