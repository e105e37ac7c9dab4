"""The settings of the company's Ditio: where it is, who calls, and how.

Sources: Ditio "Employees (v5)" and its page on API clients; what Ditio does not document is a setting.
"""

from pydantic import Field, SecretStr

from scim_bridge.settings.kinds import OPERATION_TABLE, ChangeOperation, DitioUrl, LoginOperation, TimeZone
from scim_bridge.settings.names import Path, both
from scim_bridge.settings.section import Section, allowed


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
