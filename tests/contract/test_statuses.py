"""Every status that the file documents is really answered, at every operation."""

import itertools
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from scim_bridge.certificates.sources import CertificateSources, Stored
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.certificate import Certificate, Source, type_of
from scim_bridge.domain.employee import EmployeeNumber
from tests.contract.broken import answered_by, with_a_fault, without_database
from tests.contract.conftest import SETTINGS
from tests.contract.openapi import Contract, Operation
from tests.protocol.test_certificates import CRANE
from tests.thorough import short_on_sqlite
from tests.world import BRIDGE, World, day

NUMBER = itertools.count()


@short_on_sqlite
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_documented_status_is_answered_and_no_other(world: World, contract: Contract):
    """Nothing in the file is made up, and nothing is left out: each status is tried at each operation."""
    wrong: list[str] = []
    operations = contract.operations()
    known = {status for operation in operations for status in operation.statuses}
    for operation, status in itertools.product(operations, sorted(known)):
        if status == 413 and not (operation.takes_body or status in operation.statuses):
            # Nobody sends a body, let alone one that is too large.
            continue
        answer = brought_about(world, operation, status)
        wrong += contract.problems(answer)
        if status in operation.statuses and answer.status_code != status:
            wrong.append(f"{operation}: {answer.status_code} instead of {status}: {answer.text[:200]}")

    assert wrong == []


def brought_about(world: World, operation: Operation, status: int) -> requests.Response:
    """The answer to a request that ought to have this status."""
    sent: dict[str, Any] = {"headers": {}, "params": {}, "json": body_for(operation)}
    is_token = operation.path == "/oauth/token"
    if is_token:
        sent |= {"json": None, "data": a_client(world) if status != 400 else {"grant_type": "password"}}
    taken = fresh(world, operation)
    path = operation.path.replace("{id}", "none" if status == 404 else taken)
    with ExitStack() as stack:
        match status:
            case 204 if operation.method == "PATCH":
                world.restarts_with(scim={"patch_status": 204})
                stack.callback(world.restarts_with, scim={"patch_status": 200})
            case 304:
                sent["headers"]["If-None-Match"] = "*"
            case 400:
                sent["params"]["anything"] = "\x00"
            case 401 if is_token:
                sent["data"] = {"grant_type": "client_credentials"}
            case 401:
                sent["headers"]["Authorization"] = None
            case 403:
                sent["params"]["filter"] = "x"
            case 200 if operation.path == "/metrics":
                sent["headers"]["Host"] = "localhost"
            case 404 if operation.path == "/metrics":
                sent["headers"]["Authorization"] = None
            case 409 if "/Certificates" in path:
                if operation.method == "POST":
                    world.scim("POST", "/Certificates", sent["json"])
                path = path.replace(taken, said_in_a_file(world, next(NUMBER))) if taken else path
            case 409:
                world.scim("POST", "/Users", {"userName": "taken"})
                sent["json"] = body_for(operation, name="taken")
            case 412:
                sent["headers"]["If-Match"] = 'W/"0"'
            case 413:
                if is_token:
                    sent["headers"]["Content-Type"] = "application/x-www-form-urlencoded"
                sent |= {"json": None, "data": b"x" * (world.parts.settings.scim.max_body_bytes + 1)}
            case 415:
                sent["headers"]["Content-Type"] = "text/xml"
            case 429:
                world.restarts_with(auth={"max_failures_per_minute": 1})
                stack.callback(world.restarts_with, auth=SETTINGS["auth"])
                sent |= {"json": None, "data": {"grant_type": "client_credentials"}} if is_token else {}
                sent["headers"]["Authorization"] = None if is_token else "Bearer wrong"
                world.http.request(operation.method, BRIDGE + path, **sent)
            case 500:
                stack.enter_context(answered_by(world, with_a_fault(world)))
            case 503:
                stack.enter_context(answered_by(world, without_database(world)))
        return world.http.request(operation.method, BRIDGE + path, **sent)


def a_client(world: World) -> dict[str, str]:
    """What a client of its own sends to the token endpoint."""
    client_id, now = f"client-{next(NUMBER)}", world.clock()
    with world.database.write("default") as s:
        s.at(now).clients.add(client_id, "Entra", f"secret of {client_id}", expires_at=None)
    return {"grant_type": "client_credentials", "client_id": client_id, "client_secret": f"secret of {client_id}"}


def body_for(operation: Operation, name: str | None = None) -> dict[str, Any] | None:
    """A body that is taken; None where none is sent."""
    name = name or f"name-{next(NUMBER)}"
    match operation.method:
        case "PATCH":
            attributes = {"Groups": "displayName", "Users": "userName", "Certificates": "notes"}
            attribute = attributes.get(operation.path.split("/")[3], "userName")
            return {"Operations": [{"op": "Replace", "path": attribute, "value": name}]}
        case "POST" if operation.path.endswith("Bulk"):
            data = {"userName": name}
            return {"Operations": [{"method": "POST", "bulkId": "x", "path": "/Users", "data": data}]}
        case "POST" if operation.path == "/oauth/token":
            return None
        case "POST" | "PUT" if not operation.path.endswith(".search"):
            return whole(name)
        case "POST":
            return {"count": 1}
    return None


def fresh(world: World, operation: Operation) -> str:
    """The id of something that the operation can act on."""
    if operation.path.endswith("Types/{id}"):
        return "User"
    if operation.path.endswith("Schemas/{id}"):
        return "urn:ietf:params:scim:schemas:core:2.0:User"
    if not operation.path.endswith("{id}"):
        return ""
    collection = operation.path.removeprefix("/scim/v2").removesuffix("/{id}")
    name = f"name-{next(NUMBER)}"
    return str(world.scim("POST", collection, whole(name)).json()["id"])


def whole(name: str) -> dict[str, Any]:
    """What makes a user, a group and a certificate: none minds what belongs to another."""
    return {"userName": name, "displayName": name, **CRANE, "schemas": [], "employeeNumber": name}


def said_in_a_file(world: World, number: int) -> str:
    """The id of a certificate that came in another way."""
    certificate = Certificate(type_of("Byggekort"), day("2026-02-01"), day("2031-02-01"))
    intake = Intake(world.parts.tenants["default"], "request-0", queues_only=True)
    sources = CertificateSources(intake.tenant, intake.certificate_said)
    with world.database.write("default") as s:
        kept = sources.put(s, Source.csv, EmployeeNumber(f"file-{number}"), certificate)
    assert isinstance(kept, Stored)
    return kept.entry.id
