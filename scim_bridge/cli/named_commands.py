"""Commands that a message tells people to type: with `--tenant`, where they are about a company with a name."""

import re

from scim_bridge.settings import DEFAULT_TENANT

_NAMED = re.compile(r"`((?:scim-bridge )?(?:adopt|client|outbox|people|reconcile|token)\b[^`]*)`")
"""A command about one company, as messages name it."""


def of_tenant(tenant: str) -> str:
    """What a command is followed by to be about a company: nothing, for the one without a name."""
    return "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"


def about_tenant(tenant: str, text: str) -> str:
    """A message whose commands, each between backticks, are about a company."""
    return text if tenant == DEFAULT_TENANT else _NAMED.sub(rf"`\1{of_tenant(tenant)}`", text)
