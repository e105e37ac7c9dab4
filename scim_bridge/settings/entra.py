"""The section of settings about Microsoft Graph: reading Entra's side, beside what it provisions."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, SecretStr

from scim_bridge.settings.types import DitioUrl, Path, Section, allowed, both

GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


WAYS = ("client_secret", "certificate_file", "federated_token_file", "managed_identity")
"""The settings that are each a way to sign in."""


class Entra(Section):
    """Reading Entra through Microsoft Graph: its provisioning job, log and mapping. Nothing is written there. Without
    these settings nothing is read. No company inherits a setting of this section. An app registration is needed, with
    the application permissions that `doctor` names, and one of four ways to sign in: a secret, a certificate, a
    federated token or a managed identity."""

    tenant_id: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9.-]+$",
        examples=["3fa85f64-5717-4562-b3fc-2c963f66afa6"],
        json_schema_extra=allowed("write the Tenant ID that Entra shows under Overview"),
    )
    """The id of the Entra tenant. Not set: AUTH__ENTRA_TENANT_ID."""

    client_id: str | None = Field(
        default=None,
        pattern=GUID,
        examples=["5d1f3c0e-0000-4000-8000-00000000c11e"],
        json_schema_extra=allowed("write the Application (client) ID of the app registration"),
    )
    """The application id of the app registration that reads. Not needed with a managed identity."""

    client_secret: SecretStr | None = Field(default=None, min_length=1, examples=["the value of a client secret"])
    """A client secret of the app registration: its value, not its id. Better put it in a file of its own, named by
    SCIM_BRIDGE_ENTRA__CLIENT_SECRET_FILE."""

    certificate_file: str | None = Field(default=None, min_length=1, examples=["/run/secrets/entra.pem"])
    """The file with the certificate of the app registration, PEM."""

    private_key_file: str | None = Field(default=None, min_length=1, examples=["/run/secrets/entra.key"])
    """The file with the certificate's RSA key, PEM. Not set: it is in the file of the certificate."""

    federated_token_file: str | None = Field(
        default=None, min_length=1, examples=["/var/run/secrets/azure/tokens/azure-identity-token"]
    )
    """The file with the platform's own token, for workload identity federation. It is read anew for each sign-in."""

    managed_identity: str | None = Field(default=None, min_length=1, examples=["system"])
    """On a machine of Azure: `system`, or the client id of a user-assigned managed identity."""

    service_principal_id: str | None = Field(
        default=None,
        pattern=GUID,
        examples=["5d1f3c0e-0000-4000-8000-000000005e55"],
        json_schema_extra=allowed("write the Object ID of the enterprise application"),
    )
    """The object id of the enterprise application that provisions to the bridge: *Enterprise applications*, the
    application, *Overview*, *Object ID*."""

    job_id: str | None = Field(default=None, min_length=1, examples=["scim.3fa85f64.5d1f3c0e"])
    """The id of the provisioning job. Not set: the only job of the application."""

    scope: Literal["assigned", "all"] = "assigned"
    """Which users Entra provisions: `assigned` users and groups, or `all` users. It stands under *Provisioning*,
    *Settings*, *Scope*."""

    graph_url: DitioUrl = "https://graph.microsoft.com"
    """The base URL of Microsoft Graph. The token goes to this host alone."""

    login_url: DitioUrl = "https://login.microsoftonline.com"
    """The base URL of Entra's sign-in."""

    timeout_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """How long one call to Graph may take, in seconds."""

    requests_per_second: float = Field(default=10.0, ge=0.1, allow_inf_nan=False)
    """The most calls to Graph in a second, token requests included, for each process. A 429 is always obeyed."""

    status_every: float = Field(default=900.0, ge=0, allow_inf_nan=False)
    """How often the state of the provisioning job is read for the metrics, in seconds; 0 = never. `serve` and `worker`
    read it. If several processes use one database, one of them does."""

    @property
    def is_set(self) -> bool:
        """Whether Graph is to be read at all."""
        return bool(self.ways()) or self.client_id is not None

    def ways(self) -> list[str]:
        """Return which ways to sign in are set, by the names of their settings."""
        return [name for name in WAYS if getattr(self, name) is not None]

    def tenant(self, of_auth: str | None) -> str | None:
        """Return the tenant's id. :param of_auth: AUTH__ENTRA_TENANT_ID."""
        return self.tenant_id or of_auth

    def foreign(self, start: Path, of_auth: str | None) -> str | None:
        """Return a warning if the tenant that is read is not the one that signs in, with the cure after a colon.

        :param start, of_auth: See `missing`.
        """
        if self.tenant_id is None or of_auth is None or self.tenant_id.lower() == of_auth.lower():
            return None
        names = both((*start, "entra", "tenant_id")), both((*start, "auth", "entra_tenant_id"))
        return f"{names[0]} and {names[1]} are different tenants: leave out the first, unless intended"

    def missing(self, start: Path, of_auth: str | None) -> Iterator[str]:
        """Yield what keeps Graph from being read, if any of it is set: a sentence for each.

        :param start: The path before the names of a company's settings.
        :param of_auth: AUTH__ENTRA_TENANT_ID.
        """
        ways = self.ways()
        if not self.is_set:
            for name in ("private_key_file", "service_principal_id", "job_id"):
                if getattr(self, name) is not None:
                    yield f"{both((*start, 'entra', name))} is set, but no way to sign in: set {self._choices(start)}"
                    return
            return
        if not ways:
            yield f"no way to sign in to Graph is set: set one of {self._choices(start)}"
        if len(ways) > 1:
            named = " and ".join(both((*start, "entra", name)) for name in ways)
            yield f"{named} are both set: keep one way to sign in to Graph"
        if self.managed_identity is None:
            if self.tenant(of_auth) is None:
                yield f"{both((*start, 'entra', 'tenant_id'))} is not set, and Graph can't be read without it"
            if self.client_id is None:
                yield f"{both((*start, 'entra', 'client_id'))} is not set, and Graph can't be read without it"
        if self.service_principal_id is None:
            yield f"{both((*start, 'entra', 'service_principal_id'))} is not set, and Graph can't be read without it"

    def _choices(self, start: Path) -> str:
        return ", ".join(both((*start, "entra", name)) for name in WAYS)
