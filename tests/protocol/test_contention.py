"""Two transactions in each other's way: the one that the database ends is repeated, and Entra never learns of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, text

from scim_bridge.storage.database import Database, Session
from scim_bridge.storage.tables import resources
from tests.protocol.conftest import Scim
from tests.protocol.doubles import NoIntake
from tests.waiting import until_another_waits

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
"""SQLite has one writer at a time, so no one there can be in another's way like this."""


def test_a_write_that_the_database_ends_for_a_deadlock_is_repeated(scim: Scim) -> None:
    """Rule A3: 503 is for a database out of reach. Rule A5: Entra would try again only after its back-off."""
    one, other = (scim.create(userName=name)["id"] for name in ("one@example.com", "other@example.com"))
    scim.intake = _Wants(scim.database, other)

    answer = _while_others_want_both(scim.database, one, other, lambda: scim.patch({"id": one}, _titled("Foreman")))

    assert answer.status_code == 200, answer.text
    assert answer.json["title"] == "Foreman"
    assert [told[0] for told in scim.intake.told] == ["changed"]
    assert answer.json["meta"]["version"] == 'W/"2"'


def test_so_is_one_operation_of_a_bulk_request(scim: Scim) -> None:
    one, other = (scim.create(userName=name)["id"] for name in ("one@example.com", "other@example.com"))
    scim.intake = _Wants(scim.database, other)
    operation = {"method": "PATCH", "path": f"/Users/{one}", "data": _patch(_titled("Foreman"))}
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [operation]}

    answer = _while_others_want_both(scim.database, one, other, lambda: scim.send("POST", "/Bulk", json=body))

    assert answer.json["Operations"][0]["status"] == "200", answer.text
    assert scim.read({"id": one})["title"] == "Foreman"


def _titled(title: str) -> dict[str, Any]:
    return {"op": "replace", "path": "title", "value": title}


def _patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": list(operations)}


class _Wants(NoIntake):
    """Wants another row too, and says whose turn it is to wait."""

    def __init__(self, database: Database, other: str) -> None:
        super().__init__()
        self._other = other

    def user_changed(self, s: Session, user_id: Any, document: Any, before: Any) -> Any:
        _lock(s, self._other)
        return super().user_changed(s, user_id, document, before)


def _while_others_want_both(database: Database, one: str, other: str, request: Callable[[], Any]) -> Any:
    """Have the other row, let the request have the first and wait for ours, then want its own: it has to give way."""
    with ThreadPoolExecutor(1) as pool:
        with database.write() as s:
            s.connection.execute(text("SET LOCAL deadlock_timeout = '60s'"))  # The request's own is over first.
            _lock(s, other)
            answer = pool.submit(request)
            until_another_waits(database)
            _lock(s, one)
        return answer.result(timeout=60)


def _lock(s: Session, resource_id: str) -> None:
    s.connection.execute(select(resources.c.id).where(resources.c.id == resource_id).with_for_update())
