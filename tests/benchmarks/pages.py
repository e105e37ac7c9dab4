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
from scim_bridge.storage.engine import COMMANDS
from scim_bridge.web.app import create_app
from scim_bridge.web.console.visitors import COOKIE
from tests.benchmarks.console_company import PLAN, REPAIRED, dress
from tests.benchmarks.delivered import delivered_pattern_in
from tests.benchmarks.figures import Ratio, alternating, ratio
from tests.benchmarks.people import digits, user_name
from tests.benchmarks.preparing import Pattern
from tests.benchmarks.results import Goal, Measured, Result
from tests.benchmarks.stage import Stage

DITIO = "https://ditio.invalid"
FLAT = 2.0
"""How much more a page that lists or shows people may cost in the largest company than in the smallest."""

WANTED_MS = 200.0
"""Each page is answered within this time in the largest company."""

SHOWN = {
    "the overview": "",
    "people": "people",
    "people of a department": "people?department=Anlegg",
    "people in a state": "people?state=due",
    "one person": "people/{person}",
    "a number is searched": "people?q={number}",
    "a name that many have": "people?q=nordmann",
    "a name that no one has": "people?q=unbekannt",
    "who waits, by cause": "waiting",
    "who waits for one cause": "waiting/held/incomplete",
    "what the guard holds": "waiting/decide?decision=release&person={person}",
    "the runs": "drift",
    "a plan": f"drift/{PLAN}",
    "the end of a plan": f"drift/{PLAN}?skip={{last}}",
    "a plan that was repaired": f"drift/{REPAIRED}",
    "one kind of a plan": f"drift/{PLAN}?kind=field",
    "certificates that end": "certificates?within=365",
    "who lacks a certificate": "certificates/lacking?required=Varme+arbeider&required=Truck",
    "the audit trail": "audit",
    "the audit trail of a person": "audit?q={number}",
    "a rare deed of the audit trail": "audit?action=issued",
    "the settings": "settings?all=1",
}
ALL_DUE = {"the overview, all due": "", "who waits, all due": "waiting"}
"""Of a company whose people no worker has delivered yet."""

FLAT_ONES = ("people", "people of a department", "people in a state", "one person")

SECRET = "of-the-benchmarks"  # nosec B105


def pages(stage: Stage) -> Result:
    """Measure each page on each database and size of company."""
    plan, found = stage.plan, Result("pages")
    runs = [(kind, users) for kind in plan.databases for users in plan.users]
    pattern, _ = delivered_pattern_in(stage.folder)
    clients = {run: (_client(_company(stage, *run, pattern)), _client(stage.database(*run))) for run in runs}
    took: dict[tuple[str, str, int], list[float]] = {(what, *run): [] for what in SHOWN | ALL_DUE for run in runs}
    with stage.bar("Measuring pages", plan.rounds * len(runs)) as advance:
        for turns in alternating(len(runs), plan.rounds):
            for run in (runs[turn] for turn in turns):
                company, due = clients[run]
                for what, path in (SHOWN | ALL_DUE).items():
                    took[what, *run].append(_seconds(due if what in ALL_DUE else company, path, run[1]))
                advance(1)
    found.measured.extend(_measured(what, kind, users, times) for (what, kind, users), times in took.items())
    for (what, kind, users), times in took.items():
        if users == max(plan.users):
            each = [took * 1000 for took in times]
            within = Ratio(median(each), min(each), max(each))
            found.goals.append(
                Goal(f"{what}: milliseconds", users, kind, within, WANTED_MS, False, None, "one process")
            )
    smallest, largest = min(plan.users), max(plan.users)
    for kind in plan.databases if smallest != largest else ():
        for what in FLAT_ONES:
            cost = ratio(took[what, kind, largest], took[what, kind, smallest])
            told = f"{what}: time with {largest:,} ÷ with {smallest:,} people"
            found.goals.append(
                Goal(told, largest, kind, cost, FLAT, False, None, "rendering 50 rows, and their documents")
            )
    return found


def _company(stage: Stage, kind: str, users: int, pattern: Pattern) -> str:
    url = stage.filled(kind, users, "pages", pattern)
    database = Database(url, patience=COMMANDS)
    try:
        with stage.bar(f"Storing a plan of {users:,} rows on {kind}", users) as advance:
            dress(database, advance)
    finally:
        database.close()
    return url


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


def _seconds(signed_in: tuple[FlaskClient, str], path: str, users: int) -> float:
    client, person = signed_in
    last = max(0, users - 100)
    url = f"https://127.0.0.1/console/default/{path.format(person=person, number=digits(2), last=last)}"
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
