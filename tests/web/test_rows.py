"""The row of a resource: its keys are made of its document, and are those of the document read again."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scim2_models import Context, Extension, PatchOp, Path

from scim_bridge.domain.values import comparable_key
from scim_bridge.scim.entra_patch import rewrite_patch
from scim_bridge.scim.entra_resource import rewrite_resource
from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.scim.resources import Identity, document_of, resource_of
from scim_bridge.scim.schema import is_complete, shape_of
from scim_bridge.web.scim.rows import Rows
from tests.storage import filter_cases as cases
from tests.thorough import either

PROVIDER = build_provider(max_page_size=1000)
ROWS = Rows(PROVIDER)
USER, GROUP, _ = PROVIDER.resource_types

urns = st.lists(st.sampled_from([ENTERPRISE_URN, DITIO_URN]), max_size=2).map(lambda more: [CORE_URN, *more])
delivery = st.sampled_from([{}, {DITIO_URN: {"deliveryState": "due"}}, {DITIO_URN: {}}, {ENTERPRISE_URN: {}}])


def keys_in(value: Any, prefix: str, model: Any) -> dict[str, Any]:
    """Return the keys of a resource, or of a part, out of the library's own model of it."""
    keys: dict[str, Any] = {}
    for field in type(value).model_fields:
        item, root = getattr(value, field), type(value).get_field_root_type(field)
        if item is None:
            continue
        name = type(value)._scim_name(field)
        if isinstance(root, type) and issubclass(root, Extension):
            name = str(root.__schema__)
            key = keys_in(item, f"{name}:", model)
        else:
            key = key_in(item, f"{prefix}{name}", model)
        if key not in (None, [], {}):
            keys[name] = key
    return keys


def key_in(item: Any, path: str, model: Any) -> Any:
    if isinstance(item, list):
        return [key for entry in item if (key := key_in(entry, path, model)) not in (None, {})]
    if hasattr(type(item), "model_fields"):
        return keys_in(item, f"{path}.", model)
    return comparable_key(Path[model](path).resolve().comparable(item))


def is_as_read_again(kind: Any, resource: Any) -> None:
    """Assert that the row of a resource is that of what will be read.

    What is searched is what is served: otherwise a filter would find a user who does not have the value.
    """
    identity = Identity("an-id", str(kind.name), 7, cases.START, cases.START)
    model = ROWS.model(kind)

    row = ROWS.row(kind, resource, identity)

    read = resource_of(model, PROVIDER, row.document, identity)
    with PROVIDER:
        assert row.keys == keys_in(read, "", model)
    assert document_of(read) == row.document
    assert list(document_of(read)) == list(row.document)


@given(data=st.data(), vocabulary=cases.vocabularies, schemas=st.none() | urns, more=delivery)
@settings(max_examples=either(600, 60), deadline=None)
def test_a_new_resource_is_as_if_its_document_had_been_read_again(data, vocabulary, schemas, more):
    """A7: its body was checked as a whole, so it is not checked once more."""
    case = cases.Cases(vocabulary)
    kind, bodies = data.draw(st.sampled_from([(USER, case.users), (GROUP, case.groups)]))
    body: dict[str, Any] = {"userName": "kari", **data.draw(bodies)}
    if kind is USER:
        body = {**more, **body}
    else:
        body.pop("userName")
    if schemas is not None and kind is USER:
        body["schemas"] = schemas
    model = ROWS.model(kind)
    resource = model.model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_provider=PROVIDER)

    is_as_read_again(kind, resource)


forbidden = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("theirs"),
        "meta": st.just({"version": "7", "resourceType": "User"}),
        "groups": st.just([{"value": "g", "display": "G"}]),
        "emails": st.just([{"value": "a@b.example", "primary": "True"}, {"value": "c@d.example", "primary": True}]),
        'phoneNumbers[type eq "work" and primary eq true].value': st.just("+4722225555"),
        "phoneNumbers": st.just([{"value": "+4798765432", "type": "mobile", "primary": True}]),
        ENTERPRISE_URN: st.just({"manager": {"value": "m", "displayName": "Mona"}, "department": "Anlegg"}),
        f"{ENTERPRISE_URN}:manager": st.just({"value": "m", "$ref": "../Users/m", "displayName": "Mona"}),
        DITIO_URN: st.just({"deliveryState": "held", "deliveredAt": "2026-03-02T08:00:00Z", "payroll": 1}),
        "deliveryDetail": st.just("theirs"),
        "schemas": urns | st.just([]),
    },
)


@given(data=st.data(), vocabulary=cases.vocabularies, more=forbidden)
@settings(max_examples=either(600, 60), deadline=None)
def test_nothing_that_only_the_bridge_may_set_reaches_the_library(data, vocabulary, more):
    """A7: so the library makes the same of a complete body, whether or not it looks for that."""
    case, model = cases.Cases(vocabulary), ROWS.model(USER)
    sent = {"userName": "kari", **data.draw(case.users), **more}
    body = rewrite_resource(shape_of(model), sent).body
    assert is_complete(shape_of(model), body)
    contexts = (Context.RESOURCE_CREATION_REQUEST, Context.RESOURCE_REPLACEMENT_REQUEST, Context.DEFAULT)
    made = [model.model_validate(copy.deepcopy(body), scim_ctx=each, scim_provider=PROVIDER) for each in contexts]

    created, replaced, plain = (each.model_dump(scim_ctx=Context.DEFAULT) for each in made)

    assert created == replaced == plain
    assert sum(each.get("primary", False) for each in plain.get("emails", ())) <= 1
    assert sum(each.get("primary", False) for each in plain.get("phoneNumbers", ())) <= 1


@pytest.mark.parametrize("more", [{"userName": None}, {f"{ENTERPRISE_URN}:manager.$ref": "../Users/m"}])
def test_what_is_not_complete_is_left_to_the_library(more):
    """A7: it names what is missing."""
    shape = shape_of(ROWS.model(USER))
    body = rewrite_resource(shape, {"userName": "kari", **more}).body
    assert is_complete(shape, rewrite_resource(shape, {"userName": "kari"}).body)

    assert not is_complete(shape, body)
    with pytest.raises(ValidationError):
        ROWS.model(USER).model_validate(body, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_provider=PROVIDER)


@given(data=st.data(), vocabulary=cases.vocabularies)
@settings(max_examples=either(600, 60), deadline=None)
def test_a_patched_user_is_as_if_their_document_had_been_read_again(data, vocabulary):
    """A7: the library has checked each value of a PATCH, so the state after it is not checked once more."""
    case, model = cases.Cases(vocabulary), ROWS.model(USER)
    before, after = ({"userName": "kari", **data.draw(case.users)} for _ in range(2))
    user = model.model_validate(before, scim_ctx=Context.RESOURCE_CREATION_REQUEST, scim_provider=PROVIDER)
    names = data.draw(st.lists(st.sampled_from(sorted(after)), max_size=3))
    made = st.sampled_from(["add", "replace"])
    operations: list[dict[str, Any]] = [
        {"op": data.draw(made), "value": after},
        *({"op": data.draw(made), "path": name, "value": after[name]} for name in names),
        *({"op": "remove", "path": name} for name in names if name not in ("schemas", "userName")),
    ]
    chosen = data.draw(st.lists(st.sampled_from(operations), min_size=1, max_size=4))
    with PROVIDER:
        rewritten = rewrite_patch(shape_of(model), {"Operations": chosen}).body
        patch = PatchOp[model].model_validate(rewritten, scim_ctx=Context.RESOURCE_PATCH_REQUEST)
        patch.patch(user)

    is_as_read_again(USER, user)
