"""`scim-bridge doctor`: the command, and its checks of Ditio, of key addresses and of the bridge's own settings."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import click
import requests

from scim_bridge import logs
from scim_bridge.bootstrap import build_client, build_rules
from scim_bridge.cli.context import Options
from scim_bridge.cli.doctor_checks import (
    Examination,
    Finding,
    Status,
    clock_of,
    examine_common,
    examine_database,
    examined,
    fails,
    hint,
    is_open_to_others,
    of_each,
    ok,
    parted,
    told_of,
)
from scim_bridge.cli.output import Format, format_option, known_tenant, print_json, print_paragraph
from scim_bridge.errors import CredentialsRefused, DeliveryError, SettingsError
from scim_bridge.settings import Settings
from scim_bridge.settings.catalogue import CATALOGUE, is_secret, shown
from scim_bridge.settings.sources import FILE_SUFFIX
from scim_bridge.settings.types import Path as Setting
from scim_bridge.settings.types import dotted, is_shared
from scim_bridge.web.auth.keys import FetchFailed, fetched

CALL_SECONDS = 8.0
"""How long the token may take; and the read after it."""

IMPATIENT_SECONDS = CALL_SECONDS / 2
"""How long a request may take that only asks for the time."""

ENVIRONMENTS = {".ditio.app": "production", ".ditio.no": "production", ".ditio.dev": "test"}
"""Ditio's documented addresses."""


def examine_ditio(settings: Settings) -> Iterator[Finding]:
    """Check the way to Ditio, as far as possible without changing an employee."""
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
    yield ok("Ditio token", f"issued by {settings.ditio.identity_url}")
    try:
        client.check(within=CALL_SECONDS)
    except DeliveryError as error:
        yield _failed("Ditio read", error, "DITIO__API_URL")
    else:
        yield ok("Ditio read", f"{settings.ditio.api_url} answers")
    yield from _clock(settings.ditio.identity_url or "")


def _failed(check: str, error: DeliveryError, setting: str) -> Finding:
    if isinstance(error, CredentialsRefused):
        # The message already says what to check, with the five causes of a 401 or 403 (rule R2).
        return parted(check, str(error), f"check that {setting} is right", at=". ")
    cure = f"check that {setting} is right, and that this machine can reach it (name server, firewall, proxy)"
    return fails(check, str(error), f"{cure}; if Ditio itself is down, wait: nothing is lost")


def _mixed(settings: Settings) -> Finding | None:
    """Return a finding if identity and API are of different environments."""
    identity, api = (_environment(url) for url in (settings.ditio.identity_url, settings.ditio.api_url))
    if identity is None or api is None or identity == api:
        return None
    return fails(
        "Ditio settings",
        f"DITIO__IDENTITY_URL is in Ditio's {identity} environment, DITIO__API_URL in its {api} environment",
        "use both, and the API client's id and secret, from the same environment",
    )


def _environment(url: str | None) -> str | None:
    host = f".{urlsplit(url or '').hostname or ''}"
    return next((name for ending, name in ENVIRONMENTS.items() if host.endswith(ending)), None)


def _clock(url: str) -> Iterator[Finding]:
    """Compare Ditio's clock with this machine's, if its server sends the time."""
    try:
        with requests.get(url, timeout=IMPATIENT_SECONDS, allow_redirects=False, stream=True) as response:
            theirs = parsedate_to_datetime(response.headers["Date"])
    except (requests.RequestException, KeyError, ValueError):
        return
    yield clock_of("Ditio", theirs.astimezone(UTC) - datetime.now(UTC))


def examine_keys(settings: Settings) -> Iterator[Finding]:
    """Check that each address of keys answers; yield nothing if no JWT is accepted."""
    auth = settings.auth
    for sentence in auth.missing(settings.start):
        yield fails("sign-in keys", sentence, "set it, or remove the other AUTH__WORKLOAD_ settings")
    urls = {"AUTH__ENTRA_JWKS_URL": auth.entra_keys() if auth.entra_tenant_id else None}
    urls["AUTH__WORKLOAD_JWKS_URL"] = auth.workload_keys()
    for name, url in urls.items():
        if url is None:
            continue
        try:
            count = len(fetched(url))
        except FetchFailed as error:
            cure = f"check that this machine can reach it (name server, firewall, proxy), and that {name} is right"
            yield fails("sign-in keys", f"{url} gives no keys: {error}", cure)
        else:
            yield ok("sign-in keys", f"{count} at {url}")


REACH_SECONDS = 5.0


def examine_public_url(settings: Settings) -> Iterator[Finding]:
    """Check `SERVER__BASE_URL`: Entra calls from outside, over https."""
    check, url = "public URL", settings.server.base_url
    cure = "set SERVER__BASE_URL to the https address at which Entra reaches the bridge"
    if url is None:
        yield fails(check, "SERVER__BASE_URL is not set, so links in answers work only on this machine", cure)
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_local(host):
        yield fails(check, f"{url} is this machine itself: Entra calls from outside", cure)
    elif parts.scheme != "https":
        yield fails(check, f"{url} is not https: Entra calls over https only", cure)
    elif is_private(host):
        yield hint(check, f"{url} is an address within a network: Entra calls from outside", cure)
    else:
        yield _reached(url)


def _reached(url: str) -> Finding:
    """Check whether the URL answers here. This proves little: Entra calls from another network."""
    try:
        with requests.get(f"{url}/healthz", timeout=REACH_SECONDS, allow_redirects=False, stream=True) as response:
            if response.status_code == 200:
                return ok("public URL", f"the bridge answers at {url}")
            why = f"{url}/healthz answers {response.status_code}"
    except requests.exceptions.SSLError:
        why = f"this machine does not trust the certificate of {url}"
    except requests.RequestException:
        why = f"{url} can't be reached from this machine"
    cure = "check that `scim-bridge serve` runs, and that the proxy forwards all paths; a firewall may also admit "
    return hint("public URL", why, cure + "Entra but not this machine")


def is_local(host: str) -> bool:
    """Return whether a name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def is_private(host: str) -> bool:
    """Return whether a name or address is valid only within one network."""
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))


def examine_settings(settings: Settings, looked_at: Mapping[str, Settings]) -> Iterator[Finding]:
    """Check for settings that may be mistakes. :param looked_at: The companies to check."""
    found = [each for name, own in looked_at.items() for each in told_of(name, settings, _of_company(own))]
    found += [hint("settings", detail, cure) for detail, cure in _risks_of_server(settings)]
    found += examine_common(settings)
    yield from found or [ok("settings", "no setting needs attention")]


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
        cure = "set DELIVERY__ADOPT to `verify` after the first day"
        detail = (
            "DELIVERY__ADOPT is `always`: an employee with the same number is taken over even if it is another person"
        )
        yield detail, cure
    for step in ("end-employment", "disable"):
        if step not in delivery.offboarding:
            what = "their login" if step == "disable" else "their employment"
            yield f"DELIVERY__OFFBOARDING has no {step}: leavers keep {what} in Ditio", f"add {step}, unless intended"
    for name, how in ditio.operations.model_dump().items():
        if how == "off":
            cure = "set how to call it, as Ditio's support says; until then do it by hand in Ditio"
            yield f"DITIO__OPERATIONS__{name.upper()} is off: people who need it are held", cure
    if (unpinned := settings.auth.unpinned(settings.start)) is not None:
        detail, _, cure = unpinned.partition(": ")
        yield detail, cure
    if is_local(urlsplit(ditio.api_url or "").hostname or ""):
        yield "DITIO__API_URL is this machine: a simulated Ditio", "set Ditio's real address, unless this is a test"
    for secret in CATALOGUE:
        if is_secret(secret) and not is_shared(secret):
            yield from _readable(settings, secret)


def _risks_of_server(settings: Settings) -> Iterator[tuple[str, str]]:
    bind = settings.server.bind
    if not is_local(bind.rpartition(":")[0].strip("[]")) or bind.startswith("0.0.0.0"):  # nosec B104 # this reports it
        cure = "allow only the TLS proxy to reach it, or bind to 127.0.0.1"
        yield f"SERVER__BIND is {bind}: plain http, for every machine that can reach it", cure
    for secret in CATALOGUE:
        has_password = secret == ("database", "url") and shown(settings.database.url) != settings.database.url
        if has_password or (is_secret(secret) and is_shared(secret)):
            yield from _readable(settings, secret)


def _readable(settings: Settings, secret: Setting) -> Iterator[tuple[str, str]]:
    """Yield a finding if a secret is in a file that others can read."""
    origin = settings.origin(secret)
    file = Path(os.environ.get(origin, "") if origin.endswith(FILE_SUFFIX) else origin)
    if is_open_to_others(file):
        cure = f"`chmod 600 {file}`, or keep the secret in its own file, named by a variable that ends in _FILE"
        yield f"{dotted((*settings.start, *secret))} is in {file}, which other users of this machine can read", cure


SECONDS = 22.0
"""How long all checks together may take."""


@click.command()
@click.option("--tenant", metavar="NAME", help="Check only this company.  [default: all]")
@format_option
@click.pass_context
def doctor(ctx: click.Context, tenant: str | None, format: Format) -> None:
    """Check the database, Ditio, clocks, public URL and tokens.

    With several companies, each finding begins with the name of its company. Nothing is changed, and no secret is
    shown. A `hint` works, and may be intended. A line that `fails` says the cure, and the exit code is 1. The command
    ends within half a minute, even if a server does not answer.

    \b
    Examples:
      scim-bridge doctor
      scim-bridge doctor --tenant nord-bygg --format json
    """
    logs.configure("critical")
    findings = _findings(ctx.obj, tenant)
    if format == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _tell(finding)
    if any(finding.status is Status.fails for finding in findings):
        ctx.exit(1)


def _findings(options: Options, tenant: str | None) -> list[Finding]:
    try:
        settings = options.settings
    except SettingsError as error:
        cure = "correct it; `scim-bridge settings example` explains every setting"
        return [fails("settings", line, cure) for line in str(error).splitlines()]
    looked_at = settings.tenants
    if tenant is not None:
        looked_at = {tenant: looked_at[known_tenant(settings, tenant)]}
    database_is_late = fails(
        "database",
        f"it did not answer within {SECONDS:.0f} s",
        "check that it runs and can be reached; another process may hold a SQLite file in a long write",
    )
    ditio_is_late = fails(
        "Ditio",
        f"it did not answer within {SECONDS:.0f} s",
        "check that this machine can reach DITIO__IDENTITY_URL and DITIO__API_URL (name server, firewall, proxy)",
    )
    url_is_late = Finding(
        "public URL",
        Status.hint,
        f"SERVER__BASE_URL did not answer within {SECONDS:.0f} s",
        "check that this machine's name server knows its name",
    )
    keys_are_late = fails(
        "sign-in keys",
        f"they did not answer within {SECONDS:.0f} s",
        "check that this machine can reach AUTH__ENTRA_JWKS_URL and AUTH__WORKLOAD_JWKS_URL (name server, firewall, "
        "proxy)",
    )
    waiting = [
        Examination(lambda: examine_database(settings, list(looked_at)), database_is_late),
        *of_each(settings, looked_at, examine_ditio, ditio_is_late),
        Examination(lambda: examine_public_url(settings), url_is_late),
        *of_each(settings, looked_at, examine_keys, keys_are_late),
    ]
    return [*examined(waiting, seconds=SECONDS), *examine_settings(settings, looked_at)]


def _tell(finding: Finding) -> None:
    indent = " " * 23
    print_paragraph(finding.detail, first=f"{finding.status:<6} {finding.check:<15} ", indent=indent)
    if finding.cure is not None:
        print_paragraph(finding.cure, first=f"{indent}Cure: ", indent=indent)
