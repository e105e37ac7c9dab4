"""Several companies: which are looked at, and what two of them have in common without meaning it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from scim_bridge.cli.doctor.findings import Examination, Finding, hint, parted
from scim_bridge.cli.named_commands import about_tenant
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.settings.load import shared_logins
from scim_bridge.settings.types import both


def told_of(tenant: str, settings: Settings, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings about one company; where there are several, with its name."""
    several = list(settings.tenants) != [DEFAULT_TENANT]
    for each in findings:
        cure = None if each.cure is None else about_tenant(tenant, each.cure)
        yield replace(each, detail=f"{tenant}: {each.detail}", cure=cure) if several else each


def of_each(
    settings: Settings,
    looked_at: Mapping[str, Settings],
    examine: Callable[[Settings], Iterator[Finding]],
    late: Finding,
) -> list[Examination]:
    """One examination for each company, at the same time. :param late: See `Examination`."""

    def of(tenant: str, own: Settings) -> Examination:
        is_late = next(told_of(tenant, settings, iter([late])))
        return Examination(lambda: told_of(tenant, settings, examine(own)), is_late)

    return [of(tenant, own) for tenant, own in looked_at.items()]


def examine_common(settings: Settings) -> Iterator[Finding]:
    """Companies that would let the same one in, or write to the same employees in Ditio."""
    for sentence in shared_logins(settings):
        yield parted("companies", sentence, "", at=": ")
    for (name, one), (other, another) in combinations(settings.tenants.items(), 2):
        is_same = (one.ditio.api_url, one.ditio.client_id) == (another.ditio.api_url, another.ditio.client_id)
        ids = {own.ditio.company_id for own in (one, another) if own.ditio.send_company_id}
        if is_same and one.ditio.client_id and len(ids) < 2:
            yield hint(
                "companies",
                f"{name} and {other} call Ditio as the same API client, so both may write to the same employees",
                f"see that {both((*another.start, 'ditio', 'client_id'))} is that company's own, or set company_id "
                "and send_company_id for both",
            )
