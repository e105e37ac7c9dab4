"""All checks, at the same time and within a limit; and those of Ditio, of addresses, and of the settings."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import requests

from scim_bridge.clients import build_client
from scim_bridge.doctor.database import clock_of, examine_common, examine_database, is_open_to_others
from scim_bridge.doctor.entra import examine_entra
from scim_bridge.doctor.findings import Examination, Finding, Status, examined, fails, hint, named, ok
from scim_bridge.errors import CredentialsRefused, DeliveryError, SettingsError
from scim_bridge.http.keys import FetchFailed, fetched
from scim_bridge.settings import Settings
from scim_bridge.settings.catalogue import CATALOGUE, is_secret, shown
from scim_bridge.settings.sources import FILE_SUFFIX
from scim_bridge.settings.types import Path as Setting
from scim_bridge.settings.types import dotted, is_loopback, is_shared
from scim_bridge.tenant import build_rules

SECONDS, CALL_SECONDS, REACH_SECONDS, CLOCK_SECONDS = 22.0, 8.0, 5.0, 4.0
"""How long all checks together may take; each call to Ditio; the public URL; a request that only asks for the time."""

ENVIRONMENTS = {".ditio.app": "production", ".ditio.no": "production", ".ditio.dev": "test"}
"""Ditio's documented addresses."""

_hint = partial(hint, "settings")


def _reach(what: str) -> str:
    return f"check that this machine can reach {what} (name server, firewall, proxy)"


def examine(
    settings: Settings, looked_at: Mapping[str, Settings], *, with_shared: bool = True, seconds: float = SECONDS
) -> list[Finding]:
    """Run all checks, and return what they found. Nothing is changed, and no secret is in it.

    :param settings: Of all companies.
    :param looked_at: The companies to check.
    :param with_shared: Whether to check also what all companies share: database, processes, public URL.
    :param seconds: How long all of it may take; a check that does not end in time is reported as late.
    """

    def of_each(examine: Callable[[Settings], Iterable[Finding]], late: Finding) -> Iterator[Examination]:
        for name, own in looked_at.items():
            yield Examination(partial(named, name, settings, examine(own)), *named(name, settings, [late]))

    late = f"no answer within {seconds:.0f} s"
    busy = "check that it runs and can be reached; another process may hold a SQLite file in a long write"
    ditio, keys = ("DITIO__IDENTITY_URL and DITIO__API_URL", "AUTH__ENTRA_JWKS_URL and AUTH__WORKLOAD_JWKS_URL")
    no_name = "check that this machine's name server knows its name"
    of_database = partial(examine_database, settings, looked_at, with_shared=with_shared)
    of_url = Examination(partial(examine_public_url, settings), hint("public URL", late, no_name))
    waiting = [
        Examination(of_database, fails("database", late, busy)),
        *of_each(examine_ditio, fails("Ditio", late, _reach(ditio))),
        *([of_url] if with_shared else []),
        *of_each(examine_keys, fails("sign-in keys", late, _reach(keys))),
        *of_each(examine_entra, fails("Entra", late, _reach("ENTRA__LOGIN_URL and ENTRA__GRAPH_URL"))),
    ]
    return [*examined(waiting, seconds=seconds), *examine_settings(settings, looked_at, with_shared=with_shared)]


def examine_ditio(settings: Settings) -> Iterator[Finding]:
    """Check the way to Ditio, as far as possible without changing an employee."""
    try:
        client = build_client(settings)
    except SettingsError as error:
        for line in str(error).splitlines():
            yield fails("Ditio settings", line, "set it as `scim-bridge settings example` explains")
        return
    identity_url, api_url = settings.ditio.identity_url or "", settings.ditio.api_url or ""
    identity, api = _environment(identity_url), _environment(api_url)
    if identity and api and identity != api:
        told = f"DITIO__IDENTITY_URL is in Ditio's {identity} environment, DITIO__API_URL in its {api} environment"
        yield fails("Ditio settings", told, "use both, and the API client's id and secret, from the same environment")
    token = _called("Ditio token", client.sign_in, f"issued by {identity_url}", "DITIO__IDENTITY_URL")
    yield token
    if token.status is Status.ok:
        yield _called("Ditio read", client.check, f"{api_url} answers", "DITIO__API_URL")
        try:
            with requests.get(identity_url, timeout=CLOCK_SECONDS, allow_redirects=False, stream=True) as response:
                theirs = parsedate_to_datetime(response.headers["Date"])
        except (requests.RequestException, KeyError, ValueError):
            return  # Not every server sends the time.
        yield clock_of("Ditio", theirs.astimezone(UTC) - datetime.now(UTC))


def _environment(url: str) -> str | None:
    host = f".{urlsplit(url).hostname or ''}"
    return next((name for ending, name in ENVIRONMENTS.items() if host.endswith(ending)), None)


def _called(check: str, call: Callable[..., object], told: str, setting: str) -> Finding:
    try:
        call(within=CALL_SECONDS)
    except CredentialsRefused as error:
        # The message already says what to check, with the five causes of a 401 or 403 (rule R2).
        return fails(check, str(error), f"check that {setting} is right", split=". ")
    except DeliveryError as error:
        cure = f"{_reach(setting)}, and that it is right; if Ditio itself is down, wait: nothing is lost"
        return fails(check, str(error), cure)
    return ok(check, told)


def examine_keys(settings: Settings) -> Iterator[Finding]:
    """Check that each address of keys answers; yield nothing if no JWT is accepted."""
    auth = settings.auth
    for sentence in auth.missing(settings.start):
        yield fails("sign-in keys", sentence, "set it, or remove the other AUTH__WORKLOAD_ settings")
    entra = auth.entra_keys() if auth.entra_tenant_id else None
    for setting, url in {"AUTH__ENTRA_JWKS_URL": entra, "AUTH__WORKLOAD_JWKS_URL": auth.workload_keys()}.items():
        if url is not None:
            try:
                yield ok("sign-in keys", f"{len(fetched(url))} at {url}")
            except FetchFailed as error:
                cure = f"{_reach(url)}, and that {setting} is right"
                yield fails("sign-in keys", f"{url} gives no keys: {error}", cure)


def examine_public_url(settings: Settings) -> Iterator[Finding]:
    """Check `SERVER__BASE_URL`: Entra calls from outside, over https."""
    check, url = "public URL", settings.server.base_url
    parts = urlsplit(url or "")
    host = parts.hostname or ""
    cure = "set SERVER__BASE_URL to the https address at which Entra reaches the bridge"
    if url is None:
        yield fails(check, "SERVER__BASE_URL is not set, so links in answers work only on this machine", cure)
    elif _is_local(host):
        yield fails(check, f"{url} is this machine itself: Entra calls from outside", cure)
    elif parts.scheme != "https":
        yield fails(check, f"{url} is not https: Entra calls over https only", cure)
    elif _is_private(host):
        yield hint(check, f"{url} is an address within a network: Entra calls from outside", cure)
    elif (why := _unreached(url)) is None:
        yield ok(check, f"the bridge answers at {url}")
    else:  # This proves little: Entra calls from another network.
        cure = "check that `scim-bridge serve` runs, and that the proxy forwards all paths"
        yield hint(check, why, f"{cure}; a firewall may also admit Entra but not this machine")


def _unreached(url: str) -> str | None:
    try:
        with requests.get(f"{url}/healthz", timeout=REACH_SECONDS, allow_redirects=False, stream=True) as response:
            return None if response.status_code == 200 else f"{url}/healthz answers {response.status_code}"
    except requests.exceptions.SSLError:
        return f"this machine does not trust the certificate of {url}"
    except requests.RequestException:
        return f"{url} can't be reached from this machine"


def _is_local(host: str) -> bool:
    return is_loopback(host) or host.endswith(".localhost") or host in ("0.0.0.0", "::")  # nosec B104 # this reports it


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".lan"))


def examine_settings(
    settings: Settings, looked_at: Mapping[str, Settings], *, with_shared: bool = True
) -> list[Finding]:
    """Check for settings that may be mistakes. See `examine`."""
    found = [each for name, own in looked_at.items() for each in named(name, settings, _of_company(own))]
    if with_shared:
        found += _of_all(settings)
    return found or [ok("settings", "no setting needs attention")]


def _of_all(settings: Settings) -> Iterator[Finding]:
    bind = settings.server.bind
    if not is_loopback(bind.rpartition(":")[0].strip("[]")):
        cure = "allow only the TLS proxy to reach it, or bind to 127.0.0.1"
        yield _hint(f"SERVER__BIND is {bind}: plain http, for every machine that can reach it", cure)
    if shown(settings.database.url) != settings.database.url:  # It has a password.
        yield from _readable(settings, [("database", "url")])
    yield from _readable(settings, (each for each in CATALOGUE if is_secret(each) and is_shared(each)))
    yield from examine_common(settings)


def _of_company(settings: Settings) -> Iterator[Finding]:
    delivery, ditio = settings.delivery, settings.ditio
    try:
        build_rules(settings)
    except SettingsError as error:
        yield fails("settings", str(error), "correct MAPPING__FIELDS; `scim-bridge settings example` explains it")
        return
    if delivery.adopt == "always":
        takes_over = "an employee with the same number is taken over even if it is another person"
        yield _hint(f"DELIVERY__ADOPT is `always`: {takes_over}", "set DELIVERY__ADOPT to `verify` after the first day")
    for step, what in (("end-employment", "their employment"), ("disable", "their login")):
        if step not in delivery.offboarding:
            told = f"DELIVERY__OFFBOARDING has no {step}: leavers keep {what} in Ditio"
            yield _hint(told, f"add {step}, unless intended")
    for name, how in ditio.operations.model_dump().items():
        if how == "off":
            cure = "set how to call it, as Ditio's support says; until then do it by hand in Ditio"
            yield _hint(f"DITIO__OPERATIONS__{name.upper()} is off: people who need it are held", cure)
    if (unpinned := settings.auth.unpinned(settings.start)) is not None:
        detail, _, cure = unpinned.partition(": ")
        yield _hint(detail, cure)
    if _is_local(urlsplit(ditio.api_url or "").hostname or ""):
        told = "DITIO__API_URL is this machine: a simulated Ditio"
        yield _hint(told, "set Ditio's real address, unless this is a test")
    yield from _readable(settings, (each for each in CATALOGUE if is_secret(each) and not is_shared(each)))


def _readable(settings: Settings, secrets: Iterable[Setting]) -> Iterator[Finding]:
    """Yield the secrets in files that others can read."""
    for secret in secrets:
        origin = settings.origin(secret)
        file = Path(os.environ.get(origin, "") if origin.endswith(FILE_SUFFIX) else origin)
        if is_open_to_others(file):
            told = f"{dotted((*settings.start, *secret))} is in {file}, which other users of this machine can read"
            cure = f"`chmod 600 {file}`, or keep the secret in its own file, named by a variable that ends in _FILE"
            yield _hint(told, cure)
