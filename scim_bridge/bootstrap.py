"""Build the concrete parts from the settings: the only module that chooses them, and the clock."""

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import time as time_of_day
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import requests

from scim_bridge.adopt.run import Adoption
from scim_bridge.certificates.reading import slots_from
from scim_bridge.clients import build_client, build_entra, ditio_config
from scim_bridge.delivery.inline import Inline, InlinePlaces
from scim_bridge.delivery.worker import Worker, pace_seconds, places_for, threads_for
from scim_bridge.ditio.client import DitioClient
from scim_bridge.ditio.roster import REPORTING_SCOPE
from scim_bridge.domain.certificate import CertificatePolicy
from scim_bridge.errors import SettingsError
from scim_bridge.notify.channels import Channel, Mail, Webhook
from scim_bridge.notify.sending import Notifier
from scim_bridge.notify.watch import Watched
from scim_bridge.plan.limits import HourlyLimits, Limits
from scim_bridge.plan.matching import Adopt
from scim_bridge.plan.steps import Policy, Step
from scim_bridge.reconcile.run import Reconciliation
from scim_bridge.settings import DEFAULT_TENANT, Settings, unservable
from scim_bridge.settings.types import both
from scim_bridge.storage.database import Database
from scim_bridge.storage.engine import REQUESTS, Patience
from scim_bridge.storage.last_requests import LastRequests
from scim_bridge.storage.quirks import Tally
from scim_bridge.storage.runs import BEAT_SECONDS
from scim_bridge.tenant import Ditio, Tenant, build_rules

if TYPE_CHECKING:
    from scim2_models import ScimProvider


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts that a process needs."""

    settings: Settings
    database: Database
    # Built only on demand: only a web server needs it.
    providers: Mapping[str, "Callable[[], ScimProvider]"]
    tenants: Mapping[str, Tenant]
    inline: Mapping[str, Inline]
    reconciliations: Mapping[str, Reconciliation]
    notifiers: Mapping[str, Notifier]
    base_url: str
    """The URL at which Entra reaches the bridge, without a slash at the end."""

    monotonic: Callable[[], float]
    last_requests: LastRequests
    """When Entra last called, as this process has seen it."""

    tally: Tally
    """How Entra departs from the RFCs, as this process has seen it."""

    def adoption(self, tenant: str) -> Adoption:
        """Return the adoption of a tenant; it reads Ditio as `reconcile` does."""
        return Adoption(self.tenants[tenant], self.reconciliations[tenant].roster)

    def worker(self, *, places: int | None = None) -> Worker:
        """Return a worker for all tenants.

        :param places: How many people it delivers at a time; None for what the settings say.
        """
        return Worker(list(self.tenants.values()), places)


def open_database(settings: Settings, *, patience: Patience = REQUESTS) -> Database:
    """Open the database of the settings.

    :param patience: How long PostgreSQL may take to answer before it counts as out of reach.
    """
    return Database(settings.database.url, pool_size=connections_of(settings), patience=patience)


def connections_of(settings: Settings) -> int:
    """Return how many connections to the database a process keeps: for each thread that may use one at a time."""
    ditios = [own.ditio for own in settings.tenants.values()]
    of_worker = threads_for([places_for(each.max_concurrency, each.requests_per_second) for each in ditios])
    # Three more: for the thread that gives out the places, for the scheduler, and for notices.
    return max(settings.server.threads, of_worker) + 3


def build(
    settings: Settings,
    *,
    database: Database | None = None,
    session_factory: Callable[[], requests.Session] | None = None,
    entra_sessions: Callable[[], requests.Session] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    jitter: Callable[[], float] = random.random,
    bind: str | None = None,
) -> Parts:
    """Build all parts from the settings.

    :param session_factory: Makes the sessions for calls to Ditio; tests connect them to the simulated Ditio.
    :param entra_sessions: Makes those for calls to Microsoft Graph.
    :param bind: The address that the server listens on, if it overrides the setting.
    :raises SettingsError: something that delivery needs is missing or wrong.
    """
    if problems := unservable(settings):
        raise SettingsError("\n".join(problems))
    database, companies = database or open_database(settings), settings.tenants
    clients = {
        name: build_client(own, session_factory=session_factory, monotonic=monotonic) for name, own in companies.items()
    }
    tenants = {
        name: replace(
            _tenant(name, own, clients[name], database, monotonic, jitter),
            entra=build_entra(own, session_factory=entra_sessions),
            entra_all_users=own.entra.scope == "all",
        )
        for name, own in companies.items()
    }
    limits = {name: own.ditio.max_concurrency for name, own in companies.items()}
    places = InlinePlaces(limits, max(1, settings.server.threads // 2))
    return Parts(
        settings=settings,
        database=database,
        providers={name: partial(_provider, own) for name, own in companies.items()},
        tenants=tenants,
        inline={name: Inline(tenant, places) for name, tenant in tenants.items()},
        reconciliations={
            name: _reconciliation(own, tenants[name], clients[name], session_factory, monotonic)
            for name, own in companies.items()
        },
        notifiers={
            name: _notifier(own, tenants[name], is_alone=list(companies) == [DEFAULT_TENANT])
            for name, own in companies.items()
        },
        base_url=settings.server.base_url or f"http://{bind or settings.server.bind}",
        monotonic=monotonic,
        last_requests=LastRequests(monotonic),
        tally=Tally(monotonic, BEAT_SECONDS),
    )


def _provider(settings: Settings) -> "ScimProvider":
    from scim_bridge.scim.provider import build_provider  # noqa: PLC0415 # Large, and only the web server needs it.

    return build_provider(
        max_page_size=settings.scim.max_page_size,
        max_bulk_operations=settings.scim.max_bulk_operations,
        max_body_bytes=settings.scim.max_body_bytes,
        slots=tuple(pair for slot in slots_from(settings.certificates.slots) for pair in slot.attributes.items()),
        certificates_end=settings.certificates.missing_expiry == "refuse",
    )


def build_channels(settings: Settings) -> list[Channel]:
    """Build the ways out for a company's notices; none where none is set."""
    section, channels = settings.notify, list[Channel]()
    if section.webhook_url is not None:
        url = section.webhook_url.get_secret_value()
        channels.append(Webhook(url, section.webhook_form(), urlsplit(url).hostname or ""))
    if section.smtp_host is not None and section.smtp_from is not None:
        password = section.smtp_password.get_secret_value() if section.smtp_password is not None else None
        channels.append(
            Mail(
                section.smtp_host,
                section.smtp_from,
                section.smtp_to,
                tls=section.smtp_tls,
                port=section.smtp_port,
                username=section.smtp_username,
                password=password,
            )
        )
    return channels


def _tenant(
    name: str,
    settings: Settings,
    client: Ditio,
    database: Database,
    monotonic: Callable[[], float],
    jitter: Callable[[], float],
) -> Tenant:
    delivery, rules = settings.delivery, build_rules(settings)
    per_second = settings.ditio.requests_per_second
    places = places_for(settings.ditio.max_concurrency, per_second)
    return Tenant(
        name=name,
        rules=rules,
        policy=Policy(
            owners=rules.owners(),
            offboarding=[Step(step) for step in delivery.offboarding],
            rehiring=[Step(step) for step in delivery.rehiring],
            after_last_day=delivery.end_employment == "after-last-day",
        ),
        ditio=client,
        database=database,
        monotonic=monotonic,
        random=jitter,
        adopt=Adopt(delivery.adopt),
        refuse_incomplete=delivery.on_incomplete == "refuse",
        report_refused=delivery.on_refused == "report",
        is_paused=delivery.paused,
        inline_seconds=delivery.inline_seconds,
        read_lag_seconds=settings.ditio.read_lag_seconds,
        call_seconds=settings.ditio.timeout_seconds + pace_seconds(places, per_second),
        places=places,
        retention_days=settings.retention.days,
        plan_days=settings.reconcile.keep_days,
        limits=HourlyLimits(delivery.max_ended_per_hour, delivery.max_ended_fraction, delivery.max_created_per_hour),
        slots=slots_from(settings.certificates.slots),
        certificates=_certificates(settings),
    )


def _certificates(settings: Settings) -> CertificatePolicy:
    section = settings.certificates
    return CertificatePolicy(
        missing_expiry=None if section.missing_expiry == "refuse" else section.missing_expiry,
        expires_withdrawn=section.withdrawal == "expire",
        delivers_unclaimed=section.unclaimed == "deliver",
        reassert_every=timedelta(days=section.reassert_every),
        max_per_request=section.max_per_request,
    )


def _reconciliation(
    settings: Settings,
    tenant: Tenant,
    client: DitioClient,
    session_factory: Callable[[], requests.Session] | None,
    monotonic: Callable[[], float],
) -> Reconciliation:
    section, roster = settings.reconcile, client.roster
    if section.source == "reporting":
        if settings.ditio.reporting_url is None:
            raise SettingsError(
                f"{both((*settings.start, 'reconcile', 'source'))} is reporting: "
                f"set {both((*settings.start, 'ditio', 'reporting_url'))} too"
            )
        config = replace(ditio_config(settings), api_url=settings.ditio.reporting_url, scope=REPORTING_SCOPE)
        reporting = DitioClient(config, limiter=client.limiter, session_factory=session_factory, monotonic=monotonic)
        roster = reporting.reporting_roster
    return Reconciliation(
        tenant=tenant,
        roster=roster,
        limits=Limits(section.max_ended_fraction, section.max_changes),
        provider=partial(_provider, settings),
    )


def _notifier(settings: Settings, tenant: Tenant, *, is_alone: bool) -> Notifier:
    section = settings.notify
    watched = Watched(
        waiting=timedelta(seconds=section.waiting_seconds),
        daily_at=time_of_day.fromisoformat(section.daily_at) if section.daily_at else None,
        zone=ZoneInfo(settings.ditio.time_zone),
        reconcile_every=timedelta(seconds=settings.reconcile.every),
        is_paused=settings.delivery.paused,
    )
    return Notifier(tenant, watched, build_channels(settings), settings.server.base_url, is_alone)
