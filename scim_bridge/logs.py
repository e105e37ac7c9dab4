"""The log: one format for our own events and for the libraries' lines, without personal data or secrets.

Every line goes through standard logging to one handler on the root logger. Our lines are a constant event with
keywords. `request_id`, bound with `bound`, is added to every line that is logged while the request is served.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from logging import config as logging_config
from logging import getLogger
from typing import Literal, TextIO

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

Format = Literal["console", "json"]

REMOVED = "[removed]"

_SENSITIVE = frozenset(
    {"authorization", "token", "secret", "password", "clientsecret", "body", "username", "email", "phone"}
)
_SENSITIVE_ENDINGS = ("token", "secret", "password")

_OF_SEVERAL_LINES = ("exception", "stack")

_QUIET = ("urllib3", "requests", "authlib", "sqlalchemy.engine", "sqlalchemy.pool", "alembic.runtime")
"""Libraries whose lines show URLs with phone numbers, tokens or rows, or repeat the same at every `/readyz`."""

AUDIT = "scim_bridge.storage.audit"
"""The logger of the audit trail. Its lines are written at every log level, because they say who did what."""

bound = bound_contextvars
"""A context that adds the given keywords to every line: `with bound(request_id=…):`."""


def configure(level: str = "info", format: Format = "console", stream: TextIO | None = None) -> None:
    """Send all lines of this process to one stream.

    :param level: debug, info, warning, error or critical.
    :param stream: The default is standard error.
    """
    logging_config.dictConfig(standard_config(level, format, stream))


@contextmanager
def rehearsal() -> Iterator[None]:
    """Write no lines of the audit trail in this block, because nothing in it is really done."""
    audit = getLogger(AUDIT)
    audit.disabled = True
    try:
        yield
    finally:
        audit.disabled = False


def standard_config(level: str, format: Format, stream: TextIO | None = None) -> dict[str, object]:
    """Return the argument of `logging.config.dictConfig`, which gunicorn takes as `logconfig_dict` too."""
    target = sys.stderr if stream is None else stream
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "one": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": _rendering(format, colors=target.isatty()),
                "foreign_pre_chain": _SHARED,
            }
        },
        "handlers": {"one": {"class": "logging.StreamHandler", "formatter": "one", "stream": target}},
        "root": {"level": level.upper(), "handlers": ["one"]},
        "loggers": {
            # gunicorn's loggers have handlers of their own; an empty list removes them.
            **{name: {"handlers": [], "propagate": True} for name in ("gunicorn.error", "gunicorn.access")},
            **{name: {"level": "WARNING"} for name in _QUIET},
            AUDIT: {"level": "INFO"},
        },
    }


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module; call it with `__name__`."""
    return structlog.stdlib.get_logger(name)


def remove_sensitive(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace sensitive values by `REMOVED`, however deeply they are nested."""
    return {key: _without_sensitive(key, value) for key, value in event.items()}


def escape_unprintable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape unprintable characters: a terminal obeys ESC, and a log reader takes U+2028 for a new line."""
    return {key: _escaped(value, keep="\n" if key in _OF_SEVERAL_LINES else "") for key, value in event.items()}


def _escaped(value: object, keep: str = "") -> object:
    if isinstance(value, str) and value.isprintable():
        return str(value)
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {inner: _escaped(nested) for inner, nested in value.items()}
        case list() | tuple():
            return [_escaped(nested) for nested in value]
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in str(value)
    )


def _without_sensitive(key: object, value: object) -> object:
    if isinstance(key, str) and _is_sensitive(key):
        return REMOVED
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {inner: _without_sensitive(inner, nested) for inner, nested in value.items()}
    if isinstance(value, list | tuple):
        return [_without_sensitive(None, nested) for nested in value]
    return value


@lru_cache(1000)
def _is_sensitive(key: str) -> bool:
    plain = key.lower().replace("_", "").replace("-", "")
    return plain in _SENSITIVE or plain.endswith(_SENSITIVE_ENDINGS)


def _rendering(format: Format, *, colors: bool) -> list[Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    # A traceback as text has no local variables, which may hold personal data.
    ready: list[Processor] = [remove_meta, structlog.processors.format_exc_info, escape_unprintable]
    if format == "json":
        return [*ready, structlog.processors.JSONRenderer(ensure_ascii=False)]
    plain = structlog.dev.plain_traceback
    return [*ready, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


_SHARED: Iterable[Processor] = (
    merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    remove_sensitive,
)

# Configured once, at import: a line that is logged before `configure` goes to standard logging too.
# On standard output it would break the JSON that a command prints.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_SHARED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    # Each line would make its logger anew.
    cache_logger_on_first_use=True,
)
