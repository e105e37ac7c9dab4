"""The settings: what there is to set, read once from the environment and a TOML file."""

from scim_bridge.settings.catalogue import effective, example
from scim_bridge.settings.load import load, unservable
from scim_bridge.settings.model import Database, Delivery, Log, Mapping, Notify, Scim, Server, Settings
from scim_bridge.settings.sections import Auth, Ditio, Operations
from scim_bridge.settings.types import DEFAULT_TENANT

__all__ = [
    "DEFAULT_TENANT",
    "Auth",
    "Database",
    "Delivery",
    "Ditio",
    "Log",
    "Mapping",
    "Notify",
    "Operations",
    "Scim",
    "Server",
    "Settings",
    "effective",
    "example",
    "load",
    "unservable",
]
