"""The settings: what there is to set, read once from the environment and a TOML file."""

from scim_bridge.settings.auth import Auth
from scim_bridge.settings.display import effective
from scim_bridge.settings.distinct import unservable
from scim_bridge.settings.ditio import Ditio, Operations
from scim_bridge.settings.example import example
from scim_bridge.settings.loading import load
from scim_bridge.settings.model import (
    Database,
    Delivery,
    Log,
    Mapping,
    Scim,
    Server,
    Settings,
)
from scim_bridge.settings.tenants import DEFAULT_TENANT

__all__ = [
    "DEFAULT_TENANT",
    "Auth",
    "Database",
    "Delivery",
    "Ditio",
    "Log",
    "Mapping",
    "Operations",
    "Scim",
    "Server",
    "Settings",
    "effective",
    "example",
    "load",
    "unservable",
]
