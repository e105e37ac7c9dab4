"""Ditio: set, of one environment, a token, a read, and its clock."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from scim_bridge.bootstrap import build_client
from scim_bridge.cli.doctor.database import clock_of
from scim_bridge.cli.doctor.findings import Finding, fails, ok, parted
from scim_bridge.errors import CredentialsRefused, DeliveryError, SettingsError
from scim_bridge.settings import Settings

CALL_SECONDS = 8.0
"""How long the token, and then the read, may take."""

IMPATIENT_SECONDS = CALL_SECONDS / 2
"""How long one that only asks for the time may take."""

ENVIRONMENTS = {".ditio.app": "production", ".ditio.no": "production", ".ditio.dev": "test"}
"""Ditio's documented addresses."""


def examine_ditio(settings: Settings) -> Iterator[Finding]:
    """The way to Ditio, as far as it can be gone without touching anybody."""
    try:
        client = build_client(settings)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield fails("Ditio settings", line, "set it as `scim-bridge settings example` explains")
        return
    if (mixed := _mixed(settings)) is not None:
        yield mixed
    try:
        client.sign_in(within=CALL_SECONDS)
    except DeliveryError as error:
        yield _failed("Ditio token", error, "DITIO__IDENTITY_URL")
        return
    yield ok("Ditio token", f"given out by {settings.ditio.identity_url}")
    try:
        client.check(within=CALL_SECONDS)
    except DeliveryError as error:
        yield _failed("Ditio read", error, "DITIO__API_URL")
    else:
        yield ok("Ditio read", f"{settings.ditio.api_url} answers")
    yield from _clock(settings.ditio.identity_url or "")


def _failed(check: str, error: DeliveryError, setting: str) -> Finding:
    if isinstance(error, CredentialsRefused):
        # Its message goes on with what to look at, the five causes of a 401 or 403 among it (rule R2).
        return parted(check, str(error), f"see that {setting} is right", at=". ")
    cure = f"see that {setting} is right, and that this machine may reach it (name server, firewall, proxy)"
    return fails(check, str(error), f"{cure}; if Ditio itself is down, wait: nothing is lost meanwhile")


def _mixed(settings: Settings) -> Finding | None:
    """Identity of one environment with the API of the other."""
    identity, api = (_environment(url) for url in (settings.ditio.identity_url, settings.ditio.api_url))
    if identity is None or api is None or identity == api:
        return None
    return fails(
        "Ditio settings",
        f"DITIO__IDENTITY_URL is of Ditio's {identity} environment, DITIO__API_URL of its {api} environment",
        "take both, and the API client's id and secret, from the same environment",
    )


def _environment(url: str | None) -> str | None:
    host = f".{urlsplit(url or '').hostname or ''}"
    return next((name for ending, name in ENVIRONMENTS.items() if host.endswith(ending)), None)


def _clock(url: str) -> Iterator[Finding]:
    """Ditio's clock, as far as its server tells the time."""
    try:
        with requests.get(url, timeout=IMPATIENT_SECONDS, allow_redirects=False, stream=True) as response:
            theirs = parsedate_to_datetime(response.headers["Date"])
    except (requests.RequestException, KeyError, ValueError):
        return
    yield clock_of("Ditio", theirs.astimezone(UTC) - datetime.now(UTC))
