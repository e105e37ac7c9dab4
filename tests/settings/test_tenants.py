"""`[tenants.NAME]`: what a company has for itself, what it has from all, and what it never has from another."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.errors import SettingsError
from scim_bridge.settings import Settings, effective, load, unservable
from scim_bridge.settings.catalogue import CATALOGUE
from scim_bridge.settings.load import of_web_process, of_worker
from scim_bridge.settings.types import is_name, is_own, is_shared

WHOLE = """
[ditio]
api_url = "https://ditio.example/core"
identity_url = "https://identity.example"
client_id = "of all"
client_secret = "of-all"
company_id = "111111"
timeout_seconds = 7.0

[auth]
entra_tenant_id = "of-all"
workload_issuer = "https://login.microsoftonline.com/x/v2.0"
workload_subject = "of all"
workload_audience = "of all"
token_lifetime_seconds = 600

[tenants.nord.ditio]
client_id = "of nord"
timeout_seconds = 3.0

[tenants.nord.mapping.fields.email]
owner = "seed"

[tenants.sor]
"""


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


def test_without_names_there_is_one_company():
    """Design, section 5: `/scim/v2` is the tenant `default`."""
    settings = loaded("[ditio]\nclient_id = 'x'\n")
    assert dict(settings.tenants) == {"default": settings}


def test_a_company_overrides_any_setting_and_has_the_rest_from_all():
    """Design, section 5: `[tenants.NAME]` overrides any section for one company."""
    settings = loaded(WHOLE)

    assert list(settings.tenants) == ["default", "nord", "sor"]
    default, nord, sor = settings.tenants.values()
    assert (default.ditio.client_id, default.ditio.timeout_seconds, default.mapping.fields) == ("of all", 7, {})
    assert (nord.ditio.client_id, nord.ditio.timeout_seconds) == ("of nord", 3)
    assert nord.mapping.fields == {"email": {"owner": "seed"}}
    assert (sor.ditio.timeout_seconds, sor.auth.token_lifetime_seconds) == (7, 600)
    assert {each.ditio.api_url for each in settings.tenants.values()} == {"https://ditio.example/core"}
    origins = [each.origin(("ditio", "timeout_seconds")) for each in settings.tenants.values()]
    assert origins == ["given.toml"] * 3


def test_who_is_let_in_and_who_calls_ditio_is_never_another_companys():
    """Design, section 5: else one company's Entra would open every other, and write into its payroll."""
    sor, unset = loaded(WHOLE).tenants["sor"], Settings()
    own = [path for path in CATALOGUE if is_own(path)]

    assert {path for path in CATALOGUE if path[0] == "auth" and path[1].startswith(("entra", "workload"))} < {*own}
    assert {("ditio", name) for name in ("client_id", "client_secret", "company_id")} < {*own}
    for section, name in own:
        assert getattr(getattr(sor, section), name) == getattr(getattr(unset, section), name)
    assert [line.partition(" ")[0] for line in sor.missing()] == [
        "tenants.sor.ditio.client_id",
        "tenants.sor.ditio.client_secret",
    ]


def test_the_variables_of_a_company_come_before_its_table_and_that_before_the_variables_of_all():
    """What is said of the company itself counts before what is said of all, wherever it stands."""
    settings = loaded(
        WHOLE,
        DITIO__TIMEOUT_SECONDS="11",
        TENANTS__NORD__DITIO__CLIENT_ID="by variable",
        TENANTS__NORD__DELIVERY__OFFBOARDING='["disable"]',
        TENANTS__OST__DITIO__CLIENT_ID="only by variable",
    )
    nord = settings.tenants["nord"]

    assert (nord.ditio.client_id, nord.ditio.timeout_seconds) == ("by variable", 3)
    assert nord.delivery.offboarding == ("disable",)
    assert nord.origin(("ditio", "client_id")) == "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_ID"
    assert settings.tenants["sor"].ditio.timeout_seconds == 11
    assert settings.tenants["ost"].ditio.client_id == "only by variable"


def test_a_secret_of_a_company_is_read_from_a_file():
    """Design, section 5: secrets also through `…_FILE`; a hyphen of a name is `_` in a variable."""
    Path("secret").write_text("s3cret\n", encoding="utf-8")
    settings = loaded("[tenants.nord-bygg]\n", TENANTS__NORD_BYGG__DITIO__CLIENT_SECRET_FILE="secret")

    assert list(settings.tenants) == ["nord-bygg"]
    secret = settings.tenants["nord-bygg"].ditio.client_secret
    assert secret is not None
    assert secret.get_secret_value() == "s3cret"
    assert "s3cret" not in str(effective(settings.tenants["nord-bygg"])) + repr(settings.tenants)


def test_all_companies_may_be_json_in_place_of_those_of_the_file():
    """A setting is replaced whole; single variables still come first."""
    text = json.dumps({"vest": {"ditio": {"client_id": "w", "timeout_seconds": 4}, "mapping": {"payroll": 0}}})
    settings = loaded(WHOLE, TENANTS=text, TENANTS__VEST__MAPPING__PAYROLL="2")

    assert list(settings.tenants) == ["default", "vest"]
    vest = settings.tenants["vest"]
    assert (vest.ditio.client_id, vest.ditio.timeout_seconds, vest.mapping.payroll) == ("w", 4, 2)
    Path("tenants.json").write_text(text, encoding="utf-8")
    assert list(loaded(TENANTS_FILE="tenants.json").tenants) == ["vest"]


@pytest.mark.parametrize(
    ("toml", "names"),
    [
        ("[tenants.nord]", ["nord"]),
        ("[ditio]\napi_url = 'https://x'\n[auth]\ntoken_lifetime_seconds = 60\n[tenants.nord]", ["nord"]),
        ("[ditio]\nclient_id = 'x'\n[tenants.nord]", ["default", "nord"]),
        ("[auth]\nentra_tenant_id = 'x'\n[tenants.nord]", ["default", "nord"]),
        ("[tenants.nord]\n[tenants.default.ditio]\nclient_id = 'x'", ["nord", "default"]),
    ],
)
def test_the_company_without_a_name_is_there_where_something_says_who_it_is(toml: str, names: list[str]):
    """Where only companies with names are set, `/scim/v2` is no one's."""
    assert list(loaded(toml).tenants) == names


def test_the_company_default_has_everything_from_above():
    """It is the company that the settings without a name are for: nothing in them is another's."""
    default = loaded(WHOLE + "\n[tenants.default.ditio]\ntimeout_seconds = 5.0\n").tenants["default"]
    assert (default.ditio.client_id, default.ditio.timeout_seconds) == ("of all", 5)
    assert default.auth.entra_tenant_id == "of-all"
    assert default.missing() == []


@pytest.mark.parametrize(
    ("toml", "environ", "line"),
    [
        (
            "[tenants.nord.database]\nurl = 'sqlite:///x.db'",
            {},
            "given.toml: tenants.nord.database.url (SCIM_BRIDGE_TENANTS__NORD__DATABASE__URL) can't be set, because "
            "all companies share it: set database.url (SCIM_BRIDGE_DATABASE__URL)",
        ),
        (
            "",
            {"TENANTS__NORD__LOG__LEVEL": "debug"},
            "SCIM_BRIDGE_TENANTS__NORD__LOG__LEVEL: tenants.nord.log.level (SCIM_BRIDGE_TENANTS__NORD__LOG__LEVEL) "
            "can't be set, because all companies share it: set log.level (SCIM_BRIDGE_LOG__LEVEL)",
        ),
        (
            "[tenants.nord.ditio]\ntimeout = 3",
            {},
            "given.toml: tenants.nord.ditio.timeout: unknown setting; did you mean tenants.nord.ditio.timeout_seconds?",
        ),
        (
            "",
            {"TENANTS__NORD__DITIO__TIMEOUT": "3"},
            "SCIM_BRIDGE_TENANTS__NORD__DITIO__TIMEOUT: unknown setting; did you mean "
            "SCIM_BRIDGE_TENANTS__NORD__DITIO__TIMEOUT_SECONDS?",
        ),
        (
            "",
            {"TENANTS__NORD": "{}"},
            "SCIM_BRIDGE_TENANTS__NORD: unknown setting; write SCIM_BRIDGE_TENANTS__NORD__SECTION__NAME, or all "
            "companies as JSON in SCIM_BRIDGE_TENANTS",
        ),
        (
            "",
            {"TENANTS__NORD__DITIO__TIMEOUT_SECONDS": "-1"},
            "tenants.nord.ditio.timeout_seconds (SCIM_BRIDGE_TENANTS__NORD__DITIO__TIMEOUT_SECONDS) is '-1': it should "
            "be greater than 0",
        ),
        (
            "[tenants.nord]\nditio = 3",
            {},
            "given.toml: tenants.nord.ditio is a section: write [tenants.nord.ditio], settings below",
        ),
        (
            "tenants = 3",
            {},
            "given.toml: tenants holds companies: write [tenants.NAME.SECTION], settings below",
        ),
        (
            "[tenants]\nnord = 3",
            {},
            "given.toml: tenants.nord is a company: write [tenants.nord.SECTION], settings below",
        ),
        (
            "",
            {"TENANTS": '{"nord":'},
            'SCIM_BRIDGE_TENANTS is not valid JSON: write {"NAME":{"SECTION":{"SETTING":…}}}',
        ),
    ],
)
def test_what_is_wrong_with_a_company_is_named_with_the_cure(toml: str, environ: dict[str, str], line: str):
    """Conventions, *Errors*: the message is written for its reader."""
    assert problems(toml, **environ) == [line]


def test_two_names_that_are_the_same_in_a_variable_are_refused():
    """A variable has `_` for a hyphen: it would mean both companies."""
    (line,) = problems("[tenants.nord-bygg]\n[tenants.nord_bygg]\n")
    assert "nord-bygg and nord_bygg" in line


@pytest.mark.parametrize("path", [path for path in CATALOGUE if is_shared(path)], ids=".".join)
def test_what_all_share_can_not_be_set_for_one(path: tuple[str, ...]):
    """Nothing is silently ignored."""
    (line,) = problems(**{f"TENANTS__NORD__{'__'.join(path).upper()}": "1"})
    assert "all companies share it" in line


def test_what_is_wrong_in_the_settings_of_all_is_told_once():
    """And what a company says itself, beside it."""
    lines = problems(
        "[ditio]\ntimeout_seconds = -1\n[tenants.nord]\n[tenants.sor.ditio]\ntimeout_seconds = -2\n[tenants.ost]\n"
    )
    assert [line.partition(" ")[0] for line in lines] == ["ditio.timeout_seconds", "tenants.sor.ditio.timeout_seconds"]


@pytest.mark.parametrize("name", ["Nord", "nord bygg", "", "-nord", "nord-", "a__b", "a--b", "nord/x", "æ", "a" * 64])
def test_a_name_that_is_no_part_of_an_address_is_refused(name: str):
    """It stands in `/tenants/NAME/scim/v2`, and in variables."""
    (line,) = problems(TENANTS=json.dumps({name: {"ditio": {"client_id": "x"}, "mapping": {"payroll": 1}}}))
    assert "letters and digits" in line
    assert "SCIM_BRIDGE_TENANTS: company 1 of tenants, whose name is not shown: " in line


@given(name=st.from_regex(r"[a-z0-9_-]{1,63}", fullmatch=True))
def test_a_name_that_is_allowed_is_found_again_by_its_variable(name: str):
    """Whatever it is."""
    variable = f"SCIM_BRIDGE_TENANTS__{name.upper()}__DITIO__CLIENT_ID"
    if is_name(name):
        assert load(environ={variable: "x"}).tenants[name].ditio.client_id == "x"
    else:
        with pytest.raises(SettingsError):
            load(environ={variable: "x"})


def test_no_message_about_companies_shows_a_secret():
    """Design, section 10: no secrets in errors."""
    for text in ('{"nord":{"ditio":{"client_secret":{"x":"s3cret"}}}}', '{"nord":{"ditio":"s3cret"}}', '{"s3cret"'):
        assert "s3cret" not in "\n".join(problems(TENANTS=text))


ENTRA = {"entra_tenant_id": "3FA8"}
WORKLOAD = {"workload_issuer": "i", "workload_subject": "s", "workload_audience": "a", "workload_jwks_url": "https://x"}


@pytest.mark.parametrize(
    ("nord", "sor", "setting"),
    [
        (ENTRA, {"entra_tenant_id": "3fa8"}, "entra_tenant_id"),
        (ENTRA, {**ENTRA, "entra_audiences": ["api://sor"]}, None),
        (ENTRA, {**ENTRA, "entra_issuer": "another"}, None),
        (ENTRA, {"entra_tenant_id": "another"}, None),
        (WORKLOAD, WORKLOAD, "workload_subject"),
        (WORKLOAD, {**WORKLOAD, "workload_audience": "b"}, None),
        (WORKLOAD, {**WORKLOAD, "workload_subject": "b"}, None),
        ({}, {}, None),
    ],
)
def test_two_companies_can_not_let_the_same_one_in(nord: object, sor: object, setting: str | None):
    """Design, section 10: what Entra signs would otherwise be for either."""
    ditio = {"api_url": "https://x", "identity_url": "https://x", "client_id": "c", "client_secret": "s"}
    text = json.dumps({name: {"auth": auth, "ditio": ditio} for name, auth in (("nord", nord), ("sor", sor))})
    found = unservable(loaded(TENANTS=text))

    assert len(found) == (setting is not None)
    if setting is not None:
        assert found[0].startswith(f"tenants.sor.auth.{setting} (SCIM_BRIDGE_TENANTS__SOR__AUTH__")
        assert "the same for nord and sor" in found[0]


def test_the_shares_of_a_process_are_of_each_company():
    """D2: a company's own concurrency and pace are divided, and no other's."""
    settings = loaded(WHOLE, TENANTS__NORD__DITIO__MAX_CONCURRENCY="6", TENANTS__SOR__DITIO__REQUESTS_PER_SECOND="30")
    web, worker = of_web_process(settings).tenants, of_worker(settings).tenants

    assert [each.ditio.max_concurrency for each in web.values()] == [2, 2, 2]
    assert [each.ditio.max_concurrency for each in worker.values()] == [4, 2, 4]
    assert [each.ditio.requests_per_second for each in web.values()] == [None, None, 10]
    assert [each.ditio.max_concurrency for each in settings.tenants.values()] == [8, 6, 8]


def test_one_company_alone_is_as_if_there_were_no_other():
    """For a command that is about one: another's mistake is not its."""
    settings = loaded(WHOLE)
    only = settings.only("nord")
    assert list(only.tenants) == ["nord"]
    assert only.ditio.client_id == "of nord"
    changed = only.each(lambda own: own.model_copy(update={"ditio": settings.ditio}))
    assert changed.tenants["nord"].ditio.client_id == "of all"
