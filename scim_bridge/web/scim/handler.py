"""The order of the protocol's steps, where it differs from the library's."""

from typing import Any

from scim2_models import PatchOp, Resource, ResourceType
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler

from scim_bridge.web.scim.storage import BridgeStorage


class BridgeHandler(ScimHandler):
    """Calls the steps, and tells the storage of writes that change nothing (rule A5)."""

    storage: BridgeStorage

    def patch_resource(
        self,
        resource_type: ResourceType,
        resource_id: str,
        patch_op: "PatchOp[Any]",
        conditions: Conditions,
    ) -> Resource[Any]:
        """Apply a PATCH to a stored resource."""
        current = self.storage.get(resource_type, resource_id)
        version = current.meta.version if current.meta else None
        patched = self.service.apply_patch(current, patch_op, conditions)
        if patched is None:
            self.storage.repeated(resource_type, resource_id)
            return current
        return self.storage.update(resource_type, patched, expected_version=version)

    def replace_resource(
        self,
        resource_type: ResourceType,
        current: Resource[Any],
        replacement: Resource[Any],
        conditions: Conditions,
    ) -> Resource[Any]:
        """Put a whole new state in a stored resource's place."""
        version = current.meta.version if current.meta else None
        replaced = self.service.apply_replacement(current, replacement, conditions)
        if replaced is None:
            self.storage.repeated(resource_type, str(current.id))
            return current
        return self.storage.update(resource_type, replaced, expected_version=version)
