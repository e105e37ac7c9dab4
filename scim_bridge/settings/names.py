"""The two spellings of a setting: `ditio.api_url` and `SCIM_BRIDGE_DITIO__API_URL`."""

Path = tuple[str, ...]
"""A setting's name, part by part: section, perhaps a table in it, name."""

PREFIX = "SCIM_BRIDGE_"
DELIMITER = "__"


def dotted(path: Path) -> str:
    """The spelling of the TOML file."""
    return ".".join(path)


def variable(path: Path) -> str:
    """The spelling of the environment, where a company's name can have no hyphen."""
    return PREFIX + DELIMITER.join(path).upper().replace("-", "_")


def both(path: Path) -> str:
    """Both spellings, for a message."""
    return f"{dotted(path)} ({variable(path)})"
