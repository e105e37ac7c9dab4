"""The file itself: valid, complete, and true in its examples."""

import tomllib

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from scim_bridge.scim.provider import build_provider
from tests.contract.openapi import FILE, JSON, Contract, Example, read

CONTRACT = read()
EXAMPLES = list(CONTRACT.examples())
SCHEMAS = {str(schema.id): schema for schema in build_provider(max_page_size=200).schemas}


def test_the_file_is_valid():
    """OpenAPI 3.1."""
    assert [error.message for error in OpenAPIV31SpecValidator(CONTRACT.document).iter_errors()] == []


def test_the_file_is_of_this_version():
    """What is documented is what is released."""
    project = tomllib.loads((FILE.parent / "pyproject.toml").read_text())["project"]

    assert CONTRACT.document["info"]["version"] == project["version"]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.place for example in EXAMPLES])
def test_an_example_fits_its_schema(example: Example):
    """No one copies from the file what the file itself refuses."""
    assert CONTRACT.example_problems(example) == []


def test_every_body_has_an_example():
    """Each body that is sent, and each that is answered."""
    documented = [
        (f"{operation} {status}", CONTRACT.resolved(answer))
        for operation in CONTRACT.operations()
        for status, answer in [
            *operation.document["responses"].items(),
            *([("request", operation.document["requestBody"])] if "requestBody" in operation.document else []),
        ]
    ]
    bare = [
        place
        for place, body in documented
        for kind, content in body.get("content", {}).items()
        if kind != "application/json" or JSON not in body["content"]
        if "example" not in content and not content.get("examples")
    ]

    assert bare == []


@pytest.mark.parametrize(
    ("urn", "component", "common"),
    [
        ("urn:ietf:params:scim:schemas:core:2.0:User", "User", {"schemas", "id", "externalId", "meta"}),
        ("urn:ietf:params:scim:schemas:core:2.0:Group", "Group", {"schemas", "id", "externalId", "meta"}),
        ("urn:ietf:params:scim:schemas:ditio:2.0:Certificate", "Certificate", {"schemas", "id", "externalId", "meta"}),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "EnterpriseUser", set()),
        ("urn:ietf:params:scim:schemas:extension:ditio:2.0:User", "DitioUser", set()),
    ],
)
def test_the_attributes_are_those_of_schemas(urn: str, component: str, common: set[str]):
    """What `/Schemas` publishes is what the file says: the names, and which of them are read-only."""
    properties = CONTRACT.at(f"#/components/schemas/{component}")["properties"]
    published = {str(each.name): each for each in SCHEMAS[urn].attributes or []}

    assert {name for name in properties if not name.startswith("urn:")} - common == set(published)
    assert {name for name in properties if properties[name].get("readOnly")} - common == {
        name for name, each in published.items() if each.mutability and each.mutability.value == "readOnly"
    }


def test_every_schema_is_documented():
    """Each schema of `/Schemas` is a component, in `schemas` of a user, a group or a certificate."""
    named = {
        *CONTRACT.at("#/components/schemas/User/properties/schemas/items/enum"),
        *CONTRACT.at("#/components/schemas/Group/properties/schemas/const"),
        *CONTRACT.at("#/components/schemas/Certificate/properties/schemas/const"),
    }

    assert named == set(SCHEMAS)


def test_a_wrong_answer_is_noticed(contract: Contract):
    """The file is precise: a key, a type or a state of another kind is refused."""
    delivered = "#/paths/~1scim~1v2~1Users/post/responses/201/content/application~1scim+json"
    value = contract.at(f"{delivered}/examples/delivered/value")
    ditio = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
    wrong = [
        {**value, "username": "kari"},
        {**value, "active": "True"},
        {**value, "emails": [{"value": "kari", "kind": "work"}]},
        {**value, ditio: {**value[ditio], "deliveryState": "done"}},
        {key: item for key, item in value.items() if key != "meta"},
    ]

    for each in wrong:
        assert contract.example_problems(Example("here", "#/components/schemas/WholeUser", each)) != []
