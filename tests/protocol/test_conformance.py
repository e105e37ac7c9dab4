"""Conformance as others see it: every check of scim2-tester, and scim-sanity in its strict mode.

Each judge sees the endpoints alone, and the whole application with a simulated Ditio behind it, where what the judge
creates is really hired and ended. No judge may be answered 5xx (rule A2).
"""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import scim2_tester
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_models import ScimProvider
from scim2_tester import CheckResult, Status
from scim_sanity.probe.runner import run_probe_api

from scim_bridge.sandbox.server import running
from scim_bridge.scim.provider import DELIVERY_ATTRIBUTES, build_provider
from scim_bridge.scim.reading import CORE_URN, DITIO_URN, ENTERPRISE_URN
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.protocol.conftest import Scim
from tests.protocol.judged import Judged
from tests.thorough import either, short_on_sqlite, thorough_only
from tests.world import TOKEN, World

BASE = "http://localhost/scim/v2"

CHECKS = 176
"""How many checks scim2-tester 0.5.2 has for users, groups and certificates; more where the bridge serves more."""

WITHOUT_AGENTS = {"Agent CRUD Lifecycle", "AgenticApplication CRUD Lifecycle", "Agent Rapid Lifecycle"}
"""What scim-sanity leaves out: resource types of a draft (draft-abbey-scim-agent-extension-00) that no one claims."""

HIRED = {
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "phoneNumbers": [{"type": "mobile", "value": "+47 987 65 432"}],
    ENTERPRISE_URN: {"employeeNumber": "1042"},
}
"""What makes a user complete, so that Ditio gets an employee."""


@pytest.fixture(autouse=True)
def same_values_every_time() -> Iterator[None]:
    """scim2-tester draws what it sends; a failure can be repeated."""
    state = random.getstate()
    random.seed(1042)
    yield
    random.setstate(state)


@pytest.fixture
def application(database: Database, clock: Clock) -> Judged:
    # A judge deletes more users in a moment than a company loses in an hour (rules L5, L8).
    world = World(database, clock, settings={"delivery": {"end_employment": "at-once", "max_ended_fraction": 1.0}})
    return Judged(world.app, TOKEN, world)


def checked_by_scim2_tester(judged: Judged, provider: ScimProvider | None = None) -> list[CheckResult]:
    """All checks; without a provider the judge believes what `/Schemas` and `/ResourceTypes` say."""
    headers = {"Authorization": f"Bearer {judged.token}"}
    return scim2_tester.check_server(WSGISCIMClient(judged, base_url=BASE, headers=headers, provider=provider))


def objections(results: list[CheckResult]) -> list[CheckResult]:
    """What is not right; a check that was skipped has found nothing right."""
    found = [result for result in results if result.status not in (Status.SUCCESS, Status.COMPLIANT, Status.ACCEPTABLE)]
    return [result for result in found if not is_the_same_instant(result)]


def is_the_same_instant(result: CheckResult) -> bool:
    """Whether the judge objects to the very instant that it sent: it compares its text with the date that it read."""
    data = result.data if isinstance(result.data, dict) else {}
    sent, answered = data.get("expected"), data.get("modify_actual", data.get("actual"))
    if not isinstance(sent, str) or not isinstance(answered, datetime):
        return False
    assert datetime.fromisoformat(sent) == answered, result.reason
    return True


def a_company() -> ScimProvider:
    """The description of the service, with values that Ditio takes: the judge draws from a schema's canonical ones."""
    published = build_provider(max_page_size=200)
    schemas = {str(schema.id): schema for schema in published.schemas}
    ditio = schemas[DITIO_URN]
    ditio["birthDate"].canonical_values = ["1990-05-15"]
    ditio["employmentStartDate"].canonical_values = ["2026-03-01"]
    ditio["employmentEndDate"].canonical_values = ["2026-08-31"]
    ditio["payroll"].canonical_values = ["1"]
    # Enough of them, or two people would wait for each other's (rule P3).
    phones = [f"+47 900 {number:05d}" for number in range(500)]
    schemas[CORE_URN]["phoneNumbers"]["value"].canonical_values = phones
    return ScimProvider.from_discovery(list(schemas.values()), published.resource_types, published.config)


@short_on_sqlite
@pytest.mark.parametrize("patch_status", either([200, 204], [204]))
def test_scim2_tester_objects_to_nothing(scim: Scim, patch_status: int):
    """RFC 7643 and 7644, as scim2-tester reads them; nothing is skipped."""
    scim.patch_status = patch_status
    judged = Judged(scim.app, str(scim.token))

    results = checked_by_scim2_tester(judged)

    assert [(result.title, result.resource_type, result.reason) for result in objections(results)] == []
    assert len(results) >= CHECKS
    assert judged.faults() == []


@thorough_only
def test_scim2_tester_objects_only_to_the_delivery_of_a_whole_application(application: Judged):
    """A6: beside what was sent, the extension tells how far the delivery is, and this judge compares it as a whole.

    RFC 7643 §7: a `readOnly` attribute "SHALL NOT be modified", so it is still there when the judge has removed the
    extension. Without these attributes each answer is exactly what the judge expects.
    """
    results = checked_by_scim2_tester(application, a_company())

    objected = objections(results)
    assert {(result.title, result.resource_type, result.data["urn"]) for result in objected} == {
        (title, "User", DITIO_URN)
        for title in ("check_add_attribute", "check_replace_attribute", "check_remove_attribute")
    }
    for result in objected:
        assert sent_part(result.data["modify_actual"]) == sent_part(result.data.get("expected"))
    assert len(results) >= CHECKS
    assert application.faults() == []
    delivered(application)


def sent_part(extension: Any) -> dict[str, Any]:
    """What a client may send of the Ditio extension, which must have been answered with the rest."""
    if extension is None:
        return {}
    values = extension.model_dump(exclude_none=True)
    return {name: value for name, value in values.items() if name not in ("schemas", *DELIVERY_ATTRIBUTES)}


def test_scim_sanity_objects_to_nothing_at_the_endpoints(scim: Scim):
    """RFC 7643 and 7644, as scim-sanity reads them in its strict mode, over a socket."""
    probed_by_scim_sanity(Judged(scim.app, str(scim.token)))


def test_scim_sanity_objects_to_nothing_in_a_whole_application(application: Judged):
    """The same while each write is delivered to Ditio before it is answered."""
    probed_by_scim_sanity(application)

    delivered(application)


def probed_by_scim_sanity(judged: Judged) -> None:
    """Let scim-sanity probe, and look at what it says."""
    with running(judged) as url:
        report = run_probe_api(f"{url}/scim/v2", token=judged.token, strict=True, extra_user_fields=HIRED)

    told = {result["name"]: result["status"] for result in report["results"] if result["status"] != "pass"}
    assert told == dict.fromkeys(WITHOUT_AGENTS, "skip"), report["issues"]
    assert (report["mode"], report["exit_code"]) == ("strict", 0)
    assert report["summary"]["passed"] >= 28
    assert judged.faults() == []


def delivered(judged: Judged) -> None:
    """The judge's users were hired in Ditio, and those whom it deleted left: none of it for show."""
    assert judged.world is not None
    asked = Counter(call.path.rpartition("/")[2] for call in judged.world.ditio.writes() if call.status < 300)
    assert asked["employees"] >= 1
    assert asked["end-employment"] == asked["disable"] == asked["employees"]
