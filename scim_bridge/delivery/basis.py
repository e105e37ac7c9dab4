"""What decides a comparison beside the two sides: the mapping, the settings, and this version's own code."""

import hashlib
from importlib.metadata import PackageNotFoundError, version

from scim_bridge.delivery.tenant import Tenant


def basis_of(tenant: Tenant) -> str:
    """A digest that differs wherever the same user and the same employee might be judged otherwise."""
    parts = (_version(), tenant.rules, tenant.policy, tenant.slots, tenant.certificates)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _version() -> str:
    try:
        return version("scim-bridge")
    except PackageNotFoundError:
        return "0"
