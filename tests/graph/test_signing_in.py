"""Four ways to sign in to Microsoft Graph, and what is said of each refusal."""

from __future__ import annotations

import datetime as moments
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import RSAKey

from scim_bridge.errors import EntraError
from scim_bridge.graph.client import GraphClient
from scim_bridge.graph.config import Certificate, ClientSecret, FederatedToken, ManagedIdentity
from scim_bridge.graph.token import certificate_of
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.access import Federation
from scim_bridge.sandbox.graph.service import CLIENT_ID
from tests.graph.conftest import GRAPH, GraphWorld

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM_KEY = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def a_certificate() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "reader")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(moments.datetime(2026, 1, 1))
        .not_valid_after(moments.datetime(2027, 1, 1))
        .sign(KEY, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


PEM = a_certificate()


def test_a_secret_signs_in(world: GraphWorld, client: GraphClient):
    client.sign_in()

    (asked,) = world.graph.requests
    assert asked.path.endswith("/oauth2/v2.0/token")


def test_one_token_serves_many_calls(world: GraphWorld, client: GraphClient):
    for _ in range(5):
        client.jobs()

    assert len(world.asked("token")) == 1
    assert len(world.asked("jobs")) == 5


@pytest.mark.parametrize("secret", ["with spaces & signs=%+", "æøå", "a+b/c=="])
def test_odd_characters_of_a_secret_arrive(world: GraphWorld, secret: str):
    world.graph.client.secret = secret

    world.client(credential=ClientSecret(secret)).sign_in()


@pytest.mark.parametrize("in_one_file", [True, False])
def test_a_certificate_signs_in_with_an_assertion_of_its_own_each_time(
    world: GraphWorld, tmp_path: Path, in_one_file: bool
):
    """Facts, section 2: PS256, `x5t#S256`, a new `jti` each time; the sandbox refuses one that comes twice."""
    certificate, key = tmp_path / "a.pem", tmp_path / "a.key"
    certificate.write_text(PEM + (PEM_KEY if in_one_file else ""))
    key.write_text(PEM_KEY)
    world.graph.client.trusts(PEM.encode())
    world.graph.access.lifetime_seconds = 100
    client = world.client(credential=Certificate(str(certificate), str(certificate if in_one_file else key)))

    client.jobs()
    world.clock.passes(seconds=200)
    client.jobs()

    assert len(world.asked("token")) == 2


def test_the_end_of_a_certificate_is_read_from_its_file(tmp_path: Path):
    file = tmp_path / "a.pem"
    file.write_text(PEM)

    _, ends_at = certificate_of(Certificate(str(file), str(file)))

    assert f"{ends_at:%Y-%m-%d}" == "2027-01-01"


def test_a_federated_token_is_read_anew_for_each_sign_in(world: GraphWorld, tmp_path: Path):
    file = tmp_path / "token"
    key = RSAKey.import_key(PEM_KEY)
    public = RSAKey.import_key(key.as_pem(private=False))
    world.graph.client.federations.append(Federation("https://platform.test", "system:bridge", public))
    world.graph.access.lifetime_seconds = 100

    def writes(life: int) -> None:
        at = int(world.clock.now.timestamp())
        claims = {
            "iss": "https://platform.test",
            "sub": "system:bridge",
            "aud": "api://AzureADTokenExchange",
            "exp": at + life,
        }
        file.write_text(jwt.encode({"alg": "RS256"}, claims, key) + "\n")

    writes(150)
    client = world.client(credential=FederatedToken(str(file)))
    client.jobs()
    world.clock.passes(seconds=200)
    writes(150)
    client.jobs()

    assert len(world.asked("token")) == 2


@pytest.mark.parametrize(
    "identity",
    [
        ManagedIdentity(imds_url=f"{GRAPH}/metadata/identity/oauth2/token"),
        ManagedIdentity(client_id=CLIENT_ID, imds_url=f"{GRAPH}/metadata/identity/oauth2/token"),
        ManagedIdentity(app_service_url=f"{GRAPH}/msi/token", app_service_secret="of the machine"),
    ],
    ids=["machine", "user-assigned", "app-service"],
)
def test_a_machine_of_azure_signs_in_without_a_secret(world: GraphWorld, identity: ManagedIdentity):
    """Facts, section 2: its numbers are texts."""
    world.graph.client.managed = True
    client = world.client(credential=identity, tenant_id="")

    client.jobs()
    client.jobs()

    assert len([each for each in world.asked() if "identity" in each or "msi" in each]) == 1


def test_a_managed_identity_is_never_asked_for_through_a_proxy(world: GraphWorld, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    world.graph.client.managed = True

    world.client(credential=ManagedIdentity(imds_url=f"{GRAPH}/metadata/identity/oauth2/token")).sign_in()


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"credential": ClientSecret("wrong")}, "ENTRA__CLIENT_SECRET"),
        ({"client_id": "33333333-0000-4000-8000-000000000004"}, "ENTRA__CLIENT_ID"),
        ({"tenant_id": "11111111-0000-4000-8000-000000000002"}, "ENTRA__TENANT_ID"),
        ({"credential": FederatedToken("/nowhere")}, "ENTRA__FEDERATED_TOKEN_FILE"),
        ({"credential": Certificate("/nowhere", "/nowhere")}, "ENTRA__CERTIFICATE_FILE"),
    ],
)
def test_a_refusal_names_the_setting(world: GraphWorld, changes: dict[str, object], setting: str):
    with pytest.raises(EntraError, match=setting) as error:
        world.client(**changes).sign_in()

    assert not error.value.is_passing


def test_an_expired_secret_is_told_from_a_wrong_one(world: GraphWorld, client: GraphClient):
    world.graph.client.secret_expires_at = world.clock.now

    with pytest.raises(EntraError, match="7000222"):
        client.sign_in()


def test_an_unregistered_certificate_is_named(world: GraphWorld, tmp_path: Path):
    file = tmp_path / "a.pem"
    file.write_text(PEM + PEM_KEY)

    with pytest.raises(EntraError, match="700027"):
        world.client(credential=Certificate(str(file), str(file))).sign_in()


@pytest.mark.parametrize("kind", ["status", "refused-connection", "timeout-before", "reset-after"])
def test_a_sign_in_that_fails_may_pass(world: GraphWorld, client: GraphClient, kind: str):
    world.graph.faults.plan(Fault(kind, path="token", times=99))

    with pytest.raises(EntraError) as error:
        client.jobs()

    assert error.value.is_passing


def test_no_error_shows_the_secret(world: GraphWorld):
    client = world.client(credential=ClientSecret("the-wrong-secret"))

    with pytest.raises(EntraError) as error:
        client.jobs()

    assert "the-wrong-secret" not in f"{error.value}{error.value.__cause__!r}"
    assert "the-wrong-secret" not in repr(replace(client.config))
