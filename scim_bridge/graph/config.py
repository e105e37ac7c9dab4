"""Where Microsoft Graph is, and how the bridge signs in to it."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

IMDS_URL = "http://169.254.169.254/metadata/identity/oauth2/token"
"""Where a virtual machine of Azure asks for the token of its managed identity; a link-local address."""


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client secret of the app registration."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of the app registration. Both files are PEM, and may be the same."""

    certificate_file: str
    private_key_file: str


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """The platform's own token, in a file that the platform renews."""

    file: str


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity of a machine of Azure."""

    client_id: str | None = None
    """That of a user-assigned identity; None for the machine's own."""

    app_service_url: str | None = None
    """`IDENTITY_ENDPOINT` of App Service; None on a virtual machine."""

    app_service_secret: str = field(default="", repr=False)
    """`IDENTITY_HEADER` of App Service."""

    imds_url: str = IMDS_URL


Credential = ClientSecret | Certificate | FederatedToken | ManagedIdentity


@dataclass(frozen=True, slots=True)
class GraphConfig:
    """What the client has to know. Nothing here is read from the environment."""

    tenant_id: str
    """The tenant's id; empty with a managed identity, which belongs to one."""

    client_id: str
    """The application id; empty with a managed identity whose id is not set."""

    credential: Credential
    service_principal_id: str
    """The object id of the enterprise application that provisions to the bridge."""

    job_id: str | None = None
    graph_url: str = "https://graph.microsoft.com"
    login_url: str = "https://login.microsoftonline.com"
    timeout_seconds: float = 30.0
    requests_per_second: float = 10.0

    @property
    def token_url(self) -> str:
        """The token endpoint, which is also the audience of assertions."""
        return f"{self.login_url}/{self.tenant_id}/oauth2/v2.0/token"

    @property
    def origin(self) -> str:
        """Scheme and host of Graph: the only place that the token goes to."""
        return origin_of(urlsplit(self.graph_url))

    @property
    def base_path(self) -> str:
        """The path before `/v1.0`; most often none."""
        return urlsplit(self.graph_url).path.rstrip("/")


_PORTS = {"https": 443, "http": 80}


def origin_of(parts: SplitResult) -> str:
    """Return scheme, host and port of a URL, in one spelling."""
    port = parts.port or _PORTS.get(parts.scheme, 0)
    host = parts.hostname or ""
    written = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{written}" + ("" if port == _PORTS.get(parts.scheme) else f":{port}")
