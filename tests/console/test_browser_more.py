"""Drift, certificates, audit and settings in a real Chromium: whole, in both languages, and usable by keyboard."""

from typing import Any

import pytest
from playwright.sync_api import expect

from scim_bridge.reconcile.report import Request
from tests.console.company import fill
from tests.console.test_browser import LOOKS, PHONE, host, is_whole, opens, world
from tests.console.test_certificates import brings, in_days
from tests.thorough import short_on_sqlite
from tests.world import World

__all__ = ["host", "opens", "world"]

pytestmark = short_on_sqlite


PAGES = [
    "drift",
    "drift/{plan}",
    "drift/{plan}?kind=unmanaged",
    "drift/{stopped}",
    "drift/unknown",
    "certificates",
    "certificates?within=365&department=Kran",
    "certificates/lacking",
    "certificates/lacking?required=Byggekort&required=Truck",
    "certificates/import",
    "connect",
    "doctor",
    "audit",
    "audit?action=put_aside",
    "audit?q=no-such-person",
    "settings",
    "settings?all=1",
]


@pytest.fixture
def plans(world: World) -> dict[str, str]:
    """A company with drift and certificates; its plan, and one that a guard stopped."""
    return made(world)


def made(world: World, *, people: int = 12) -> dict[str, str]:
    fill(world, people=people)
    brings(
        world.parts,
        *((str(number), "Byggekort", "2024-01-01", in_days(world, number % 80 - 20)) for number in range(1000, 1010)),
        *((str(number), "Kranførerbevis", "2024-01-01", in_days(world, 15)) for number in range(1002, 1005)),
    )
    world.clock.passes(hours=1)
    world.employee("1001").work_title = "Sjef"
    world.employee("1001").last_name = "Olsen"
    world.ditio.plant("77", phone="+4790000077")
    reconciliation = world.parts.reconciliations["default"]
    plan = reconciliation.run(Request()).run.id
    world.clock.passes(hours=1)
    employees = dict(world.ditio.company.employees)
    world.ditio.company.employees.clear()
    stopped = reconciliation.run(Request()).run.id
    world.ditio.company.employees.update(employees)
    return {"plan": plan, "stopped": stopped}


@LOOKS
def test_every_page_is_whole_and_open_to_all(
    world: World, plans: dict[str, str], opens: Any, role: str, locale: str, viewport: dict[str, int], scheme: str
):
    """Issue 19: no console error, no request to another host, no CSP violation, no serious finding of axe."""
    sight = opens(locale=locale, viewport=viewport, color_scheme=scheme)
    sight.signs_in(world, role)

    for path in PAGES:
        if role == "operator" or "import" not in path:
            is_whole(sight, path.format(**plans), locale)


def test_who_lacks_what_by_keyboard_alone(world: World, plans: dict[str, str], opens: Any):
    sight = opens(java_script_enabled=False)
    sight.signs_in(world, "viewer")
    sight.goes("certificates/lacking")

    sight.page.get_by_label("Byggekort").focus()
    sight.page.keyboard.press("Space")
    sight.page.keyboard.press("Enter")

    expect(sight.page.locator("tbody tr").first).to_be_visible()
    expect(sight.page.get_by_label("Byggekort")).to_be_checked()


def test_from_the_runs_to_a_person_by_links(world: World, plans: dict[str, str], opens: Any):
    sight = opens()
    sight.signs_in(world, "operator")
    sight.goes("drift")

    sight.page.locator("tbody tr").last.get_by_role("link").click()
    expect(sight.page.locator(".command")).to_contain_text(plans["plan"])
    section = sight.page.locator("tbody", has_text="employee 1001")
    expect(section).to_contain_text("Sjef")
    section.get_by_role("link").click()

    expect(sight.page.locator("tr.differs").first).to_contain_text("differs")


def test_entra_is_connected_by_keyboard_alone(world: World, plans: dict[str, str], opens: Any):
    """A token is issued and copied, Entra's test arrives, and the light goes on."""
    sight = opens(java_script_enabled=False)
    sight.signs_in(world, "operator")
    sight.goes("connect")

    sight.page.get_by_text("Issue a token").focus()
    sight.page.keyboard.press("Enter")
    sight.page.get_by_label("Reason").first.fill("first day")
    sight.page.keyboard.press("Enter")
    back = sight.page.get_by_role("link", name="To Connect Entra")
    expect(back).to_be_visible()  # The page before has a command, too.
    secret = sight.page.locator(".command code").last.inner_text()
    world.clock.passes(minutes=1)
    answer = world.app.test_client().get("/scim/v2/Users?count=1", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    back.click()

    expect(sight.page.locator(".checks .good")).to_contain_text("requests arrive")
    expect(sight.page.locator("body")).not_to_contain_text(secret)


def test_a_file_is_checked_and_imported(world: World, plans: dict[str, str], opens: Any):
    sight = opens()
    sight.signs_in(world, "operator")
    sight.goes("certificates/import")
    lines = "employeeNumber;certificateType;issuedDateTime;validUntilDateTime\n"
    lines += "1000;Truck;2026-01-15;2031-01-15\n1001;Truck;yesterday;2031-01-15\n"
    file = {"name": "bevis.csv", "mimeType": "text/csv", "buffer": lines.encode()}

    sight.page.get_by_label("File", exact=True).set_input_files(file)
    sight.page.get_by_role("button", name="Check the file").click()
    expect(sight.page.locator("tr.differs")).to_contain_text("yesterday")
    assert sight.serious() == []
    sight.page.get_by_role("button", name="Import 1 certificate").click()

    expect(sight.page.locator("h2").first).to_contain_text("was imported")


def test_the_preview_of_a_person_is_whole(world: World, plans: dict[str, str], opens: Any):
    """The page that answers a form, on a phone."""
    sight = opens(viewport=PHONE)
    sight.signs_in(world, "operator")
    sight.goes("people?q=1001")
    sight.page.locator("tbody a").first.click()
    sight.page.get_by_role("button", name="Preview").click()

    expect(sight.page.locator(".steps")).to_contain_text("Change the profile")
    assert sight.serious() == []
    wide = sight.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


def test_files_are_downloaded(world: World, plans: dict[str, str], opens: Any):
    sight = opens()
    sight.signs_in(world, "viewer")
    for path, link, name in (
        ("certificates", "Calendar file", "certificates.ics"),
        ("audit", "Download these rows", "audit.jsonl"),
    ):
        sight.goes(path)
        with sight.page.expect_download() as download:
            sight.page.get_by_role("link", name=link).click()
        assert download.value.suggested_filename == name
