"""The protocol server's own contract for storages, on both databases."""

import pytest
from scim2_server.testing import ScimStorageContract

from scim_bridge.scim.provider import build_provider
from scim_bridge.web.scim.storage import BridgeStorage
from tests.protocol.doubles import AUTHOR, NoIntake

PROVIDER = build_provider(max_page_size=200)


class TestBridgeStorage(ScimStorageContract):
    """What `scim2_server` expects of any storage."""

    @pytest.fixture
    def provider(self):
        return PROVIDER

    @pytest.fixture
    def storage(self, database, provider):
        return BridgeStorage(database, "default", provider, NoIntake(), lambda ticket: None, AUTHOR)
