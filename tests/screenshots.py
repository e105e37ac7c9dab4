"""Pictures of the pages of the console, on a company of 2,000 simulated people: `python -m tests.screenshots FOLDER`.

Each page is taken on a desktop and on a phone, light and dark, in English and in Norwegian.
"""

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, sync_playwright

from scim_bridge.domain.audit import Role
from scim_bridge.storage.database import Database
from tests.conftest import Clock, migrate
from tests.console.company import SETTINGS
from tests.console.conftest import CHROMIUM, link, listening, person_id
from tests.console.test_browser_more import made
from tests.world import World

PAGES = {
    "overview": "",
    "people": "people",
    "people-of-a-department": "people?department=Kran",
    "person-who-differs": "people/{differs}",
    "person-without-a-phone": "people/{held}",
    "person-who-is-gone": "people/{gone}",
    "waiting": "waiting",
    "waiting-for-data": "waiting/held/incomplete",
    "waiting-for-the-guard": "waiting/held/guard",
    "refused": "waiting/refused/-",
    "release": "waiting/decide?decision=release",
    "drift": "drift",
    "plan": "drift/{plan}",
    "plan-that-a-guard-stopped": "drift/{stopped}",
    "repair-that-a-guard-stops": "drift/{stopped}/repair?all=1",
    "repair-of-all": "drift/{plan}/repair?all=1",
    "how-far-a-repair-is": "drift/{plan}/progress",
    "connect-entra": "connect",
    "first-day": "first-day",
    "pairs": "first-day/pairs",
    "certificates": "certificates?within=90",
    "import-of-certificates": "certificates/import",
    "who-lacks-what": "certificates/lacking?required=Byggekort&required=Truck",
    "audit": "audit",
    "settings": "settings",
    "settings-with-defaults": "settings?all=1",
    "doctor": "doctor",
    "no-one-found": "people?q=no-such-person",
    "not-there": "people/unknown",
}

FORMS = {"what-the-doctor-found": "doctor", "preview": "people/{differs}"}
"""Pages with a form that has only a button; the picture is of the answer."""

BUTTONS = {"what-the-doctor-found": "main form button", "preview": "section[aria-labelledby=preview] button"}

FILE = """employeeNumber;certificateType;certificateNumber;issuedDateTime;validUntilDateTime;comment
1000;Truck;T-4711;2026-01-15;2031-01-15;
1001;Truck;T-4712;i fjor;2031-01-15;
1001;Byggekort;B-1;2020-01-01;2025-01-01;
1000;Truck;T-4713;2026-02-15;2031-01-15;
;Truck;T-4714;2026-02-15;2020-01-15;
"""
"""A file of certificates with something to remark on."""

NUMBERS = {"differs": "1000", "held": "9000", "gone": "9010"}
"""The people whose pages are taken, as `fill` makes them."""

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
VIEWS: dict[str, dict[str, object]] = {
    "desktop": {"viewport": DESKTOP, "color_scheme": "light", "locale": "en-GB"},
    "desktop-dark": {"viewport": DESKTOP, "color_scheme": "dark", "locale": "nb-NO"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "locale": "nb-NO"},
    "phone-dark": {"viewport": PHONE, "color_scheme": "dark", "locale": "en-GB"},
}


def main() -> None:
    """Make the company, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Where the pictures go.")
    parser.add_argument("--people", type=int, default=2000, help="How many people the company has.")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary:
        url = f"sqlite:///{temporary}/console.db"
        migrate(url)
        clock = Clock()
        database = Database(url, clock=clock)
        world = World(database, clock, settings={**SETTINGS, "database": {"url": url}})
        plans = made(world, people=options.people)
        for number, name in (("9000", "Nordmann"), ("9001", "Annen")):
            world.ditio.plant(number, "Ola", name, phone=f"+47900{number}")
        with world.parts.adoption("default").run(apply_for=None, keep=True):
            pass
        ids = {name: person_id(world, number) for name, number in NUMBERS.items()} | plans
        with listening(world.app) as host, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for name, view in VIEWS.items():
                _take(browser, world, host, name, view, ids, options.folder)
            browser.close()
        database.close()


def _take(
    browser: Browser, world: World, host: str, name: str, view: dict[str, object], ids: dict[str, str], folder: Path
) -> None:
    context = browser.new_context(**view)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{host}/console/-/link?key={link(world, Role.operator, name='Kari Nordmann', key=f'key-{name}')}")
    page.screenshot(path=folder / f"sign-in-{name}.png")
    page.locator("form button").click()
    for called, path in PAGES.items():
        page.goto(f"{host}/console/default/{path.format(**ids)}")
        page.screenshot(path=folder / f"{called}-{name}.png", full_page=True)
    for called, path in FORMS.items():
        page.goto(f"{host}/console/default/{path.format(**ids)}")
        page.locator(BUTTONS[called]).first.click()
        page.screenshot(path=folder / f"{called}-{name}.png", full_page=True)
    page.goto(f"{host}/console/default/certificates/import")
    page.locator("input[type=file]").set_input_files(
        {"name": "bevis.csv", "mimeType": "text/csv", "buffer": FILE.encode()}
    )
    page.locator("main form button").click()
    page.screenshot(path=folder / f"import-that-is-checked-{name}.png", full_page=True)
    context.close()


if __name__ == "__main__":
    if CHROMIUM is None or shutil.which(CHROMIUM) is None:
        raise SystemExit("there is no Chromium on this machine: `apt-get install chromium`")
    main()
