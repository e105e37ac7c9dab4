"""The page that connects Entra: what to paste, a token shown once, the light, the mapping, and what departs."""

import json
import logging
import re
from functools import partial

import pytest

from scim_bridge.domain.audit import Action
from scim_bridge.operator.credentials import issue_client
from scim_bridge.storage.credentials import Tokens
from scim_bridge.storage.database import Database
from scim_bridge.web.console.visitors import author_of
from tests.cli.conftest import DITIO, run_with
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, Visitor, at_once, meeting, signed_in
from tests.world import BRIDGE, TOKEN, World, a_user

SCRIPT = "<script>alert('x')</script>"
SECRET = re.compile(r"scimb_[\w-]+")


def the_id(kari: Visitor) -> str:
    """The id that the form would send."""
    found = re.search(r'name="id" value="([0-9a-f]{12})"', kari.get("connect").text)
    assert found is not None
    return found[1]


def issues(kari: Visitor, **form: object):
    return kari.post(
        "connect/tokens", **{"id": the_id(kari), "name": "Entra", "days": "30", "reason": "first day", **form}
    )


def answers(world: World, secret: str) -> int:
    headers = {"Authorization": f"Bearer {secret}"}
    return world.app.test_client().get("/scim/v2/Users", base_url=BRIDGE, headers=headers).status_code


def audited(world: World, action: Action) -> list[tuple[str | None, str | None, str | None, str | None]]:
    with world.database.read("default") as s:
        rows = s.audit.page(since=None, until=None)
    return [
        (each.author.actor.kind, each.author.actor.id, each.deed.resource_type, each.deed.detail)
        for each in rows
        if each.deed.action is action
    ]


def test_a_form_that_is_sent_twice_at_one_instant_issues_one_token(
    world: World, signs_in: SignsIn, monkeypatch: pytest.MonkeyPatch
):
    """A double click: no second token, and no error of ours."""
    kari = signs_in()
    form = {"id": the_id(kari), "name": "Entra", "days": "30", "reason": "first day"}
    # A second client, because one is no two browsers' windows at once.
    copy = Visitor(world.app.test_client())
    copy.client.set_cookie("__Host-scim-bridge-console", kari.cookie(), domain="bridge.test", secure=True)
    token = kari.token()
    monkeypatch.setattr(Tokens, "add", meeting(Tokens.add))

    assert sorted(at_once(*(partial(each.post, "connect/tokens", token, **form) for each in (kari, copy)))) == [
        200,
        409,
    ]
    assert len(audited(world, Action.issued)) == 1


def test_the_tenant_url_is_there_to_copy(world: World, signs_in: SignsIn):
    assert f"<code>{BRIDGE}/scim/v2?aadOptscim062020</code>" in signs_in("viewer").get("connect").text


def test_each_company_has_its_own_tenant_url(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common={**CONSOLE, "server": {"base_url": BRIDGE}})

    told = signed_in(companies, company="nord").get("connect").text

    assert f"{BRIDGE}/tenants/nord/scim/v2?" in told
    assert f"{BRIDGE}/scim/v2" not in told


def test_without_a_public_address_the_page_says_what_to_set(database: Database, clock: Clock):
    world = World(database, clock, settings={**CONSOLE, "server": {"base_url": None}})

    told = signed_in(world).get("connect").text

    assert "SERVER__BASE_URL" in told
    assert "aadOptscim062020</code>" not in told


def test_a_token_is_shown_once_and_opens_the_bridge(world: World, signs_in: SignsIn, caplog: pytest.LogCaptureFixture):
    kari = signs_in()
    caplog.set_level(logging.DEBUG)

    answer = issues(kari)
    secret = SECRET.search(answer.text)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert secret is not None
    assert answers(world, secret[0]) == 200
    assert secret[0] not in caplog.text
    for page in ("connect", "audit", "settings", "audit.jsonl", ""):
        assert secret[0] not in kari.get(page).text
    assert audited(world, Action.issued) == [("console", "Kari", "token", "first day")]


def test_the_same_form_again_issues_nothing_and_shows_nothing(world: World, signs_in: SignsIn):
    """A reload of the page sends the form once more."""
    kari = signs_in()
    id = the_id(kari)
    assert issues(kari, id=id).status_code == 200

    again = issues(kari, id=id)

    assert again.status_code == 409
    assert SECRET.search(again.text) is None
    with world.database.read("default") as s:
        assert {each.id for each in s.tokens.list()} == {"t", id}


@pytest.mark.parametrize(
    ("name", "value"),
    [("reason", ""), ("name", " "), ("name", "a\0b"), ("days", "0"), ("days", "36501"), ("days", "x"), ("id", "t")],
)
def test_a_form_that_lacks_something_issues_nothing(world: World, signs_in: SignsIn, name: str, value: str):
    assert issues(signs_in(), **{name: value}).status_code == 400
    with world.database.read("default") as s:
        assert len(s.tokens.list()) == 1


def test_a_token_ends_when_the_form_says(world: World, signs_in: SignsIn):
    secret = SECRET.search(issues(signs_in(), days="2").text)
    assert secret is not None

    world.clock.passes(days=1.9)
    assert answers(world, secret[0]) == 200
    world.clock.passes(days=0.2)
    assert answers(world, secret[0]) == 401
    assert "expired" in signs_in(name="Ola").get("connect").text


def test_a_revoked_token_opens_nothing(world: World, signs_in: SignsIn):
    kari = signs_in()
    id = the_id(kari)
    secret = SECRET.search(issues(kari, id=id).text)
    assert secret is not None

    answer = kari.post("connect/revoke", kind="token", id=id, reason="it leaked")

    assert answer.headers["Location"].endswith("connect?done=revoked&n=1")
    assert answers(world, secret[0]) == 401
    assert id not in kari.get("connect").text
    assert audited(world, Action.revoked) == [("console", "Kari", "token", "it leaked")]
    kari.post("connect/revoke", kind="token", id=id, reason="again")
    assert len(audited(world, Action.revoked)) == 1


def test_a_client_is_listed_and_can_be_revoked(world: World, signs_in: SignsIn):
    issued = world.parts.tenants["default"].transact(
        lambda s: issue_client(s, author_of("Ola", "a-request"), "Entra's client", 30)
    )
    kari = signs_in()
    assert issued.id in kari.get("connect").text

    kari.post("connect/revoke", kind="client", id=issued.id, reason="not needed")

    assert issued.id not in kari.get("connect").text
    with world.database.read("default") as s:
        assert s.clients.list()[0].revoked_at is not None


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"kind": "token", "id": "0123456789ab"}, 409),
        ({"kind": "other", "id": "0123456789ab"}, 400),
        ({"kind": "token", "id": "%"}, 400),
        ({"kind": "token", "id": "0123456789ab", "reason": ""}, 400),
    ],
)
def test_what_is_not_there_can_not_be_revoked(world: World, signs_in: SignsIn, form: dict[str, str], status: int):
    assert signs_in().post("connect/revoke", **{"reason": "because", **form}).status_code == status
    assert audited(world, Action.revoked) == []


def test_the_light_goes_on_when_test_connection_arrives(world: World, signs_in: SignsIn):
    kari = signs_in("viewer")
    assert "No request of Entra has been accepted yet" in kari.get("connect").text

    # What Test Connection sends: a search for a user that is not there.
    assert world.scim("GET", '/Users?filter=userName eq "a-random-id"').status_code == 200

    assert 'class="good"' in kari.get("connect").text
    world.clock.passes(hours=4)
    told = signs_in("viewer", name="Ola").get("connect").text
    assert 'class="good"' not in told
    assert "4 hours ago" in told


def test_a_refused_sign_in_is_told_with_its_reason_until_one_is_accepted(world: World, signs_in: SignsIn):
    kari = signs_in()
    assert answers(world, "not-a-token") == 401
    assert "<code>unknown-token</code>" in kari.get("connect").text

    world.clock.passes(minutes=1)
    assert answers(world, TOKEN) == 200

    assert "unknown-token" not in kari.get("connect").text


def test_the_ways_to_sign_in_are_told(database: Database, clock: Clock):
    auth = {
        "entra_tenant_id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "workload_issuer": "https://login.microsoftonline.com/3fa85f64-5717-4562-b3fc-2c963f66afa6/v2.0",
        "workload_subject": "the-subject",
        "workload_audience": "api://app",
    }
    told = signed_in(World(database, clock, settings={**CONSOLE, "auth": auth})).get("connect").text

    assert "With its own JWT, from the Entra tenant 3fa85f64-5717-4562-b3fc-2c963f66afa6." in told
    assert "AUTH__ENTRA_CALLER_IDS" in told
    assert "the-subject" in told


def test_the_mapping_is_that_of_the_settings(database: Database, clock: Clock):
    slots = [{"type": "Byggekort", "packed": "byggekort"}]
    world = World(database, clock, settings={**CONSOLE, "certificates": {"slots": slots}})
    told = signed_in(world).get("connect").text
    rows = {
        target: source
        for source, target in re.findall(r"<tr><th scope=\"row\">(.*?)</th>\s*<td[^>]*><code>(.*?)</code>", told, re.S)
    }

    assert "employeeId" in rows["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber"]
    assert "IsSoftDeleted" in rows["active"]
    assert "userPrincipalName" in rows["userName"]
    assert any(target.endswith(":byggekort") and "where you keep it" in source for target, source in rows.items())
    assert any(target.endswith(":birthDate") for target in rows)


def test_the_schema_is_what_the_command_prints(world: World, signs_in: SignsIn):
    answer = signs_in("viewer").get("connect/schema.json")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="schema.json"'
    assert json.loads(answer.text) == json.loads(run_with(DITIO, "entra", "schema").stdout)


def test_departures_are_counted_with_what_they_mean(world: World, signs_in: SignsIn):
    world.provisions(a_user(extra={"shoeSize": "44"}))

    told = signs_in("viewer").get("connect").text

    assert "shoeSize" in told
    assert "remove the attribute mapping in Entra" in told


def test_no_text_is_markup(world: World, signs_in: SignsIn):
    kari = signs_in(name=SCRIPT)
    assert "<script" not in issues(kari, name=SCRIPT).text
    with world.database.write("default") as s:
        s.quirks.count([(SCRIPT, SCRIPT)])

    told = kari.get("connect").text

    assert "<script" not in told
    assert told.count("alert(") >= 3


def test_another_companys_tokens_are_not_there(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    kari = signed_in(companies)
    id = the_id(kari)
    issues(kari, id=id)
    ola = signed_in(companies, company="nord")

    assert id not in ola.get("connect").text
    assert ola.post("connect/revoke", kind="token", id=id, reason="because").status_code == 409
    with companies.database.read("default") as s:
        assert [each.revoked_at for each in s.tokens.list() if each.id == id] == [None]


def test_a_viewer_sees_no_form(world: World, signs_in: SignsIn):
    told = signs_in("viewer").get("connect").text

    assert "connect/tokens" not in told
    assert "connect/revoke" not in told


def test_the_last_use_is_told(world: World, signs_in: SignsIn):
    kari = signs_in()
    id = the_id(kari)
    secret = SECRET.search(issues(kari, id=id).text)
    assert secret is not None
    before = kari.get("connect").text
    answers(world, secret[0])

    told = kari.get("connect").text

    assert told.count("never") == before.count("never") - 1
