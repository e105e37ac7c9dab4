"""Signing in to the console by a link, the session that follows, and how it ends."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from scim_bridge.domain.audit import Role
from scim_bridge.domain.drift import Cause, Drift, Kind
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.asked import FIND, REPAIR
from tests.conftest import Clock
from tests.console.conftest import SignsIn, Visitor, link, signed_in
from tests.console.test_drift import store
from tests.world import BRIDGE, World, a_user


@pytest.fixture
def stranger(world: World) -> Visitor:
    return Visitor(world.app.test_client())


def test_without_the_setting_there_is_no_console(world: World):
    """Issue 19: off (404) until `CONSOLE__ENABLED`."""
    world.restarts_with(console={"enabled": False})
    stranger = Visitor(world.app.test_client())

    for path in ("/console/", "/console/-/sign-in", "/console/default/", "/console/-/static/console.css"):
        assert stranger.get(path).status_code == 404


@pytest.mark.parametrize("path", ["", "people", "people/some-id", "waiting", "waiting/held/guard", "waiting/decide"])
def test_a_stranger_is_sent_to_the_sign_in(stranger: Visitor, path: str):
    answer = stranger.get(path)

    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/console/-/sign-in?next=/console/default/")


def test_a_link_works_once(world: World, stranger: Visitor):
    key = link(world, Role.viewer)

    assert stranger.post("/console/-/link", "", key=key).status_code == 303
    assert stranger.get().status_code == 200
    assert Visitor(world.app.test_client()).post("/console/-/link", "", key=key).status_code == 403


def test_looking_at_a_link_does_not_use_it_up(world: World, stranger: Visitor):
    """Mail programs and chats fetch links too."""
    key = link(world, Role.viewer)

    assert [stranger.get(f"/console/-/link?key={key}").status_code for _ in range(3)] == [200] * 3
    assert not stranger.cookie()
    assert stranger.post("/console/-/link", "", key=key).status_code == 303


def test_a_link_lasts_five_minutes(world: World, stranger: Visitor, clock: Clock):
    key = link(world, Role.viewer)
    clock.passes(minutes=5, seconds=1)

    assert stranger.get(f"/console/-/link?key={key}").status_code == 403
    assert stranger.post("/console/-/link", "", key=key).status_code == 403


def test_wrong_links_are_limited_by_address(world: World, stranger: Visitor):
    world.restarts_with(auth={"max_failures_per_minute": 3})
    guesser = Visitor(world.app.test_client())

    tried = [guesser.post("/console/-/link", "", key=f"guess-{number}") for number in range(5)]

    assert [answer.status_code for answer in tried] == [403, 403, 403, 429, 429]
    assert int(tried[-1].headers["Retry-After"]) > 0


def test_a_session_ends_after_half_an_hour_without_a_page(world: World, signs_in: SignsIn, clock: Clock):
    kari = signs_in()
    for _ in range(3):
        clock.passes(minutes=29)
        assert kari.get().status_code == 200
    clock.passes(minutes=31)

    assert kari.get().status_code == 303


@pytest.mark.parametrize("page", ["first-day", "drift/a-plan/progress"])
def test_a_page_that_is_loaded_again_by_itself_keeps_no_session_alive(
    world: World, signs_in: SignsIn, clock: Clock, page: str
):
    """The page of a repair was left open over lunch; only a person's own requests are use."""
    store(world, Drift(Kind.field, Cause.edited_in_ditio, "1", "u", "workTitle", person_id=PersonId("p")))
    kari = signs_in()
    with world.database.write("default") as s:
        s.asked.ask(FIND, "Kari")
        s.asked.ask(f"{REPAIR}a-plan", "Kari")
    (again,) = re.findall(r"url=(\S+)", kari.get(page).headers["Refresh"])
    for _ in range(3):
        clock.passes(minutes=9)
        assert kari.get(again).status_code == 200
    clock.passes(minutes=4)

    assert kari.get(again).status_code == kari.get(page).status_code == 303


def test_a_session_ends_after_a_day_at_work_though_it_is_used(world: World, signs_in: SignsIn, clock: Clock):
    kari = signs_in()
    for _ in range(24):
        clock.passes(minutes=25)
        kari.get()

    assert kari.get().status_code == 303


def test_signing_out_ends_the_session_itself(world: World, signs_in: SignsIn):
    """Not only the cookie: a copy of it is worth nothing."""
    kari = signs_in()
    copy = kari.cookie()

    kari.post("/console/-/sign-out")
    kari.client.set_cookie("__Host-scim-bridge-console", copy, domain="bridge.test", secure=True)

    assert kari.get().status_code == 303


def test_one_button_ends_all_sessions_and_links(world: World, signs_in: SignsIn):
    kari, ola = signs_in(), signs_in("viewer", name="Ola")
    unused = link(world, Role.operator, name="Per")

    kari.post("end-sessions")

    assert kari.get().status_code == ola.get().status_code == 303
    assert kari.post("/console/-/link", "", key=unused).status_code == 403


def test_the_audit_trail_has_who_signed_in(world: World, signs_in: SignsIn):
    signs_in("viewer", name="Kari Nordmann")

    with world.database.read("default") as s:
        (row,) = [each for each in s.audit.page(since=None, until=None) if each.deed.action == "signed-in"]
    assert (row.author.actor.kind, row.author.actor.id, row.deed.detail) == ("console", "Kari Nordmann", "viewer")


def test_only_the_hash_of_a_secret_is_stored(world: World, signs_in: SignsIn):
    kari = signs_in()
    unused = link(world, Role.viewer, name="Ola")

    with world.database.read() as s:
        stored = str(s.connection.exec_driver_sql("SELECT * FROM console_sessions").all())
    assert kari.cookie() not in stored
    assert unused not in stored


def test_a_session_is_known_to_every_process(world: World, signs_in: SignsIn):
    """It is in the database: after a restart, and on another machine, it goes on."""
    kari = signs_in()
    world.restarts_with()
    there = Visitor(world.app.test_client())
    there.client.set_cookie("__Host-scim-bridge-console", kari.cookie(), domain="bridge.test", secure=True)

    assert there.get().status_code == 200


def test_the_cookie_is_for_this_host_alone_and_no_script(world: World, stranger: Visitor):
    answer = stranger.post("/console/-/link", "", key=link(world, Role.viewer))

    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_a_new_session_has_a_new_secret(world: World):
    """Session fixation: a secret that was there before the sign-in is worth nothing after it."""
    victim = Visitor(world.app.test_client())
    victim.client.set_cookie("__Host-scim-bridge-console", "chosen-by-a-stranger", domain="bridge.test", secure=True)

    victim.post("/console/-/link", "", key=link(world, Role.operator))

    assert victim.cookie() != "chosen-by-a-stranger"
    stranger = Visitor(world.app.test_client())
    stranger.client.set_cookie("__Host-scim-bridge-console", "chosen-by-a-stranger", domain="bridge.test", secure=True)
    assert stranger.get().status_code == 303


def test_signing_in_again_ends_the_earlier_session(world: World):
    kari = signed_in(world, "viewer")
    earlier = kari.cookie()

    kari.post("/console/-/link", "", key=link(world, Role.operator, key="another"))

    assert kari.cookie() != earlier
    kari.client.set_cookie("__Host-scim-bridge-console", earlier, domain="bridge.test", secure=True)
    assert kari.get().status_code == 303


def test_another_site_signs_no_one_in(world: World, stranger: Visitor):
    """A stranger's own link would have a victim act under the stranger's name."""
    answer = stranger.post(
        "/console/-/link", "", key=link(world, Role.viewer), headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403
    assert not stranger.cookie()


@pytest.mark.parametrize(
    "away",
    [
        "https://elsewhere.example/console/",
        "//elsewhere.example/console/",
        "/\\elsewhere.example",
        "/console//elsewhere.example",
        "/console/../../elsewhere",
        "javascript:alert(1)",
        "/console/\r\nSet-Cookie: a=b",
    ],
)
def test_no_redirect_leads_away(world: World, signs_in: SignsIn, away: str):
    answer = signs_in().client.get("/console/-/language/en", query_string={"next": away}, base_url=BRIDGE)

    assert answer.headers["Location"] == "/console/"
    assert "Set-Cookie: a=b" not in str(answer.headers)


def test_every_answer_is_protected(world: World, signs_in: SignsIn):
    """No frame, no script, nothing inline, no referrer, nothing kept by a cache; on errors too."""
    world.provisions(a_user())
    kari = signs_in()
    for path in ("", "people", "people/unknown", "nothing/of/that/kind", "/console/-/sign-in", "/console/-/link?key=x"):
        headers = kari.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_of_several_who_use_a_link_at_once_one_signs_in(world: World):
    key = link(world, Role.operator)
    visitors = [Visitor(world.app.test_client()) for _ in range(6)]

    with ThreadPoolExecutor(len(visitors)) as pool:
        answers = list(pool.map(lambda each: each.post("/console/-/link", "", key=key).status_code, visitors))

    assert sorted(answers) == [303, 403, 403, 403, 403, 403]
