"""A simulated Microsoft Graph over the directory and the provisioning job of the simulated Entra.

Written from Microsoft's documentation and public reports. What these leave open is a parameter of `style.GraphStyle`.
"""

from scim_bridge.sandbox.graph.access import READING, ROLES, Federation, GraphClient
from scim_bridge.sandbox.graph.assignments import Principal
from scim_bridge.sandbox.graph.service import CLIENT_ID, CLIENT_SECRET, SERVICE_PRINCIPAL, TENANT_ID, SandboxGraph
from scim_bridge.sandbox.graph.style import GraphStyle, reported_styles

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "READING",
    "ROLES",
    "SERVICE_PRINCIPAL",
    "TENANT_ID",
    "Federation",
    "GraphClient",
    "GraphStyle",
    "Principal",
    "SandboxGraph",
    "reported_styles",
]
