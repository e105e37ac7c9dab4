"""The clients of Ditio and of Microsoft Graph, from the settings of one company."""

import os
import time
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import requests

from scim_bridge.ditio.client import DitioClient
from scim_bridge.ditio.config import DitioConfig, operation_setting
from scim_bridge.domain.operations import OperationName
from scim_bridge.errors import SettingsError
from scim_bridge.graph.config import Certificate, ClientSecret, Credential, FederatedToken, GraphConfig, ManagedIdentity
from scim_bridge.graph.directory import GraphDirectory
from scim_bridge.settings import Settings
from scim_bridge.settings.entra import Entra


def ditio_config(settings: Settings) -> DitioConfig:
    """Return what the client of Ditio needs. :raises SettingsError: an operation is no method and path."""
    ditio, raw = settings.ditio, settings.ditio.operations.model_dump()
    try:
        operations = {OperationName[name]: operation_setting(OperationName[name], raw[name]) for name in raw}
    except ValueError as exc:
        raise SettingsError(f"{settings.whose}{exc}") from exc
    return DitioConfig(
        api_url=ditio.api_url or "",
        identity_url=ditio.identity_url or "",
        client_id=ditio.client_id or "",
        client_secret=ditio.client_secret.get_secret_value() if ditio.client_secret else "",
        scope=ditio.scope,
        company_id=ditio.company_id,
        send_company_id=ditio.send_company_id,
        timeout_seconds=ditio.timeout_seconds,
        max_concurrency=ditio.max_concurrency,
        requests_per_second=ditio.requests_per_second,
        operations=operations,
        phone_region=settings.mapping.phone_region,
        zone=ZoneInfo(ditio.time_zone),
    )


def build_client(
    settings: Settings,
    *,
    session_factory: Callable[[], requests.Session] | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> DitioClient:
    """Build the client of a company's Ditio. :raises SettingsError: something that it needs is missing or wrong."""
    if missing := settings.ditio.missing(settings.start):
        raise SettingsError("\n".join(f"{name} is not set, and Ditio can't be called without it" for name in missing))
    return DitioClient(ditio_config(settings), session_factory=session_factory, monotonic=monotonic)


def build_entra(
    settings: Settings,
    *,
    session_factory: Callable[[], requests.Session] | None = None,
    timeout_seconds: float | None = None,
    **options: Any,
) -> GraphDirectory | None:
    """Build the client of a company's Microsoft Graph; None where the settings have none, or lack something.

    :param timeout_seconds: How long a call may take, in place of the setting.
    :param options: See `GraphClient`.
    """
    entra, auth = settings.entra, settings.auth
    if not entra.is_set or settings.missing_for_entra():
        return None
    client_id = entra.client_id or ""
    if not client_id and entra.managed_identity not in (None, "system"):
        client_id = entra.managed_identity or ""
    config = GraphConfig(
        tenant_id=entra.tenant(auth.entra_tenant_id) or "",
        client_id=client_id,
        credential=_credential(entra),
        service_principal_id=entra.service_principal_id or "",
        job_id=entra.job_id,
        graph_url=entra.graph_url,
        login_url=entra.login_url,
        timeout_seconds=timeout_seconds or entra.timeout_seconds,
        requests_per_second=entra.requests_per_second,
    )
    return GraphDirectory(config, session_factory=session_factory, **options)


def _credential(entra: Entra) -> Credential:
    if entra.client_secret is not None:
        return ClientSecret(entra.client_secret.get_secret_value())
    if entra.certificate_file is not None:
        return Certificate(entra.certificate_file, entra.private_key_file or entra.certificate_file)
    if entra.federated_token_file is not None:
        return FederatedToken(entra.federated_token_file)
    own = None if entra.managed_identity == "system" else entra.managed_identity
    # App Service says where it gives tokens; a virtual machine has one address for it.
    return ManagedIdentity(own, os.environ.get("IDENTITY_ENDPOINT"), os.environ.get("IDENTITY_HEADER", ""))
