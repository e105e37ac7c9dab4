"""Settings: where they come from, what is allowed, and what is said about the rest."""

from pathlib import Path

import pytest

from scim_bridge.errors import SettingsError
from scim_bridge.settings import Settings, effective, load


@pytest.fixture(autouse=True)
def _an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(toml: str = "", /, **environ: str) -> Settings:
    """Load with a file of this text and these variables, written without SCIM_BRIDGE_."""
    Path("given.toml").write_text(toml, encoding="utf-8")
    return load(Path("given.toml"), {f"SCIM_BRIDGE_{name}": text for name, text in environ.items()})


def problems(toml: str = "", /, **environ: str) -> list[str]:
    """What is wrong with these, one line each."""
    with pytest.raises(SettingsError) as caught:
        loaded(toml, **environ)
    return str(caught.value).splitlines()


def value_of(settings: Settings, name: str) -> object:
    """A setting by its dotted name."""
    found: object = settings
    for part in name.split("."):
        found = getattr(found, part)
    return found


def test_without_any_source_there_are_the_documented_defaults():
    """Design, section 5: of alternatives the first named is the default."""
    settings = load(environ={})

    assert settings == Settings()
    assert settings.database.url == "sqlite:///scim_bridge.db"
    assert (settings.server.base_url, settings.server.bind) == (None, "127.0.0.1:8080")
    assert (settings.server.workers, settings.server.threads) == (2, 8)
    assert (settings.log.level, settings.log.format) == ("info", "console")
    assert (settings.scim.patch_status, settings.scim.max_body_bytes) == (200, 1024 * 1024)
    assert (settings.scim.max_page_size, settings.scim.max_filter_length) == (200, 2000)
    assert (settings.scim.max_patch_operations, settings.scim.max_bulk_operations) == (1000, 100)
    assert (settings.ditio.scope, settings.ditio.time_zone) == ("ditioapiv3", "Europe/Oslo")
    assert (settings.ditio.timeout_seconds, settings.ditio.max_concurrency) == (20, 8)
    assert (settings.ditio.company_id, settings.ditio.send_company_id) == (None, False)
    assert (settings.delivery.inline_seconds, settings.delivery.on_incomplete) == (5, "hold")
    assert settings.delivery.adopt == "verify"
    assert settings.delivery.offboarding == ("end-employment", "disable")
    assert settings.delivery.rehiring == ("enable", "create-employment")
    assert (settings.mapping.phone_region, settings.mapping.payroll, settings.mapping.fields) == ("NO", 1, {})


@pytest.mark.parametrize(
    ("variable", "text", "name", "expected"),
    [
        ("DITIO__TIMEOUT_SECONDS", "7.5", "ditio.timeout_seconds", 7.5),
        ("SERVER__WORKERS", "4", "server.workers", 4),
        ("DITIO__SEND_COMPANY_ID", "true", "ditio.send_company_id", True),
        ("DITIO__COMPANY_ID", "012345", "ditio.company_id", "012345"),
        ("LOG__LEVEL", "INFO", "log.level", "info"),
        ("SCIM__PATCH_STATUS", "204", "scim.patch_status", 204),
        ("MAPPING__PAYROLL", "omit", "mapping.payroll", "omit"),
        ("MAPPING__PAYROLL", "0", "mapping.payroll", 0),
        ("MAPPING__FIELDS", '{"email":{"from":["userName"]}}', "mapping.fields", {"email": {"from": ["userName"]}}),
        ("DELIVERY__INLINE_SECONDS", "0", "delivery.inline_seconds", 0),
        ("DELIVERY__OFFBOARDING", '["disable"]', "delivery.offboarding", ("disable",)),
        ("DELIVERY__REHIRING", "[]", "delivery.rehiring", ()),
        ("DITIO__OPERATIONS__DISABLE", "v4", "ditio.operations.disable", "v4"),
        ("DITIO__OPERATIONS__CHANGE_PHONE_NUMBER", "off", "ditio.operations.change_phone_number", "off"),
        (
            "DITIO__OPERATIONS__ENABLE",
            '{"method":"POST","path":"/{employeeNumber}/on","body":{}}',
            "ditio.operations.enable",
            {"method": "POST", "path": "/{employeeNumber}/on", "body": {}},
        ),
        ("DITIO__API_URL", "https://core-api.ditio.app/core/", "ditio.api_url", "https://core-api.ditio.app/core"),
        ("DITIO__API_URL", "http://127.8.0.1:1/x", "ditio.api_url", "http://127.8.0.1:1/x"),
        ("DITIO__API_URL", "http://[::1]:8090", "ditio.api_url", "http://[::1]:8090"),
        ("DITIO__API_URL", "http://localhost:8090", "ditio.api_url", "http://localhost:8090"),
        ("SERVER__BASE_URL", "http://scim.example.com", "server.base_url", "http://scim.example.com"),
        ("SERVER__BIND", "[::1]:0", "server.bind", "[::1]:0"),
        ("SERVER__BASE_URL", "", "server.base_url", None),
        ("NOTIFY__WAITING_SECONDS", "600", "notify.waiting_seconds", 600),
        ("NOTIFY__WEBHOOK_FORMAT", "slack", "notify.webhook_format", "slack"),
        ("NOTIFY__SMTP_HOST", "smtp.example.com", "notify.smtp_host", "smtp.example.com"),
        ("NOTIFY__SMTP_PORT", "25", "notify.smtp_port", 25),
        ("NOTIFY__SMTP_TLS", "none", "notify.smtp_tls", "none"),
        ("NOTIFY__SMTP_FROM", "bridge@example.com", "notify.smtp_from", "bridge@example.com"),
        ("NOTIFY__SMTP_TO", '["ops@example.com"]', "notify.smtp_to", ("ops@example.com",)),
        ("NOTIFY__DAILY_AT", "07:30", "notify.daily_at", "07:30"),
    ],
)
def test_a_variable_sets_a_setting(variable: str, text: str, name: str, expected: object):
    """Design, section 5: lists and tables are JSON in the environment, words are written bare."""
    settings = loaded(**{variable: text})

    assert value_of(settings, name) == expected
    assert type(value_of(settings, name)) is type(expected) or isinstance(expected, (int, float))


@pytest.mark.parametrize(
    ("toml", "name", "expected"),
    [
        ('[mapping]\npayroll = "omit"', "mapping.payroll", "omit"),
        ("[mapping]\npayroll = 2", "mapping.payroll", 2),
        ('[ditio]\ncompany_id = "012345"', "ditio.company_id", "012345"),
        ('[ditio.operations]\ndisable = "off"', "ditio.operations.disable", "off"),
        (
            '[ditio.operations.disable]\nmethod = "POST"\npath = "/x"',
            "ditio.operations.disable",
            {"method": "POST", "path": "/x"},
        ),
        ('[mapping.fields.email]\nowner = "seed"', "mapping.fields", {"email": {"owner": "seed"}}),
        ('[delivery]\noffboarding = ["disable"]', "delivery.offboarding", ("disable",)),
    ],
)
def test_a_file_sets_a_setting(toml: str, name: str, expected: object):
    """Design, section 5: TOML."""
    assert value_of(loaded(toml), name) == expected


def test_the_environment_comes_before_the_file_and_the_file_before_the_default():
    """Of several sources the first counts, and the setting says which it was."""
    settings = loaded("[server]\nworkers = 3\nthreads = 4\n", SERVER__WORKERS="5")

    assert (settings.server.workers, settings.server.threads, settings.server.bind) == (5, 4, "127.0.0.1:8080")
    assert settings.origin(("server", "workers")) == "SCIM_BRIDGE_SERVER__WORKERS"
    assert settings.origin(("server", "threads")) == "given.toml"
    assert settings.origin(("server", "bind")) == "default"


def test_a_table_in_the_environment_replaces_the_one_in_the_file():
    """A setting is replaced whole: a body of the file must not slip into a call of the environment."""
    settings = loaded(
        '[ditio.operations.disable]\nmethod = "POST"\npath = "/x"\nbody = { reason = "left" }\n',
        DITIO__OPERATIONS__DISABLE='{"method":"PATCH","path":"/y"}',
    )

    assert settings.ditio.operations.disable == {"method": "PATCH", "path": "/y"}


def test_a_file_is_named_by_the_option_by_the_variable_or_by_its_default_name():
    """Design, section 5: `--config`, `SCIM_BRIDGE_CONFIG`, or `scim-bridge.toml`."""
    for name, workers in (("scim-bridge.toml", 3), ("variable.toml", 4), ("option.toml", 5)):
        Path(name).write_text(f"[server]\nworkers = {workers}\n", encoding="utf-8")
    variable = {"SCIM_BRIDGE_CONFIG": "variable.toml"}

    assert load(environ={}).server.workers == 3
    assert load(environ=variable).server.workers == 4
    assert load(Path("option.toml"), variable).server.workers == 5


@pytest.mark.parametrize(("contents", "expected"), [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), ("s3 ", "s3 ")])
def test_a_secret_is_read_from_a_file(contents: str, expected: str):
    """Design, section 5: secrets also through `…_FILE`."""
    Path("secret").write_text(contents, encoding="utf-8", newline="")

    secret = loaded(DITIO__CLIENT_SECRET_FILE="secret").ditio.client_secret

    assert secret is not None
    assert secret.get_secret_value() == expected


@pytest.mark.parametrize("contents", ["", "\n", " \r\n"])
def test_an_empty_file_says_what_to_do(contents: str):
    """A secret that was never mounted is an empty file."""
    Path("secret").write_text(contents, encoding="utf-8", newline="")
    with pytest.raises(SettingsError) as found:
        loaded(DITIO__CLIENT_SECRET_FILE="secret")
    name = "SCIM_BRIDGE_DITIO__CLIENT_SECRET_FILE"
    assert str(found.value).startswith(f"{name}: secret is empty: write the value")


def test_any_setting_is_read_from_a_file():
    """Lists included: the contents are what the variable would hold."""
    Path("steps").write_text('["disable"]\n', encoding="utf-8")

    assert loaded(DELIVERY__OFFBOARDING_FILE="steps").delivery.offboarding == ("disable",)


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"DITIO__CLIENT_SECRET_FILE": "absent"},
            "SCIM_BRIDGE_DITIO__CLIENT_SECRET_FILE: the file that it names (not shown) can't be read: No such file or "
            "directory",
        ),
        (
            {"DITIO__CLIENT_SECRET_FILE": "given.toml", "DITIO__CLIENT_SECRET": "x"},
            "SCIM_BRIDGE_DITIO__CLIENT_SECRET_FILE and SCIM_BRIDGE_DITIO__CLIENT_SECRET are both set: keep one",
        ),
        (
            {"DITIO__TIMEOUT": "3"},
            "SCIM_BRIDGE_DITIO__TIMEOUT: unknown setting; did you mean SCIM_BRIDGE_DITIO__TIMEOUT_SECONDS?",
        ),
        (
            {"DITIO_API_URL": "https://x"},
            "SCIM_BRIDGE_DITIO_API_URL: unknown setting; did you mean SCIM_BRIDGE_DITIO__API_URL?",
        ),
        ({"NONSENSE_AND_MORE": "3"}, "SCIM_BRIDGE_NONSENSE_AND_MORE: unknown setting"),
        (
            {"DITIO__TIMEOUT_SECONDS": "-1"},
            "ditio.timeout_seconds (SCIM_BRIDGE_DITIO__TIMEOUT_SECONDS) is '-1': it should be greater than 0",
        ),
        (
            {"DELIVERY__ON_INCOMPLETE": "wait"},
            "delivery.on_incomplete (SCIM_BRIDGE_DELIVERY__ON_INCOMPLETE) is 'wait': it should be 'hold' or 'refuse'",
        ),
    ],
)
def test_what_is_wrong_in_the_environment_is_named_with_the_cure(environ: dict[str, str], line: str):
    """Conventions, *Errors*: the message is written for its reader."""
    assert problems(**environ) == [line]


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[ditio]\ntimeout = 3", "given.toml: ditio.timeout: unknown setting; did you mean ditio.timeout_seconds?"),
        ("[delivry]\n", "given.toml: delivry: unknown setting; did you mean delivery?"),
        ("[cellars]\nwine = 'x'\n", "given.toml: cellars: unknown setting"),
        ('ditio = "x"', "given.toml: ditio is a section: write [ditio], settings below"),
        (
            "[ditio]\ncompany_id = 123456",
            'ditio.company_id (SCIM_BRIDGE_DITIO__COMPANY_ID) is 123456: write six digits as text, as "012345"',
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_cure(toml: str, line: str):
    """Conventions, *Errors*: the message is written for its reader."""
    assert problems(toml) == [line]


def test_a_name_that_may_be_a_secret_is_not_shown():
    """What is unknown beside it is named all the same, and the cure is a command."""
    unknown, hidden = problems("[cellars]\nwine = 'x'\n[ditio]\nS3CR3T-key = 1")

    assert unknown == "given.toml: cellars: unknown setting"
    assert hidden.startswith("given.toml: [ditio] has a name (not shown)")
    assert "`scim-bridge settings example`" in hidden
    assert "S3CR3T" not in hidden


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("DATABASE__URL", "mysql://host/name"),
        ("SERVER__BASE_URL", "https://scim.example.com/"),
        ("SERVER__BASE_URL", "scim.example.com"),
        ("SERVER__BASE_URL", "https://user:password@scim.example.com"),
        ("SERVER__BASE_URL", "https://scim.example.com?x"),
        ("SERVER__BASE_URL", "https://scim.example.com:port"),
        ("SERVER__BIND", "8080"),
        ("SERVER__BIND", "127.0.0.1:99999"),
        ("SERVER__WORKERS", "0"),
        ("LOG__LEVEL", "loud"),
        ("LOG__FORMAT", "xml"),
        ("SCIM__PATCH_STATUS", "202"),
        ("SCIM__MAX_PAGE_SIZE", "many"),
        ("DITIO__API_URL", "http://core-api.ditio.app"),
        ("DITIO__API_URL", "http://127.0.0.1.example.com"),
        ("DITIO__API_URL", "ftp://127.0.0.1"),
        ("DITIO__IDENTITY_URL", "http://10.0.0.1"),
        ("DITIO__COMPANY_ID", "12345"),
        ("DITIO__TIME_ZONE", "Oslo"),
        ("DITIO__TIME_ZONE", "../etc/passwd"),
        ("DITIO__TIMEOUT_SECONDS", "0"),
        ("DITIO__TIMEOUT_SECONDS", "inf"),
        ("DITIO__MAX_CONCURRENCY", "0"),
        ("DITIO__OPERATIONS__DISABLE", "v3"),
        ("DITIO__OPERATIONS__DISABLE", '{"path":"/x"}'),
        ("DITIO__OPERATIONS__CHANGE_PHONE_NUMBER", "v4"),
        ("DITIO__SEND_COMPANY_ID", "maybe"),
        ("DELIVERY__INLINE_SECONDS", "9.6"),
        ("DELIVERY__INLINE_SECONDS", "-1"),
        ("DELIVERY__INLINE_SECONDS", "nan"),
        ("DELIVERY__ADOPT", "yes"),
        ("DELIVERY__OFFBOARDING", "disable"),
        ("DELIVERY__OFFBOARDING", '["delete"]'),
        ("DELIVERY__OFFBOARDING", '["disable","disable"]'),
        ("DELIVERY__REHIRING", '["disable"]'),
        ("MAPPING__PHONE_REGION", "47"),
        ("MAPPING__PAYROLL", "3"),
        ("MAPPING__PAYROLL", "none"),
        ("MAPPING__FIELDS", "email"),
        ("MAPPING__FIELDS", '{"email":"userName"}'),
        ("NOTIFY__WAITING_SECONDS", "0"),
        ("NOTIFY__WEBHOOK_FORMAT", "mattermost"),
        ("NOTIFY__SMTP_FROM", "bridge"),
        ("NOTIFY__SMTP_FROM", "bridge@example.com\nBcc: all@example.com"),
        ("NOTIFY__SMTP_TO", '["a@example.com,b@example.com"]'),
        ("NOTIFY__DAILY_AT", "24:00"),
        ("NOTIFY__WEBHOOK_URL", "http://hooks.example.com/secret"),
        ("NOTIFY__WEBHOOK_URL", "hooks.example.com"),
        ("NOTIFY__WEBHOOK_URL", "https://user:password@hooks.example.com/secret"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_in_one_line(variable: str, text: str):
    """The line has both spellings of the setting."""
    (line,) = problems(**{variable: text})

    name = variable.lower().replace("__", ".")
    assert line.startswith(f"{name} (SCIM_BRIDGE_{variable}) is ")


def test_every_problem_is_told_at_once():
    """One start, one list: no one corrects settings one at a time."""
    lines = problems("[server]\nworkers = 0\nworker = 1\n", DITIO__SCOP="x", LOG__FORMAT="xml")

    assert len(lines) == 4


@pytest.mark.parametrize("variable", ["DELIVERY__MAX_CHANGED_PER_HOUR"])
def test_a_setting_that_this_version_does_not_act_on_is_unknown(variable: str):
    """A setting that does nothing would be a promise that no one keeps."""
    (line,) = problems(**{variable: "1"})

    assert line.startswith(f"SCIM_BRIDGE_{variable}: unknown setting")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("SERVICE_HOST", "10.0.0.1"),
        ("SERVICE_PORT", "8080"),
        ("SERVICE_PORT_HTTP", "8080"),
        ("PORT", "tcp://10.0.0.1:8080"),
        ("PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("WORKER_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_what_kubernetes_says_about_a_service_named_scim_bridge_is_no_setting(name: str, text: str):
    """Kubernetes puts `{SERVICE}_SERVICE_HOST` and the like into every container."""
    assert loaded(**{name: text}) == Settings()


@pytest.mark.parametrize(
    ("config", "environ"), [(Path("absent.toml"), {}), (None, {"SCIM_BRIDGE_CONFIG": "absent.toml"})]
)
def test_a_file_that_was_named_has_to_exist(config: Path | None, environ: dict[str, str]):
    """Only `scim-bridge.toml` may be absent."""
    with pytest.raises(SettingsError, match=r"^absent\.toml can't be read"):
        load(config, environ)


def test_a_file_that_is_no_toml_is_refused():
    """The message names the file and the place."""
    (line,) = problems("[ditio\n")

    assert line.startswith("given.toml is not valid TOML: ")
    assert "line 1" in line


@pytest.mark.parametrize(
    ("toml", "environ"),
    [
        ("[ditio]\nclient_secret = { a = 's3cret' }", {}),
        ("[ditio]\nclient_secret = 12345678 # s3cret\n", {}),
        ("[database]\nurl = 'mysql://me:s3cret@host/name'", {}),
        ("", {"DATABASE__URL": "mysql://me:s3/cr@et:s3cret@host/name"}),
        ("", {"DATABASE__URL": "mysql://host/name?user=me&password=s3cret"}),
        # In the wrong place: as a name, as the path of a file, in an address where only the host belongs.
        ("", {"DITIO__CLIENT_SECRET_FILE": "s3cret"}),
        ("", {"TENANTS": '{"nord":{"ditio":{"s3cret":1}}}'}),
        ("", {"TENANTS": '{"nord":{"s3cret":{}}}'}),
        ("", {"TENANTS": '{"S3cret/s3cret":{}}'}),
        ("'s3cret' = 1", {}),
        ("[ditio]\n's3cret' = 1", {}),
        ("[tenants.'S s3cret']", {}),
        ("", {"DITIO__OPERATIONS__DISABLE": '{"s3cret":1}'}),
        ("", {"MAPPING__FIELDS": '{"s3cret":"x"}'}),
        ("", {"CERTIFICATES__SLOTS": '[{"type":"X","s3cret":"x"}]'}),
        ("", {"CERTIFICATES__SLOTS": '[{"type":"X","packed":"1 s3cret"}]'}),
        *(
            ("", {name: address})
            for name in ("SERVER__BASE_URL", "DITIO__API_URL", "DITIO__IDENTITY_URL")
            for address in (
                "https://s3cret@scim.example.com",
                "https://s3cret:x@scim.example.com",
                "https://me:s3/c@s3cret@scim.example.com",
                "https://scim.example.com?code=s3cret",
                "https://scim.example.com/#s3cret",
            )
        ),
        ("", {"AUTH__ENTRA_JWKS_URL": "https://s3cret@login.example.com/keys"}),
        ("", {"SERVER__METRICS_TOKEN": "s3cret-with-an-ø"}),
    ],
)
def test_no_message_shows_a_secret(toml: str, environ: dict[str, str]):
    """Design, section 10: no secrets in errors."""
    lines = "\n".join(problems(toml, **environ))

    assert lines
    assert "s3cret" not in lines
    assert "12345678" not in lines


def test_a_secret_that_is_too_short_is_told_in_characters():
    """And is not shown."""
    (line,) = problems(SERVER__METRICS_TOKEN="s3cret")

    assert "16 characters" in line
    assert "s3cret" not in line


@pytest.mark.parametrize("token", ["å-lang-tilfeldig-tekst", "a long random text ", "a-long-random\x07text"])
def test_a_metrics_token_that_no_header_carries_is_refused_at_the_start(token: str):
    """It would be refused for ever: a header's bytes are read as Latin-1, and trimmed."""
    (line,) = problems(SERVER__METRICS_TOKEN=token)

    assert line.startswith("server.metrics_token (SCIM_BRIDGE_SERVER__METRICS_TOKEN) is (not shown): it is sent in a")
    assert "openssl rand" in line


def test_what_is_shown_has_no_secret():
    """`effective` is for people's eyes and for logs."""
    settings = loaded(DITIO__CLIENT_SECRET="s3cret", DATABASE__URL="postgresql://me:s3cret@host/name")

    shown = effective(settings)

    assert "s3cret" not in str(shown)
    assert "s3cret" not in repr(settings)
    assert shown["database"] == {"url": "postgresql://me:********@host/name"}


def test_what_ditio_needs_is_named_in_both_spellings():
    """A bridge without credentials still prints its example, migrates and issues tokens."""
    nothing = loaded()
    almost = loaded(
        DITIO__API_URL="https://x", DITIO__IDENTITY_URL="https://y", DITIO__CLIENT_ID="i", DITIO__SEND_COMPANY_ID="1"
    )

    assert len(nothing.ditio.missing()) == 4
    assert almost.ditio.missing() == [
        "ditio.client_secret (SCIM_BRIDGE_DITIO__CLIENT_SECRET)",
        "ditio.company_id (SCIM_BRIDGE_DITIO__COMPANY_ID)",
    ]
