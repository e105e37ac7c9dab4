"""The file and the application list the same routes."""

import re
from collections.abc import Iterator, Sequence

import pytest
from flask import Flask
from scim2_models import ResourceType
from scim2_server.routing import ROUTES

from scim_bridge.bootstrap import Parts
from scim_bridge.web import monitoring
from tests.contract.openapi import METHODS, Contract
from tests.protocol.test_certificates import CRANE
from tests.world import BRIDGE, World

ANYTHING = "/{path}"
"""How a rule ends that hands everything below it to the SCIM library."""


def served(app: Flask, parts: Parts) -> set[tuple[str, str]]:
    """Every method and path that is answered: Flask's own rules, and the SCIM library's routes below the open ones.

    The rule of the metrics is without methods, as it says 404 to a stranger for any of them; it looks at them itself.
    """
    rules = {as_documented(rule.rule): rule.methods or set(monitoring.METHODS) for rule in app.url_map.iter_rules()}
    prefixes = {path.removesuffix(ANYTHING) for path in rules if path.endswith(ANYTHING)}
    of_scim = {f"{prefix}{ending}" for prefix in prefixes for ending in ("", "/", ANYTHING)}
    plain = {(method, path) for path, methods in rules.items() if path not in of_scim for method in methods}
    return {route for route in plain if route[0] not in ("HEAD", "OPTIONS")} | {
        (method, f"{prefix}{path}")
        for prefix in prefixes
        for method, path in scim_routes(parts.providers["default"]().resource_types)
    }


def as_documented(rule: str) -> str:
    """A rule of Flask's, `/tenants/<name>`, as a path of the file: `/tenants/{name}`."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def scim_routes(resource_types: Sequence[ResourceType]) -> Iterator[tuple[str, str]]:
    """The routes of the SCIM library, those of a resource type for each one that is served."""
    for route in ROUTES:
        path = route.pattern.replace("{resource_id}", "{id}").rstrip("/")
        for resource_type in resource_types:
            yield route.method, path.replace("/{endpoint}", str(resource_type.endpoint))


def test_every_route_is_documented_and_every_documented_route_is_served(world: World, contract: Contract):
    """In both directions: a route without a word, and words without a route."""
    assert contract.routes() == served(world.app, world.parts)


@pytest.fixture
def ids(world: World) -> dict[str, str]:
    """Ids to put into a path, by what stands before `{id}`."""
    return {
        "Users": world.scim("POST", "/Users", {"userName": "kari"}).json()["id"],
        "Groups": world.scim("POST", "/Groups", {"displayName": "Anlegg"}).json()["id"],
        "Certificates": world.scim("POST", "/Certificates", CRANE).json()["id"],
        "ResourceTypes": "User",
        "Schemas": "urn:ietf:params:scim:schemas:core:2.0:User",
    }


LOCALLY = {"Host": "localhost"}
"""Not through a proxy: figures are told to no one else."""


def filled(path: str, ids: dict[str, str]) -> str:
    """A path of the file as a URL."""
    path = re.sub(r"(\w+)/\{id\}$", lambda match: f"{match[1]}/{ids[match[1]]}", path)
    return BRIDGE + path.replace("{name}", "default")


def test_a_documented_route_is_answered(world: World, contract: Contract, ids: dict[str, str]):
    """Never 404 as an unknown route, never 405: of the application itself, whatever its rules look like."""
    routes = sorted(contract.routes(), key=lambda route: (route[0] == "DELETE", route))
    prefixes = {path.rpartition("/scim/v2")[0] for _, path in routes}
    assert prefixes == {"", "/tenants/{name}"}

    unknown = [
        (method, path)
        for method, path in routes
        # The default company's own resources are deleted once.
        if method != "DELETE" or not path.startswith("/tenants")
        if world.http.request(method, filled(path, ids), headers=LOCALLY).status_code in (404, 405)
    ]

    assert unknown == []


def test_what_is_not_documented_is_not_served(world: World, contract: Contract, ids: dict[str, str]):
    """RFC 9110 §15.5.6: 405, with the methods that are documented in `Allow`."""
    routes = contract.routes()
    for path in {path for _, path in routes}:
        documented = {method for method, other in routes if other == path}
        if path.endswith("s/.search"):
            # Another method asks for the resource whose id is ".search", of which there is none.
            continue
        for method in {method.upper() for method in METHODS} - documented:
            answer = world.http.request(method, filled(path, ids), headers=LOCALLY)
            assert answer.status_code == 405, (method, path)
            if "/scim/v2" in path:
                assert set(answer.headers["Allow"].split(", ")) == documented
    for path in ("/scim/v2/Nothing", "/scim/v2/Users/a/b", "/tenants/default/scim/v2/Nothing", "/nothing"):
        assert world.http.get(BRIDGE + path).status_code == 404
