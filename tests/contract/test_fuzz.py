"""Schemathesis tries what the document says, and what it doesn't say (rule A2: never a 5xx).

The requests are the same in every run. For a longer one, with others: `FUZZ_EXAMPLES=300 FUZZ_SEED=7 pytest
tests/contract/test_fuzz.py`.
"""

import os

from sqlalchemy import update

from scim_bridge.sandbox.server import running
from scim_bridge.storage.tables import certificate_entries, people, resources
from tests.contract import fuzzing
from tests.contract.openapi import JSON, Contract
from tests.protocol.judged import Judged
from tests.thorough import either, short_on_sqlite
from tests.world import TOKEN, World

FORM = "application/x-www-form-urlencoded"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", either(5, 2)))
SEED = int(os.environ.get("FUZZ_SEED", str(fuzzing.SEED)))

CHECKS = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "use_after_free",
    "ensure_resource_availability",
}
PHASES = {"examples", "coverage", "fuzzing", "stateful"}


@short_on_sqlite
def test_whatever_is_sent_is_answered_as_documented(world: World, contract: Contract):
    """Every status, type, header and body is one that the document has; no credential is ignored; what is deleted
    is gone, and what is created is there.
    """
    the_examples_exist(world, contract)
    judged = Judged(world.app, TOKEN, world)

    with running(judged) as url:
        found = fuzzing.run(contract, url, TOKEN, examples=EXAMPLES, seed=SEED)

    assert found.failures == []
    assert {status for _, _, status in judged.faults()} <= {501}
    assert found.phases == PHASES
    assert found.checks >= CHECKS
    without_success = [
        str(operation)
        for operation in contract.operations()
        if any(status < 300 for status in operation.statuses)
        if not any(status < 300 for status in found.statuses.get(str(operation), ()))
    ]
    assert without_success == []


def the_examples_exist(world: World, contract: Contract) -> None:
    """The client, the user, the group and the certificate of the document's examples are there, under their ids."""
    client = contract.document["paths"]["/oauth/token"]["post"]["requestBody"]["content"][FORM]["examples"]["client"]
    client_id, secret, now = client["value"]["client_id"], client["value"]["client_secret"], world.clock()
    with world.database.write("default") as s:
        s.at(now).clients.add(client_id, "Entra", secret, expires_at=None)
    for path in ("/Users", "/Groups", "/Certificates"):
        operation = contract.document["paths"][f"/scim/v2{path}"]["post"]
        (sent, answered) = (
            next(iter(each["content"][JSON]["examples"].values()))["value"]
            for each in (operation["requestBody"], operation["responses"]["201"])
        )
        created = world.scim("POST", path, sent).json()["id"]
        with world.database.write() as s:
            s.connection.execute(update(resources).where(resources.c.id == created).values(id=answered["id"]))
            of_it = certificate_entries.c.id == created
            s.connection.execute(update(certificate_entries).where(of_it).values(id=answered["id"]))
            s.connection.execute(update(people).where(people.c.user_id == created).values(user_id=answered["id"]))
