"""Certificates of many people in one request: the outcome of each, also where a transaction has to be repeated."""

from datetime import date
from typing import Any

import pytest

from scim_bridge.certificates.batches import Batches
from scim_bridge.certificates.sending import NotSent, UnclaimedHold
from scim_bridge.certificates.sources import CertificateSources
from scim_bridge.delivery.breaker import Gate
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.certificate import Certificate, CertificateToSend, Holder, Line, Source, type_of, wanted_of
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.ledger import CertificateDeliveries
from tests.conftest import Clock
from tests.waiting import conflict
from tests.world import World

NUMBER = EmployeeNumber("1042")
BYGGEKORT = type_of("Byggekort")


def test_a_transaction_that_is_repeated_leaves_no_outcome_of_its_first_try(
    database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """At first another process has the certificate; the conflict is over, and Ditio fails: that is what is told."""
    world = World(database, clock)
    tenant = world.parts.tenants["default"]
    intake = Intake(world.parts.tenants["default"], "request", queues_only=True)
    certificate = Certificate(BYGGEKORT, date(2026, 1, 15), date(2028, 1, 14))
    with database.write("default") as s:
        CertificateSources(intake.tenant, intake.certificate_said).put(s, Source.csv, NUMBER, certificate)
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    take, tries = UnclaimedHold.take, []

    def take_later(self: UnclaimedHold, s: Any, keys: Any) -> Any:
        tries.append(keys)
        return {key: NotSent("another process has it") for key in keys} if len(tries) == 1 else take(self, s, keys)

    def begin(self: CertificateDeliveries, shipments: Any) -> None:
        if len(tries) == 1:
            raise conflict()

    monkeypatch.setattr(UnclaimedHold, "take", take_later)
    monkeypatch.setattr(CertificateDeliveries, "begin", begin)

    def choose(line: Line, number: EmployeeNumber) -> CertificateToSend | None:
        wanted = wanted_of(line, number, tenant.certificates)
        return wanted if isinstance(wanted, CertificateToSend) else None

    key = Holder.of_number(NUMBER), BYGGEKORT
    batches = Batches(tenant, choose, Gate(tenant).report_many)
    batches.send_unclaimed([key])

    assert len(tries) == 2
    assert batches.halted
    assert batches.outcomes == {key: batches.halted}
