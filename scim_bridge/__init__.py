"""A SCIM 2.0 server that Microsoft Entra ID provisions into. It delivers each person to Ditio."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def installed_version(package: str = "scim-bridge") -> str:
    """Return the installed version of a package, or 0 if it is not installed: the bridge may run from its source."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "0"
