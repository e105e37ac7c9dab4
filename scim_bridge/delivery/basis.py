"""What decides a comparison beside the two sides: the mapping, the settings, and the versions of the code.

Every process comes to the same: nothing here may be a set, or show an address in memory.
"""

import hashlib

from scim_bridge import installed_version
from scim_bridge.delivery.tenant import Tenant


def basis_of(tenant: Tenant) -> str:
    """A digest that differs wherever the same user and the same employee might be judged otherwise."""
    # Another release of the library may take a phone number for a wrong one, or for a right one.
    parts = (
        installed_version(),
        installed_version("phonenumbers"),
        tenant.rules,
        tenant.policy,
        tenant.slots,
        tenant.certificates,
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
