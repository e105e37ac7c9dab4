"""Nothing that a client sends is a 500, and writers at the same time don't get in each other's way."""

from concurrent.futures import ThreadPoolExecutor

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from tests.thorough import either

NAMES = [
    "schemas",
    "id",
    "meta",
    "externalId",
    "userName",
    "name",
    "name.givenName",
    "givenName",
    "active",
    "emails",
    'emails[type eq "work"].value',
    'emails[type eq "work"]',
    "emails[",
    'emails[value sw "x"].type',
    "emails.value",
    "value",
    "type",
    "primary",
    "$ref",
    "display",
    "addresses",
    "roles",
    "groups",
    "members",
    "profileUrl",
    "x509Certificates",
    "password",
    "unknown",
    "unknown.part",
    "",
    " ",
    CORE_URN,
    ENTERPRISE_URN,
    DITIO_URN,
    "urn:other:2.0:User",
    f"{ENTERPRISE_URN}:manager",
    f"{ENTERPRISE_URN}.manager.value",
    f"{DITIO_URN}:deliveryState",
    f"{ENTERPRISE_URN}:",
]
simple = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["", "True", "work", "a@x.no", "\x00", "\ud800", "AAAA", "urn:x"]),
)
names = st.sampled_from(NAMES)
json_values = st.recursive(
    simple,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=8,
)
resources = st.dictionaries(names, json_values, max_size=6)
operations = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "Replace", "remove", "x"])},
    optional={"path": st.one_of(names, simple), "value": st.one_of(json_values, resources)},
)
examples = settings(
    max_examples=either(60, 20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(body=json_values | resources, number=st.integers())
@examples
def test_no_resource_is_a_500(scim, body, number):
    """A2: 5xx is never answered for something a client sent; what is accepted can be read again."""
    if isinstance(body, dict):
        body = {"userName": f"user {number}", **body}
    for path in ("/Users", "/Groups"):
        response = scim.send("POST", path, json=body)
        assert response.status_code in (201, 400, 409), response.text
        if response.status_code == 201:
            resource = response.json
            assert scim.send("GET", f"{path}/{resource['id']}").json == resource
            assert scim.send("PUT", f"{path}/{resource['id']}", json=resource).json == resource
            assert scim.send("DELETE", f"{path}/{resource['id']}").status_code == 204


@given(patch=st.lists(operations, max_size=3))
@examples
def test_no_patch_is_a_500(scim, patch):
    """A2, and what was refused changed nothing."""
    user = scim.create(userName="kari", title="x", emails=[{"value": "a@x.no", "type": "work"}])
    response = scim.patch(user, *patch)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        assert scim.read(user) == user
    else:
        assert scim.read(user) == response.json
    scim.send("DELETE", f"/Users/{user['id']}")


@given(
    query=st.dictionaries(st.sampled_from(["filter", "sortBy", "sortOrder", "count", "attributes"]), st.text() | names)
)
@examples
def test_no_search_is_a_500(scim, query):
    """A7: 200, or 400 with a reason."""
    response = scim.send(
        "GET", "/Users", query_string={key: value.encode("utf-8", "replace") for key, value in query.items()}
    )
    assert response.status_code in (200, 400), response.text


def test_patches_at_the_same_time_are_all_applied(scim):
    """The row is locked while it is read in order to be written: no one meets a version that has gone (412)."""
    user = scim.create(userName="kari", roles=[])

    def patch(number):
        return scim.patch(user, {"op": "add", "path": "roles", "value": [{"value": str(number)}]}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(patch, range(24))) == {200}
    stored = scim.read(user)
    assert sorted(int(role["value"]) for role in stored["roles"]) == list(range(24))
    assert stored["meta"]["version"] == 'W/"25"'


def test_a_name_is_given_once_however_many_ask_at_the_same_time(scim):
    """The unique index decides, not a look before."""
    app = scim.app  # Made once, as a server does.

    def create(_: int) -> int:
        headers = {"Authorization": f"Bearer {scim.token}"}
        return app.test_client().post("/scim/v2/Users", json={"userName": "kari"}, headers=headers).status_code

    with ThreadPoolExecutor(6) as pool:
        created = list(pool.map(create, range(12)))
    assert sorted(created) == [201] + [409] * 11
    assert scim.rows() == 1
