"""Types of values, the two spellings of a setting, and what a company inherits."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr
from pydantic.config import JsonDict

Operation = dict[str, object] | str | None
"""How an operation is called: a table, one word, or None for the default."""

OPERATION_TABLE = "a table with method (PATCH, POST), path (starting with /) and body"


def _database_url(text: str) -> str:
    if not text.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
        raise ValueError("write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")
    return text


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("write HOST:PORT, as 127.0.0.1:8080 or [::1]:8080")
    return text


def _parts(text: str, words: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(words) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or text != text.strip():
        raise ValueError(words)
    return parts


def _bare(text: str) -> SplitResult:
    words = "write an address such as https://host.example, without user, query or fragment"
    if "?" in text or "#" in text:
        raise ValueError(words)
    return _parts(text, words)


def _encrypted(parts: SplitResult, words: str) -> None:
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError(words)


def _base_url(text: str) -> str:
    _bare(text)
    if text.endswith("/"):
        raise ValueError("write it without the slash at the end")
    if "/scim/" in text + "/":
        raise ValueError("write it without /scim/v2, which the bridge adds")
    return text


def _ditio_url(text: str) -> str:
    _encrypted(_bare(text), "credentials and personal data go there: write https (plain http only to loopback)")
    return text.rstrip("/")


def _keys_url(text: str) -> str:
    words = "write an https address (plain http only to loopback): its keys decide who is let in"
    _encrypted(_parts(text, words), words)
    return text


def _webhook_url(url: SecretStr | None) -> SecretStr | None:
    if url is not None:
        words = "write an https address (plain http only to loopback), without a user"
        _encrypted(_parts(url.get_secret_value(), words), words)
    return url


def _mail_address(text: str) -> str:
    name, _, host = text.rpartition("@")
    if not name or not host or not text.isascii() or not text.isprintable() or set(text) & set(' ,;<>"()[]:\\'):
        raise ValueError("write a mail address, as operations@example.com")
    return text


def is_loopback(host: str) -> bool:
    """Return whether a URL's host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _sendable(token: SecretStr | None) -> SecretStr | None:
    text = token.get_secret_value() if token is not None else ""
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ValueError(
            "it is sent in a header, which allows only ASCII letters, digits and signs, and no space at either "
            "end: make another one, for example with `openssl rand -hex 32`"
        )
    return token


def _read_by(reader: Callable[[str], object], words: str) -> AfterValidator:
    def checked(text: str) -> str:
        try:
            reader(text)
        except (ValueError, OSError, LookupError):
            raise ValueError(words) from None
        return text

    return AfterValidator(checked)


def _login_operation(value: Operation) -> Operation:
    return value if value == "v4" else _change_operation(value)


def _change_operation(value: Operation) -> Operation:
    """Check the shape only: the client that makes the call checks path and body."""
    table = isinstance(value, dict) and {"method", "path"} <= set(value) <= {"method", "path", "body"}
    if value is not None and value != "off" and not table:
        raise ValueError(OPERATION_TABLE)
    return value


def _number(value: object) -> object:
    """Return digits as a number, because the environment has only text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _each_once(steps: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(steps)) < len(steps):
        raise ValueError("name each step once")
    return steps


DatabaseUrl = Annotated[str, AfterValidator(_database_url)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]
DitioUrl = Annotated[str, AfterValidator(_ditio_url)]
KeysUrl = Annotated[str, AfterValidator(_keys_url)]
HeaderSecret = Annotated[SecretStr | None, AfterValidator(_sendable)]
WebhookUrl = Annotated[SecretStr | None, AfterValidator(_webhook_url)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]
Network = Annotated[str, _read_by(ip_network, "write addresses or networks, as 10.0.0.7 or 10.0.0.0/24")]
TimeZone = Annotated[str, _read_by(ZoneInfo, "write the name of a time zone, as Europe/Oslo")]
ChangeOperation = Annotated[Operation, AfterValidator(_change_operation)]
LoginOperation = Annotated[Operation, AfterValidator(_login_operation)]
PatchStatus = Annotated[Literal[200, 204], BeforeValidator(_number)]
Payroll = Annotated[Literal[1, 0, 2, "omit"], BeforeValidator(_number)]
OffboardingSteps = Annotated[tuple[Literal["end-employment", "disable"], ...], AfterValidator(_each_once)]
RehiringSteps = Annotated[tuple[Literal["enable", "create-employment"], ...], AfterValidator(_each_once)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]


Path = tuple[str, ...]
"""The parts of a setting's name: section, optionally a table inside it, name."""

PREFIX = "SCIM_BRIDGE_"
DELIMITER = "__"


def dotted(path: Path) -> str:
    """Return a setting's spelling in the TOML file."""
    return ".".join(path)


def variable(path: Path) -> str:
    """Return a setting's spelling in the environment, where a company's name can't have a hyphen."""
    return PREFIX + DELIMITER.join(path).upper().replace("-", "_")


def both(path: Path) -> str:
    """Return both spellings, for a message."""
    return f"{dotted(path)} ({variable(path)})"


class Section(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def allowed(words: str) -> JsonDict:
    """Return metadata with the message for an invalid value, if the library's own message is not plain enough."""
    return {"allowed": words}


DEFAULT_TENANT = "default"
"""The company whose settings have no company's name before them. It is also served at `/scim/v2`."""

TENANTS = "tenants"

MOST_LETTERS = 63

_NAME = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")

NAME_WORDS = (
    f"a company's name is part of its URL: write 1 to {MOST_LETTERS} lower-case letters and digits, "
    "with single hyphens or underscores between them, as nord-bygg"
)

SHARED_SECTIONS = frozenset({"database", "server", "log"})
"""The sections that all companies share, because they are about the processes and not about one company."""

SHARED_SETTINGS: frozenset[Path] = frozenset(
    # Failures are counted for each client address across all companies; keys are fetched once for all of them.
    # Administrators of all companies sign in at one place.
    {
        ("auth", "max_failures_per_minute"),
        ("auth", "jwks_min_refetch_seconds"),
        ("console", "enabled"),
        ("console", "oidc_issuer"),
        ("console", "oidc_client_id"),
        ("console", "oidc_client_secret"),
    }
)

_CREDENTIALS: frozenset[Path] = frozenset({("ditio", "client_id"), ("ditio", "client_secret"), ("ditio", "company_id")})


def is_name(text: str) -> bool:
    """Return whether this is a valid name of a company."""
    return len(text) <= MOST_LETTERS and _NAME.fullmatch(text) is not None


def is_shared(path: Path) -> bool:
    """Return whether all companies share a setting, so that none can have its own value."""
    return path[0] in SHARED_SECTIONS or path in SHARED_SETTINGS


def is_own(path: Path) -> bool:
    """Return whether a company never inherits this setting.

    If sign-in settings were inherited, the Entra of one company could write to every other company. If Ditio's
    credentials and company id were inherited, a company without its own would write into another company's payroll.
    The URLs of Ditio are not secret, and are inherited. How Entra is read is as much a company's own as its sign-in.
    """
    return (
        path in _CREDENTIALS
        or path[0] == "entra"
        or (path[0] == "auth" and path[-1].startswith(("entra_", "workload_")))
    )
