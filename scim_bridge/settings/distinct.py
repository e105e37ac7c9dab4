"""What no two companies may have alike: whoever Entra vouches for would otherwise be let in at both."""

from collections.abc import Iterator
from itertools import combinations

from scim_bridge.settings.auth import Auth
from scim_bridge.settings.model import Settings
from scim_bridge.settings.names import both


def unservable(settings: Settings) -> list[str]:
    """What keeps the companies from being served: a sentence for each setting at fault."""
    missing = [sentence for own in settings.tenants.values() for sentence in own.missing()]
    return [*missing, *shared_logins(settings)]


def shared_logins(settings: Settings) -> Iterator[str]:
    """Each two companies that would let the same one in: the setting, and what to do after a colon."""
    for (name, one), (other, another) in combinations(settings.tenants.items(), 2):
        setting, cure = _same(one.auth, another.auth)
        if setting:
            yield (
                f"{both((*another.start, 'auth', setting))} is the same for {name} and {other}, and nothing would tell "
                f"whom a sign-in is for: {cure}"
            )


def _same(one: Auth, other: Auth) -> tuple[str, str]:
    """The setting that lets the same JWT in at both, and what to do instead; empty where none does."""
    if one.entra_tenant_id and other.entra_tenant_id and set(one.entra_audiences) & set(other.entra_audiences):
        tenant_ids = one.entra_tenant_id.lower(), other.entra_tenant_id.lower()
        if tenant_ids[0] == tenant_ids[1] and one.entra_issued_by() == other.entra_issued_by():
            return "entra_tenant_id", "let Entra use a token of `token issue` or a client of `client issue` for each"
    workloads = [(each.workload_issuer, each.workload_subject, each.workload_audience) for each in (one, other)]
    if workloads[0] == workloads[1] and workloads[0][0]:
        return "workload_subject", "give each company an application of its own in Entra, or another audience"
    return "", ""
