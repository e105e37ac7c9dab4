"""`create`: Entra hires a person; answered once document and due mark are durable (rules A1, D7), delivery queued."""

from collections.abc import Callable

from werkzeug.test import EnvironBuilder

from tests.benchmarks import bridge, people
from tests.benchmarks.beside import limits_of, measure_beside
from tests.benchmarks.databases import durability, flush_milliseconds
from tests.benchmarks.inside import breakdowns
from tests.benchmarks.load import Source, post
from tests.benchmarks.results import Result
from tests.benchmarks.sampling import Part
from tests.benchmarks.stage import Stage

WANTED_OF_IN_MEMORY = 1.0

COMMIT = (
    ("engine/base.py", "RootTransaction._do_commit"),
    ("engine/base.py", "RootTransaction._connection_commit_impl"),
)

PARTS = (
    Part("check the token", (("auth/bearer.py", "Bearer.authenticate"),)),
    Part("read how far delivery is", (("scim/storage.py", "BridgeStorage.delivery_views"),)),
    Part("commit", COMMIT),
    Part("read the body: validate", (("scim/service.py", "BridgeService.read_creation"),)),
    Part("resource to row: dump, fold keys", (("web/scim/rows.py", "Rows.made"),)),
    Part("intake: map to an employee", (("scim_bridge/tenant.py", "Tenant.desired"),)),
    Part("intake: person, claims, due, history", (("delivery/intake.py", "Intake.user_created"),)),
    Part("insert the document", (("scim/storage.py", "BridgeStorage.add"),)),
    Part("count how the client departs from the RFCs", (("scim/transaction.py", "RequestTransaction._count"),)),
    Part("begin the transaction", (("scim/transaction.py", "RequestTransaction.open"),)),
    Part("make the answer", (("scim/service.py", "AnsweringService.created_answer"),)),
    Part("route and hand over", (("scim2_server/handler.py", "ScimHandler.handle"),)),
    Part("answer: JSON, headers", (("scim/routes.py", "_response"),)),
)


def create(stage: Stage) -> Result:
    """Measure the durable create beside a bare route and scim2-flask."""
    new = stage.new_number
    series = measure_beside(stage, "create", source=lambda *_: _source(new), sample=_request(new()), status=201)
    found = breakdowns(stage, "create", PARTS, lambda *_: _environ(new()), 201)
    limits = limits_of(series, found)
    return Result(
        "create",
        series.measured(),
        series.goals("durable create ÷ scim2-flask in memory", WANTED_OF_IN_MEMORY, limits, to_bare=False),
        list(found.values()),
        [
            *(durability(stage.database(kind, max(stage.plan.users))) for kind in stage.plan.databases),
            f"the disk of {stage.folder} makes 4 KiB durable in {flush_milliseconds(stage.folder):.2f} ms; "
            "users are those at the start: each create adds one",
        ],
    )


def _source(new: Callable[[], int]) -> Source:
    return lambda: _request(new())


def _request(number: int) -> bytes:
    return post(bridge.PATH, people.body(number), bridge.CONTENT_TYPE, bridge.TOKEN)


def _environ(number: int) -> EnvironBuilder:
    return EnvironBuilder(
        method="POST",
        path=bridge.PATH,
        data=people.body(number),
        content_type=bridge.CONTENT_TYPE,
        headers=bridge.authorization(),
    )
