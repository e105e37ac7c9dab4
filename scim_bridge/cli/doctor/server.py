"""The bridge's own side: where Entra reaches it, and settings that are worth a second look."""

import os
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import requests

from scim_bridge.bootstrap import build_rules
from scim_bridge.cli.doctor.companies import examine_common, told_of
from scim_bridge.cli.doctor.findings import Finding, fails, hint, is_open_to_others, ok
from scim_bridge.errors import SettingsError
from scim_bridge.settings import Settings
from scim_bridge.settings.catalogue import CATALOGUE, is_secret, shown
from scim_bridge.settings.sources import FILE_SUFFIX
from scim_bridge.settings.types import Path as Setting
from scim_bridge.settings.types import dotted, is_shared

REACH_SECONDS = 5.0


def examine_public_url(settings: Settings) -> Iterator[Finding]:
    """`SERVER__BASE_URL`: Entra comes from outside, over https."""
    check, url = "public URL", settings.server.base_url
    cure = "set SERVER__BASE_URL to the https address under which Entra reaches the bridge"
    if url is None:
        yield fails(check, "SERVER__BASE_URL is not set, so links in answers lead to this machine alone", cure)
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_local(host):
        yield fails(check, f"{url} is this machine itself: Entra comes from outside", cure)
    elif parts.scheme != "https":
        yield fails(check, f"{url} is not https: Entra calls over https only", cure)
    elif is_private(host):
        yield hint(check, f"{url} is an address within a network: Entra comes from outside", cure)
    else:
        yield _reached(url)


def _reached(url: str) -> Finding:
    """Whether it answers from here, which proves little: Entra takes another way."""
    try:
        with requests.get(f"{url}/healthz", timeout=REACH_SECONDS, allow_redirects=False, stream=True) as response:
            if response.status_code == 200:
                return ok("public URL", f"the bridge answers at {url}")
            why = f"{url}/healthz answers {response.status_code}"
    except requests.exceptions.SSLError:
        why = f"the certificate of {url} is not trusted here"
    except requests.RequestException:
        why = f"{url} can't be reached from here"
    cure = "see that `scim-bridge serve` runs, and that the proxy before it passes everything on; a firewall may also "
    return hint("public URL", why, cure + "let Entra in, and not this machine")


def is_local(host: str) -> bool:
    """Whether a name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def is_private(host: str) -> bool:
    """Whether a name or address has a meaning in one network only."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))


def examine_settings(settings: Settings, looked_at: Mapping[str, Settings]) -> Iterator[Finding]:
    """What is set, and may not be meant so. :param looked_at: The companies to look at."""
    found = [each for name, own in looked_at.items() for each in told_of(name, settings, _of_company(own))]
    found += [hint("settings", detail, cure) for detail, cure in _risks_of_server(settings)]
    found += examine_common(settings)
    yield from found or [ok("settings", "nothing is set that needs a second look")]


def _of_company(settings: Settings) -> Iterator[Finding]:
    try:
        build_rules(settings)
    except SettingsError as error:
        yield fails("settings", str(error), "correct MAPPING__FIELDS; `scim-bridge settings example` explains it")
        return
    for detail, cure in _risks(settings):
        yield hint("settings", detail, cure)


def _risks(settings: Settings) -> Iterator[tuple[str, str]]:
    delivery, ditio = settings.delivery, settings.ditio
    if delivery.adopt == "always":
        cure = "set DELIVERY__ADOPT to verify once the first day is over"
        yield "DELIVERY__ADOPT is always: whoever has the number in Ditio is overwritten, be it another person", cure
    for step in ("end-employment", "disable"):
        if step not in delivery.offboarding:
            yield f"DELIVERY__OFFBOARDING has no {step}: leavers keep that in Ditio", f"add {step}, unless it is meant"
    for name, how in ditio.operations.model_dump().items():
        if how == "off":
            cure = "set how it is called, once Ditio's support has said so; until then do it by hand in Ditio"
            yield f"DITIO__OPERATIONS__{name.upper()} is off: whoever needs it is held", cure
    if (unpinned := settings.auth.unpinned(settings.start)) is not None:
        detail, _, cure = unpinned.partition(": ")
        yield detail, cure
    if is_local(urlsplit(ditio.api_url or "").hostname or ""):
        yield "DITIO__API_URL is this machine: a simulated Ditio", "set Ditio's own address, unless this is a trial"
    for secret in CATALOGUE:
        if is_secret(secret) and not is_shared(secret):
            yield from _readable(settings, secret)


def _risks_of_server(settings: Settings) -> Iterator[tuple[str, str]]:
    bind = settings.server.bind
    if not is_local(bind.rpartition(":")[0].strip("[]")) or bind.startswith("0.0.0.0"):  # nosec B104 # that is told here
        cure = "let only the proxy that speaks TLS reach it, or bind to 127.0.0.1"
        yield f"SERVER__BIND is {bind}: plain http, for every machine that gets there", cure
    for secret in CATALOGUE:
        has_password = secret == ("database", "url") and shown(settings.database.url) != settings.database.url
        if has_password or (is_secret(secret) and is_shared(secret)):
            yield from _readable(settings, secret)


def _readable(settings: Settings, secret: Setting) -> Iterator[tuple[str, str]]:
    """A secret in a file that others can read."""
    origin = settings.origin(secret)
    file = Path(os.environ.get(origin, "") if origin.endswith(FILE_SUFFIX) else origin)
    if is_open_to_others(file):
        cure = f"chmod 600 {file}, or keep the secret in a file of its own, named by a variable with _FILE added"
        yield f"{dotted((*settings.start, *secret))} is in {file}, which other users of this machine can read", cure
