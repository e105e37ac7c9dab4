"""The settings of who is let in, besides the tokens of `token issue`, which need none.

Sources: design of the bridge, *Security*; rule A3; Microsoft Entra, "SCIM: how provisioning signs in".
"""

from typing import Annotated

from pydantic import Field

from scim_bridge.settings.kinds import KeysUrl
from scim_bridge.settings.names import Path, both
from scim_bridge.settings.section import Section, allowed

ENTRA_AUDIENCE = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
"""The application that stands for every non-gallery app of every company in tokens of Entra's own."""

LOGIN = "https://login.microsoftonline.com/"


class Auth(Section):
    """Who is let in. Tokens of `token issue` and clients of `client issue` need no setting; what Entra signs
    itself (its own JWT, when Secret Token is left empty) and assertions of workload identity federation do."""

    entra_tenant_id: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9-]+$",
        examples=["3fa85f64-5717-4562-b3fc-2c963f66afa6"],
        json_schema_extra=allowed("write the Tenant ID that Entra shows under Overview"),
    )
    """The id of the company's own Entra tenant. Set: Entra's own JWT is let in, which it sends when Secret Token
    is left empty. Not set: no such JWT is."""

    entra_issuer: str | None = Field(
        default=None, min_length=1, examples=["https://sts.windows.net/3fa85f64-5717-4562-b3fc-2c963f66afa6/"]
    )
    """Who must have issued it (`iss`), to the letter. Not set: `https://sts.windows.net/` with the tenant's id
    and a slash."""

    entra_audiences: tuple[str, ...] = Field(default=(ENTRA_AUDIENCE,), min_length=1)
    """Whom it may be meant for (`aud`). The default is the same for every app of every company, so issuer and
    tenant decide."""

    entra_jwks_url: KeysUrl | None = Field(
        default=None,
        examples=["https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/discovery/keys"],
    )
    """Where Entra publishes the keys. Not set: where Microsoft has those of the tenant."""

    entra_caller_ids: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        examples=[["5d1f3c0e-0000-4000-8000-00000000abcd"]],
        json_schema_extra=allowed("write a list of application ids or object ids, none of them empty"),
    )
    """The applications whose JWT of Entra's own is let in: application ids (`appid` or `azp`), or object ids of
    service principals (`oid`). Empty: any application of the tenant may call, and `doctor` warns of that."""

    workload_issuer: str | None = Field(
        default=None,
        min_length=1,
        examples=["https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/v2.0"],
    )
    """Who issues the assertions of workload identity federation (`iss`), to the letter. Set together with
    subject and audience: an assertion is given an access token at `/oauth/token`. Not set: none is."""

    workload_subject: str | None = Field(default=None, min_length=1, examples=["5d1f3c0e-0000-4000-8000-00000000abcd"])
    """The one who is let in with an assertion (`sub`): the object id of the service principal."""

    workload_audience: str | None = Field(
        default=None, min_length=1, examples=["api://5d1f3c0e-0000-4000-8000-00000000ef01"]
    )
    """Whom the assertion is meant for (`aud`)."""

    workload_jwks_url: KeysUrl | None = Field(
        default=None,
        examples=["https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/discovery/v2.0/keys"],
    )
    """Where the issuer publishes the keys. Not set: where Microsoft has those of its own issuers; required with
    any other."""

    token_lifetime_seconds: int = Field(default=3600, ge=60, le=86400)
    """How long an access token of `/oauth/token` counts, in seconds."""

    jwks_min_refetch_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """Keys are fetched again when somebody names one that is not known, but not more often than this, in
    seconds, for each web process."""

    max_failures_per_minute: int = Field(default=60, ge=1)
    """How many wrong credentials one address may send in a minute, to one web process; more are answered 429.
    A credential that is right is let in all the same."""

    def missing(self, start: Path = ()) -> list[str]:
        """What lacks for a way that was begun: each a sentence with both spellings.

        :param start: What stands before the names, of a company's settings.
        """
        workload = {
            name: getattr(self, name)
            for name in ("workload_issuer", "workload_subject", "workload_audience", "workload_jwks_url")
        }
        if not any(workload.values()):
            return []
        needed = [name for name in ("workload_issuer", "workload_subject", "workload_audience") if not workload[name]]
        if workload["workload_issuer"] and self.workload_keys() is None:
            needed.append("workload_jwks_url")
        return [
            f"{both((*start, 'auth', name))} is not set, and an assertion can't be examined without it"
            for name in needed
        ]

    def unpinned(self, start: Path = ()) -> str | None:
        """Return a warning while any application of the Entra tenant may call, with the cure after a colon.

        :param start: See `missing`.
        """
        if self.entra_tenant_id is None or self.entra_caller_ids:
            return None
        return (
            f"{both((*start, 'auth', 'entra_caller_ids'))} is empty, so any application of the Entra tenant may write: "
            "set it to the application that `audit export` names, or use another way to sign in"
        )

    def entra_keys(self) -> str:
        """Where the keys of Entra's own JWTs are."""
        return self.entra_jwks_url or f"{LOGIN}{self._tenant()}/discovery/keys"

    def entra_issued_by(self) -> str:
        """The issuer of Entra's own JWTs."""
        return self.entra_issuer or f"https://sts.windows.net/{self._tenant()}/"

    def workload_keys(self) -> str | None:
        """Where the keys of assertions are; None where that has to be set."""
        issuer = self.workload_issuer or ""
        if self.workload_jwks_url is None and issuer.startswith(LOGIN) and issuer.endswith("/v2.0"):
            return issuer.removesuffix("/v2.0") + "/discovery/v2.0/keys"
        return self.workload_jwks_url

    def _tenant(self) -> str:
        # Microsoft writes it in lower case.
        return (self.entra_tenant_id or "").lower()
