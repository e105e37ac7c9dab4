"""A SCIM 2.0 server that Microsoft Entra ID provisions into, delivering each person to Ditio."""

from importlib.metadata import PackageNotFoundError, version


def installed_version(package: str = "scim-bridge") -> str:
    """The version of a package as it is installed; 0 of one that is not: the bridge may run from its source."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "0"
