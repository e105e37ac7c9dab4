"""The sections of settings about sign-in, Ditio and certificates."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from scim_bridge.settings.types import (
    OPERATION_TABLE,
    ChangeOperation,
    DitioUrl,
    KeysUrl,
    LoginOperation,
    Path,
    Section,
    TimeZone,
    allowed,
    both,
)

ENTRA_AUDIENCE = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
"""The application that Entra names in its own tokens for every non-gallery app of every company."""

LOGIN = "https://login.microsoftonline.com/"


class Auth(Section):
    """Who may sign in. Tokens of `token issue` and clients of `client issue` need no setting. Entra's own JWT, which
    it sends when Secret Token is left empty, and assertions of workload identity federation need the settings here."""

    entra_tenant_id: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9-]+$",
        examples=["3fa85f64-5717-4562-b3fc-2c963f66afa6"],
        json_schema_extra=allowed("write the Tenant ID that Entra shows under Overview"),
    )
    """The id of the company's own Entra tenant. Set: Entra's own JWT is accepted, which it sends when Secret Token
    is left empty. Not set: no such JWT is accepted."""

    entra_issuer: str | None = Field(
        default=None, min_length=1, examples=["https://sts.windows.net/3fa85f64-5717-4562-b3fc-2c963f66afa6/"]
    )
    """The issuer (`iss`) of Entra's own JWT, to the letter. Not set: `https://sts.windows.net/` with the tenant's id
    and a slash."""

    entra_audiences: tuple[str, ...] = Field(default=(ENTRA_AUDIENCE,), min_length=1)
    """The accepted audiences (`aud`) of Entra's own JWT. The default is the same for every app of every company, so
    issuer and tenant decide."""

    entra_jwks_url: KeysUrl | None = Field(
        default=None, examples=["https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/discovery/keys"]
    )
    """The URL at which Entra publishes its keys. Not set: Microsoft's URL for the tenant."""

    entra_caller_ids: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        examples=[["5d1f3c0e-0000-4000-8000-00000000abcd"]],
        json_schema_extra=allowed("write a list of application ids or object ids, none of them empty"),
    )
    """The applications that may call with Entra's own JWT: application ids (`appid` or `azp`), or object ids of
    service principals (`oid`). Empty: any application of the tenant may call, and `doctor` warns about it."""

    workload_issuer: str | None = Field(
        default=None,
        min_length=1,
        examples=["https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/v2.0"],
    )
    """The issuer (`iss`) of the assertions of workload identity federation, to the letter. Set together with subject
    and audience: `/oauth/token` gives an access token for an assertion. Not set: it accepts no assertion."""

    workload_subject: str | None = Field(default=None, min_length=1, examples=["5d1f3c0e-0000-4000-8000-00000000abcd"])
    """The subject (`sub`) of an accepted assertion: the object id of the service principal."""

    workload_audience: str | None = Field(
        default=None, min_length=1, examples=["api://5d1f3c0e-0000-4000-8000-00000000ef01"]
    )
    """The audience (`aud`) of an accepted assertion."""

    workload_jwks_url: KeysUrl | None = Field(
        default=None,
        examples=["https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/discovery/v2.0/keys"],
    )
    """The URL at which the issuer publishes its keys. Not set: Microsoft's URL, if the issuer is Microsoft's. Required
    with any other issuer."""

    token_lifetime_seconds: int = Field(default=3600, ge=60, le=86400)
    """How long an access token of `/oauth/token` is valid, in seconds."""

    jwks_min_refetch_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """The shortest time between two fetches of keys, in seconds, for each web process. Keys are fetched again when a
    JWT names a key that is not known."""

    max_failures_per_minute: int = Field(default=60, ge=1)
    """How many wrong credentials one address may send in a minute, to one web process; more are answered 429.
    A valid credential is still accepted."""

    def missing(self, start: Path = ()) -> list[str]:
        """Return what is missing for a way to sign in that is set in part: a sentence for each, with both spellings.

        :param start: The path before the names of a company's settings.
        """
        required = ("workload_issuer", "workload_subject", "workload_audience")
        needed = [name for name in required if not getattr(self, name)]
        if len(needed) == len(required) and not self.workload_jwks_url:
            return []
        if self.workload_issuer and self.workload_keys() is None:
            needed.append("workload_jwks_url")
        return [
            f"{both((*start, 'auth', name))} is not set, and assertions can't be checked without it" for name in needed
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
        """Return the URL of the keys of Entra's own JWTs."""
        return self.entra_jwks_url or f"{LOGIN}{self._tenant()}/discovery/keys"

    def entra_issued_by(self) -> str:
        """Return the issuer of Entra's own JWTs."""
        return self.entra_issuer or f"https://sts.windows.net/{self._tenant()}/"

    def workload_keys(self) -> str | None:
        """Return the URL of the keys of assertions, or None if it has to be set."""
        issuer = self.workload_issuer or ""
        if self.workload_jwks_url is None and issuer.startswith(LOGIN) and issuer.endswith("/v2.0"):
            return issuer.removesuffix("/v2.0") + "/discovery/v2.0/keys"
        return self.workload_jwks_url

    def _tenant(self) -> str:
        # Microsoft writes it in lower case.
        return (self.entra_tenant_id or "").lower()


class Console(Section):
    """The console at `/console/`, where administrators see people and act. Administrators sign in with Entra, or with a
    link of `scim-bridge console login-link`."""

    enabled: bool = False
    """Whether there is a console. If false, its pages are answered 404."""

    oidc_issuer: KeysUrl | None = Field(
        default=None, examples=["https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/v2.0"]
    )
    """The issuer that administrators sign in with (OpenID Connect). Set together with client id and client secret. Not
    set: administrators sign in with a link of `scim-bridge console login-link`."""

    oidc_client_id: str | None = Field(default=None, min_length=1, examples=["5d1f3c0e-0000-4000-8000-00000000c0de"])
    """The id of the application (client) that is registered for the console."""

    oidc_client_secret: SecretStr | None = Field(default=None, min_length=1, examples=["what Entra shows once"])
    """The client secret of that application."""

    operators: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        examples=[["scim-operators"]],
        json_schema_extra=allowed("write a list of app roles or object ids of groups, none of them empty"),
    )
    """App roles or groups (object ids) whose members may see everything and act."""

    viewers: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        examples=[["scim-viewers"]],
        json_schema_extra=allowed("write a list of app roles or object ids of groups, none of them empty"),
    )
    """App roles or groups (object ids) whose members may see everything but birth dates, and may not act."""

    def missing(self) -> list[str]:
        """Return what is missing for sign-in with Entra if it is set in part: a sentence for each setting."""
        required = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
        unset = [name for name in required if not getattr(self, name)]
        if len(unset) == len(required):
            return []
        return [
            f"{both(('console', name))} is not set, and administrators can't sign in with Entra without it"
            for name in unset
        ]


OTHER_ATTRIBUTES = (
    "birthDate",
    "employmentStartDate",
    "employmentEndDate",
    "payroll",
    "deliveryState",
    "deliveryDetail",
    "deliveredAt",
    "schemas",
)
"""The attributes that the Ditio extension has beside the slots, and `schemas`, which has another meaning there."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PACKED = frozenset({"type", "packed"})
_SPREAD = frozenset({"type", "number", "issued", "valid_until", "notes"})
_NEEDED = frozenset({"type", "issued", "valid_until"})
_LONGEST_TYPE = 200
_LONGEST_NAME = 100


def _slots(slots: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
    taken = {_folded(name): f"{name}, which the extension already uses" for name in OTHER_ATTRIBUTES}
    types: set[str] = set()
    for place, slot in enumerate(slots, start=1):
        if problem := next(_problems(slot, taken, types), None):
            raise ValueError(f"slot {place}: {problem}")
    return slots


def _problems(slot: Mapping[str, str], taken: dict[str, str], types: set[str]) -> Iterator[str]:
    names = frozenset(slot)
    if names != _PACKED and not _NEEDED <= names <= _SPREAD:
        yield 'write {"type", "packed"}, or {"type", "issued", "valid_until"}, optionally with "number" and "notes"'
    kind = unicodedata.normalize("NFC", slot["type"]).strip()
    if not 0 < len(kind) <= _LONGEST_TYPE or any(unicodedata.category(c) == "Cc" for c in kind):
        yield f"its type must be text of 1 to {_LONGEST_TYPE} characters"
    if kind in types:
        yield f'another slot already has the type "{kind}"'
    types.add(kind)
    for part, name in slot.items():
        if part == "type":
            continue
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            yield f'its "{part}" is not a valid SCIM attribute name: write a letter, then letters, digits, - and _'
        if (other := taken.get(_folded(name))) is not None:
            yield f'"{name}" is the same name as {other}'
        taken[_folded(name)] = f'"{name}", which another part uses'


def _folded(name: str) -> str:
    """Fold a name as it is compared: regardless of case (RFC 7643 §2.1), and without - and _, as the library does."""
    return re.sub(r"[-_]", "", name).lower()


def _end(value: object) -> object:
    if value == "refuse" or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("not a day")
    return date.fromisoformat(value)


Slots = Annotated[tuple[dict[str, str], ...], AfterValidator(_slots)]
MissingExpiry = Annotated[Literal["refuse"] | date, BeforeValidator(_end)]


class Certificates(Section):
    """Certificates: the attributes in which Entra sends them, and how they are delivered to Ditio."""

    slots: Slots = Field(
        default=(),
        examples=[
            [
                {"type": "Byggekort", "packed": "byggekort"},
                {
                    "type": "Kranførerbevis",
                    "number": "kranforerbevisNumber",
                    "issued": "kranforerbevisIssuedAt",
                    "valid_until": "kranforerbevisValidUntil",
                    "notes": "kranforerbevisNotes",
                },
            ]
        ],
    )
    """Attributes of the Ditio extension in which Entra sends certificates, one slot for each type. A slot is `packed`,
    a text `number;issued;validUntil;notes`, or it has an attribute for each part; `number` and `notes` may be left
    out. They are published in the schema, which Entra reads when provisioning is restarted."""

    withdrawal: Literal["expire", "keep"] = "expire"
    """What happens in Ditio to a certificate that no source has any more: `expire` sends it again, valid until
    one second after it was issued (Ditio has no way to remove one); `keep` leaves it as it is."""

    missing_expiry: MissingExpiry = Field(
        default="refuse", json_schema_extra=allowed("write refuse, or a day as 2099-12-31")
    )
    """What happens to a certificate without an expiry date, which Ditio does not accept: `refuse`, or a day far ahead,
    such as 2099-12-31, that is sent instead."""

    unclaimed: Literal["wait", "deliver"] = "wait"
    """What happens to a certificate whose employee number no SCIM user has: `wait` for a user, or `deliver` it under
    that number."""

    reassert_every: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    """After how many days `reconcile --apply` sends a certificate again that should be in Ditio: the bridge can't read
    whether it still is there. 0 = every time."""

    max_per_request: int = Field(default=500, ge=1, le=500)
    """The most certificates in one request. Ditio does not say how many it accepts: lower it if Ditio refuses many
    together that it accepts one by one."""


class Operations(Section):
    """Operations that Ditio has but does not document: how they are called. Each is a table as shown, or one
    word. `off`: it is never called; a person who needs it is held, with instructions to do it by hand. `v4`, only
    for disable and enable: the documented pair by companyProfileId. Not set: the call shown. `path` is added to the
    employees' URL. `{employeeNumber}` in `path`, and `{employeeNumber}`, `{phone}` or `{newEmployeeNumber}` as a
    text in `body`, are replaced by the values."""

    disable: LoginOperation = Field(
        default=None,
        examples=[{"method": "PATCH", "path": "/{employeeNumber}/disable", "body": {}}],
        json_schema_extra=allowed(f"write v4, off or {OPERATION_TABLE}"),
    )
    """Closes the login of an employee."""

    enable: LoginOperation = Field(
        default=None,
        examples=[{"method": "PATCH", "path": "/{employeeNumber}/enable", "body": {}}],
        json_schema_extra=allowed(f"write v4, off or {OPERATION_TABLE}"),
    )
    """Opens the login again."""

    change_phone_number: ChangeOperation = Field(
        default=None,
        examples=[{"method": "PATCH", "path": "/{employeeNumber}/change-phone-number", "body": {"phone": "{phone}"}}],
        json_schema_extra=allowed(f"write off or {OPERATION_TABLE}"),
    )
    """Gives an employee a new phone number, which is the login name."""

    change_employee_number: ChangeOperation = Field(
        default=None,
        examples=[
            {
                "method": "PATCH",
                "path": "/{employeeNumber}/change-employee-number",
                "body": {"employeeNumber": "{newEmployeeNumber}"},
            }
        ],
        json_schema_extra=allowed(f"write off or {OPERATION_TABLE}"),
    )
    """Gives an employee a new number."""


class Ditio(Section):
    """The company's Ditio. Identity, API and credentials belong to one environment, production or test."""

    api_url: DitioUrl | None = Field(default=None, examples=["https://core-api.ditio.app/core"])
    """The base URL of the integration API; it may have a path. Required for deliveries."""

    reporting_url: DitioUrl | None = Field(default=None, examples=["https://core-api.ditio.app/reporting"])
    """The base URL of the reporting API. Only needed if `reconcile` reads the roster from there
    (RECONCILE__SOURCE); the API client then needs the scope `reportingapiv1` too."""

    identity_url: DitioUrl | None = Field(default=None, examples=["https://identity.ditio.app"])
    """The base URL of the identity server that issues tokens. Required for deliveries."""

    client_id: str | None = Field(default=None, min_length=1, examples=["scim-bridge"])
    """The API client's id. Required for deliveries."""

    client_secret: SecretStr | None = Field(default=None, min_length=1, examples=["the secret of the API client"])
    """The API client's secret. Required for deliveries. Better put it in a file of its own, named by
    SCIM_BRIDGE_DITIO__CLIENT_SECRET_FILE."""

    scope: str = Field(default="ditioapiv3", min_length=1)
    """The scope of the token that is requested; several are separated by a space."""

    company_id: str | None = Field(
        default=None,
        pattern="^[0-9]{6}$",
        examples=["012345"],
        json_schema_extra=allowed('write six digits as text, as "012345"'),
    )
    """The company's id: six digits in quotes, leading zeros included. If it is set, employees of other companies that
    Ditio shows are ignored."""

    send_company_id: bool = False
    """Whether `companyId` is sent when an employee or an employment is created. Needed if the API client does not
    determine the company."""

    time_zone: TimeZone = "Europe/Oslo"
    """The company's time zone: it decides which day is "today" for first and last days at work."""

    timeout_seconds: float = Field(default=20.0, gt=0, allow_inf_nan=False)
    """How long one call to Ditio may take, in seconds."""

    read_lag_seconds: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """For how long a read may still show the state before a write, in seconds; 0 = not at all. If the answer to a
    creation was lost, the bridge waits this long before it decides whether the employee exists."""

    max_concurrency: int = Field(default=8, ge=1)
    """The most calls to Ditio at a time, for each company and each process that is started. `serve` divides them
    among its own processes (the web processes and the delivery worker, each at least one). Each further `worker` has
    all of them. Reading the list of all employees is one call. The worker delivers half as many people again at a
    time, so that Ditio does not idle while the worker saves."""

    requests_per_second: float | None = Field(default=None, ge=0.1, allow_inf_nan=False, examples=[10.0])
    """The most calls to Ditio in a second, token requests included, for each company and each process that is started.
    `serve` divides them among its own processes, and each further `worker` has all of them. Not set: no limit. The
    bridge always obeys a 429 from Ditio."""

    operations: Operations = Operations()

    def missing(self, start: Path = ()) -> list[str]:
        """Return the settings that calls to Ditio require and that are not set, each in both spellings.

        :param start: The path before the names of a company's settings.
        """
        required = ["api_url", "identity_url", "client_id", "client_secret"]
        if self.send_company_id:
            required.append("company_id")
        return [both((*start, "ditio", name)) for name in required if getattr(self, name) is None]
