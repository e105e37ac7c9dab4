"""A bridge that knows an issuer of JWTs on loopback."""

from collections.abc import Iterator

import pytest

from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.web.issuer import API, SUBJECT, TENANT, WORKLOAD, Issuer, listening
from tests.world import World


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with listening(Issuer()) as issuer:
        yield issuer


@pytest.fixture
def world(database: Database, clock: Clock, issuer: Issuer) -> World:
    """All four ways are open."""
    auth = {
        "entra_tenant_id": TENANT,
        "entra_jwks_url": issuer.url,
        "workload_issuer": WORKLOAD,
        "workload_subject": SUBJECT,
        "workload_audience": API,
        "workload_jwks_url": issuer.url,
    }
    return World(database, clock, settings={"auth": auth, "server": {"trusted_proxies": ["10.0.0.0/24"]}})
