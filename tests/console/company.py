"""A company in which people are in every state, made by the simulated Entra and Ditio; for the pages and pictures."""

from datetime import date, timedelta

from scim_bridge.domain.person import HandsOff
from scim_bridge.operator import actions
from scim_bridge.sandbox.entra import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.runs import ProcessKind, beat
from scim_bridge.web.console.visitors import author_of
from tests.world import World, a_user

SETTINGS = {
    "console": {"enabled": True},
    "delivery": {"max_ended_per_hour": 1, "max_ended_fraction": 0.0, "end_employment": "at-once"},
}

FIRST = ("Kari", "Ola", "Siv", "Per", "Nina", "Lars", "Ingrid", "Jonas", "Maria", "Henrik", "Aisha", "Tomasz", "Eva")
LAST = ("Nordmann", "Hansen", "Dahl", "Lie", "Berg", "Moen", "Kowalski", "Østby", "Ali", "Strand", "Haugen")
DEPARTMENTS = ("Anlegg", "Betong", "Kran", "Verksted", "Kontor", "Tunnel", "Asfalt")
TITLES = ("Maskinfører", "Kranfører", "Betongarbeider", "Anleggsleder", "Lærling", "Mekaniker")


def person(number: int, **changes: object) -> EntraUser:
    """One of many people; name what matters."""
    first, last = FIRST[number % len(FIRST)], LAST[number % len(LAST)]
    name = f"{first.lower()}.{last.lower()}.{number}@bygg.example".replace("ø", "o")
    values: dict[str, object] = {
        "object_id": f"5d1f3c0e-0000-4000-8000-{number:012d}",
        "user_principal_name": name,
        "display_name": f"{first} {last}",
        "given_name": first,
        "surname": last,
        "mail": name,
        "mobile": f"+47 4{number:07d}",
        "job_title": TITLES[number % len(TITLES)],
        "department": DEPARTMENTS[number % len(DEPARTMENTS)],
        "employee_id": str(number),
        "birth_date": f"19{70 + number % 30}-0{1 + number % 9}-1{number % 9}",
    }
    return a_user(**{**values, **changes})


def fill(world: World, *, people: int = 12) -> dict[str, EntraUser]:
    """Make the company. Return people by what became of them.

    :param people: How many are delivered, beside those in other states.
    """
    directory, found = world.entra.directory, {}
    for number in range(1000, 1000 + people):
        directory.add(person(number))
    for number in range(9000, 9007):
        directory.add(person(number, mobile=None))
    found["held"] = person(9000)
    found |= {"gone": person(9010), "ended": person(9011), "guarded": person(9012), "stopped": person(9013)}
    for name in ("gone", "ended", "guarded", "stopped"):
        directory.add(found[name])
    world.cycle()

    found["due"] = person(9030)
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    world.provisions(found["due"])
    world.ditio.faults.clear()
    world.clock.passes(seconds=30)  # What Ditio shows is believed again.
    world.ditio.company.employees.pop("9010")
    world.changes(found["gone"], job_title="Formann")
    world.changes(found["ended"], account_enabled=False)
    world.changes(found["guarded"], account_enabled=False)
    with world.database.write("default") as s:
        until = HandsOff(date(2026, 4, 1))
        actions.stop_deliveries(s, author_of("Kari", "a-request"), "9013", until, why="on leave")
        beat(s.at(s.now - timedelta(seconds=20)), ProcessKind.worker, "one", "bridge-1")
    found["refused"] = person(9020)
    world.ditio.plant("7777", phone=str(found["refused"].mobile).replace(" ", ""))
    world.provisions(found["refused"])
    found["differs"] = person(1000)
    world.employee("1000").work_title = "Byggeleder"
    return found
