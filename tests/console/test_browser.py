"""The console in a real Chromium: every page, both roles and languages, by keyboard, on a phone; and what axe finds."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from scim_bridge.domain.audit import Role
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.console.company import SETTINGS, fill
from tests.console.conftest import CHROMIUM, Complaints, link, listening, person_id
from tests.thorough import either, short_on_sqlite
from tests.world import World

if CHROMIUM is None:
    pytest.skip("there is no Chromium: `apt-get install chromium`", allow_module_level=True)

pytestmark = short_on_sqlite

AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

PAGES = [
    "",
    "people",
    "people?state=held",
    "people?q=nordmann",
    "people?q=no-such-person",
    "people?department=Kran",
    "people/{differs}",
    "people/{held}",
    "people/{gone}",
    "people/{guarded}",
    "people/{stopped}",
    "people/{due}",
    "people/unknown",
    "waiting",
    "waiting/held/incomplete",
    "waiting/held/guard",
    "waiting/parked/gone",
    "waiting/refused/-",
    "waiting/decide?decision=release",
    "waiting/decide?decision=drop",
]


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock, settings=SETTINGS)


@pytest.fixture
def ids(world: World) -> dict[str, str]:
    """The people of the company, by what became of them."""
    return {name: person_id(world, str(user.employee_id)) for name, user in fill(world).items() if name != "refused"}


@pytest.fixture
def host(world: World) -> Iterator[str]:
    with listening(world.app) as host:
        yield host


class Sight:
    """One administrator at a browser that notes what it has to complain about."""

    def __init__(self, context: BrowserContext, host: str) -> None:
        self.page: Page = context.new_page()
        self.host = host
        self.complaints = Complaints(host)
        self.complaints.watch(self.page)

    def signs_in(self, world: World, role: str) -> None:
        self.page.goto(f"{self.host}/console/-/link?key={link(world, Role(role))}")
        self.page.locator("form button").click()
        expect(self.page.locator("h1")).to_be_visible()

    def goes(self, path: str = "") -> None:
        self.page.goto(f"{self.host}/console/default/{path}")

    def serious(self) -> list[str]:
        """What axe finds on this page that keeps people out."""
        self.page.evaluate(AXE)
        # All is looked at; described is only what is wrong, as that takes most of the time.
        rules = {
            "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]},
            "resultTypes": ["violations"],
        }
        found: dict[str, Any] = self.page.evaluate("rules => axe.run(document, rules)", rules)
        assert found["passes"]
        return [
            f"{each['id']}: {node['html'][:200]}"
            for each in found["violations"]
            if each["impact"] in ("serious", "critical", "moderate")
            for node in each["nodes"]
        ]


@pytest.fixture
def opens(chromium: Browser, host: str) -> Iterator[Any]:
    """Open a browser window; its complaints are looked at when the test is over."""
    contexts: list[BrowserContext] = []
    sights: list[Sight] = []

    def open_one(**options: Any) -> Sight:
        context = chromium.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        contexts.append(context)
        sights.append(Sight(context, host))
        return sights[-1]

    yield open_one
    complaints = [each for sight in sights for each in sight.complaints.found]
    for context in contexts:
        context.close()
    # A page that is not there is told so by the browser too.
    assert [each for each in complaints if "status of 40" not in each] == []


NARROW = ("operator", "nb-NO", PHONE, "dark")
"""Longer words, and the fewest pixels for the most buttons."""

OTHERS = [
    ("operator", "en-GB", DESKTOP, "light"),
    ("viewer", "nb-NO", PHONE, "light"),
    ("viewer", "en-GB", DESKTOP, "dark"),
]

LOOKS = pytest.mark.parametrize(("role", "locale", "viewport", "scheme"), [NARROW, *either(OTHERS, [])])


def is_whole(sight: Sight, path: str, locale: str) -> None:
    """Nothing keeps people out, nothing is wider than the window, and it is in their language."""
    sight.goes(path)
    assert sight.serious() == [], path
    wide = sight.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{path} is wider than the window"
    expect(sight.page.locator("html")).to_have_attribute("lang", locale[:2])


@LOOKS
def test_every_page_is_whole_and_open_to_all(
    world: World, ids: dict[str, str], opens: Any, role: str, locale: str, viewport: dict[str, int], scheme: str
):
    """Issue 19: no console error, no request to another host, no CSP violation, no serious finding of axe."""
    sight = opens(locale=locale, viewport=viewport, color_scheme=scheme)
    sight.signs_in(world, role)

    for path in PAGES:
        if role == "operator" or "decide" not in path:
            is_whole(sight, path.format(**ids), locale)


def test_the_pages_of_sign_in_are_open_to_all(world: World, opens: Any):
    sight = opens()
    for path in ("/console/-/sign-in", f"/console/-/link?key={link(world, Role.viewer)}", "/console/-/link?key=wrong"):
        sight.page.goto(f"{sight.host}{path}")
        assert sight.serious() == [], path


FOCUSED = """() => {
  const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
  return {
    place: one === document.body ? -1 : [...document.querySelectorAll("*")].indexOf(one),
    name: one.outerHTML.slice(0, 120),
    isSeen: box.bottom > 0 && box.top < innerHeight && box.left >= 0 && box.right <= innerWidth + 1,
    hasRing: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    top: box.top + scrollY,
  };
}"""

MAY_HAVE_FOCUS = "a[href], button, summary, select, input:not([type=hidden]), [tabindex='0']"


def walked(page: Page, most: int) -> list[dict[str, Any]]:
    """What has the focus after the link that skips the navigation, tab by tab, until the page begins anew."""
    page.locator(".skip").focus()
    begin = page.evaluate(FOCUSED)["place"]
    found: list[dict[str, Any]] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        one = page.evaluate(FOCUSED)
        if one["place"] in (-1, begin):
            return found
        if not found or one["place"] != found[-1]["place"]:  # The parts of a day are one field.
            found.append(one)
    raise AssertionError(f"the focus does not leave {found[-1]['name']}")


@pytest.mark.parametrize(
    "path",
    ["people/{guarded}", "waiting/held/guard", "audit", *either(["", "people?state=held", "connect"], [])],
)
def test_a_phone_is_walked_through_by_keyboard(world: World, ids: dict[str, str], opens: Any, path: str):
    """Everything has its turn in the order of the page, is in sight and ringed then, and keeps no one."""
    sight = opens(locale="nb-NO", viewport=PHONE)
    sight.signs_in(world, "operator")
    sight.goes(path.format(**ids))
    all_of_it = sight.page.locator(MAY_HAVE_FOCUS).evaluate_all(
        "all => all.filter(one => one.checkVisibility()).length"
    )

    found = walked(sight.page, all_of_it + 20)

    assert len(found) == all_of_it - 1
    places = [each["place"] for each in found]
    assert places == sorted(set(places))
    assert [each["name"] for each in found if not (each["isSeen"] and each["hasRing"])] == []


def test_the_navigation_is_skipped(world: World, ids: dict[str, str], opens: Any):
    sight = opens(viewport=PHONE)
    sight.signs_in(world, "operator")
    sight.goes("audit")

    sight.page.keyboard.press("Tab")
    expect(sight.page.locator(".skip")).to_be_in_viewport()
    sight.page.keyboard.press("Enter")
    sight.page.keyboard.press("Tab")

    expect(sight.page.get_by_role("searchbox")).to_be_focused()


TO_PRESS, TO_THINK = 0.28, 1.35
"""Seconds that a person takes to press a key, and to decide what comes next (keystroke-level model, Card et al.)."""


@pytest.mark.parametrize("locale", ["en-GB", "nb-NO"])
def test_from_a_missing_person_to_the_cure_by_keyboard_alone(
    world: World, ids: dict[str, str], opens: Any, locale: str
):
    """A new hire is not in Ditio. From the first page to the cause and the cure in ten seconds, keyboard only."""
    sight, keys = opens(locale=locale), 0
    sight.signs_in(world, "operator")
    begin = time.perf_counter()
    sight.goes()
    expect(sight.page.get_by_role("searchbox")).to_be_focused()

    for key in (*"9000", "Enter"):
        sight.page.keyboard.press(key)
        keys += 1
    expect(sight.page.locator("tbody th a")).to_be_focused()  # Only one is found.
    sight.page.keyboard.press("Enter")
    keys += 1
    cause, cure = {
        "en-GB": ("phone is missing", "in Entra's attribute mapping"),
        "nb-NO": ("Telefon mangler", "i attributtilordningen i Entra"),
    }[locale]
    expect(sight.page.locator(".cause")).to_contain_text(cause)
    expect(sight.page.locator(".cause")).to_contain_text(cure)

    pages = time.perf_counter() - begin
    person = keys * TO_PRESS + 3 * TO_THINK  # Whom to search, who it is, what it says.
    print(f"{locale}: {keys} keys, {person:.1f} s of a person and {pages:.1f} s of the pages")
    assert person < 10


def test_an_operator_releases_what_the_guard_holds(world: World, ids: dict[str, str], opens: Any):
    """The names come before the button, and a reason is asked for."""
    sight = opens()
    sight.signs_in(world, "operator")
    sight.goes("waiting/held/guard")

    sight.page.get_by_role("button", name="Release…").click()
    expect(sight.page.locator("tbody th")).to_have_count(1)
    expect(sight.page.locator("tbody")).to_contain_text("9012")
    release = sight.page.get_by_role("button", name="Release the changes")
    release.click()
    expect(sight.page).to_have_url(re.compile("decide"))  # The browser asks for the reason.
    sight.page.get_by_label("Reason").fill("agreed with payroll")
    release.click()

    expect(sight.page.get_by_role("status")).to_contain_text("1 person")
    world.worker.run_until_idle()
    assert world.employee("9012").disabled
    with world.database.read("default") as s:
        (row,) = [each for each in s.audit.page(since=None, until=None) if each.deed.action == "released"]
    assert (row.author.actor.id, row.deed.detail) == ("Kari", "agreed with payroll")


def test_an_operator_stops_and_resumes_deliveries(world: World, ids: dict[str, str], opens: Any):
    sight = opens(viewport=PHONE)
    sight.signs_in(world, "operator")
    sight.goes(f"people/{ids['differs']}")

    sight.page.get_by_text("Stop deliveries to this person").click()
    sight.page.get_by_label("Reason").fill("an inquiry")
    sight.page.get_by_label("Up to and including").fill("2026-03-20")
    sight.page.get_by_role("button", name="Stop deliveries").click()
    expect(sight.page.locator(".cause")).to_contain_text("an operator stopped deliveries")
    sight.page.get_by_text("Resume deliveries to this person").click()
    sight.page.get_by_label("Reason").fill("it is over")
    sight.page.get_by_role("button", name="Resume deliveries").click()

    expect(sight.page.get_by_role("status")).to_contain_text("resumed")
    expect(sight.page.locator(".facts")).to_contain_text("due")


def test_the_page_of_a_person_shows_both_sides(world: World, ids: dict[str, str], opens: Any):
    sight = opens()
    sight.signs_in(world, "operator")
    sight.goes(f"people/{ids['differs']}")

    row = sight.page.locator("tr.differs")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Byggeleder")
    expect(row).to_contain_text("differs")


def test_pages_work_without_a_script(world: World, ids: dict[str, str], opens: Any):
    sight = opens(java_script_enabled=False)
    sight.signs_in(world, "operator")
    sight.goes("waiting/parked/gone")

    sight.page.get_by_role("button", name="Try the chosen people again").click()

    expect(sight.page.get_by_role("status")).to_contain_text("1 person")
