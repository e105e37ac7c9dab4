"""Workload identity federation: an assertion that Entra signed is given an access token (RFC 7521, RFC 7523)."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from scim_bridge.settings import Auth
from scim_bridge.web.auth.jwks import Keys
from scim_bridge.web.auth.signed import Signed, Unacceptable

PREFIX = "workload:"
"""How the ids of workloads begin; no client's id does."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The one workload that a company's settings let in.

    An assertion may be presented again until it expires: Entra sends no `jti`, and repeats a request whose answer
    was lost.
    """

    assertion: Signed
    id: str
    """Stands for it in the access tokens that it is given: other settings, another id."""


def workload_of(auth: Auth, keys_at: Callable[[str], Keys]) -> Workload | None:
    """The workload of a company's settings; None where there is none.

    :param keys_at: The keys at an address.
    """
    url = auth.workload_keys()
    if auth.workload_issuer is None or auth.workload_subject is None or auth.workload_audience is None or url is None:
        return None
    who = json.dumps([auth.workload_issuer, auth.workload_subject, auth.workload_audience])
    return Workload(
        assertion=Signed(keys_at(url), auth.workload_issuer, (auth.workload_audience,), subject=auth.workload_subject),
        id=PREFIX + hashlib.sha256(who.encode()).hexdigest()[:16],
    )


def entra_of(auth: Auth, keys_at: Callable[[str], Keys]) -> Signed | None:
    """What a JWT of Entra's own has to be for a company; None where none is let in."""
    if auth.entra_tenant_id is None:
        return None
    keys = keys_at(auth.entra_keys())
    callers = frozenset(each.lower() for each in auth.entra_caller_ids)
    return Signed(keys, auth.entra_issued_by(), auth.entra_audiences, tenant_id=auth.entra_tenant_id, callers=callers)


class Refused(Exception):
    """No company's. :param tenant: The one that it names, by issuer, audience and subject; None where none is."""

    def __init__(self, wrong: Unacceptable, tenant: str | None = None) -> None:
        super().__init__(str(wrong))
        self.reason = wrong.reason
        self.tenant = tenant


def company_of(workloads: Mapping[str, Workload], text: str, *, now: datetime) -> str:
    """Whose workload an assertion is about: the one company whose settings name its issuer, subject and audience.

    :param workloads: Those of the companies that have one, at least one.
    :raises Refused: nobody's, or more than one's: an assertion may be meant for several audiences.
    :raises KeysUnavailable: nobody can tell, because the issuer's keys can't be had.
    """
    found: list[str] = []
    refusals: dict[str, Unacceptable] = {}
    for name, workload in workloads.items():
        try:
            workload.assertion.examine(text, now=now)
        except Unacceptable as wrong:
            refusals[name] = wrong
        else:
            found.append(name)
    if len(found) > 1:
        raise Refused(Unacceptable("ambiguous", "it is meant for more than one company: ask for one audience"))
    if not found:
        furthest = max(refusals, key=lambda name: refusals[name].rank)
        refusal = refusals[furthest]
        raise Refused(refusal, furthest if refusal.is_addressed else None) from refusal
    return found[0]
