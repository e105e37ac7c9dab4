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


def examine_keys(settings: Settings) -> Iterator[Finding]:
    """Nothing where no JWT is let in; else whether each address gives keys."""
    auth = settings.auth
    for sentence in auth.missing(settings.start):
        yield fails("sign-in keys", sentence, "set it, or take the other AUTH__WORKLOAD_ settings away")
    urls = {"AUTH__ENTRA_JWKS_URL": auth.entra_keys() if auth.entra_tenant_id else None}
    urls["AUTH__WORKLOAD_JWKS_URL"] = auth.workload_keys()
    for name, url in urls.items():
        if url is None:
            continue
        try:
            count = len(fetched(url))
        except FetchFailed as error:
            cure = f"see that this machine reaches it (name server, firewall, proxy), and that {name} is right"
            yield fails("sign-in keys", f"{url} gives no keys: {error}", cure)
        else:
            yield ok("sign-in keys", f"{count} at {url}")


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


SECONDS = 22.0
"""How long all of it may take."""


@click.command()
@click.option("--tenant", metavar="NAME", help="Only this company.  [default: all]")
@format_option
@click.pass_context
def doctor(ctx: click.Context, tenant: str | None, format: Format) -> None:
    """Look whether all is well: database, Ditio, clocks, public URL, tokens.

    Where there are several companies, what is found begins with the name of the one that it is about. Nothing is
    changed, and no secret is shown. A hint works, and may be meant so; a line that fails says the cure, and the
    exit code is 1. It ends within half a minute, whatever does not answer.

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
        f"it gave no answer within {SECONDS:.0f} s",
        "see that it runs and can be reached; a SQLite file may be held by another process that writes for long",
    )
    ditio_is_late = fails(
        "Ditio",
        f"it gave no answer within {SECONDS:.0f} s",
        "see that this machine reaches DITIO__IDENTITY_URL and DITIO__API_URL (name server, firewall, proxy)",
    )
    url_is_late = Finding(
        "public URL",
        Status.hint,
        f"SERVER__BASE_URL gave no answer within {SECONDS:.0f} s",
        "see that its name is known to this machine's name server",
    )
    keys_are_late = fails(
        "sign-in keys",
        f"they gave no answer within {SECONDS:.0f} s",
        "see that this machine reaches AUTH__ENTRA_JWKS_URL and AUTH__WORKLOAD_JWKS_URL (name server, firewall, proxy)",
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
