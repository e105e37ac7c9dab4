"""`patch`: Entra disables a person, and enables them again; answered once it is durable, delivery queued."""

import json
import random
from functools import lru_cache
from threading import Lock

from werkzeug.test import EnvironBuilder

from tests.benchmarks import bridge
from tests.benchmarks.beside import limits_of, measure_beside
from tests.benchmarks.create import COMMIT
from tests.benchmarks.inside import breakdowns
from tests.benchmarks.load import Source, patch
from tests.benchmarks.match import ids_in
from tests.benchmarks.results import Result
from tests.benchmarks.sampling import Part
from tests.benchmarks.stage import Stage

WANTED_OF_IN_MEMORY = 1.0

PARTS = (
    Part("check the token", (("auth/bearer.py", "Bearer.authenticate"),)),
    Part("commit", COMMIT),
    Part("read the body: validate", (("scim/service.py", "BridgeService.read_operations"),)),
    Part("read the user, locked", (("scim/storage.py", "BridgeStorage._lock"),)),
    Part("set the values", (("scim/entra_patch.py", "with_settings"),)),
    Part("document to row: fold keys", (("web/scim/rows.py", "Rows.row_of"),)),
    Part("intake", (("delivery/intake.py", "Intake.user_changed"),)),
    Part("store the document, audit", (("scim/storage.py", "BridgeStorage._put"),)),
    Part("count how the client departs from the RFCs", (("scim/transaction.py", "RequestTransaction._count"),)),
    Part("begin and end the transaction", (("scim/transaction.py", "RequestTransaction.open"),)),
    Part("make the answer", (("scim/service.py", "AnsweringService.patched_answer"),)),
    Part("route and hand over", (("scim2_server/handler.py", "ScimHandler.handle"),)),
    Part("answer: JSON, headers", (("scim/routes.py", "_response"),)),
)


def change(stage: Stage) -> Result:
    """Measure a PATCH of `active` beside a bare route and scim2-flask."""

    @lru_cache
    def toggles(kind: str | None, users: int) -> "Toggles":
        return Toggles(
            ids_in(stage.database(kind, users)) if kind is not None else [f"{each + 1:032x}" for each in range(users)]
        )

    def source(kind: str | None, users: int) -> Source:
        return lambda: _request(*toggles(kind, users)())

    def environ(kind: str, users: int) -> EnvironBuilder:
        user_id, body = toggles(kind, users)()
        headers = bridge.authorization()
        return EnvironBuilder(
            method="PATCH",
            path=f"{bridge.PATH}/{user_id}",
            data=body,
            content_type=bridge.CONTENT_TYPE,
            headers=headers,
        )

    series = measure_beside(stage, "patch", source=source, status=200, others_status=204)
    found = breakdowns(stage, "patch", PARTS, environ, 200)
    limits = limits_of(series, found)
    return Result(
        "patch",
        series.measured(),
        series.goals("PATCH active ÷ scim2-flask in memory", WANTED_OF_IN_MEMORY, limits, to_bare=False),
        list(found.values()),
        ["the bridge answers with the whole user, scim2-flask with 204 and without a body"],
    )


class Toggles:
    """Chooses a person whose `active` changes with each request: a PATCH that changes nothing is another matter."""

    def __init__(self, ids: list[str]) -> None:
        self._ids = ids
        self._random = random.Random(len(ids))
        self._inactive: set[str] = set()
        self._lock = Lock()

    def __call__(self) -> tuple[str, bytes]:
        """Return the next person's id, and the body."""
        with self._lock:
            user_id = self._random.choice(self._ids)
            is_active = user_id in self._inactive
            (self._inactive.discard if is_active else self._inactive.add)(user_id)
        operation = {"op": "Replace", "path": "active", "value": str(is_active)}
        schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
        return user_id, json.dumps({"schemas": schemas, "Operations": [operation]}).encode()


def _request(user_id: str, body: bytes) -> bytes:
    return patch(f"{bridge.PATH}/{user_id}", body, bridge.CONTENT_TYPE, bridge.TOKEN)
