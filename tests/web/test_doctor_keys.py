"""`doctor` looks at the keys of a person who signs JWTs."""

from flask import Response

from scim_bridge.doctor.checks import examine_keys
from scim_bridge.settings import Settings
from tests.web.issuer import TENANT, WORKLOAD, Issuer


def test_the_keys_are_looked_at_where_a_jwt_is_let_in(issuer: Issuer):
    entra = Settings(auth={"entra_tenant_id": TENANT, "entra_jwks_url": issuer.url})
    assert list(examine_keys(Settings())) == []
    (found,) = examine_keys(entra)
    assert (found.status, found.detail) == ("ok", f"1 at {issuer.url}")

    issuer.answer = Response("", 500)
    (found,) = examine_keys(entra)
    assert found.status == "fails"
    assert "AUTH__ENTRA_JWKS_URL" in str(found.cure)


def test_a_workload_that_is_half_set_fails():
    """It would be refused for ever."""
    found = list(examine_keys(Settings(auth={"workload_issuer": "https://other.example"})))
    assert [each.status for each in found] == ["fails"] * 3
    assert list(Settings(auth={"workload_issuer": WORKLOAD}).auth.missing()) != []
