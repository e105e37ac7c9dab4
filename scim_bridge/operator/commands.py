"""Commands that messages name, for one company."""

import re

from scim_bridge.settings import DEFAULT_TENANT

_NAMED = re.compile(r"`((?:scim-bridge )?(?:adopt|client|notify|outbox|people|reconcile|token)\b[^`]*)`")
"""A command that concerns one company, as messages name it."""


def of_tenant(tenant: str) -> str:
    """Return the option that makes a command concern a company; empty for the company without a name."""
    return "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"


def about_tenant(tenant: str, text: str) -> str:
    """Return a message whose commands, each in backticks, concern a company."""
    return text if tenant == DEFAULT_TENANT else _NAMED.sub(rf"`\1{of_tenant(tenant)}`", text)
