"""The pages of the audit trail and of the settings: who did what, what is set, and never a secret."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from scim_bridge.domain.audit import Action, ActorKind, AuditEvent, Author
from scim_bridge.domain.audit import Actor as By
from scim_bridge.operator.audit import ROWS
from scim_bridge.operator.settings import warnings
from scim_bridge.settings import Settings, load
from scim_bridge.settings.catalogue import CATALOGUE, MASK, is_secret
from scim_bridge.settings.types import dotted
from scim_bridge.storage.database import Database
from scim_bridge.web.app import create_app
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, person_id, signed_in
from tests.world import World, a_user

SCRIPT = "<script>alert('x')</script>"


@pytest.fixture
def acted(world: World, signs_in: SignsIn) -> str:
    """Entra hires Kari and Ola; the next day an administrator stops deliveries to Kari. Her id."""
    world.provisions(a_user())
    ola = {"object_id": "ola", "user_principal_name": "ola@x.no", "mail": "ola@x.no", "mobile": "+47 987 65 433"}
    world.provisions(a_user(**ola, employee_id="1043", display_name="Ola Hansen"))
    id = person_id(world, "1042")
    world.clock.passes(days=1)
    signs_in(name="Siv").post(f"people/{id}/hands-off", reason="agreed with payroll", until="")
    return id


def body(text: str) -> str:
    """The rows of the table."""
    return text[text.index("<tbody>") :] if "<tbody>" in text else ""


def test_who_did_what_newest_first(world: World, signs_in: SignsIn, acted: str):
    told = body(signs_in("viewer").get("audit").text)

    assert told.index("stopped deliveries to the person") < told.index("created")
    row = told[: told.index("created")]
    assert "agreed with payroll" in row
    assert "Siv" in row
    assert f'href="/console/default/people/{acted}">Kari Nordmann</a>' in row
    assert "Entra, by a token" in told


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("action=put_aside", 1),
        ("action=created", 2),
        ("action=created&q=Ola", 1),
        ("q=1042&actor=console", 1),
        ("q=no-such-person", 0),
        ("since=2026-03-03&action=created", 0),
        ("until=2026-03-02&action=created", 2),
        ("until=2026-03-02&action=put_aside", 0),
        ("action=nonsense&actor=nonsense&q=1043&before=%00", 1),
        ("since=0001-01-01&until=9999-12-31&action=created", 2),
    ],
)
def test_rows_are_chosen_and_the_file_has_the_same(world: World, signs_in: SignsIn, acted: str, query: str, count: int):
    """By deed, author, person and day in the company's time zone."""
    kari = signs_in()

    assert body(kari.get(f"audit?{query}").text).count("<tr>") == count
    answer = kari.get(f"audit.jsonl?{query}")
    assert len(answer.text.splitlines()) == count
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.jsonl"'


def test_the_file_has_the_keys_of_the_command_and_no_names(world: World, signs_in: SignsIn, acted: str):
    lines = signs_in().get("audit.jsonl?action=created").text.splitlines()

    assert list(json.loads(lines[0])) == [
        *("id", "at", "tenant", "actor", "actor_id", "action", "resource_type", "resource_id", "person_id"),
        *("attributes", "detail", "request_id"),
    ]
    assert "Nordmann" not in "".join(lines)


def test_a_day_that_is_none_is_said(world: World, signs_in: SignsIn):
    for path in ("audit", "audit.jsonl"):
        assert signs_in().get(f"{path}?since=yesterday").status_code == 400


def test_no_row_is_lost_between_pages(world: World, signs_in: SignsIn):
    with world.database.write("default") as s:
        for number in range(ROWS + 20):
            event = AuditEvent(Action.retried, "outbox", detail=f"row-{number:04}")
            s.audit.add(event, Author(By(ActorKind.operator, "1000")))
    kari = signs_in()
    first = kari.get("audit?action=retried").text
    (following,) = re.findall(r'rel="next" href="/console/default/([^"]+)"', first)
    second = kari.get(following.replace("&amp;", "&")).text

    found = re.findall(r"row-\d{4}", body(first) + body(second))
    assert found == [f"row-{number:04}" for number in reversed(range(ROWS + 20))]
    assert 'rel="next"' not in second


def test_texts_of_the_trail_are_never_markup(world: World, signs_in: SignsIn):
    with world.database.write("default") as s:
        event = AuditEvent(Action.changed, SCRIPT, SCRIPT, attributes=(SCRIPT,), detail=SCRIPT)
        s.audit.add(event, Author(By(ActorKind.entra, SCRIPT)))
    told = signs_in(name=SCRIPT).get(f"audit?q=&since=&action=changed&before=~{SCRIPT}").text

    assert "<script" not in told
    assert told.count("alert(") >= 5


def test_another_companys_trail_is_not_there(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    companies.provisions("default", a_user())
    kari = signed_in(companies, company="nord")

    for path in ("audit", "audit.jsonl", "audit?action=created"):
        assert "User" not in body(kari.get(path).text)
        assert kari.get(f"/console/default/{path}").status_code == 404
    assert "created" not in kari.get("audit.jsonl").text


def test_a_stranger_gets_no_file(world: World, acted: str):
    answer = world.app.test_client().get("/console/default/audit.jsonl")

    assert answer.status_code == 303
    assert "payroll" not in answer.text


_BEFORE = {"webhook_url": "https://hooks.invalid/"}
"""What a secret has to begin with."""


def secrets() -> dict[str, Any]:
    """Every setting that is a secret, with a value that is easily found."""
    found: dict[str, Any] = {}
    for path in CATALOGUE:
        if is_secret(path):
            found.setdefault(path[0], {})[path[-1]] = f"{_BEFORE.get(path[-1], '')}veiled-{dotted(path)}"
    return found


def has_read(world: World, settings: Settings) -> None:
    """The pages show these settings; the rest of the bridge goes on with its own."""
    object.__setattr__(world.parts, "settings", settings)
    world.app = create_app(world.parts)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_settings_are_shown_without_secrets(world: World, signs_in: SignsIn, role: str):
    own = secrets()
    own["console"] = {**own.get("console", {}), "enabled": True}
    own["database"] = {**own.get("database", {}), "url": "postgresql+psycopg://bridge:veiled-password@db/x"}
    has_read(world, Settings(**own))
    told = signs_in(role).get("settings?all=1").text

    assert len(own) > 2
    assert "veiled" not in told
    assert MASK in told
    assert "bridge:********@db" in told
    assert told.count("<h2") > 10


def test_a_setting_says_where_it_is_set(world: World, signs_in: SignsIn, tmp_path: Path):
    file = tmp_path / "own.toml"
    file.write_text("[reconcile]\nmax_changes = 77\n[console]\nenabled = true\n[ditio]\nmax_concurrency = 8\n")
    has_read(world, load(file, {"SCIM_BRIDGE_DELIVERY__PAUSED": "true"}))
    kari = signs_in()
    told, every = kari.get("settings").text, kari.get("settings?all=1").text

    assert told.count("<tr>") < 10 < every.count("<tr>")
    changes = told[told.index("max_changes") :]
    assert changes.index("77") < changes.index(str(file))
    assert "SCIM_BRIDGE_DELIVERY__PAUSED" in told
    assert "the processes of a machine share" in told
    assert "keep_days" in every
    assert "keep_days" not in told


def test_a_doubt_about_sign_in_is_said(world: World, signs_in: SignsIn):
    auth = {"entra_tenant_id": "5d1f3c0e-8a52-4f0e-9a39-0c1f6f1f7a11", "entra_audiences": ["api://bridge"]}
    (doubt,) = warnings(Settings(auth=auth))
    has_read(world, Settings(auth=auth, console={"enabled": True}))
    told = signs_in().get("settings").text

    assert re.sub(r"</?code>", "`", unescape(told)).count(doubt) == 1

    norwegian = signs_in().get("settings?all=1", **{"Accept-Language": "nb"}).text
    assert "er tom, så alle programmer i Entra-leieren kan skrive" in norwegian
    assert "Hvor mange dager radene i lagrede planer beholdes." in norwegian
    assert not re.findall(r'<(?!a )\w+[^>]* lang="en"[^>]*>', norwegian)


def test_what_companies_share_is_not_shown_to_one(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    told = signed_in(companies, company="nord").get("settings?all=1").text

    assert "[reconcile]" in told
    assert "[database]" not in told
    assert "client-default" not in told
    assert "client-nord" in told


def test_the_trail_of_a_newer_version_can_be_read(world: World, signs_in: SignsIn, acted: str):
    """After going back: a deed and an author that this version does not know are shown in the newer one's words."""
    columns = "tenant, id, at, actor, actor_id, action, resource_type"
    newer = f"INSERT INTO audit ({columns}) SELECT tenant, id || '-', at, 'robot', '7', 'merged', 'person' FROM audit"
    with world.database.write() as s:
        s.connection.execute(text(newer))

    told = body(signs_in("viewer").get("audit").text)

    assert "merged" in told
    assert "robot" in told
