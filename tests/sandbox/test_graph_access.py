"""Who the simulated Graph lets in, and how it refuses: token, permission by permission, limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jwt
from joserfc.jwk import RSAKey

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.access import READING, ROLES, Federation
from scim_bridge.sandbox.graph.service import CLIENT_ID, CLIENT_SECRET, SERVICE_PRINCIPAL
from scim_bridge.sandbox.server import running

from .certificate import a_certificate
from .graph_world import KARI, LOGIN, MEMBERS, OLA, SECRET_GROUP, TENANT_ID, TOKEN_URL, GraphWorld

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
APP = f"/servicePrincipals/{SERVICE_PRINCIPAL.object_id}"
ASSIGNED = f"{APP}/appRoleAssignedTo?$top=999"
JOBS = f"{APP}/synchronization/jobs"
LOG = "/auditLogs/provisioning"
OWN = f"/servicePrincipals(appId='{CLIENT_ID}')/appRoleAssignments?$top=999"


@pytest.fixture
def world() -> GraphWorld:
    world = GraphWorld()
    world.peoples()
    return world


def a_key() -> RSAKey:
    _, key, _ = a_certificate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return RSAKey.import_key(pem)


def signed(world: GraphWorld, header: dict[str, str] | None = None, **changes: object) -> dict[str, str]:
    """The two fields of a form that carry an assertion as Microsoft documents it."""
    now = int(world.clock.now.timestamp())
    _, _, thumbprint = a_certificate()
    claims = {
        "aud": TOKEN_URL,
        "iss": CLIENT_ID,
        "sub": CLIENT_ID,
        "jti": "one",
        "nbf": now,
        "exp": now + 300,
    } | changes
    text = jwt.encode(
        {"alg": "PS256", "typ": "JWT"} | (header or {"x5t#S256": thumbprint}),
        claims,
        a_key(),
        algorithms=["PS256", "RS256"],
    )
    return {"client_secret": None, "client_assertion_type": ASSERTION, "client_assertion": text}


def refused_with(answer) -> tuple[int, int]:
    body = answer.json()
    assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
    return answer.status_code, body["error_codes"][0]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"client_secret": "another"}, (401, 7000215)),
        ({"client_secret": None}, (401, 7000218)),
        ({"client_id": "another"}, (400, 700016)),
        ({"grant_type": "password"}, (400, 70003)),
        ({"scope": "https://graph.microsoft.com"}, (400, 1002012)),
    ],
)
def test_a_wrong_credential_is_refused_with_its_code(world, changes, refusal):
    assert refused_with(world.asks_for_a_token(**changes)) == refusal


def test_another_tenant_is_unknown(world):
    form = {"grant_type": "client_credentials"}

    answer = world.session.post(f"{LOGIN}/contoso.example/oauth2/v2.0/token", data=form)

    assert refused_with(answer) == (400, 90002)


def test_a_secret_expires(world):
    world.graph.client.secret_expires_at = world.clock.now + timedelta(days=1)
    assert world.asks_for_a_token().status_code == 200

    world.clock.passes(days=1)
    assert refused_with(world.asks_for_a_token()) == (401, 7000222)


def test_a_certificate_signs_in(world):
    certificate, _, _ = a_certificate()
    assert refused_with(world.asks_for_a_token(**signed(world))) == (401, 700027)

    world.graph.client.trusts(certificate)
    assert world.asks_for_a_token(**signed(world)).status_code == 200
    assert refused_with(world.asks_for_a_token(**signed(world))) == (401, 50027), "the same jti again"
    assert world.asks_for_a_token(**signed(world, jti="two")).status_code == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "https://login.microsoftonline.com/common"}, 700023),
        ({"iss": "another"}, 700021),
        ({"sub": "another"}, 700021),
        ({"exp": 1_795_000_000}, 700024),
        ({"nbf": 1_900_000_000}, 700024),
        ({"jti": ""}, 50027),
    ],
)
def test_an_assertion_must_be_as_documented(world, changes, code):
    certificate, _, _ = a_certificate()
    world.graph.client.trusts(certificate)

    assert refused_with(world.asks_for_a_token(**signed(world, **changes))) == (401, code)


def test_an_assertion_by_another_key_or_algorithm_is_refused(world):
    certificate, _, thumbprint = a_certificate()
    world.graph.client.trusts(certificate)
    rs256 = {"alg": "RS256", "x5t#S256": thumbprint}

    assert refused_with(world.asks_for_a_token(**signed(world, rs256))) == (401, 700027)
    assert refused_with(world.asks_for_a_token(**signed(world) | {"client_assertion": "a.b.c"})) == (401, 50027)


def test_a_federated_token_signs_in_unchanged(world):
    header = {"alg": "RS256", "kid": "platform"}
    platform = {"iss": "https://cluster.example", "sub": "system:serviceaccount:default:scim-bridge"}
    token = signed(world, header, **platform, aud=["api://AzureADTokenExchange"])
    assert refused_with(world.asks_for_a_token(**token)) == (401, 700213)

    public = RSAKey.import_key(a_key().as_pem(private=False))
    world.graph.client.federations.append(Federation(platform["iss"], platform["sub"], public))
    assert world.asks_for_a_token(**token).status_code == 200

    world.clock.passes(seconds=301)
    assert refused_with(world.asks_for_a_token(**token)) == (401, 700024)


def test_a_managed_identity_needs_its_header_and_shows_texts(world):
    url = "http://169.254.169.254/metadata/identity/oauth2/token"
    query = {"api-version": "2018-02-01", "resource": "https://graph.microsoft.com"}
    headers = {"Metadata": "true"}
    assert world.session.get(url, params=query, headers=headers).status_code == 400, "none is assigned"

    world.graph.client.managed = True
    assert world.session.get(url, params=query).status_code == 400
    assert world.session.get(url, params=query | {"client_id": "another"}, headers=headers).status_code == 400
    body = world.session.get(url, params=query, headers=headers).json()

    assert (body["expires_in"], body["client_id"]) == ("3599", CLIENT_ID)
    world.token = body["access_token"]
    assert world.reads("/users?$top=1")["value"]


def test_app_service_has_an_address_of_its_own(world):
    world.graph.client.managed = True
    query = {"api-version": "2019-08-01", "resource": "https://graph.microsoft.com"}
    url = f"{LOGIN}/msi/token"

    assert world.session.get(url, params=query).status_code == 400
    assert world.session.get(url, params=query, headers={"X-IDENTITY-HEADER": "x"}).status_code == 200


@pytest.mark.parametrize("path", ["/users", JOBS, LOG, "/nothing"])
def test_without_a_valid_token_there_is_nothing(world, path):
    def code() -> str:
        answer = world.asks(path)
        assert answer.status_code == 401
        return answer.json()["error"]["code"]

    world.token = "unknown"
    assert code() == "InvalidAuthenticationToken"
    world.token = ""
    assert code() == "InvalidAuthenticationToken"
    world.signs_in()
    world.clock.passes(hours=1)
    assert code() == "InvalidAuthenticationToken"
    world.signs_in()
    world.graph.access.revoke_tokens()
    assert code() == "InvalidAuthenticationToken"


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("/users?$top=999", "User.Read.All"),
        (f"/users/{KARI}", "User.Read.All"),
        ("/users/delta?$select=id", "User.Read.All"),
        ("/directory/deletedItems/microsoft.graph.user", "User.Read.All"),
        (f"/users/{KARI}/manager", "User.Read.All"),
        (ASSIGNED, "Application.Read.All"),
        (APP, "Application.Read.All"),
        (OWN, "Application.Read.All"),
        (f"/groups/{MEMBERS}", "GroupMember.Read.All"),
        (f"/groups/{MEMBERS}/members?$top=999", "GroupMember.Read.All"),
        ("/groups/delta?$select=id,members", "GroupMember.Read.All"),
    ],
)
def test_a_missing_permission_is_403(world, path, permission):
    assert world.asks(path).status_code == 200

    world.may_not(permission)
    answer = world.asks(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert answer.headers["request-id"] == answer.json()["error"]["innerError"]["request-id"]


@pytest.mark.parametrize("path", [JOBS, f"{JOBS}/x", f"{JOBS}/x/schema", f"{APP}/synchronization/secrets"])
def test_for_jobs_it_is_401_without_a_message(world, path):
    """Reported: 401 `UnknownError` although the token is valid."""
    world.may_not("Synchronization.Read.All")
    answer = world.asks(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UnknownError")
    assert answer.json()["error"]["message"] == ""

    world.graph.style = replace(world.graph.style, sync_refusal=403)
    assert world.asks(path).status_code == 403


def test_the_log_names_the_permission_and_knows_the_licence(world):
    world.may_not("ProvisioningLog.Read.All")
    refused = world.asks(LOG)
    world.may_only("AuditLog.Read.All")
    world.graph.logs.premium = False
    unlicensed = world.asks(LOG)

    assert refused.status_code == unlicensed.status_code == 403
    assert refused.json()["error"]["code"] == "Authentication_MSGraphPermissionMissing"
    assert "AuditLog.Read.All" in refused.json()["error"]["message"]
    assert unlicensed.json()["error"]["code"] == "Authentication_RequestFromNonPremiumTenantOrB2CTenant"


def test_without_the_lifecycle_permission_a_leave_date_is_null(world):
    path = f"/users/{OLA}?$select=employeeHireDate,employeeLeaveDateTime"
    assert world.reads(path)["employeeLeaveDateTime"] == "2026-10-31T22:59:59Z"

    world.may_not("User-LifeCycleInfo.Read.All")
    masked = world.reads(path)

    assert masked["employeeLeaveDateTime"] is None
    assert masked["employeeHireDate"] == "2020-01-06T00:00:00Z"


def test_a_delta_masks_it_too(world):
    world.may_not("User-LifeCycleInfo.Read.All")

    rows, _ = world.changes("/users/delta?$select=employeeLeaveDateTime")

    assert next(row for row in rows if row["id"] == OLA) == {"id": OLA, "employeeLeaveDateTime": None}


def test_a_permission_granted_later_is_not_in_an_older_token(world):
    """Own permissions show it at once; the leave date stays masked until there is a new token."""
    world.may_not("User-LifeCycleInfo.Read.All")
    world.graph.client.permissions.add("User-LifeCycleInfo.Read.All")
    path = f"/users/{OLA}?$select=employeeLeaveDateTime"

    assert ROLES["User-LifeCycleInfo.Read.All"] in {row["appRoleId"] for row in world.rows(OWN)}
    assert world.reads(path)["employeeLeaveDateTime"] is None
    world.signs_in()
    assert world.reads(path)["employeeLeaveDateTime"] is not None


def test_own_permissions_are_those_that_were_granted(world):
    assert {row["appRoleId"] for row in world.rows(OWN)} == {ROLES[name] for name in READING}
    assert {row["resourceDisplayName"] for row in world.rows(OWN)} == {"Microsoft Graph"}

    world.may_only("Application.Read.All")
    assert [row["appRoleId"] for row in world.rows(OWN)] == [ROLES["Application.Read.All"]]


@pytest.mark.parametrize(("style", "shown"), [("null", {"employeeId": None, "mobilePhone": None}), ("absent", {})])
def test_basic_reading_gives_names_and_mail(world, style, shown):
    world.graph.style = replace(world.graph.style, basic_read=style)
    world.may_only("User.ReadBasic.All")

    row = world.reads("/users?$select=mail,employeeId,mobilePhone&$filter=id eq '" + KARI + "'")["value"][0]

    assert row == {"mail": "kari.nordmann@contoso.example"} | shown


def test_members_of_a_type_that_may_not_be_read_are_ids_and_null(world):
    path = f"/groups/{MEMBERS}/members?$select=id,userPrincipalName&$top=999"
    assert world.rows(path)[0]["userPrincipalName"] == "ola.hansen@contoso.example"

    world.may_not("User.Read.All")
    assert world.rows(path)[0] == {"@odata.type": "#microsoft.graph.user", "id": OLA, "userPrincipalName": None}


@pytest.mark.parametrize(("style", "count"), [("empty", 0), ("ids", 1)])
def test_hidden_members_are_not_refused_but_hidden(world, style, count):
    path = f"/groups/{SECRET_GROUP}/members?$select=id&$top=999"
    world.graph.style = replace(world.graph.style, hidden_members=style)
    assert len(world.rows(path)) == 1

    world.may_not("Member.Read.Hidden")
    assert len(world.rows(path)) == count
    assert world.reads(f"/groups/{SECRET_GROUP}?$select=visibility")["visibility"] == "HiddenMembership"


def test_five_reports_in_ten_seconds(world):
    answers = [world.asks(LOG) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1].headers["Retry-After"] == "10"
    assert world.asks("/users?$top=1").status_code == 200, "a bucket of its own"

    world.clock.passes(seconds=10)
    assert world.asks(LOG).status_code == 200


def test_a_429_need_not_say_how_long(world):
    world.graph.style = replace(world.graph.style, retry_after=False)

    last = [world.asks(LOG) for _ in range(6)][-1]

    assert last.status_code == 429
    assert "Retry-After" not in last.headers


def test_calls_cost_units(world):
    def cost(path: str, **options) -> int:
        before = world.graph.limits.spent
        world.asks(path, **options)
        return world.graph.limits.spent - before

    counted = {"headers": {"ConsistencyLevel": "eventual"}}
    assert cost("/users?$top=1") == 2
    assert cost("/users?$top=1&$select=id") == 1
    assert cost("/users?$top=1&$select=id&$expand=manager") == 2
    assert cost(f"/groups/{MEMBERS}/members?$top=1") == 3
    assert cost(f"/groups/{MEMBERS}/transitiveMembers/microsoft.graph.user?$count=true", **counted) == 5
    assert cost(ASSIGNED) == 1


def test_a_small_tenant_has_3500_units(world):
    world.graph.limits.spent = 0
    while world.asks("/users?$top=1").status_code == 200:
        pass
    assert world.graph.limits.spent == 3500

    world.graph.style = replace(world.graph.style, throttles=False)
    assert world.asks("/users?$top=1").status_code == 200


def test_in_a_batch_each_call_is_answered_and_throttled_alone(world):
    world.graph.faults.plan(Fault("status", 429, path=f"/users/{OLA}", retry_after="7"))
    asked = [
        {"id": "a", "method": "GET", "url": f"/users/{KARI}?$select=id"},
        {"id": "b", "method": "GET", "url": f"/users/{OLA}?$select=id"},
        {"id": "c", "method": "GET", "url": "/users/unknown"},
        {"id": "d", "method": "GET", "url": "/users/$count", "headers": {"ConsistencyLevel": "eventual"}},
        {"id": "e", "method": "GET", "url": "/users/$count"},
        *({"id": f"log{number}", "method": "GET", "url": LOG} for number in range(6)),
    ]

    answers = world.reads("/$batch", method="POST", json={"requests": asked})["responses"]

    status = {each["id"]: each["status"] for each in answers}
    assert (status["a"], status["b"], status["c"], status["d"], status["e"]) == (200, 429, 404, 200, 400)
    assert [status[f"log{number}"] for number in range(6)] == [200] * 5 + [429]
    assert next(each for each in answers if each["id"] == "b")["headers"]["Retry-After"] == "7"
    assert next(each for each in answers if each["id"] == "d")["body"] == "6"
    assert [each["id"] for each in answers] != [each["id"] for each in asked], "in any order"
    assert [call.path for call in world.graph.requests[1:]] == ["/v1.0/$batch"], "it is one call"


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [{"id": str(number), "method": "GET", "url": "/users"} for number in range(21)],
        [{"id": "1", "method": "GET", "url": "/users"}] * 2,
        [{"method": "GET", "url": "/users"}],
    ],
)
def test_a_batch_that_is_none_is_refused(world, requests):
    assert world.asks("/$batch", "POST", json={"requests": requests}).status_code == 400


def test_a_planned_fault_is_refused_in_graphs_form(world):
    world.graph.faults.plan(Fault("status", 503, path="/users", times=1))

    answer = world.asks("/users")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "ServiceUnavailable")
    assert world.asks("/users").status_code == 200


def test_it_is_served_on_a_socket(world):
    with running(world.graph.app) as url:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": f"{url}/.default",
        }
        token = world.session.post(f"{url}/{TENANT_ID}/oauth2/v2.0/token", data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}

        page = world.session.get(f"{url}/v1.0/users?$top=2", headers=headers).json()

        assert page["@odata.nextLink"].startswith(f"{url}/v1.0/users?")
        assert world.session.get(page["@odata.nextLink"], headers=headers).status_code == 200
