"""The short way of simple reads: which they are. That it answers as the protocol server does, `Scim.send` compares."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update

from scim_bridge.domain.outcome import State, printable
from scim_bridge.storage.tables import resources
from tests.protocol.conftest import Scim
from tests.protocol.test_delivery import person_of
from tests.protocol.test_projection import DITIO, ENTERPRISE, KARI

KARI_FILTER = "filter=" + quote('userName eq "kari"')
NUMBER = f"{ENTERPRISE}:employeeNumber"

SHORT = [
    *('userName eq "kari"', 'USERNAME eq "KARI"', 'externalId eq "e-1"', 'externalId eq "E-1"', 'userName eq "Ola"'),
    *('emails[type eq "work"].value eq "A@x.no"', 'emails[type eq "work"].value eq "b@x.no"', 'userName eq "kåri"'),
    *(f'{NUMBER} eq "1042"', 'employeeNumber eq "1042"', 'employeeNumber eq "104"', 'id eq "x"', 'userName eq "a+b&c"'),
]
"""Filters that are looked up in an index, whether they find someone or not."""

LONG = [
    *('userName eq ""', 'userName eq "a\\"b"', 'userName eq "a\\u0062"', "userName eq 'kari'", "userName eq kari"),
    *('userName Eq "kari"', ' userName eq "kari"', 'userName  eq "kari"', 'userName eq "kari" ', 'userName eq"kari"'),
    *('userName sw "k"', 'userName ne "kari"', 'userName eq "kari" and active eq true', 'not (userName eq "kari")'),
    *('title eq "x"', 'nickName eq "x"', 'shoeSize eq "x"', 'emails eq "a@x.no"', 'emails.value eq "a@x.no"'),
    *(
        'emails[type eq "home"].value eq "x"',
        "userName eq null",
        "userName eq 1",
        'userName eq "a\tb"',
        'userName eq "\x00"',
    ),
    *('userName eq "' + "x" * 1000 + '"', "", " ", "userName", 'active eq "true"', 'meta.version eq "1"'),
]
"""Filters that the protocol server answers, or refuses."""

PARAMETERS = [
    {"startIndex": "1", "count": "1"},
    *({"startIndex": text} for text in ("0", "-1", "2", "01", "1.0", "x", "", "９", "99999999999999999999")),
    *({"count": text} for text in ("0", "1", "-1", "100000", "x", "", "1e3", " 1")),
    *({name: "userName"} for name in ("attributes", "excludedAttributes", "ATTRIBUTES", "sortBy")),
    *(
        {name: text}
        for name in ("attributes", "excludedAttributes")
        for text in ("", ",", "userName,,id", "emails.value")
    ),
    {"attributes": "userName", "excludedAttributes": "userName"},
    {"aadOptscim062020": ""},
    {"sortOrder": "descending"},
    {"cursor": ""},
    {"filter": 'userName eq "ola"'},
    {"Filter": 'userName eq "ola"'},
]


@pytest.fixture
def kari(scim: Scim) -> Scim:
    user = scim.create(**KARI)
    person_of(scim, user, state=State.held, detail="no phone", delivered_at=datetime(2026, 3, 1, 8, tzinfo=UTC))
    scim.create(userName="bare")
    return scim


@pytest.mark.parametrize("text", SHORT)
def test_a_match_query_takes_the_short_way(kari: Scim, text: str):
    assert kari.is_short(f"/Users?filter={quote(text)}")
    assert kari.send("GET", f"/Users?filter={quote(text)}").status_code == 200


@pytest.mark.parametrize("text", LONG)
def test_any_other_filter_takes_the_long_way(kari: Scim, text: str):
    assert not kari.is_short(f"/Users?filter={quote(text)}")
    kari.send("GET", f"/Users?filter={quote(text)}")


@pytest.mark.parametrize("more", PARAMETERS, ids=str)
def test_other_parameters_change_nothing(kari: Scim, more: dict[str, str]):
    """Each is answered, or refused, as by the protocol server."""
    asked = "&".join(f"{name}={quote(value)}" for name, value in more.items())
    user = kari.send("GET", "/Users?" + KARI_FILTER).json["Resources"][0]
    for path in ("/Users?" + asked, f"/Users/{user['id']}?{asked}"):
        kari.send("GET", path)
    for text in ('userName eq "kari"', 'userName eq "x"'):
        kari.send("GET", f"/Users?filter={quote(text)}&{asked}")
        kari.send("GET", f"/Users?{asked}&filter={quote(text)}")


def test_what_entra_asks_takes_the_short_way(kari: Scim):
    """The flag of the Tenant URL stays in the query."""
    user = kari.send("GET", "/Users?" + KARI_FILTER).json["Resources"][0]
    for query in ("", "?aadOptscim062020", "?attributes=userName,emails", "?excludedAttributes=groups"):
        assert kari.is_short(f"/Users/{user['id']}{query}"), query
    for query in ("aadOptscim062020&", "startIndex=1&count=10&"):
        assert kari.is_short(f"/Users?{query}{KARI_FILTER}"), query


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/Users/{id}", {"If-None-Match": 'W/"1"'}),
        ("/Users/{id}", {"If-Match": 'W/"2"'}),
        ("/users/{id}", {}),
        ("/Users/{id}/", {}),
        ("//Users/{id}", {}),
        ("/Users/{id}?%FF", {}),
        ("/Users/{id}?count=%00", {}),
        ("/Users/00000000-0000-0000-0000-000000000000", {}),
        ("/Users", {}),
        ("/Groups", {}),
        ("/", {}),
    ],
)
def test_any_other_read_takes_the_long_way(kari: Scim, path: str, headers: dict[str, str]):
    user = kari.send("GET", "/Users?" + KARI_FILTER).json["Resources"][0]
    path = path.format(id=user["id"])
    assert not kari.is_short(path, headers=headers)
    kari.send("GET", path, headers=headers)


def test_a_value_that_two_users_have_takes_the_long_way(scim: Scim):
    """`externalId` is not unique: the page and its order are the protocol server's."""
    for name in ("kari", "ola"):
        scim.create(userName=name, externalId="same")
    query = "/Users?filter=" + quote('externalId eq "same"')

    assert not scim.is_short(query)
    assert scim.send("GET", query).json["totalResults"] == 2


def test_an_attribute_that_is_declared_no_more_takes_the_long_way(scim: Scim):
    """As after a slot was taken out of the settings: the protocol server leaves it out."""
    user = scim.create(**KARI)
    old = {**KARI, DITIO: {"birthDate": "1990-05-15", "slot": "x"}}
    with scim.database.write("default") as s:
        s.connection.execute(update(resources).values(document=json.dumps(old)))

    assert not scim.is_short(f"/Users/{user['id']}")
    assert "slot" not in scim.read(user)[DITIO]


def test_a_reference_takes_the_long_way(scim: Scim):
    """RFC 7643 §2.3.7: it is answered as a URL."""
    user = scim.create(userName="kari", **{ENTERPRISE: {"manager": {"value": "m-1", "$ref": "Users/m-1"}}})

    assert not scim.is_short(f"/Users/{user['id']}")
    assert scim.read(user)[ENTERPRISE]["manager"]["$ref"].startswith("https://")


def test_a_lookup_reads_once(kari: Scim):
    """Design, section 11: one statement beside the one that checks the token, in one transaction."""
    sent: list[str] = []
    event.listen(kari.database.engine, "before_cursor_execute", lambda *said: sent.append(said[2]))
    assert kari.is_short("/Users?" + KARI_FILTER)

    assert len([each for each in sent if not each.startswith("BEGIN")]) == 1


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))


@given(name=texts, title=texts, detail=st.none() | texts.map(printable), moment=moments, state=st.sampled_from(State))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_any_text_and_time_is_answered_the_same(scim: Scim, name, title, detail, moment, state):
    response = scim.send("POST", "/Users", json={"userName": name, "title": title, "externalId": name})
    if response.status_code != 201:
        return
    user = response.json
    person_of(scim, user, state=state, detail=detail, delivered_at=moment)
    with scim.database.write("default") as s:
        s.connection.execute(update(resources).values(created_at=moment, last_modified_at=moment + timedelta(hours=1)))
    scim.read(user)
    for attribute in ("userName", "externalId"):
        scim.send("GET", f"/Users?filter={attribute}%20eq%20{quote(json.dumps(name, ensure_ascii=False))}")
    scim.send("DELETE", f"/Users/{user['id']}")
