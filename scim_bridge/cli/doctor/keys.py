"""The keys of whoever signs JWTs that are let in: without them Entra is answered 503."""

from collections.abc import Iterator

from scim_bridge.cli.doctor.findings import Finding, fails, ok
from scim_bridge.settings import Settings
from scim_bridge.web.auth.keys import FetchFailed, fetched


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
