"""The log: one form for our own events and for the libraries' lines, without personal data or secrets.

Every line goes through standard logging to one handler on the root logger. Ours are a constant event with
keywords; `request_id`, bound with `bound`, is added to whatever is logged while the request is served.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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

_QUIET = ("urllib3", "requests", "authlib", "sqlalchemy.engine", "sqlalchemy.pool", "alembic.runtime.migration")
"""Libraries whose lines show addresses with phone numbers, tokens or rows, or say the same at every `/readyz`."""

AUDIT = "scim_bridge.storage.audit"
"""Whose lines are written whatever the level: who did what is not a matter of taste."""

bound = bound_contextvars
"""A context in which every line carries the given keywords: `with bound(request_id=…):`."""


def configure(level: str = "info", format: Format = "console", stream: TextIO | None = None) -> None:
    """Send all lines of this process to one stream, standard error unless told otherwise.

    :param level: debug, info, warning, error or critical.
    """
    logging_config.dictConfig(standard_config(level, format, stream))


@contextmanager
def rehearsal() -> Iterator[None]:
    """Nothing is really done meanwhile: lines of the audit trail would be untrue, so none are written."""
    audit = getLogger(AUDIT)
    audit.disabled = True
    try:
        yield
    finally:
        audit.disabled = False


def standard_config(level: str, format: Format, stream: TextIO | None = None) -> dict[str, object]:
    """What `configure` gives to `logging.config.dictConfig`; gunicorn takes it as `logconfig_dict`."""
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
            # gunicorn's loggers come with handlers of their own; an empty list takes them away.
            **{name: {"handlers": [], "propagate": True} for name in ("gunicorn.error", "gunicorn.access")},
            **{name: {"level": "WARNING"} for name in _QUIET},
            AUDIT: {"level": "INFO"},
        },
    }


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of one module; call it with `__name__`."""
    return structlog.stdlib.get_logger(name)


def remove_sensitive(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take out what must not be logged, wherever it is nested."""
    return {key: _without_sensitive(key, value) for key, value in event.items()}


def escape_unprintable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Write what no line may have as its code point: a terminal would obey ESC, a reader take U+2028 for a new line."""
    return {key: _escaped(value, keep="\n" if key in _OF_SEVERAL_LINES else "") for key, value in event.items()}


def _escaped(value: object, keep: str = "") -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {inner: _escaped(nested) for inner, nested in value.items()}
        case list() | tuple():
            return [_escaped(nested) for nested in value]
    text = str(value)
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode() for each in text
    )


def _without_sensitive(key: object, value: object) -> object:
    if _is_sensitive(key):
        return REMOVED
    if isinstance(value, Mapping):
        return {inner: _without_sensitive(inner, nested) for inner, nested in value.items()}
    if isinstance(value, list | tuple):
        return [_without_sensitive(None, nested) for nested in value]
    return value


def _is_sensitive(key: object) -> bool:
    if not isinstance(key, str):
        return False
    plain = key.lower().replace("_", "").replace("-", "")
    return plain in _SENSITIVE or plain.endswith(_SENSITIVE_ENDINGS)


def _rendering(format: Format, *, colors: bool) -> list[Processor]:
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    # A traceback as text has no local variables, where personal data would be.
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

# Done at import, once: a line that is logged before `configure` goes to standard logging too, never to
# standard output, where it would spoil the JSON of a command.
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_SHARED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
