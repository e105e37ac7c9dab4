"""`match`: Entra asks whether a person is there, `userName eq`, first of all. `by-id`: it reads them."""

import random
from collections.abc import Callable

from sqlalchemy import select
from werkzeug.test import EnvironBuilder

from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import resources
from tests.benchmarks import bridge, people
from tests.benchmarks.beside import limits_of, measure_beside
from tests.benchmarks.inside import breakdowns
from tests.benchmarks.load import Source, get
from tests.benchmarks.results import Result
from tests.benchmarks.sampling import Part
from tests.benchmarks.stage import Stage

WANTED_OF_BARE = 0.5
WANTED_FLAT = 1.2

ASKED = 2000
"""How many different people are asked for: more than fit into the caches of one connection by luck."""

PARTS = (
    Part("read the token and the user", (("storage/resources.py", "Lookups.find"),)),
    Part("begin and end the transaction", (("auth/bearer.py", "Bearer.find"),)),
    Part("read the query", (("scim/lookup.py", "_query"), ("scim/lookup.py", "_condition"))),
    Part("what is stored as what is answered", (("scim/lookup.py", "Answers.user"),)),
    Part("answer: JSON", (("scim/lookup.py", "_encoded"),)),
    Part("everything else of the lookup", (("scim/lookup.py", "Lookups._answer"),)),
)

Asked = tuple[str, str]
"""Path and query of a request."""


def match(stage: Stage) -> Result:
    """Measure the match query beside a bare route and scim2-flask."""
    return _measured(stage, "match", _match)


def by_id(stage: Stage) -> Result:
    """Measure a user who is read by id beside a bare route and scim2-flask."""
    chosen: dict[tuple[str | None, int], list[Asked]] = {}

    def asked(kind: str | None, users: int) -> list[Asked]:
        if (kind, users) not in chosen:
            ids = ids_in(stage.database(kind, users)) if kind is not None else [f"{each:032x}" for each in _some(users)]
            chosen[kind, users] = [(f"{bridge.PATH}/{each}", "") for each in ids]
        return chosen[kind, users]

    return _measured(stage, "by-id", asked)


def _measured(stage: Stage, name: str, asked: Callable[[str | None, int], list[Asked]]) -> Result:
    def source(kind: str | None, users: int) -> Source:
        requests = [get(path, query, bridge.TOKEN) for path, query in asked(kind, users)]
        return lambda: random.choice(requests)

    def environ(kind: str, users: int) -> EnvironBuilder:
        path, query = random.choice(asked(kind, users))
        return EnvironBuilder(path=path, query_string=query, headers=bridge.authorization())

    series = measure_beside(stage, name, source=source, status=200)
    found = breakdowns(stage, name, PARTS, environ, 200)
    limits = limits_of(series, found)
    return Result(
        name,
        series.measured(),
        [
            *series.goals(f"{name} ÷ a bare Flask route with the same bytes", WANTED_OF_BARE, limits, to_bare=True),
            *series.flatness(WANTED_FLAT, limits),
        ],
        list(found.values()),
    )


def _match(_: str | None, users: int) -> list[Asked]:
    return [(bridge.PATH, people.match_query(each)) for each in _some(users)]


def _some(users: int) -> list[int]:
    chosen = random.Random(users)
    return [chosen.randint(1, users) for _ in range(ASKED)]


def ids_in(url: str) -> list[str]:
    """Some users' ids, always the same of a database."""
    database = Database(url)
    try:
        with database.read() as s:
            ids = (
                s.connection.execute(select(resources.c.id).where(resources.c.resource_type == "User")).scalars().all()
            )
    finally:
        database.close()
    return random.Random(len(ids)).sample(ids, min(ASKED, len(ids)))
