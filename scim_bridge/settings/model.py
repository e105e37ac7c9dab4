"""What can be set: a class for each section. The docstring under a setting is its documentation."""

from collections.abc import Callable
from typing import Literal, Self

from pydantic import Field, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from scim_bridge.settings.sections import Auth, Certificates, Ditio
from scim_bridge.settings.types import (
    DEFAULT_TENANT,
    BaseUrl,
    DatabaseUrl,
    HeaderSecret,
    HostAndPort,
    LogLevel,
    Network,
    OffboardingSteps,
    PatchStatus,
    Path,
    Payroll,
    RehiringSteps,
    Section,
    allowed,
)

DEFAULT = "default"
"""Where a setting was set that was not."""


class MultiTenantSettings(BaseSettings):
    """What settings know beside their values: whose they are, where each was set, and the other companies'."""

    _origins: dict[Path, str] = PrivateAttr(default_factory=dict)
    _start: Path = PrivateAttr(default=())
    _tenants: dict[str, Self] = PrivateAttr(default_factory=dict)

    @property
    def start(self) -> Path:
        """What stands before the names of these settings: `tenants` and the name of a company, or nothing."""
        return self._start

    @property
    def whose(self) -> str:
        """What a message about these settings begins with: the company's name, where they are of one."""
        return f"{self._start[-1]}: " if self._start else ""

    @property
    def tenants(self) -> dict[str, Self]:
        """The settings of each company that is served, by its name; without a name it is `default`."""
        return self._tenants or {DEFAULT_TENANT: self}

    def origin(self, path: Path) -> str:
        """Where a setting was set: the variable's name, the file's, or `DEFAULT`."""
        return self._origins.get(path, DEFAULT)

    def named(self, start: Path, origins: dict[Path, str]) -> Self:
        """The same, with where each was set. :param start: See `start`."""
        named = self.model_copy()
        named._start, named._origins = start, dict(origins)
        return named

    def serving(self, tenants: dict[str, Self]) -> Self:
        """The same, with those of each company."""
        serving = self.model_copy()
        serving._tenants = dict(tenants)
        return serving

    def only(self, tenant: str) -> Self:
        """The settings of one company that is served, as if there were no other."""
        own = self.tenants[tenant]
        return own.serving({tenant: own})

    def each(self, change: Callable[[Self], Self]) -> Self:
        """The same after a change, which is made to the settings of every company."""
        return change(self).serving({name: change(own) for name, own in self._tenants.items()})


class Database(Section):
    """Where everything is kept."""

    url: DatabaseUrl = Field(default="sqlite:///scim_bridge.db", repr=False)
    """SQLite (`sqlite:///FILE`, on a local disk), or PostgreSQL (`postgresql://USER:PASSWORD@HOST/NAME`)
    where one machine is not enough."""


class Server(Section):
    """The web server."""

    base_url: BaseUrl | None = Field(default=None, examples=["https://scim.example.com"])
    """The address under which Entra reaches the bridge, without a slash at the end. Links in answers are
    made from it, never from the request's Host header. Not set: `http://` and the address of `bind`."""

    bind: HostAndPort = "127.0.0.1:8080"
    """Address and port to listen on. Beyond loopback, put something that speaks TLS in front."""

    workers: int = Field(default=2, ge=1)
    """Processes that answer requests."""

    threads: int = Field(default=8, ge=2)
    """Threads in each process. At most half of them wait for Ditio at a time; of several companies, half of those
    for the same one."""

    trusted_proxies: tuple[Network, ...] = Field(
        default=(), json_schema_extra=allowed("write a list of addresses or networks, as 10.0.0.7 or 10.0.0.0/24")
    )
    """Addresses or networks of the proxies in front, whose `X-Forwarded-For` is believed: it decides whose failures
    are counted, and which address the log has. These may have any number of connections, another address 100 to each
    process. Not set: no address is believed."""

    client_seconds: float = Field(default=10.0, gt=0, allow_inf_nan=False)
    """How long a client may take to send a request, header and body, and then to take the answer, in seconds. The
    first byte and the header have five of them at most."""

    metrics_token: HeaderSecret = Field(default=None, min_length=16, examples=["a long random text"])
    """Set: `/metrics` and the figures of `/readyz` are for requests with this bearer token, from any machine, and for
    no others. Not set: for requests from this machine that came through no proxy."""


class Log(Section):
    """The log, written to standard error."""

    level: LogLevel = "info"
    """The least important lines that are written: debug, info, warning, error or critical."""

    format: Literal["console", "json"] = "console"
    """`console` for people, `json` for machines: one object a line."""


class Scim(Section):
    """What Entra may send, and how it is answered."""

    patch_status: PatchStatus = 200
    """The status of a PATCH that succeeded: 200 with the resource, a group without its members, or 204 without any."""

    max_body_bytes: int = Field(default=1_048_576, ge=1)
    """The largest request body, in bytes."""

    max_value_length: int = Field(default=4096, ge=256)
    """The longest text in a request body, in characters: each value, and each name of an attribute."""

    max_page_size: int = Field(default=200, ge=1)
    """The most resources in one page of a list. Large resources make a page shorter: it holds 2 MiB of them."""

    max_filter_length: int = Field(default=2000, ge=1)
    """The longest filter, in characters; also the longest path of a PATCH, in which there may be one."""

    max_patch_operations: int = Field(default=1000, ge=1)
    """The most operations in one PATCH; one without a path counts once for each attribute in its value."""

    max_bulk_operations: int = Field(default=100, ge=1)
    """The most operations in one bulk request. Each one is a transaction of its own."""


class Delivery(Section):
    """When and how a person is brought to Ditio."""

    inline_seconds: float = Field(default=5.0, ge=0, le=9.5)
    """How long a request of Entra's may wait for Ditio, in seconds; 0 delivers everything afterwards."""

    on_incomplete: Literal["hold", "refuse"] = "hold"
    """A new person without a required value: `hold` accepts and waits for it, `refuse` answers 400."""

    on_refused: Literal["report", "park"] = "report"
    """What Ditio refuses while Entra's request waits: `report` undoes the write and answers 400 or 409 with
    Ditio's words, `park` keeps it and answers 2xx. Somebody's leaving is never undone."""

    adopt: Literal["verify", "always", "never"] = "verify"
    """An employee who has the number already: taken over if phone, e-mail, or birth date and last name
    agree (`verify`), in any case (`always`), or not at all (`never`)."""

    offboarding: OffboardingSteps = Field(
        default=("end-employment", "disable"),
        json_schema_extra=allowed('write a list of "end-employment" and "disable", each once at most'),
    )
    """What is done when somebody leaves, in this order; of end-employment and disable."""

    rehiring: RehiringSteps = Field(
        default=("enable", "create-employment"),
        json_schema_extra=allowed('write a list of "enable" and "create-employment", each once at most'),
    )
    """What is done when somebody returns, in this order; of enable and create-employment."""

    end_employment: Literal["after-last-day", "at-once"] = "after-last-day"
    """When the employment of a person who leaves is ended: `after-last-day`, when their last day is over, so that a
    person who is back that day leaves no trace in payroll; or `at-once`. The login is disabled at once in any case."""

    max_ended_per_hour: int = Field(default=5, ge=0)
    """How many people may be ended within an hour before the next one is held, where they are also more than
    `max_ended_fraction`: a scope or a group that was emptied by mistake ends nobody. `outbox release` sends what is
    held, `outbox drop` withdraws it. Changes of phone, and of employee number, are counted the same way, each apart.
    With fewer than 15 people at work it is a third of them, at least one, if that is less. An ending on a leave date
    that was stored at least a day before it passes is not counted."""

    max_ended_fraction: float = Field(default=0.05, ge=0, le=1)
    """The share of the people at work that may be ended within an hour, whatever `max_ended_per_hour` says."""

    max_created_per_hour: int = Field(default=0, ge=0)
    """How many employees may be created within an hour before the next one is held; 0 = any number. Set it once the
    first cycle is over: who was created by mistake can't be deleted again."""

    paused: bool = False
    """Whether deliveries are paused: everything is accepted and nothing is sent to Ditio. `outbox pause` and
    `outbox resume` do it without a restart; `resume` fails as long as this is true."""


class Reconcile(Section):
    """The comparison of everybody with Ditio: `scim-bridge reconcile`."""

    every: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """How often everybody is compared, in seconds from start to start; 0 = never. `serve` and `worker` see to
    it; of several processes on one database one does it."""

    apply: bool = False
    """Whether those runs repair what they may. Otherwise they only report."""

    source: Literal["employees", "reporting"] = "employees"
    """Where everybody is read from: Ditio's list of employees, or its reporting API (DITIO__REPORTING_URL)."""

    max_ended_fraction: float = Field(default=0.1, ge=0, le=1)
    """The largest share of the people at work that one run may end; more stops it. Under 20 people it does
    not count."""

    max_changes: int = Field(default=500, ge=0)
    """The most differences that one run may repair; more stops it."""

    keep_days: int = Field(default=30, ge=1)
    """For how many days the rows of stored plans are kept. Of each run one line is kept for longer."""


class Mapping(Section):
    """How the fields of an employee are made from what Entra sends."""

    phone_region: str = Field(
        default="NO",
        pattern="^[A-Z]{2}$",
        json_schema_extra=allowed("write a country as two capitals, as NO"),
    )
    """The country of phone numbers that are written without a country code."""

    payroll: Payroll = 1
    """`payroll` of a new employment where Entra sends none: 1 (enabled), 0 (disabled), 2 (variable), or
    "omit" to leave it out."""

    fields: dict[str, dict[str, object]] = Field(
        default_factory=dict,
        examples=[{"email": {"from": ['emails[type eq "work"].value', "userName"], "owner": "entra"}}],
        json_schema_extra=allowed("write a table of Ditio's names, each with a table: from, owner"),
    )
    """Rules that replace the default ones, by Ditio's name of the field. `from`: SCIM attributes, of which
    the first that is present counts. `owner`: `entra` (sent whenever it differs), `seed` (sent once, then
    Ditio's) or `ditio` (never sent). Either may be left out and keeps its default."""


class Retention(Section):
    """How long things are kept."""

    days: int = Field(default=365, ge=1)
    """Days that history and the audit trail are kept: what was done for whom, how Ditio answered, and who asked.
    The line of each run of `reconcile` is kept as long."""


class Settings(MultiTenantSettings):
    """All settings. Without arguments these are the defaults; `load` reads the sources."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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

    def missing(self) -> list[str]:
        """What a company can't be served without: each a sentence with both spellings."""
        ditio = [f"{name} is not set, and Ditio can't be called without it" for name in self.ditio.missing(self.start)]
        return [*self.auth.missing(self.start), *ditio]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the arguments: a `Settings()` in a test doesn't depend on the machine's environment."""
        return (init_settings,)
