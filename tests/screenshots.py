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
    "refused": "waiting/refused/-",
    "release": "waiting/decide?decision=release",
    "drift": "drift",
    "plan": "drift/{plan}",
    "plan-that-a-guard-stopped": "drift/{stopped}",
    "repair-of-all": "drift/{plan}/repair?all=1",
    "how-far-a-repair-is": "drift/{plan}/progress",
    "connect-entra": "connect",
    "first-day": "first-day",
    "certificates": "certificates?within=90",
    "import-of-certificates": "certificates/import",
    "who-lacks-what": "certificates/lacking?required=Byggekort&required=Truck",
    "audit": "audit",
    "settings": "settings",
    "doctor": "doctor",
    "no-one-found": "people?q=no-such-person",
    "not-there": "people/unknown",
}

NUMBERS = {"differs": "1000", "held": "9000", "gone": "9010"}
"""The people whose pages are taken, as `fill` makes them."""

VIEWS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", "locale": "en-GB"},
    "desktop-dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark", "locale": "nb-NO"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "locale": "nb-NO"},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "locale": "en-GB"},
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
        world = World(database, clock, settings=SETTINGS)
        plans = made(world, people=options.people)
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
    context.close()


if __name__ == "__main__":
    if CHROMIUM is None or shutil.which(CHROMIUM) is None:
        raise SystemExit("there is no Chromium on this machine: `apt-get install chromium`")
    main()
