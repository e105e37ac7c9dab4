"""The checks that read Entra through Microsoft Graph: sign-in, permissions, application, job."""

from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from scim_bridge.clients import build_entra
from scim_bridge.doctor.findings import SOON, Finding, fails, hint, ok
from scim_bridge.domain.entra import OPTIONAL, ROLE_IDS, WITHOUT, WORDS, Job, JobState, Permission, is_object_id
from scim_bridge.errors import BridgeError, DeliveryError, EntraError
from scim_bridge.graph.config import Certificate
from scim_bridge.graph.directory import GraphDirectory
from scim_bridge.graph.token import certificate_of
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.storage.database import Database
from scim_bridge.storage.engine import COMMANDS

MOST_ASKED = 8
"""How many people are asked for."""

CALL_SECONDS = 5.0
PATIENCE_SECONDS = 4.0
"""How long one call may take, and how long it is tried: `doctor` ends within half a minute."""


def examine_entra(settings: Settings) -> Iterator[Finding]:
    """Check the way to Entra; yield nothing if Entra is not to be read."""
    if faults := settings.missing_for_entra():
        for sentence in faults:
            told, _, cure = sentence.partition(": ")
            yield fails("Entra settings", told, cure or "set it, or remove the other settings of [entra]")
        return
    client = build_entra(settings, timeout_seconds=CALL_SECONDS, patience_seconds=PATIENCE_SECONDS)
    if client is None:
        return
    if (foreign := settings.entra.foreign(settings.start, settings.auth.entra_tenant_id)) is not None:
        told, _, cure = foreign.partition(": ")
        yield hint("Entra settings", told, cure)
    yield from _of_certificate(client)
    try:
        client.sign_in()
    except EntraError as error:
        yield fails("Entra token", str(error), "check the settings of [entra]", split=": ")
        return
    yield ok("Entra token", f"issued by {client.config.login_url}")
    granted = None
    try:
        granted = client.permissions()
    except EntraError as error:
        yield _failed("Entra permissions", error, client)
    if granted is not None:
        yield from _of_permissions(granted, client)
    yield from _of_application(client)
    yield from _of_job(client, settings)
    yield from _of_people(client, settings)


def _of_certificate(client: GraphDirectory) -> Iterator[Finding]:
    credential = client.config.credential
    if not isinstance(credential, Certificate):
        return
    cure = "make a new certificate, upload it to the app registration, and set ENTRA__CERTIFICATE_FILE"
    try:
        _, ends_at = certificate_of(credential)
    except DeliveryError as error:
        yield fails("Entra certificate", str(error), "check ENTRA__CERTIFICATE_FILE")
        return
    left = ends_at - datetime.now(UTC)
    if left.total_seconds() <= 0:
        yield fails("Entra certificate", f"it ended on {ends_at:%Y-%m-%d}", cure)
    elif left <= SOON:
        yield hint("Entra certificate", f"it ends on {ends_at:%Y-%m-%d}", cure)
    else:
        yield ok("Entra certificate", f"it ends on {ends_at:%Y-%m-%d}")


def _of_permissions(granted: frozenset[Permission], client: GraphDirectory) -> Iterator[Finding]:
    if not client.config.client_id:
        told = "they are not known, because ENTRA__MANAGED_IDENTITY does not name the identity's client id"
        yield hint("Entra permissions", told, "set ENTRA__CLIENT_ID to it: only then is an empty leave date believed")
        return
    for permission in Permission:
        if permission in granted:
            yield ok("Entra permissions", f"{permission} is granted")
        else:
            complain = hint if permission in OPTIONAL else fails
            yield complain(
                "Entra permissions", f"{permission} is not granted: {WITHOUT[permission]}", _grant(permission, client)
            )


def _grant(permission: Permission, client: GraphDirectory) -> str:
    """Return how a permission is granted: its role, and where an administrator consents."""
    config = client.config
    role = f"add the application permission {permission} (role {ROLE_IDS[permission][0]}) of Microsoft Graph"
    if not config.tenant_id:
        return f"{role} to the managed identity, by PowerShell or Graph"
    consent = f"{config.login_url}/{config.tenant_id}/adminconsent?client_id={config.client_id}"
    return f"{role} to the app registration, then consent as an administrator at {consent}"


def _of_application(client: GraphDirectory) -> Iterator[Finding]:
    wanted = client.config.service_principal_id
    cure = "set ENTRA__SERVICE_PRINCIPAL_ID to the Object ID that the enterprise application shows under Overview"
    try:
        found = client.service_principal()
        if found is None:
            other = client.principal_of_application(wanted)
            told = f"there is no enterprise application with the object id {wanted}"
            if other is not None:
                told = f"{wanted} is an application id, and the object id is {other.id}"
            yield fails("Entra application", told, cure)
            return
    except EntraError as error:
        yield _failed("Entra application", error, client)
        return
    if found.id.lower() != wanted.lower():
        yield fails("Entra application", f"Graph shows another application for {wanted}", cure)
    elif found.app_id == client.config.client_id:
        yield fails("Entra application", "this is the application that reads, and not the one that provisions", cure)
    elif not found.is_enabled:
        yield hint("Entra application", f"{found.name} is disabled", "enable it under Properties, unless intended")
    else:
        yield ok("Entra application", f"{found.name}")


def _of_job(client: GraphDirectory, settings: Settings) -> Iterator[Finding]:
    try:
        job = client.job()
    except EntraError as error:
        yield _failed("Entra job", error, client)
        return
    yield _told(job)
    secrets = {name.casefold(): value for name, value in client.provisioning_secrets().items()}
    address, base_url = secrets.get("baseaddress"), settings.server.base_url
    if address and base_url and not _is_ours(address, base_url):
        cure = "correct the Tenant URL in Entra, or SERVER__BASE_URL"
        yield hint("Entra job", f"it provisions to {_without_query(address)}, and SERVER__BASE_URL is {base_url}", cure)
    if secrets.get("skipoutofscopedeletions", "").casefold() == "true":
        cure = "set SkipOutOfScopeDeletions to False in Entra, unless intended"
        yield hint("Entra job", "users who are unassigned are not disabled (SkipOutOfScopeDeletions)", cure)


def _of_people(client: GraphDirectory, settings: Settings) -> Iterator[Finding]:
    """Check with a few people that this is their tenant, and that `externalId` is their object id."""
    database = Database(settings.database.url, patience=COMMANDS)
    try:
        if database.missing_file() is not None:
            return  # As below; and looking makes no database.
        with database.read(settings.start[-1] if settings.start else DEFAULT_TENANT) as s:
            asked = s.entra.some_active(MOST_ASKED)
    except (SQLAlchemyError, BridgeError):
        return  # The lines about the database say why.
    finally:
        database.close()
    try:
        known = sum(is_object_id(each) and client.user(each.lower(), ()) is not None for each in asked)
    except EntraError as error:
        yield _failed("Entra people", error, client)
        return
    if known * 2 < len(asked):
        told = f"Entra knows {known} of {len(asked)} active people by `externalId`"
        cure = "check ENTRA__TENANT_ID, and map `objectId` to `externalId` in Entra"
        yield fails("Entra people", told, cure)
    elif asked:
        yield ok("Entra people", f"Entra knows {known} of {len(asked)} active people by `externalId`")


def _told(job: Job) -> Finding:
    state = job.state(datetime.now(UTC))
    if state is JobState.healthy:
        return ok("Entra job", WORDS[state])
    if state is JobState.never_run:
        # As it should be until the installation is checked, and the first day is prepared.
        return hint("Entra job", "provisioning has never run", "none before the first day; then *Start provisioning*")
    complain = hint if state is JobState.escrows else fails
    return complain("Entra job", f"{state}: {WORDS[state]}", "`entra status` says more")


def _is_ours(address: str, base_url: str) -> bool:
    theirs, ours = urlsplit(address), urlsplit(base_url)
    return (theirs.scheme, theirs.netloc.lower()) == (ours.scheme, ours.netloc.lower())


def _without_query(address: str) -> str:
    return address.partition("?")[0]


def _failed(check: str, error: EntraError, client: GraphDirectory) -> Finding:
    if error.permission is not None:
        return fails(check, str(error), _grant(Permission(error.permission), client))
    cure = "if Graph itself is down, wait: people are provisioned all the same" if error.is_passing else ""
    return fails(check, str(error), cure or "check the settings of [entra]", split=None if error.is_passing else ": ")
