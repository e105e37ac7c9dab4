"""A PATCH that only gives values to simple attributes changes the document as the library changes the resource."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import Context, PatchOp, SCIMException

from scim_bridge.scim.entra_patch import PATCH_URN, rewrite_patch, settings_of, with_settings
from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.scim.resources import Identity, document_of, resource_of
from scim_bridge.scim.schema import Kind, shape_of
from tests.protocol.conftest import Scim

PROVIDER = build_provider(max_page_size=1000)
MODEL: Any = PROVIDER.model_for(PROVIDER.resource_types[0])
SHAPE = shape_of(MODEL)
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)

Path = tuple[str | None, str, str | None]


def declared() -> list[Path]:
    """Every attribute of a user that has at most one value, and every part of one: URN, name, part."""
    found: list[Path] = []
    for urn, attributes in ((None, SHAPE.attributes), *SHAPE.extensions.items()):
        for shape in attributes.values():
            if not shape.multi_valued and shape.name not in ("id", "meta"):
                found += [(urn, shape.name, None)]
                found += [(urn, shape.name, part.name) for part in (shape.parts or {}).values()]
    return found


PATHS = declared()
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6) | st.sampled_from(
    [" ", "True", "2026-01-01"]
)
values: st.SearchStrategy[Any] = texts | st.booleans() | st.none() | st.integers(0, 2) | st.just([]) | st.just({})
ways = st.sampled_from(["Add", "replace", "Replace", "remove"])


def written(path: Path) -> str:
    urn, name, part = path
    return (f"{urn}:" if urn else "") + name + (f".{part}" if part else "")


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Stored documents with any of these attributes."""
    document: dict[str, Any] = {"schemas": [CORE_URN], "userName": "kari", "active": draw(st.booleans())}
    for urn, name, part in draw(st.lists(st.sampled_from(PATHS), max_size=12)):
        shape = (SHAPE.attributes if urn is None else SHAPE.extensions[urn])[name.lower()]
        kind = shape.kind if part is None else (shape.parts or {})[part.lower()].kind
        if kind not in (Kind.string, Kind.boolean):
            continue
        value = draw(st.booleans()) if kind == Kind.boolean else draw(texts) or "x"
        holder = document
        for inner in (urn, name if part else None):
            holder = holder.setdefault(inner, {}) if inner else holder
        holder[part or name] = value
    document["schemas"] += [urn for urn in SHAPE.extensions if urn in document]
    resource = MODEL.model_validate(document, scim_provider=PROVIDER)
    return document_of(resource)


def as_the_library_does(document: dict[str, Any], body: Any) -> dict[str, Any]:
    resource = resource_of(MODEL, PROVIDER, document, Identity("1", "User", 1, NOW, NOW))
    with PROVIDER:
        patch_op = PatchOp[MODEL].model_validate(body, scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        patch_op.patch(resource)
    return document_of(resource)


@given(documents(), st.lists(st.tuples(ways, st.sampled_from(PATHS).map(written), values), min_size=1, max_size=4))
def test_values_are_set_as_the_library_sets_them(document: dict[str, Any], asked: list[tuple[str, str, Any]]):
    """RFC 7644 §3.5.2, A6: what is set without a resource is what the library would have set; it refuses none of it."""
    operations = [{"op": op, "path": path, "value": value} for op, path, value in asked]
    try:
        body = rewrite_patch(SHAPE, {"schemas": [PATCH_URN], "Operations": operations}).body
    except SCIMException:
        return
    settings = settings_of(SHAPE, body)
    if settings is not None and (changed := with_settings(document, settings)) is not None:
        assert changed == as_the_library_does(document, body)


@pytest.mark.parametrize("path", PATHS, ids=written)
def test_each_simple_attribute_is_set_as_the_library_sets_it(path: Path):
    """RFC 7644 §3.5.2: each attribute alone, where it had a value before; a required one is left to the library."""
    urn, name, part = path
    shape = (SHAPE.attributes if urn is None else SHAPE.extensions[urn])[name.lower()]
    target = shape if part is None else (shape.parts or {})[part.lower()]
    one, two = (False, True) if target.kind == Kind.boolean else ("one", "two")
    inner: dict[str, Any] = {name: one} if part is None else {name: {part: one}}
    document: dict[str, Any] = {"schemas": [CORE_URN], "userName": "kari"} | (inner if urn is None else {urn: inner})
    document["schemas"] = [CORE_URN, *([urn] if urn else [])]
    body = {"schemas": [PATCH_URN], "Operations": [{"op": "replace", "path": written(path), "value": two}]}
    settings = settings_of(SHAPE, body)
    if target.kind in (Kind.string, Kind.boolean) and not (shape.read_only or target.read_only or target.required):
        assert settings is not None
        assert with_settings(document, settings) == as_the_library_does(document, body)
    else:
        assert settings is None


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "Replace", "path": "active", "value": "False"}],
        [{"op": "replace", "path": "active", "value": True}],
        [{"op": "Add", "path": "title", "value": "Crane driver"}, {"op": "Replace", "path": "title", "value": "Cook"}],
        [{"op": "Replace", "path": f"{ENTERPRISE_URN}:department", "value": "Roads"}],
        [{"op": "Replace", "path": f"{DITIO_URN}:payroll", "value": "7"}],
        [{"op": "Replace", "path": "userName", "value": " "}],
        [{"op": "Add", "path": "externalId", "value": "17"}],
        [{"op": "Replace", "path": "nickName", "value": ""}],
        [{"op": "Add", "path": "displayName", "value": "Kari Nordmann"}],
        [{"op": "Add", "path": "name.familyName", "value": "Nordmann"}],
        [{"op": "Replace", "value": {"name.givenName": "Ola", "active": False}}],
        [{"op": "Replace", "path": "active", "value": "perhaps"}],
        [{"op": "Replace", "path": "id", "value": "another"}],
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [200, 204])
def test_the_short_way_and_the_long_way_answer_alike(scim: Scim, operations: list[Any], status: int):
    """A6: `If-Match` sends a PATCH the long way; answers, and what is stored, are the same but for ids and times."""
    scim.patch_status = status

    def one(name: str, headers: dict[str, str]) -> tuple[list[Any], Any]:
        sent = {"schemas": [CORE_URN, ENTERPRISE_URN], "userName": name, "title": "Carpenter", "active": True}
        user = scim.create(**sent, name={"givenName": "Kari"}, **{ENTERPRISE_URN: {"department": "Bridges"}})
        answer = scim.patch(user, *operations, headers=headers)
        told = [answer.status_code, sorted(set(answer.headers.keys())), answer.headers.get("ETag")]
        return [*told, answer.get_data(as_text=True), str(scim.read(user))], user

    def alike(found: tuple[list[Any], Any], name: str) -> list[Any]:
        told, user = found
        now = scim.read(user)["meta"]["lastModified"]
        gone = {user["id"]: "ID", user["meta"]["created"]: "THEN", now: "NOW", name: "NAME"}
        for text, instead in gone.items():
            told = [each.replace(text, instead) if isinstance(each, str) else each for each in told]
        return told

    short, long = alike(one("kari-1", {}), "kari-1"), alike(one("kari-2", {"If-Match": "*"}), "kari-2")
    assert short == long


UNUSUAL = ["a\x00b", "\ud800", "x" * 4096, "x" * 4097, "\u202e", "a\nb", "  ", None, 5, True, [], {}]
FULL = {
    "schemas": [CORE_URN, ENTERPRISE_URN],
    "externalId": "17",
    "title": "Carpenter",
    "active": True,
    "name": {"givenName": "Kari"},
    "locale": "nb",
    ENTERPRISE_URN: {"department": "Bridges"},
}


@pytest.mark.parametrize(
    "path", ["title", "name.givenName", "externalId", "active", "locale", f"{ENTERPRISE_URN}:department"]
)
def test_unusual_values_are_refused_and_stored_alike(scim: Scim, path: str):
    """A7, A9: the same status, message and user for each value, whichever way it takes."""
    for number, value in enumerate(UNUSUAL):
        found = []
        for headers in ({}, {"If-Match": "*"}):
            user = scim.create(**FULL, userName=f"user-{number}")
            operation = {"op": "replace", "path": path, "value": value}
            # Half a surrogate pair is an escape in JSON, which Flask's client would refuse to send.
            body = json.dumps({"schemas": [PATCH_URN], "Operations": [operation]})
            sent = {"Content-Type": "application/scim+json", **headers}
            answer = scim.send("PATCH", f"/Users/{user['id']}", data=body, headers=sent)
            told = {name: each for name, each in answer.json.items() if name not in ("id", "meta")}
            found.append((answer.status_code, told))
            assert scim.send("DELETE", f"/Users/{user['id']}").status_code == 204
        assert found[0] == found[1], value
