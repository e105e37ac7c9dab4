"""Repair and the first day in a real Chromium: whole, in both languages, on a phone, by keyboard, without a script."""

from typing import Any

from playwright.sync_api import expect

from tests.console.test_browser import LOOKS, PHONE, host, is_whole, opens, world
from tests.console.test_browser_more import made
from tests.console.test_drift import compared
from tests.console.test_first_day import OLA, first_day, works
from tests.console.test_repair import WANTED, users
from tests.console.test_repair import works as repairs
from tests.thorough import short_on_sqlite
from tests.world import World

__all__ = ["first_day", "host", "opens", "users", "world"]

pytestmark = short_on_sqlite


@LOOKS
def test_the_pages_of_a_repair_are_whole_and_open_to_all(
    world: World, opens: Any, role: str, locale: str, viewport: dict[str, int], scheme: str
):
    plans = made(world)
    sight = opens(locale=locale, viewport=viewport, color_scheme=scheme)
    sight.signs_in(world, role)

    for plan in plans.values():
        is_whole(sight, f"drift/{plan}", locale)
        is_whole(sight, f"drift/{plan}/progress", locale)
        if role == "operator":
            is_whole(sight, f"drift/{plan}/repair?all=1", locale)
    with world.database.write("default") as s:
        s.plan(plans["plan"]).approve([0, 1])
        s.asked.ask(f"repair:{plans['plan']}", "Kari")
    is_whole(sight, f"drift/{plans['plan']}/progress?refresh=no", locale)
    is_whole(sight, f"drift/{plans['plan']}", locale)
    is_whole(sight, "drift", locale)


@LOOKS
def test_the_pages_of_the_first_day_are_whole_and_open_to_all(
    world: World, first_day: None, opens: Any, role: str, locale: str, viewport: dict[str, int], scheme: str
):
    sight = opens(locale=locale, viewport=viewport, color_scheme=scheme)
    sight.signs_in(world, role)
    is_whole(sight, "first-day", locale)
    is_whole(sight, "first-day/pairs", locale)

    with world.database.write("default") as s:
        s.asked.ask("find-pairs", "Kari")
    works(world)
    is_whole(sight, "first-day", locale)
    is_whole(sight, "first-day/pairs", locale)


def test_a_plan_is_read_approved_and_repaired_by_keyboard_and_without_a_script(
    world: World, users: list[Any], opens: Any
):
    """The page of the progress comes again by itself until the worker has done it."""
    plan = compared(world).run.id
    sight = opens(java_script_enabled=False)
    sight.signs_in(world, "operator")
    sight.goes(f"drift/{plan}")

    sight.page.locator("tbody", has_text="employee 1001").get_by_role("checkbox").focus()
    sight.page.keyboard.press("Space")
    choose = sight.page.get_by_role("button", name="Repair the chosen people…").first
    choose.focus()
    sight.page.keyboard.press("Enter")
    expect(sight.page.locator("tbody").first).to_contain_text("1001")
    expect(sight.page.locator("h1")).to_contain_text("Repair 1 difference?")
    sight.page.get_by_label("Reason").fill("agreed with payroll")
    sight.page.keyboard.press("Enter")
    expect(sight.page.locator("progress")).to_be_visible()
    expect(sight.page.get_by_role("status")).to_contain_text("The repair of 1 difference is approved.")

    repairs(world)

    expect(sight.page.locator("h1")).to_contain_text("No repair goes on", timeout=15_000)
    assert [world.employee(number).work_title for number in ("1001", "1002")] == [WANTED[0], "Sjef"]


def test_the_browser_asks_to_confirm_what_a_guard_stops(world: World, users: list[Any], opens: Any):
    world.restarts_with(reconcile={"max_changes": 2})
    plan = compared(world).run.id
    sight = opens()
    sight.signs_in(world, "operator")
    sight.goes(f"drift/{plan}")

    sight.page.get_by_role("button", name="Repair all…").click()
    expect(sight.page.locator("#guard")).to_be_visible()
    sight.page.get_by_label("Reason").fill("agreed with payroll")
    sight.page.get_by_role("button", name="Repair 3 differences").click()
    expect(sight.page.locator("h1")).to_contain_text("Repair 3 differences?")  # The browser asks for the box.
    sight.page.get_by_label("I have read the plan").check()
    sight.page.get_by_role("button", name="Repair 3 differences").click()

    expect(sight.page.locator("progress")).to_be_visible()


def test_a_disputed_pair_is_decided_and_linked(world: World, first_day: None, opens: Any):
    sight = opens(viewport=PHONE)
    sight.signs_in(world, "operator")
    sight.goes("first-day")
    sight.page.get_by_role("button", name="Look for pairs").click()
    expect(sight.page.get_by_role("status").filter(has_text="asked for by")).to_be_visible()
    works(world)

    sight.page.get_by_role("link", name="See both sides, and decide").click(timeout=15_000)
    sight.page.locator("section.cause", has_text=OLA).get_by_role("button", name="One person: link them").click()
    expect(sight.page.get_by_role("status")).to_contain_text("The decision is stored.")
    sight.page.get_by_label("Reason").fill("the first day")
    sight.page.get_by_role("button", name="Link 2 pairs").click()
    expect(sight.page.get_by_role("status").filter(has_text="asked for by")).to_be_visible()
    works(world)

    sight.goes("first-day")
    expect(sight.page.locator("[aria-current=step] h2")).to_contain_text("Compare, and read the plan")
