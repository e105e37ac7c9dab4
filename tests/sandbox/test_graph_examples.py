"""Each documented pair of request and answer is replayed against the simulated Graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import RSAKey

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.service import CLIENT_ID
from scim_bridge.sandbox.graph.style import GraphStyle

from .certificate import a_certificate
from .graph_world import KARI, LOGIN, MEMBERS, OLA, TENANT_ID, TOKEN_URL, GraphWorld, person

EXAMPLES: dict[str, dict[str, Any]] = {
    example["id"]: example
    for example in json.loads((Path(__file__).parents[1] / "samples" / "graph-examples.json").read_text("utf-8"))[
        "examples"
    ]
}

LEFT_OUT = {
    "schema-put": "the mapping is only read",
    "schema-put-refused": "the mapping is only read",
}

OPEN = {"…", "parameters", "apiExpressions", "referencedObjects", "metadata", "details"}
"""Members whose inside the documentation shortens, or does not tell."""


def quarantined(world: GraphWorld) -> None:
    world.entra.cycle()
    world.endpoint.refusals["GET", "/Users"] = 401
    world.adds()
    assert world.entra.cycle().quarantined


def staged(world: GraphWorld) -> None:
    world.adds_many(3)
    world.entra.cycle()
    world.job.delete_threshold = 1
    for user in world.directory.users.values():
        user.assigned = False
    assert world.entra.cycle().quarantined


def marked(world: GraphWorld) -> None:
    """Take the mark t0, then change what the example shows."""
    world.directory.users[KARI].mobile = "+47 400 00 001"
    world.directory.users[KARI].leave_date = "2026-12-31"
    world.directory.users[person(3)].soft_deleted = False
    world.reads(EXAMPLES["delta-start"]["request"]["url"])
    kari = world.directory.users[KARI]
    kari.mobile = kari.leave_date = kari.manager = None
    world.directory.users[person(3)].soft_deleted = True
    world.directory.hard_delete(person(7))


def expired(world: GraphWorld) -> None:
    world.reads("/users/delta?$select=id&$deltatoken=latest")
    world.clock.passes(days=7)
    world.signs_in()


def group_mark(world: GraphWorld) -> str:
    """Take a mark, then let one member leave and another one come."""
    _, link = world.changes(EXAMPLES["group-delta"]["request"]["url"])
    world.directory.groups[MEMBERS].members.remove(OLA)
    world.directory.groups[MEMBERS].members.append(KARI)
    return link


def failing(world: GraphWorld) -> None:
    world.endpoint.refusals["POST", "/Users"] = 409
    world.entra.cycle()


def disabled(world: GraphWorld) -> None:
    world.directory.users[OLA].account_enabled = True
    world.entra.cycle()
    world.directory.users[OLA].account_enabled = False
    world.entra.cycle()


def linked(world: GraphWorld) -> None:
    world.directory.users[OLA].account_enabled = True
    world.entra.cycle()


def many_assigned(world: GraphWorld) -> None:
    world.adds_many(1000)


def paged(world: GraphWorld) -> None:
    world.adds_many(1000)


def last_page(world: GraphWorld) -> None:
    world.graph.style = replace(world.graph.style, empty_pages="last")


def styled(**changes: Any) -> Callable[[GraphWorld], None]:
    def prepare(world: GraphWorld) -> None:
        world.graph.style = replace(world.graph.style, **changes)

    return prepare


def without(*permissions: str) -> Callable[[GraphWorld], None]:
    return lambda world: world.may_not(*permissions)


def with_writing(world: GraphWorld) -> None:
    world.may_only(*world.graph.client.permissions, "Synchronization.ReadWrite.All")


def with_audits(world: GraphWorld) -> None:
    world.may_only(*world.graph.client.permissions, "AuditLog.Read.All")
    quarantined(world)


def secret_expired(world: GraphWorld) -> None:
    world.graph.client.secret_expires_at = world.clock.now - timedelta(days=1)


def managed(world: GraphWorld) -> None:
    world.graph.client.managed = True


def without_licence(world: GraphWorld) -> None:
    world.graph.logs.premium = False


PREPARED: dict[str, Callable[[GraphWorld], None]] = {
    "token-secret-expired": secret_expired,
    "token-managed-identity": managed,
    "own-permissions": lambda world: world.may_only("User.Read.All", "Application.Read.All"),
    "jobs-healthy": lambda world: (world.entra.cycle(), failing(world))[0],
    "job-never-run": lambda world: setattr(world.job, "state", "Disabled"),
    "job-quarantine-credentials": quarantined,
    "job-quarantine-deletes": staged,
    "jobs-none": lambda world: world.graph.jobs.clear(),
    "sync-permission-missing": without("Synchronization.Read.All"),
    "restart": with_writing,
    "validate-credentials": with_writing,
    "provision-on-demand-skipped": with_writing,
    "provision-on-demand-other-form": lambda world: (with_writing(world), styled(on_demand="constant")(world))[0],
    "assigned-to": many_assigned,
    "group-members-hidden": lambda world: (styled(hidden_members="ids")(world), hides(world))[0],
    "users-page": paged,
    "users-without-lifecycle-permission": without("User-LifeCycleInfo.Read.All"),
    "forbidden": without("User.Read.All"),
    "delta-changes": marked,
    "delta-expired": expired,
    "batch": lambda world: world.graph.faults.plan(Fault("status", 429, path=f"/users/{OLA}", retry_after="7")),
    "throttled": lambda world: world.graph.faults.plan(Fault("status", 429, path="/users", retry_after="10")),
    "log-of-a-person": disabled,
    "log-of-failures": lambda world: (failing(world), last_page(world))[0],
    "log-permission-missing": without("ProvisioningLog.Read.All"),
    "log-no-licence": without_licence,
    "quarantine-history": with_audits,
    "object-connection": linked,
}


def hides(world: GraphWorld) -> None:
    world.may_not("Member.Read.Hidden", "User.Read.All")


def replayed(world: GraphWorld, example: dict[str, Any]) -> Any:
    asked = example["request"]
    headers = {name: text for name, text in asked["headers"].items() if name != "Authorization"}
    if "oauth2/v2.0" in asked["url"]:
        body = asked["body"] | {"client_secret": "sandbox-secret"}
        if "client_assertion" in body:
            del body["client_secret"]
            body["client_assertion"] = assertion(world, example["notes"])
        return world.session.post(asked["url"], data=body)
    url = asked["url"]
    if example["id"] == "group-delta":
        url = group_mark(world)
    if example["id"] == "assigned-to-last-page":
        last_page(world)
        url = world.reads(url.partition("&$skiptoken")[0])["@odata.nextLink"]
    return world.asks(url, asked["method"], json=asked.get("body"), headers=headers)


def assertion(world: GraphWorld, notes: dict[str, Any]) -> str:
    certificate, key, thumbprint = a_certificate()
    world.graph.client.trusts(certificate)
    now = int(world.clock.now.timestamp())
    claims = notes["jwt_claims"] | {"jti": "one", "nbf": now, "iat": now, "exp": now + 300}
    signing = RSAKey.import_key(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    header = notes["jwt_header"] | {"x5t#S256": thumbprint}
    return jwt.encode(header, claims, signing, algorithms=["PS256"])


def shape_of(value: Any) -> str:
    kind = type(value).__name__
    return "number" if kind in ("int", "float") else kind


def differences(expected: Any, found: Any, at: str = "$") -> list[str]:
    """What of the expected shape is missing in what was found: keys, types, and an element for each kind of them."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if not expected.keys() - OPEN and expected:
            return []
        return [
            each
            for key, value in expected.items()
            if key not in OPEN
            for each in (differences(value, found[key], f"{at}.{key}") if key in found else [f"{at}.{key} is missing"])
        ]
    if isinstance(expected, list) and isinstance(found, list):
        missing = [[differences(value, each, f"{at}[]") for each in found] for value in expected]
        return [min(each, key=len, default=[f"{at} is empty"])[0] for each in missing if all(each) or not each]
    if expected is None or found is None:
        # A value that no one has, and one that is there: which of them a person has is not the shape.
        return []
    return [] if shape_of(expected) == shape_of(found) else [f"{at}: {shape_of(found)}, not {shape_of(expected)}"]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in LEFT_OUT])
def test_an_example_is_answered_in_its_shape(name: str):
    example = EXAMPLES[name]
    world = GraphWorld()
    world.peoples()
    PREPARED.get(name, lambda world: None)(world)

    answer = replayed(world, example)

    expected = example["response"]
    assert answer.status_code == expected["status"], answer.text
    for header in expected.get("headers", {}):
        assert header in answer.headers
    if isinstance(expected.get("body"), dict):
        assert differences(expected["body"], answer.json()) == []
        assert code_of(answer.json()) == code_of(expected["body"])
    elif "body" in expected:
        assert answer.text.isdigit() == expected["body"].isdigit()


def code_of(body: dict[str, Any]) -> object:
    error = body.get("error")
    return error.get("code") if isinstance(error, dict) else error


def test_what_is_left_out_is_in_the_file():
    assert LEFT_OUT.keys() <= EXAMPLES.keys()


def test_the_examples_sign_in_where_the_sandbox_does():
    assert EXAMPLES["token-secret"]["request"]["url"] == TOKEN_URL
    assert TOKEN_URL.startswith(f"{LOGIN}/{TENANT_ID}/")
    assert EXAMPLES["token-secret"]["request"]["body"]["client_id"] == CLIENT_ID


def test_a_style_has_a_name():
    assert GraphStyle().name == "default"
    assert GraphStyle(no_job="404").name == "no_job=404"
