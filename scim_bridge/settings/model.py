"""The settings: a class for each section. The docstring under a setting is its user documentation."""

from collections.abc import Callable
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, SecretStr

from scim_bridge.settings.entra import Entra
from scim_bridge.settings.sections import Auth, Certificates, Console, Ditio
from scim_bridge.settings.types import (
    DEFAULT_TENANT,
    BaseUrl,
    DatabaseUrl,
    HeaderSecret,
    HostAndPort,
    LogLevel,
    MailAddress,
    Network,
    OffboardingSteps,
    PatchStatus,
    Path,
    Payroll,
    RehiringSteps,
    Section,
    WebhookUrl,
    allowed,
    both,
    is_loopback,
)

DEFAULT = "default"
"""The origin of a setting that no source sets."""


class MultiTenantSettings(Section):
    """Settings that also know their company, the origin of each value, and the other companies' settings."""

    _origins: dict[Path, str] = PrivateAttr(default_factory=dict)
    _start: Path = PrivateAttr(default=())
    _tenants: dict[str, Self] = PrivateAttr(default_factory=dict)

    @property
    def start(self) -> Path:
        """The path before the names of these settings: `tenants` and the name of a company, or nothing."""
        return self._start

    @property
    def whose(self) -> str:
        """The beginning of a message about these settings: the company's name and a colon, or nothing."""
        return f"{self._start[-1]}: " if self._start else ""

    @property
    def tenants(self) -> dict[str, Self]:
        """The settings of each company that is served, by its name. A company without a name is `default`."""
        return self._tenants or {DEFAULT_TENANT: self}

    def origin(self, path: Path) -> str:
        """Return where a setting was set: the name of the variable or of the file, or `DEFAULT`."""
        return self._origins.get(path, DEFAULT)

    def named(self, start: Path, origins: dict[Path, str]) -> Self:
        """Return the same settings with the origin of each. :param start: See `start`."""
        named = self.model_copy()
        named._start, named._origins = start, dict(origins)
        return named

    def serving(self, tenants: dict[str, Self]) -> Self:
        """Return the same settings, with those of each company."""
        serving = self.model_copy()
        serving._tenants = dict(tenants)
        return serving

    def only(self, tenant: str) -> Self:
        """Return the settings of one company that is served, without the other companies."""
        own = self.tenants[tenant]
        return own.serving({tenant: own})

    def each(self, change: Callable[[Self], Self]) -> Self:
        """Return the same settings after a change to the settings of every company."""
        return change(self).serving({name: change(own) for name, own in self._tenants.items()})


class Database(Section):
    """The database, which stores everything."""

    url: DatabaseUrl = Field(default="sqlite:///scim_bridge.db", repr=False)
    """SQLite (`sqlite:///FILE`, on a local disk), or PostgreSQL (`postgresql://USER:PASSWORD@HOST/NAME`)
    if one machine is not enough."""


class Server(Section):
    """The web server."""

    base_url: BaseUrl | None = Field(default=None, examples=["https://scim.example.com"])
    """The URL at which Entra reaches the bridge, without a slash at the end. Links in answers are built from it,
    never from the request's Host header. Not set: `http://` and the address of `bind`."""

    bind: HostAndPort = "127.0.0.1:8080"
    """Address and port to listen on. On any address but loopback, put a proxy with TLS in front."""

    workers: int = Field(default=2, ge=1)
    """Processes that answer requests."""

    threads: int = Field(default=8, ge=2)
    """Threads in each process. At most half of them wait for Ditio at a time. With several companies, at most half
    of those wait for the same company."""

    trusted_proxies: tuple[Network, ...] = Field(
        default=(), json_schema_extra=allowed("write a list of addresses or networks, as 10.0.0.7 or 10.0.0.0/24")
    )
    """Addresses or networks of the proxies in front whose `X-Forwarded-For` is trusted. That header then gives the
    client's address, for the log and for counting failed sign-ins. A trusted proxy may open any number of connections,
    any other address 100 to each process. Not set: no proxy is trusted."""

    client_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """How long a client may take to send a request, header and body, and then to read the answer, in seconds. The
    first byte and the header must arrive within five seconds at most."""

    metrics_token: HeaderSecret = Field(default=None, min_length=16, examples=["a long random text"])
    """Set: only requests with this bearer token may read `/metrics` and the figures of `/readyz`, from any machine.
    Not set: only requests from this machine that came through no proxy may."""


class Log(Section):
    """The log, written to standard error."""

    level: LogLevel = "info"
    """The lowest level that is written: debug, info, warning, error or critical."""

    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for machines: one object a line."""


class Scim(Section):
    """What Entra may send, and how the bridge answers."""

    patch_status: PatchStatus = 200
    """The status of a successful PATCH: 200 with the resource (a group without its members), or 204 without a body."""

    max_body_bytes: int = Field(default=1_048_576, ge=1)
    """The largest request body, in bytes."""

    max_value_length: int = Field(default=4096, ge=256)
    """The longest text in a request body, in characters: each value, and each name of an attribute."""

    max_page_size: int = Field(default=200, ge=1)
    """The most resources in one page of a list. With large resources a page is shorter: it holds at most 2 MiB."""

    max_filter_length: int = Field(default=2000, ge=1)
    """The longest filter, in characters; also the longest path of a PATCH, because a path may contain a filter."""

    max_patch_operations: int = Field(default=1000, ge=1)
    """The most operations in one PATCH. An operation without a path counts once for each attribute in its value."""

    max_bulk_operations: int = Field(default=100, ge=1)
    """The most operations in one bulk request. Each one is a transaction of its own."""


class Delivery(Section):
    """When and how a person is delivered to Ditio."""

    inline_seconds: float = Field(default=5.0, ge=0, le=9.5)
    """How long a request from Entra may wait for Ditio, in seconds. 0: everything is delivered afterwards."""

    on_incomplete: Literal["hold", "refuse"] = "hold"
    """What happens to a new person without a required value: `hold` accepts them and waits for the value, `refuse`
    answers 400."""

    on_refused: Literal["report", "park"] = "report"
    """What happens when Ditio refuses a change while Entra's request waits: `report` undoes the write and answers 400
    or 409 with Ditio's words, `park` keeps the write and answers 2xx. A person's leaving is never undone."""

    adopt: Literal["verify", "always", "never"] = "verify"
    """What happens when Ditio already has an employee with the number. `verify`: take them over if phone, e-mail, or
    birth date and last name agree. `always`: take them over even if it is another person. `never`: do not."""

    offboarding: OffboardingSteps = Field(
        default=("end-employment", "disable"),
        json_schema_extra=allowed('write a list of "end-employment" and "disable", each once at most'),
    )
    """The steps when a person leaves, in this order. Choose from end-employment and disable."""

    rehiring: RehiringSteps = Field(
        default=("enable", "create-employment"),
        json_schema_extra=allowed('write a list of "enable" and "create-employment", each once at most'),
    )
    """The steps when a person returns, in this order. Choose from enable and create-employment."""

    end_employment: Literal["after-last-day", "at-once"] = "after-last-day"
    """When the employment of a person who leaves is ended: `after-last-day` or `at-once`. With `after-last-day` it is
    ended when their last day is over, so a person who is back that same day leaves no trace in payroll. The login is
    disabled at once in both cases."""

    max_ended_per_hour: int = Field(default=5, ge=0)
    """The guard limits how many employments may end within an hour. The next one is held if there are more than this
    number and also more than `max_ended_fraction`: a scope or group emptied by mistake does not end everyone.
    Correct it in Entra, or `outbox release` sends it, or `outbox drop` withdraws it. Changes of phone and changes of
    employee number have the same limit, each counted separately. With fewer than 15 people at work, the limit is a
    third of them, at least one, if that is less. An ending is not counted if its leave date was stored at least a day
    before that date passes."""

    max_ended_fraction: float = Field(default=0.05, ge=0, le=1)
    """The share of the people at work whose employment may end within an hour, whatever `max_ended_per_hour` is."""

    max_created_per_hour: int = Field(default=0, ge=0)
    """How many employees may be created within an hour before the next one is held; 0 = any number. Set it when the
    first cycle is over: an employee created by mistake can't be deleted in Ditio."""

    paused: bool = False
    """Whether deliveries are paused: the bridge accepts everything and sends nothing to Ditio. `outbox pause` and
    `outbox resume` do the same without a restart. `outbox resume` fails as long as this is true."""


class Reconcile(Section):
    """The comparison of all people with Ditio: `scim-bridge reconcile`."""

    every: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """How often all people are compared, in seconds from start to start; 0 = never. `serve` and `worker` run it. If
    several processes use one database, one of them runs it."""

    apply: bool = False
    """Whether these scheduled runs repair the differences that they may repair. If false, they only report."""

    source: Literal["employees", "reporting"] = "employees"
    """Where all employees are read from: Ditio's list of employees, or its reporting API (DITIO__REPORTING_URL)."""

    max_ended_fraction: float = Field(default=0.1, ge=0, le=1)
    """The largest share of the people at work whose employment one run may end; more stops the run. It does not apply
    to fewer than 20 people."""

    max_changes: int = Field(default=500, ge=0)
    """The most differences that one run may repair; more stops the run."""

    with_entra: bool = False
    """Whether runs over all people also read Entra through Microsoft Graph, and compare the SCIM users with it. It
    needs the settings of [entra]. If Entra is out of reach, a scheduled run goes on without."""

    keep_days: int = Field(default=30, ge=1)
    """For how many days the rows of stored plans are kept. One line for each run is kept for longer."""


class Mapping(Section):
    """How the fields of an employee are derived from what Entra sends."""

    phone_region: str = Field(
        default="NO", pattern="^[A-Z]{2}$", json_schema_extra=allowed("write a country as two capitals, as NO")
    )
    """The country of phone numbers that are written without a country code."""

    payroll: Payroll = 1
    """`payroll` of a new employment if Entra sends none: 1 (enabled), 0 (disabled), 2 (variable), or
    "omit" to leave it out."""

    fields: dict[str, dict[str, object]] = Field(
        default_factory=dict,
        examples=[{"email": {"from": ['emails[type eq "work"].value', "userName"], "owner": "entra"}}],
        json_schema_extra=allowed("write a table of Ditio's names, each with a table: from, owner"),
    )
    """Rules that replace the default ones, by Ditio's name of the field. `from`: SCIM attributes; the first one that
    is present is used. `owner`: `entra` (sent whenever it differs), `seed` (sent once, then owned by Ditio) or
    `ditio` (never sent). If one of the two is left out, it keeps its default."""


class Retention(Section):
    """How long history and the audit trail are kept."""

    days: int = Field(default=365, ge=1)
    """For how many days history and the audit trail are kept: what was done for which person, how Ditio answered, and
    who asked for it. The line of each run of `reconcile` is kept as long."""


WebhookForm = Literal["teams", "slack", "json"]

_FORMS: dict[str, WebhookForm] = {
    "hooks.slack.com": "slack",
    "hooks.slack-gov.com": "slack",
    "logic.azure.com": "teams",
    "api.powerplatform.com": "teams",
    "api.powerautomate.com": "teams",
    "webhook.office.com": "teams",
}
"""The hosts, and the ends of host names, that only this receiver has."""


class Notify(Section):
    """Notices: messages to operators when something needs them. They have counts, ids and commands, and no names.
    Without a webhook or a mail server nothing is sent. The worker sends them."""

    webhook_url: WebhookUrl = Field(default=None, examples=["https://hooks.example.com/the-secret-part"])
    """The address that notices are posted to: of a Teams workflow, a Slack webhook, or a program of yours. It is a
    secret, because every program that knows it can post there."""

    webhook_format: WebhookForm | None = Field(default=None, examples=["teams"])
    """The form of the posted message: `teams` (an Adaptive Card), `slack`, or `json`. Not set: Microsoft's and Slack's
    own addresses are recognised, and all others get `json`."""

    smtp_host: str | None = Field(default=None, min_length=1, examples=["smtp.example.com"])
    """The mail server. Set it together with `smtp_from` and `smtp_to`: notices are sent by mail too."""

    smtp_port: int | None = Field(default=None, ge=1, le=65535, examples=[587])
    """The port of the mail server. Not set: 587 with `starttls`, 465 with `tls`, 25 with `none`."""

    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection to the mail server is encrypted. With `none`, a password is sent only to this machine."""

    smtp_username: str | None = Field(default=None, min_length=1, examples=["scim-bridge"])
    """The user to sign in to the mail server with. Not set: without signing in."""

    smtp_password: SecretStr | None = Field(default=None, min_length=1, examples=["the password of that user"])
    """The user's password. Better put it in a file of its own, named by SCIM_BRIDGE_NOTIFY__SMTP_PASSWORD_FILE."""

    smtp_from: MailAddress | None = Field(default=None, examples=["scim-bridge@example.com"])
    """The sender's address."""

    smtp_to: tuple[MailAddress, ...] = Field(default=(), examples=[["operations@example.com"]])
    """The addresses that get the notices."""

    waiting_seconds: float = Field(default=3600.0, ge=60, allow_inf_nan=False)
    """After how many seconds a person who waits for delivery is reported. It is also the shortest time between two
    notices about people who wait, or about people whose changes are refused."""

    daily_at: str | None = Field(
        default=None,
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
        examples=["07:30"],
        json_schema_extra=allowed('write a time of the day in quotes, as "07:30"'),
    )
    """When a summary in figures is sent each day, by the time zone of DITIO__TIME_ZONE. Not set: never."""

    @property
    def is_on(self) -> bool:
        """Whether notices are sent anywhere."""
        return self.webhook_url is not None or self.smtp_host is not None

    def webhook_form(self) -> WebhookForm:
        """Return the form of a posted message, by the setting or else by the host of the address."""
        if self.webhook_format is not None or self.webhook_url is None:
            return self.webhook_format or "json"
        host = f".{urlsplit(self.webhook_url.get_secret_value()).hostname or ''}"
        return next((form for end, form in _FORMS.items() if host.endswith(f".{end}")), "json")

    def missing(self, start: Path = ()) -> list[str]:
        """Return what keeps mail from being sent although it is set in part: a sentence for each, in both spellings.

        :param start: The path before the names of a company's settings.
        """
        mail = ("smtp_host", "smtp_from", "smtp_to")
        signs_in = ("smtp_username", "smtp_password")
        needed = [name for name in mail if not getattr(self, name)]
        if len(needed) == len(mail) and not (self.smtp_username or self.smtp_password or self.smtp_port):
            return []
        if (self.smtp_username is None) is not (self.smtp_password is None):
            needed += [name for name in signs_in if getattr(self, name) is None]
        found = [f"{both((*start, 'notify', name))} is not set, and mail can't be sent without it" for name in needed]
        if self.smtp_tls == "none" and self.smtp_password is not None and not is_loopback(self.smtp_host or ""):
            setting = both((*start, "notify", "smtp_tls"))
            found.append(f"{setting} is none, so the password would be sent unencrypted: write starttls or tls")
        return found


class Settings(MultiTenantSettings):
    """All settings. Without arguments they have their defaults; `load` reads the sources."""

    database: Database = Database()
    server: Server = Server()
    log: Log = Log()
    auth: Auth = Auth()
    scim: Scim = Scim()
    ditio: Ditio = Ditio()
    delivery: Delivery = Delivery()
    reconcile: Reconcile = Reconcile()
    mapping: Mapping = Mapping()
    certificates: Certificates = Certificates()
    retention: Retention = Retention()
    notify: Notify = Notify()
    entra: Entra = Entra()
    console: Console = Console()

    def missing(self) -> list[str]:
        """Return which required settings are missing: a sentence for each, with both spellings."""
        ditio = [f"{name} is not set, and Ditio can't be called without it" for name in self.ditio.missing(self.start)]
        return [*self.auth.missing(self.start), *ditio, *self.notify.missing(self.start)]

    def missing_for_entra(self) -> list[str]:
        """Return what keeps Entra from being read, if it is to be. People are served all the same."""
        missing = [*self.entra.missing(self.start, self.auth.entra_tenant_id)]
        if self.reconcile.with_entra and not self.entra.is_set:
            name = both((*self.start, "reconcile", "with_entra"))
            missing.append(f"{name} is true, and Entra is not read: set the settings of [entra]")
        return missing
