"""The log: one form, one stream, nothing personal."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from scim_bridge import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.getLogger("gunicorn.error").handlers.clear()


@pytest.fixture
def stream() -> io.StringIO:
    """Where the lines go."""
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    """The JSON lines so far."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_a_constant_event_with_keywords(stream: io.StringIO):
    """Conventions, *Logs*."""
    logs.configure("info", "json", stream)

    logs.get_logger("scim_bridge.delivery.settle").info("delivery.settled", person_id=7, outcome="applied")

    (line,) = lines(stream)
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "event": "delivery.settled",
        "person_id": 7,
        "outcome": "applied",
        "level": "info",
        "logger": "scim_bridge.delivery.settle",
    }


@pytest.mark.parametrize("name", ["gunicorn.error", "alembic.runtime.migration", "sqlalchemy.pool", "authlib"])
def test_libraries_write_in_the_same_form(stream: io.StringIO, name: str):
    """One formatter for all."""
    logs.configure("info", "json", stream)

    logging.getLogger(name).warning("worker %s ended", 3)

    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("worker 3 ended", name, "warning")


def test_gunicorn_takes_the_same_form_from_its_first_line_on(stream: io.StringIO):
    """gunicorn sets its loggers up itself; `logconfig_dict` is the way in."""
    config = Config()
    config.set("logconfig_dict", logs.standard_config("info", "json", stream))

    Logger(config).info("Starting gunicorn %s", "27")

    assert [line["event"] for line in lines(stream)] == ["Starting gunicorn 27"]


@pytest.mark.parametrize(
    "key",
    [
        *("authorization", "Authorization", "token", "access_token", "secret", "client_secret", "password"),
        *("body", "user_name", "userName", "email", "phone"),
    ],
)
def test_what_is_sensitive_is_removed(stream: io.StringIO, key: str):
    """Design, section 10: no personal data, secrets or bodies in logs."""
    logs.configure("info", "json", stream)

    logs.get_logger("x").info("event", **{key: "kari@example.com"}, request={key: "kari@example.com"}, token_id=3)

    (line,) = lines(stream)
    assert line[key] == "[removed]"
    assert line["request"] == {key: "[removed]"}
    assert line["token_id"] == 3
    assert "kari" not in stream.getvalue()


@pytest.mark.parametrize("format", ["json", "console"])
@pytest.mark.parametrize("letter", ["\x1b", "\x85", "\u2028", "\u202e", "\n", "\r", "\x7f", "\ud800"])
def test_nothing_that_does_not_print_is_in_a_line(stream: io.StringIO, format, letter: str):
    """A9: what a client sent neither begins a line nor steers a terminal, whatever writes it, wherever it is."""
    logs.configure("info", format, stream)
    sent = f"before{letter}after"
    logs.get_logger("ours").info("constant", name=sent, nested={"a": [sent, ValueError(sent)]})
    logging.getLogger("gunicorn.error").warning("about %s", sent)
    try:
        raise ValueError(sent)
    except ValueError:
        logging.getLogger("theirs").exception("failed")

    written = stream.getvalue()
    if letter == "\n":
        # A traceback has lines of its own.
        written = written[: written.index("Traceback")]
        assert "\\n" in written
    else:
        assert letter not in written
    assert len(written.splitlines()) >= 3


def test_a_request_id_is_on_every_line_of_its_request(stream: io.StringIO):
    """Libraries' lines included."""
    logs.configure("info", "json", stream)

    with logs.bound(request_id="7f3a"):
        logs.get_logger("x").info("inside")
        logging.getLogger("alembic").info("inside too")
    logs.get_logger("x").info("outside")

    assert [line.get("request_id") for line in lines(stream)] == ["7f3a", "7f3a", None]


def test_the_level_decides_what_is_written(stream: io.StringIO):
    """Libraries that show addresses and rows stay quiet even at debug."""
    logs.configure("debug", "json", stream)
    logs.get_logger("x").debug("shown")
    logging.getLogger("urllib3.connectionpool").debug("GET /search?query=+4798765432")
    logs.configure("warning", "json", stream)
    logs.get_logger("x").info("not shown")

    assert [line["event"] for line in lines(stream)] == ["shown"]


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_shows_no_local_variables(stream: io.StringIO, format):
    """They would hold people and secrets."""
    logs.configure("info", format, stream)

    def fails() -> None:
        phone = "+47" + "98765432"
        raise ValueError(f"unusable, {len(phone)} characters")

    try:
        fails()
    except ValueError:
        logs.get_logger("x").exception("failed")

    assert "unusable, 11 characters" in stream.getvalue()
    assert "+4798765432" not in stream.getvalue()


def test_configuring_twice_writes_once(stream: io.StringIO):
    """`serve` configures in each process it starts."""
    logs.configure("info", "json", io.StringIO())
    logs.configure("info", "json", stream)

    logs.get_logger("x").info("once")

    assert len(lines(stream)) == 1


def test_the_console_form_is_for_people(stream: io.StringIO):
    """No colours where there is no terminal."""
    logs.configure("info", "console", stream)

    logs.get_logger("x").info("delivery.settled", person_id=7)

    assert "delivery.settled" in stream.getvalue()
    assert "person_id=7" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_line_before_the_configuration_stays_off_standard_output(capsys: pytest.CaptureFixture[str]):
    """The JSON of a command is alone there."""
    logs.get_logger("x").warning("early")

    assert capsys.readouterr().out == ""
