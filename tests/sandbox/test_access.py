"""Tokens, scopes, and the ways in which a good token is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest


def test_a_token_is_issued_and_lives_its_time(client, ditio, clock):
    document = client.asks_for_a_token().json()
    assert (document["expires_in"], document["token_type"]) == (1800, "Bearer")

    clock.now += timedelta(seconds=1799)
    assert client.employees("GET", "").status_code == 200
    clock.now += timedelta(seconds=1)
    assert client.employees("GET", "").status_code == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_token_errors(client, changes, error):
    answer = client.asks_for_a_token(**changes)

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_client_credentials_may_come_as_http_basic(client):
    url, form = f"{client.base}/connect/token", {"grant_type": "client_credentials", "scope": "ditioapiv3"}
    del client.session.headers["Authorization"]

    assert client.session.post(url, data=form, auth=("sandbox", "sandbox-secret")).status_code == 200
    assert client.session.post(url, data=form, auth=("sandbox", "wrong")).status_code == 401


def test_revoked_tokens_are_refused_and_a_new_one_works(client, ditio):
    ditio.revoke_tokens()
    assert client.employees("GET", "").status_code == 401

    client.signs_in()
    assert client.employees("GET", "").status_code == 200


def test_a_disabled_client_is_refused_with_any_token(client, ditio):
    ditio.client_disabled = True

    client.signs_in()

    assert client.employees("GET", "").status_code == 401


def test_forbidden(client, ditio):
    ditio.forbidden = True

    assert client.employees("GET", "").status_code == 403


def test_scopes_are_checked(client):
    client.signs_in(scope="ditioapiv3")

    assert client.employees("GET", "").status_code == 200
    assert client.sends("GET", "/reporting/v1/user").status_code == 403


def test_every_call_is_recorded(client, ditio, clock):
    client.employees("PATCH", "/nobody?x=1", {"workTitle": "Bas"})

    token, patch = ditio.requests
    assert (token.path, token.body, token.status) == ("/connect/token", None, 200)
    assert (patch.method, patch.path) == ("PATCH", "/api/v5/integration/employees/nobody")
    assert (patch.query, patch.body) == ({"x": "1"}, {"workTitle": "Bas"})
    assert (patch.status, patch.token_id, patch.at) == (404, "token-1", clock.now)
    assert ditio.writes() == ditio.calls("PATCH", "employees") == [patch]
    ditio.forget_requests()
    assert ditio.requests == []
