"""The settings of [entra]: each company's own, one way to sign in, and never in the way of serving people."""

from pathlib import Path

import pytest

from scim_bridge.settings import Settings, load, unservable

CLIENT = "5d1f3c0e-0000-4000-8000-00000000c11e"
PRINCIPAL = "5d1f3c0e-0000-4000-8000-000000005e55"
DITIO = '[ditio]\napi_url="https://d.test"\nidentity_url="https://d.test"\nclient_id="a"\nclient_secret="b"\n'
WHOLE = {
    "tenant_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "client_id": CLIENT,
    "client_secret": "a secret",
    "service_principal_id": PRINCIPAL,
}


def loaded(tmp_path: Path, toml: str) -> Settings:
    file = tmp_path / "given.toml"
    file.write_text(toml, encoding="utf-8")
    return load(file, {})


def section(**values: str) -> str:
    return "[entra]\n" + "".join(f'{name} = "{value}"\n' for name, value in values.items())


def missing(tmp_path: Path, **values: str) -> list[str]:
    return loaded(tmp_path, section(**values)).missing_for_entra()


def test_nothing_set_reads_nothing(tmp_path: Path):
    settings = loaded(tmp_path, "")

    assert not settings.entra.is_set
    assert settings.missing_for_entra() == []


def test_a_secret_is_one_way_to_sign_in(tmp_path: Path):
    assert missing(tmp_path, **WHOLE) == []


@pytest.mark.parametrize("way", ["certificate_file", "federated_token_file"])
def test_a_file_is_another(tmp_path: Path, way: str):
    values = {name: value for name, value in WHOLE.items() if name != "client_secret"}

    assert missing(tmp_path, **values, **{way: "/run/secrets/x"}) == []


def test_a_managed_identity_needs_neither_client_nor_tenant(tmp_path: Path):
    assert missing(tmp_path, managed_identity="system", service_principal_id=PRINCIPAL) == []


@pytest.mark.parametrize("left_out", ["tenant_id", "client_id", "service_principal_id"])
def test_what_is_missing_is_named(tmp_path: Path, left_out: str):
    values = {name: value for name, value in WHOLE.items() if name != left_out}

    (sentence,) = missing(tmp_path, **values)

    assert f"SCIM_BRIDGE_ENTRA__{left_out.upper()}" in sentence


def test_two_ways_to_sign_in_are_one_too_many(tmp_path: Path):
    (sentence,) = missing(tmp_path, **WHOLE, managed_identity="system")

    assert "ENTRA__CLIENT_SECRET" in sentence
    assert "ENTRA__MANAGED_IDENTITY" in sentence


def test_a_client_without_a_way_to_sign_in_is_named(tmp_path: Path):
    values = {name: value for name, value in WHOLE.items() if name != "client_secret"}

    (sentence,) = missing(tmp_path, **values)

    assert "ENTRA__CERTIFICATE_FILE" in sentence


def test_the_tenant_is_that_of_the_sign_in_unless_named(tmp_path: Path):
    values = {name: value for name, value in WHOLE.items() if name != "tenant_id"}
    settings = loaded(tmp_path, '[auth]\nentra_tenant_id = "aaa"\n' + section(**values))

    assert settings.missing_for_entra() == []
    assert settings.entra.tenant(settings.auth.entra_tenant_id) == "aaa"
    assert settings.entra.foreign((), settings.auth.entra_tenant_id) is None


def test_another_tenant_than_that_of_the_sign_in_is_a_warning(tmp_path: Path):
    settings = loaded(tmp_path, '[auth]\nentra_tenant_id = "aaa"\n' + section(**WHOLE))

    assert "ENTRA__TENANT_ID" in str(settings.entra.foreign((), settings.auth.entra_tenant_id))


def test_no_company_inherits_how_entra_is_read(tmp_path: Path):
    """Or one company's Entra would be compared with another's people."""
    settings = loaded(tmp_path, DITIO + section(**WHOLE) + '[tenants.nord.ditio]\nclient_id="n"\nclient_secret="x"\n')

    assert settings.tenants["default"].entra.is_set
    assert not settings.tenants["nord"].entra.is_set
    assert settings.tenants["nord"].entra.service_principal_id is None


def test_a_fault_in_it_does_not_keep_people_from_being_served(tmp_path: Path):
    settings = loaded(tmp_path, DITIO + section(client_secret="x"))

    assert settings.missing_for_entra()
    assert unservable(settings) == []


@pytest.mark.parametrize("url", ["http://graph.example", "https://user@graph.example", "graph.microsoft.com"])
def test_the_token_goes_out_encrypted_only(tmp_path: Path, url: str):
    with pytest.raises(Exception, match="ENTRA__GRAPH_URL"):
        loaded(tmp_path, section(**WHOLE, graph_url=url))
