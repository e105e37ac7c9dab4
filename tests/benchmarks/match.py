"""`match`: Entra asks whether a person is there, `userName eq`, before it does anything else about him."""

import random

from werkzeug.test import EnvironBuilder

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
    Part("check the token", (("auth/bearer.py", "Bearer.authenticate"),)),
    Part("read the query, parse the filter", (("scim/service.py", "BridgeService.read_search"),)),
    Part("row to resource: validate again", (("scim/resources.py", "Rows.resource"),)),
    Part("search: filter to SQL, read the row", (("scim/storage.py", "BridgeStorage.search"),)),
    Part("publish: deep copy, references", (("scim/service.py", "AnsweringService.publish"),)),
    Part("dump, check and dump the list", (("scim/service.py", "AnsweringService.search_response"),)),
    Part(
        "begin and end the transaction",
        (("scim/transaction.py", "Transaction.open"), ("scim/storage.py", "BridgeStorage.operation")),
    ),
    Part("route and hand over", (("scim2_server/handler.py", "ScimHandler.handle"),)),
    Part("answer: JSON, headers", (("scim/routes.py", "_response"),)),
)


def match(stage: Stage) -> Result:
    """Measure the match query beside a bare route and scim2-flask."""
    series = measure_beside(stage, "match", source=_source, sample=_request(1), status=200)
    found = breakdowns(stage, "match", PARTS, _environ, 200)
    limits = limits_of(series, found)
    return Result(
        "match",
        series.measured(),
        [
            *series.goals("match ÷ a bare Flask route with the same bytes", WANTED_OF_BARE, limits, to_bare=True),
            *series.flatness(WANTED_FLAT, limits),
        ],
        list(found.values()),
    )


def _source(users: int) -> Source:
    chosen = random.Random(users)
    requests = [_request(chosen.randint(1, users)) for _ in range(ASKED)]
    return lambda: chosen.choice(requests)


def _request(number: int) -> bytes:
    return get(bridge.PATH, people.match_query(number), bridge.TOKEN)


def _environ(users: int) -> EnvironBuilder:
    return EnvironBuilder(
        path=bridge.PATH,
        query_string=people.match_query(random.randint(1, users)),
        headers=bridge.authorization(),
    )
