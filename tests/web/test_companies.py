"""One company's credentials and ids at another: nothing is read, nothing is changed (design, section 10)."""

import itertools
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
from flask import Response
from sqlalchemy import event

from scim_bridge.operator.audit import audited
from scim_bridge.scim.reading import DITIO_URN
from scim_bridge.storage.database import Database
from tests.companies import Companies, token_of
from tests.conftest import Clock
from tests.contract.openapi import Contract, read
from tests.contract.test_routes import ANYTHING, as_documented
from tests.web.issuer import WORKLOAD, Issuer, assertion_claims, entra_claims
from tests.world import BRIDGE, a_user

OURS, THEIRS, NOBODY = "ours", "theirs", "nobody"
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LINK")
MARK = "hemmelig"
"""In every value of the other company's."""

CERTIFICATE = {
    "employeeNumber": "4711",
    "certificateType": MARK,
    "certificateNumber": MARK,
    "externalId": "c",
    "issuedDateTime": "2026-01-15T00:00:00Z",
    "validUntilDateTime": "2031-01-15T00:00:00Z",
    "notes": MARK,
}

OPEN = {"/healthz", "/readyz", "/metrics", "/oauth/token"}
"""Routes that are of no company."""

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What is asked is asked of the web layer; the isolation of the tables is proven on both in tests/storage."""


@pytest.fixture
def companies(database: Database, clock: Clock, issuer: Issuer) -> Companies:
    """Three companies, with all four ways open at each; the keys of all are at one address."""
    made = Companies(
        database,
        clock,
        OURS,
        THEIRS,
        settings={name: {"auth": ways(name, issuer)} for name in (OURS, THEIRS)},
        common={"auth": {**ways("default", issuer), "max_failures_per_minute": 1_000_000}},
    )
    with database.write() as s:
        for name in made.names:
            s.of(name).clients.add("entra", "Entra", f"client secret of {name}", expires_at=None)
    return made


def ways(name: str, issuer: Issuer) -> dict[str, Any]:
    return {
        "entra_tenant_id": directory_of(name),
        "entra_jwks_url": issuer.url,
        "workload_issuer": WORKLOAD,
        "workload_subject": f"the workload of {name}",
        "workload_audience": f"api://{name}",
        "workload_jwks_url": issuer.url,
    }


def directory_of(name: str) -> str:
    """The Entra tenant id of a company."""
    return f"3fa85f64-5717-4562-b3fc-{name:a>12}".replace("_", "-")


def access_token(companies: Companies, form: dict[str, str]) -> str:
    answer = companies.http.post(f"{BRIDGE}/oauth/token", data={"grant_type": "client_credentials", **form})
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token


def credentials(companies: Companies, name: str, issuer: Issuer) -> dict[str, str]:
    """The four ways in which a company's Entra signs in."""
    now, directory = companies.clock(), directory_of(name)
    own = entra_claims(now, iss=f"https://sts.windows.net/{directory}/", tid=directory)
    assertion = issuer.signs(assertion_claims(now, aud=f"api://{name}", sub=f"the workload of {name}"))
    return {
        "token": token_of(name),
        "client": access_token(companies, {"client_id": "entra", "client_secret": f"client secret of {name}"}),
        "workload": access_token(companies, presented(assertion)),
        "its own JWT": issuer.signs(own),
    }


def presented(assertion: str) -> dict[str, str]:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"client_assertion_type": kind, "client_assertion": assertion}


def filled(companies: Companies, name: str) -> dict[str, str]:
    """A company has a user, a group with him in it, and a certificate of his; their ids, by what stands before them."""
    user = a_user(
        user_principal_name=f"{MARK}@contractor.example",
        display_name=MARK,
        given_name=MARK,
        surname=MARK,
        mail=f"{MARK}@contractor.example",
        job_title=MARK,
        department=MARK,
        employee_id="4711",
    )
    companies.provisions(name, user)
    user_id = companies.entra[name].scim_id(user.object_id)
    group = {"displayName": MARK, "externalId": "g", "members": [{"value": user_id}]}
    answer = companies.scim(name, "POST", "/Groups", group)
    assert answer.status_code == 201
    certificate = companies.scim(name, "POST", "/Certificates", CERTIFICATE)
    assert certificate.status_code == 201
    return {"Users": str(user_id), "Groups": answer.json()["id"], "Certificates": certificate.json()["id"]}


def paths(contract: Contract, ids: dict[str, str]) -> list[str]:
    """Every path of SCIM, below the address of a company; the ids are those."""
    known = {"ResourceTypes": "User", "Schemas": "urn:ietf:params:scim:schemas:core:2.0:User", **ids}
    found = []
    for path in {path for _, path in contract.routes() if path.startswith("/scim/v2")}:
        kind = path.split("/")[3] if "{id}" in path else ""
        found.append(path.removeprefix("/scim/v2").replace("{id}", known.get(kind, "")))
    return sorted(found)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read()


@SQLITE
def test_every_route_is_of_a_company_or_open(companies: Companies):
    """A3: whatever is added is behind a company's credential, or listed here."""
    rules = {as_documented(rule.rule) for rule in companies.app.url_map.iter_rules()}
    prefixes = ("/scim/v2", "/tenants/{name}/scim/v2")
    assert {rule for rule in rules if not rule.startswith(prefixes)} == OPEN
    assert {f"{prefix}{ANYTHING}" for prefix in prefixes} <= rules


@SQLITE
def test_a_credential_opens_its_own_company_and_no_other(companies: Companies, contract: Contract, issuer: Issuer):
    """A3: on every route, by every verb, in each of the four ways: 401 at another's, in the words of a wrong one."""
    own = credentials(companies, OURS, issuer)
    for way, secret in own.items():
        answer = companies.http.get(
            companies.url(OURS) + "/Users?filter=userName%20eq%20%22x%22", headers={"Authorization": f"Bearer {secret}"}
        )
        assert answer.status_code == 200, way
    everywhere = paths(contract, filled(companies, THEIRS))
    before = kept(companies)
    asked = [(THEIRS, *each) for each in itertools.product(everywhere, VERBS, own)]
    turns = itertools.cycle(own)
    asked += [(*each, next(turns)) for each in itertools.product(("default", NOBODY), everywhere, VERBS)]
    for name, path, verb, way in asked:
        headers = {"Authorization": f"Bearer {own[way]}"}
        answer = companies.http.request(verb, companies.url(name) + path, headers=headers, json={"userName": "x"})
        assert answer.status_code == 401, (name, verb, path, way)
        assert MARK not in answer.text
    assert kept(companies) == before


def kept(companies: Companies) -> dict[str, dict[str, list[tuple[Any, ...]]]]:
    """Everything of all companies, but for the refusals in their audit trails."""
    rows = {name: companies.rows(name) for name in companies.names}
    return {
        name: {**found, "audit": [row for row in found["audit"] if "refused" not in row]}
        for name, found in rows.items()
    }


@SQLITE
def test_an_unknown_company_is_answered_like_a_wrong_token(
    companies: Companies, issuer: Issuer, caplog: pytest.LogCaptureFixture
):
    """A3: in the same words; only the log tells."""
    foreign = entra_claims(companies.clock(), iss="https://sts.windows.net/another/", tid="another")
    sent = {
        **credentials(companies, OURS, issuer),
        "made up": "scimb_abc",
        "made-up access token": "scimbat_abc",
        "none": "",
        "no JWT": "a.b.c",
        "a foreign JWT": issuer.signs(foreign),
    }
    for case, secret in sent.items():
        answers = [
            companies.http.get(companies.url(name) + "/Users/x", headers={"Authorization": f"Bearer {secret}"})
            for name in (THEIRS, NOBODY)
        ]
        one, other = ((each.status_code, each.json(), set(each.headers), challenge(each)) for each in answers)
        assert one == other, case
        assert one[0] == 401
    reasons = [text for text in (record.getMessage() for record in caplog.records) if "unknown-tenant" in text]
    assert len(reasons) == len(sent)
    assert issuer.fetches == 1


@SQLITE
@pytest.mark.parametrize("changes", [{}, {"exp": 1}, {"exp": None}, {"aud": "api://other"}, {"tid": "another"}])
@pytest.mark.parametrize("kid", ["key-1", "made-up", None])
def test_a_made_up_jwt_does_not_tell_that_there_is_such_a_company(
    companies: Companies, issuer: Issuer, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], kid: str | None
):
    """A3: its issuer, audience and tenant are no secret; only who can sign as Entra learns more, and the log tells."""
    stranger = Issuer()
    stranger.rotates("key-1")
    directory = directory_of(THEIRS)
    claims = entra_claims(companies.clock(), iss=f"https://sts.windows.net/{directory}/", tid=directory)
    token = stranger.signs({**claims, **changes}, kid=kid)

    one, other = (
        companies.http.get(
            companies.url(name) + "/Users?filter=userName%20eq%20%22x%22", headers={"Authorization": f"Bearer {token}"}
        )
        for name in (THEIRS, NOBODY)
    )

    assert one.status_code == other.status_code == 401
    assert (one.json(), challenge(one)) == (other.json(), challenge(other))
    assert "'reason': 'jwt-" in "\n".join(record.getMessage() for record in caplog.records)


@SQLITE
def test_keys_out_of_reach_do_not_tell_that_there_is_such_a_company(companies: Companies, issuer: Issuer):
    """A3: where a company would be answered 503, so is one that there is not, and another one."""
    issuer.answer = Response("sorry", 500)
    stranger = Issuer()
    directory = directory_of(THEIRS)
    claims = entra_claims(companies.clock(), iss=f"https://sts.windows.net/{directory}/", tid=directory)
    headers = {"Authorization": f"Bearer {stranger.signs(claims, kid='made-up')}"}

    for first, second in ((NOBODY, THEIRS), (OURS, THEIRS)):
        one, other = (
            companies.http.get(companies.url(name) + "/Users?filter=userName%20eq%20%22x%22", headers=headers)
            for name in (first, second)
        )
        assert one.status_code == other.status_code == 503
        assert one.json() == other.json()


@SQLITE
def test_a_made_up_assertion_does_not_tell_that_there_is_such_a_company(companies: Companies):
    """A3: in the same words as one that no one's settings name."""
    stranger, answers = Issuer(), []
    stranger.rotates("key-1")
    for name in (THEIRS, NOBODY):
        claims = assertion_claims(companies.clock(), aud=f"api://{name}", sub=f"the workload of {name}")
        form = {"grant_type": "client_credentials", **presented(stranger.signs(claims))}
        answers.append(companies.http.post(f"{BRIDGE}/oauth/token", data=form))

    one, other = answers
    assert one.status_code == other.status_code == 401
    assert (one.json(), challenge(one)) == (other.json(), challenge(other))


def challenge(answer: requests.Response) -> str:
    return answer.headers["WWW-Authenticate"]


@SQLITE
@pytest.mark.parametrize("secret", ["scimb_abc", "scimbat_abc", "a.b.c"])
def test_an_unknown_company_is_as_much_work_as_a_wrong_token(companies: Companies, secret: str):
    """A3: as many statements, so that the time it takes tells nothing either.

    But for the first of its kind within an hour, which the audit trail of a company that is there keeps.
    """
    statements: list[str] = []
    event.listen(companies.database.engine, "before_cursor_execute", lambda *said: statements.append(said[2]))
    event.listen(companies.database.engine, "begin", lambda _: statements.append("BEGIN"))
    asked = []
    for name in (THEIRS, NOBODY):
        for _ in range(2):
            statements.clear()
            companies.http.get(
                companies.url(name) + "/Users?filter=userName%20eq%20%22x%22",
                headers={"Authorization": f"Bearer {secret}"},
            )
        asked.append(len(statements))

    assert asked[0] == asked[1] > 0


@SQLITE
def test_a_company_that_is_served_no_more_is_unknown(companies: Companies):
    """A3: its credentials are still stored, and let no one in."""
    with companies.database.write(NOBODY) as s:
        s.at(companies.clock()).tokens.add("t", "Entra", "the old token", expires_at=None)
        s.at(companies.clock()).clients.add("old", "Entra", "old secret", expires_at=None)

    def looks_up() -> int:
        url = companies.url(NOBODY) + "/Users?filter=userName%20eq%20%22x%22"
        return companies.http.get(url, headers={"Authorization": "Bearer the old token"}).status_code

    assert looks_up() == 401
    with companies.database.write(NOBODY) as s:
        known = s.tokens.valid("the old token")
        assert known is not None
        s.tokens.used(known)
    assert looks_up() == 401, "used a moment ago: the shortcut for lookups needs to store no use"
    form = {"grant_type": "client_credentials", "client_id": "old", "client_secret": "old secret"}
    assert companies.http.post(f"{BRIDGE}/oauth/token", data=form).status_code == 401


@SQLITE
def test_the_token_endpoint_gives_a_token_for_the_company_of_the_credential(companies: Companies, issuer: Issuer):
    """Design, section 10: clients of the same id, and workloads of one issuer, are told apart."""
    for name in (OURS, THEIRS):
        for way, secret in credentials(companies, name, issuer).items():
            headers = {"Authorization": f"Bearer {secret}"}
            statuses = {
                each: companies.http.get(
                    companies.url(each) + "/Users?filter=userName%20eq%20%22x%22", headers=headers
                ).status_code
                for each in companies.names
            }
            assert statuses == {each: 200 if each == name else 401 for each in companies.names}, way
    assert issuer.fetches == 1, "what is at one address is fetched once for all"


@SQLITE
def test_an_assertion_that_is_not_one_companys_is_refused(database: Database, clock: Clock, issuer: Issuer):
    """Design, section 10: what does not say for whom it is, is for no one."""
    same = {**ways("default", issuer), "entra_tenant_id": None}
    settings = {
        name: {"auth": {**same, "workload_audience": f"api://{name}", "workload_subject": "the same"}}
        for name in (OURS, THEIRS)
    }
    companies = Companies(database, clock, OURS, THEIRS, settings=settings)

    def asks(audience: object) -> requests.Response:
        assertion = issuer.signs(assertion_claims(clock(), aud=audience, sub="the same"))
        form = {"grant_type": "client_credentials", **presented(assertion)}
        return companies.http.post(f"{BRIDGE}/oauth/token", data=form)

    assert asks(f"api://{OURS}").status_code == 200
    both = asks([f"api://{OURS}", f"api://{THEIRS}"])
    assert (both.status_code, both.json()["error"]) == (401, "invalid_client")
    assert "more than one company" in both.json()["error_description"]
    assert asks("api://another").status_code == 401


ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@SQLITE
def test_anothers_id_is_404_on_every_route_and_changes_nothing(companies: Companies, contract: Contract):
    """Design, section 10: with a credential of one's own, by every documented verb and body."""
    theirs = filled(companies, THEIRS)
    before = companies.rows(THEIRS)
    companies.ditio[THEIRS].forget_requests()
    tried = 0
    for operation in contract.operations():
        kind = operation.path.removesuffix("/{id}").rpartition("/")[2]
        if not operation.path.endswith("/{id}") or kind not in theirs:
            continue
        path = operation.path.removeprefix("/scim/v2").replace("{id}", theirs[kind])
        for body in [*contract.bodies(operation).values(), None]:
            answer = companies.scim(OURS, operation.method, path, body)
            # Without a body it may be the first thing that is wrong.
            expected = (404,) if body or not operation.takes_body else (400, 404)
            assert answer.status_code in expected, (operation, answer.text)
            assert MARK not in answer.text
            tried += 1
    assert tried > 10
    companies.works()
    assert companies.rows(THEIRS) == before
    assert companies.ditio[THEIRS].calls() == []


FILTERS = (
    'id eq "{user}"',
    'id eq "{group}"',
    'userName eq "hemmelig@contractor.example"',
    'userName sw "hemm"',
    'externalId eq "g"',
    'displayName co "hemmelig"',
    'emails[type eq "work"].value eq "hemmelig@contractor.example"',
    f'{ENTERPRISE}:employeeNumber eq "4711"',
    'members.value eq "{user}"',
    'meta.created gt "2000-01-01T00:00:00Z"',
    "id pr",
    'id eq "{certificate}"',
    'certificateType eq "hemmelig"',
    'employeeNumber eq "4711"',
    'notes co "hemmelig"',
    'validUntilDateTime gt "2000-01-01T00:00:00Z"',
    'not (externalId eq "nobody")',
)


@SQLITE
def test_no_search_finds_anothers(companies: Companies):
    """Design, section 10: by GET and POST, of one type and of all, sorted and paged."""
    theirs = filled(companies, THEIRS)
    queries: list[dict[str, Any]] = [
        {
            "filter": each.replace("{user}", theirs["Users"])
            .replace("{group}", theirs["Groups"])
            .replace("{certificate}", theirs["Certificates"])
        }
        for each in FILTERS
    ]
    queries += [
        {},
        {"sortBy": "userName"},
        {"sortBy": "certificateType"},
        {"startIndex": 1, "count": 5},
        {"count": 5, "cursor": ""},
    ]
    found = 0
    for query, path in itertools.product(queries, ("", "/Users", "/Groups", "/Certificates")):
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], **query}
        for answer in (
            companies.scim(OURS, "GET", path + "?" + urlencode(query)),
            companies.scim(OURS, "POST", f"{path}/.search", body),
        ):
            # Not every attribute is one of every type.
            assert answer.status_code in (200, 400, 403), (query, path, answer.text)
            found += answer.status_code == 200
            assert answer.json().get("totalResults", 0) == 0, (query, path)
            assert not answer.json().get("Resources")
    assert found > 40


@SQLITE
def test_a_cursor_and_an_etag_are_of_one_company(companies: Companies):
    """RFC 9865, RFC 7644 §3.14: another's cursor is refused, and its right version opens nothing."""
    filled(companies, THEIRS)
    companies.scim(THEIRS, "POST", "/Users", {"userName": "second"})
    companies.scim(OURS, "POST", "/Users", {"userName": "ours"})
    companies.scim(OURS, "POST", "/Users", {"userName": "ours too"})
    page = companies.scim(THEIRS, "GET", "/Users?count=1&cursor=").json()
    cursor = quote(page["nextCursor"])

    refused = companies.scim(OURS, "GET", f"/Users?count=1&cursor={cursor}")
    assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidCursor")
    assert companies.scim(THEIRS, "GET", f"/Users?count=1&cursor={cursor}").status_code == 200

    (their,) = companies.scim(THEIRS, "GET", '/Users?filter=userName eq "second"').json()["Resources"]
    patch = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": "title", "value": "Kokk"}]}
    answer = companies.scim(OURS, "PATCH", f"/Users/{their['id']}", patch, **{"If-Match": their["meta"]["version"]})
    assert answer.status_code == 404
    answer = companies.scim(OURS, "GET", f"/Users/{their['id']}", **{"If-None-Match": their["meta"]["version"]})
    assert answer.status_code == 404


@SQLITE
def test_a_bulk_request_reaches_no_one_elses(companies: Companies):
    """RFC 7644 §3.7: paths with another's ids are 404 one by one; a bulkId is of one request."""
    theirs = filled(companies, THEIRS)
    before = companies.rows(THEIRS)
    user, group, certificate = (f"/{kind}/{theirs[kind]}" for kind in ("Users", "Groups", "Certificates"))
    taken = {"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "members", "value": [{"value": "x"}]}]}
    operations = [
        {"method": "DELETE", "path": user},
        {"method": "PATCH", "path": user, "data": taken | {"Operations": [{"op": "remove", "path": "title"}]}},
        {"method": "PUT", "path": user, "data": {"userName": "taken"}},
        {"method": "DELETE", "path": group},
        {"method": "PATCH", "path": group, "data": taken},
        {"method": "PUT", "path": group, "data": {"displayName": "taken"}},
        {"method": "DELETE", "path": certificate},
        {"method": "PATCH", "path": certificate, "data": taken | {"Operations": [{"op": "remove", "path": "notes"}]}},
        {"method": "PUT", "path": certificate, "data": CERTIFICATE},
    ]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    answer = companies.scim(OURS, "POST", "/Bulk", body)
    assert [each["status"] for each in answer.json()["Operations"]] == ["404"] * len(operations)

    their_own = {"method": "POST", "path": "/Users", "bulkId": "qwerty", "data": {"userName": "theirs by bulk"}}
    companies.scim(THEIRS, "POST", "/Bulk", {**body, "Operations": [their_own]})
    reference = {"displayName": "mine", "members": [{"value": "bulkId:qwerty"}]}
    refers = {"method": "POST", "path": "/Groups", "bulkId": "g", "data": reference}
    (outcome,) = companies.scim(OURS, "POST", "/Bulk", {**body, "Operations": [refers]}).json()["Operations"]
    assert outcome["status"] in ("400", "409")
    after = companies.rows(THEIRS)
    assert all(row in after["resources"] for row in before["resources"])
    assert len(after["resources"]) == len(before["resources"]) + 1
    assert companies.rows(OURS)["resources"] == []


@SQLITE
def test_a_reference_to_anothers_user_tells_and_does_nothing(companies: Companies):
    """A group or a manager may name any id: nothing of another's is shown under it, or changed by it."""
    theirs = filled(companies, THEIRS)
    before = companies.rows(THEIRS)
    group = companies.scim(OURS, "POST", "/Groups", {"displayName": "g", "members": [{"value": theirs["Users"]}]})
    user = companies.scim(
        OURS, "POST", "/Users", {"userName": "u", ENTERPRISE: {"manager": {"value": theirs["Users"]}}}
    )
    assert (group.status_code, user.status_code) == (201, 201)
    for path in (f"/Groups/{group.json()['id']}", f"/Users/{user.json()['id']}", "/Users", "/Groups"):
        assert MARK not in companies.scim(OURS, "GET", path).text
    companies.scim(OURS, "DELETE", f"/Users/{user.json()['id']}")
    companies.scim(OURS, "DELETE", f"/Groups/{group.json()['id']}")
    assert companies.rows(THEIRS) == before


@SQLITE
def test_the_same_certificate_at_two_companies_is_two(companies: Companies):
    """K1: number and type that another company has are in no one's way, and tell nothing."""
    filled(companies, THEIRS)
    before = companies.rows(THEIRS)
    answer = companies.scim(OURS, "POST", "/Certificates", CERTIFICATE)
    assert answer.status_code == 201
    assert companies.scim(OURS, "DELETE", f"/Certificates/{answer.json()['id']}").status_code == 204
    companies.works()
    assert companies.rows(THEIRS) == before


@SQLITE
def test_certificates_in_slots_are_of_one_companys_schema(database: Database, clock: Clock):
    """CERTIFICATES__SLOTS of one company are not told, stored or searched at another."""
    slot = {"type": "Byggekort", "packed": MARK}
    made = Companies(database, clock, OURS, THEIRS, settings={THEIRS: {"certificates": {"slots": [slot]}}})
    assert MARK in made.scim(THEIRS, "GET", "/Schemas").text
    for name in ("default", OURS):
        assert MARK not in made.scim(name, "GET", "/Schemas").text
        sent = {"userName": "u", DITIO_URN: {MARK: "17;2026-01-15;2031-01-15"}}
        assert MARK not in made.scim(name, "POST", "/Users", sent).text
        query = urlencode({"filter": f"{DITIO_URN}:{MARK} pr"})
        assert made.scim(name, "GET", f"/Users?{query}").status_code == 400
        assert made.scim(name, "GET", "/Certificates").json()["totalResults"] == 0


@SQLITE
def test_a_refused_assertion_is_in_the_audit_trail_of_the_company_that_it_names(companies: Companies, issuer: Issuer):
    """By issuer, audience and subject; one that names no one so is no one's."""
    named = {"aud": f"api://{THEIRS}", "sub": f"the workload of {THEIRS}"}
    for claims in ({**named, "exp": 1}, {**named, "sub": "somebody else"}, {**named, "iss": "https://another"}):
        assertion = issuer.signs(assertion_claims(companies.clock(), **claims))
        form = {"grant_type": "client_credentials", **presented(assertion)}
        assert companies.http.post(f"{BRIDGE}/oauth/token", data=form).status_code == 401

    told = {name: [row.deed.detail for row in audited(companies.database, name)] for name in companies.names}
    assert told == {"default": [], OURS: [], THEIRS: ["assertion-expired"]}


@SQLITE
def test_a_refused_client_is_in_the_audit_trail_of_its_company(companies: Companies):
    """A client that several companies have is told by its secret; one that no one has is no one's."""
    now = companies.clock()
    with companies.database.write() as s:
        s.of(OURS).at(now).clients.add("only ours", "Entra", "ended at ours", expires_at=now)
        s.of(THEIRS).at(now).clients.add("at both", "Entra", "ended at theirs", expires_at=now)
        s.of(OURS).at(now).clients.add("at both", "Entra", "of ours", expires_at=None)

    for client, secret in (
        ("only ours", "guessed"),
        ("only ours", "ended at ours"),
        ("at both", "guessed"),
        ("at both", "ended at theirs"),
        ("nobody's", "guessed"),
    ):
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        assert companies.http.post(f"{BRIDGE}/oauth/token", data=form).status_code == 401

    told = {
        name: [
            (row.author.actor.kind, row.author.actor.id, row.deed.detail) for row in audited(companies.database, name)
        ]
        for name in companies.names
    }
    assert told == {
        "default": [],
        OURS: [("stranger", None, "client"), ("client", "only ours", "client-secret-ended")],
        THEIRS: [("client", "at both", "client-secret-ended")],
    }
