"""The sections of settings about sign-in, Ditio and certificates."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
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
"""What the Ditio extension has beside the slots, and a name that means something else there."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PACKED = frozenset({"type", "packed"})
_SPREAD = frozenset({"type", "number", "issued", "valid_until", "notes"})
_NEEDED = frozenset({"type", "issued", "valid_until"})
_LONGEST_TYPE = 200
_LONGEST_NAME = 100


def _slots(slots: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
    taken = {_folded(name): f"{name}, which the extension has already" for name in OTHER_ATTRIBUTES}
    types: set[str] = set()
    for place, slot in enumerate(slots, start=1):
        if problem := next(_problems(slot, taken, types), None):
            raise ValueError(f"slot {place}: {problem}")
    return slots


def _problems(slot: Mapping[str, str], taken: dict[str, str], types: set[str]) -> Iterator[str]:
    names = frozenset(slot)
    if names != _PACKED and not _NEEDED <= names <= _SPREAD:
        yield 'write {"type", "packed"}, or {"type", "issued", "valid_until"} and perhaps "number" and "notes"'
    kind = unicodedata.normalize("NFC", slot["type"]).strip()
    if not 0 < len(kind) <= _LONGEST_TYPE or any(unicodedata.category(c) == "Cc" for c in kind):
        yield f"its type has to be a text of at most {_LONGEST_TYPE} characters"
    if kind in types:
        yield f'another slot has the type "{kind}" too'
    types.add(kind)
    for part, name in slot.items():
        if part == "type":
            continue
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            yield f'its "{part}" is no name of a SCIM attribute: a letter, then letters, digits, - and _'
        if (other := taken.get(_folded(name))) is not None:
            yield f'"{name}" is the same name as {other}'
        taken[_folded(name)] = f'"{name}", which another part has'


def _folded(name: str) -> str:
    """Names compare regardless of case (RFC 7643 §2.1), and the library tells - and _ from nothing."""
    return re.sub(r"[-_]", "", name).lower()


def _end(value: object) -> object:
    if value == "refuse" or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("not a day")
    return date.fromisoformat(value)


Slots = Annotated[tuple[dict[str, str], ...], AfterValidator(_slots)]
MissingExpiry = Annotated[Literal["refuse"] | date, BeforeValidator(_end)]


def _as_shown(slots: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    return [dict(slot) for slot in slots]


class Certificates(Section):
    """Certificates: what Entra carries them in, and what becomes of them in Ditio."""

    slots: Slots = Field(
        default=(),
        examples=[
            _as_shown(
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
            )
        ],
    )
    """Attributes of the Ditio extension in which Entra sends certificates, for each type one: `packed`, a text
    `number;issued;validUntil;notes`, or an attribute for each part, of which `number` and `notes` may be left
    out. They are published in the schema; Entra reads it when it is restarted."""

    withdrawal: Literal["expire", "keep"] = "expire"
    """What becomes of a certificate in Ditio that no source says any more: `expire` sends it again, valid until
    one second after it was issued (Ditio has no way to remove one); `keep` leaves it as it is."""

    missing_expiry: MissingExpiry = Field(
        default="refuse",
        json_schema_extra=allowed("write refuse, or a day as 2099-12-31"),
    )
    """What is done with a certificate that has no end, which Ditio does not take: `refuse`, or a day far ahead,
    as 2099-12-31, that is sent instead."""

    unclaimed: Literal["wait", "deliver"] = "wait"
    """A certificate of an employee whom no SCIM user is: `wait` for one, or `deliver` it under its number."""

    reassert_every: float = Field(default=30.0, ge=0, allow_inf_nan=False)
    """After how many days a certificate is sent again that should be in Ditio, since nobody can look whether it
    still is; `reconcile --apply` does it. 0 = every time."""

    max_per_request: int = Field(default=500, ge=1, le=500)
    """The most certificates in one request. Ditio does not say how many it takes: lower it where it refuses many
    together that it takes one by one."""


class Operations(Section):
    """Operations that Ditio has but does not document: how they are called. Each is a table as shown, or a
    bare word: `off` (never called; who needs it is held, with the cure by hand) and, for disable and
    enable, `v4` (the documented pair by companyProfileId). Not set: the call shown. `path` follows the
    employees' address; `{employeeNumber}` there, and `{employeeNumber}`, `{phone}` or
    `{newEmployeeNumber}` as a text in `body`, stand for the values."""

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
    """The base of the integration API; it may carry a path. Required for deliveries."""

    reporting_url: DitioUrl | None = Field(default=None, examples=["https://core-api.ditio.app/reporting"])
    """The base address of the reporting API. Only needed where `reconcile` reads the roster from there
    (RECONCILE__SOURCE); the API client then needs the scope `reportingapiv1` too."""

    identity_url: DitioUrl | None = Field(default=None, examples=["https://identity.ditio.app"])
    """The identity server that gives out tokens. Required for deliveries."""

    client_id: str | None = Field(default=None, min_length=1, examples=["scim-bridge"])
    """The API client's id. Required for deliveries."""

    client_secret: SecretStr | None = Field(default=None, min_length=1, examples=["the secret of the API client"])
    """The API client's secret. Required for deliveries; better kept in a file of its own, named by
    SCIM_BRIDGE_DITIO__CLIENT_SECRET_FILE."""

    scope: str = Field(default="ditioapiv3", min_length=1)
    """The scope to ask a token for; a space separates several."""

    company_id: str | None = Field(
        default=None,
        pattern="^[0-9]{6}$",
        examples=["012345"],
        json_schema_extra=allowed('write six digits as text, as "012345"'),
    )
    """The company's id, six digits in quotes, zeros in front included. Where it is set, employees of
    other companies that Ditio shows are left out."""

    send_company_id: bool = False
    """Whether `companyId` is sent when an employee is created; needed where the API client does not decide
    the company."""

    time_zone: TimeZone = "Europe/Oslo"
    """The company's time zone: what "today" is for working days."""

    timeout_seconds: float = Field(default=20.0, gt=0, allow_inf_nan=False)
    """How long one call to Ditio may take, in seconds."""

    read_lag_seconds: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    """For how long a read may still show what was before a write, in seconds; 0 = not at all. Whether an
    employee was created after an answer was lost is not decided sooner."""

    max_concurrency: int = Field(default=8, ge=1)
    """The most calls to Ditio at a time, for each company and each process that is started: `serve` divides it
    among its own (the web processes and the delivery worker, each at least one), and each further `worker` has
    all of it. A list of everybody that is being read is one of them; the worker has half as many people again in
    hand, so that Ditio does not idle while it saves."""

    requests_per_second: float | None = Field(default=None, ge=0.1, allow_inf_nan=False, examples=[10.0])
    """The most calls to Ditio in a second, tokens included, for each company and each process that is started:
    `serve` divides it among its own, and each further `worker` has all of it. Not set: as many as there are; where
    Ditio says 429, it is obeyed in any case."""

    operations: Operations = Operations()

    def missing(self, start: Path = ()) -> list[str]:
        """What Ditio can't be called without and is not set, each in both spellings.

        :param start: What stands before the names, of a company's settings.
        """
        required = ["api_url", "identity_url", "client_id", "client_secret"]
        if self.send_company_id:
            required.append("company_id")
        return [both((*start, "ditio", name)) for name in required if getattr(self, name) is None]
