"""`pages`: the pages of the console, in process, on companies of different sizes."""

import random
import time
from datetime import UTC, datetime
from statistics import median, quantiles

import requests
from flask.testing import FlaskClient

from scim_bridge.bootstrap import build
from scim_bridge.domain.audit import Role
from scim_bridge.errors import BridgeError
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.settings import Settings
from scim_bridge.storage.database import Database
from scim_bridge.web.app import create_app
from scim_bridge.web.console.visitors import COOKIE
from tests.benchmarks.figures import alternating, ratio
from tests.benchmarks.people import digits, user_name
from tests.benchmarks.results import Goal, Measured, Result
from tests.benchmarks.stage import Stage

DITIO = "https://ditio.invalid"
FLAT = 2.0
"""How much more a page that lists or shows people may cost in the largest company than in the smallest."""

SHOWN = {
    "the overview": "",
    "people": "people",
    "people of a department": "people?department=Anlegg",
    "people in a state": "people?state=due",
    "one person": "people/{person}",
    "who waits, by cause": "waiting",
    "a number is searched": "people?q={number}",
    "a name that many have": "people?q=nordmann",
    "a name that no one has": "people?q=unbekannt",
}
FLAT_ONES = ("people", "people of a department", "people in a state", "one person")

SECRET = "of-the-benchmarks"  # nosec B105


def pages(stage: Stage) -> Result:
    """Measure each page on each database and size of company."""
    plan, found = stage.plan, Result("pages")
    runs = [(kind, users) for kind in plan.databases for users in plan.users]
    clients = {run: _client(stage.database(*run)) for run in runs}
    took: dict[tuple[str, str, int], list[float]] = {(what, *run): [] for what in SHOWN for run in runs}
    with stage.bar("Measuring pages", plan.rounds * len(runs)) as advance:
        for turns in alternating(len(runs), plan.rounds):
            for run in (runs[turn] for turn in turns):
                for what, path in SHOWN.items():
                    took[what, *run].append(_seconds(clients[run], path))
                advance(1)
    found.measured.extend(_measured(what, kind, users, times) for (what, kind, users), times in took.items())
    smallest, largest = min(plan.users), max(plan.users)
    for kind in plan.databases if smallest != largest else ():
        for what in FLAT_ONES:
            cost = ratio(took[what, kind, largest], took[what, kind, smallest])
            told = f"{what}: time with {largest:,} ÷ with {smallest:,} people"
            found.goals.append(
                Goal(told, largest, kind, cost, FLAT, False, None, "rendering 50 rows, and their documents")
            )
    return found


def _client(url: str) -> tuple[FlaskClient, str]:
    """An administrator who is signed in, and the id of a person. :raises BridgeError: the person is not there."""
    ditio = SandboxDitio(now=lambda: datetime.now(UTC), random=random.Random(0))

    def session() -> requests.Session:
        opened = requests.Session()
        opened.mount(DITIO, WsgiTransport(ditio.app))
        return opened

    database = Database(url)
    settings = Settings.model_validate(
        {
            "server": {"base_url": "http://127.0.0.1"},
            "console": {"enabled": True},
            "ditio": {
                "api_url": f"{DITIO}/core",
                "identity_url": DITIO,
                "client_id": "sandbox",
                "client_secret": "sandbox-secret",
            },
        }
    )
    client = create_app(build(settings, database=database, session_factory=session)).test_client()
    with database.write("default") as s:
        s.console_sessions.end_all()
        s.console_sessions.begin(SECRET, Role.operator, "the benchmarks")
        record = s.people.find(user_name(1))
    if record is None:
        raise BridgeError("the database does not have the people of the benchmarks")
    client.set_cookie(COOKIE, SECRET, domain="127.0.0.1", secure=True)
    return client, record.person.id


def _seconds(signed_in: tuple[FlaskClient, str], path: str) -> float:
    client, person = signed_in
    url = f"https://127.0.0.1/console/default/{path.format(person=person, number=digits(2))}"
    begin = time.perf_counter()
    answer = client.get(url)
    took = time.perf_counter() - begin
    if answer.status_code != 200:
        raise BridgeError(f"{path} was answered {answer.status_code}, so nothing was measured")
    return took


def _measured(what: str, kind: str, users: int, times: list[float]) -> Measured:
    late = quantiles(times, n=20, method="inclusive")[-1]
    middle = median(times)
    return Measured(what, users, kind, 1 / middle, middle * 1000, late * 1000, len(times), None, None, 0.0)
