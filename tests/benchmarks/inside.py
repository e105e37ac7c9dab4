"""The bridge from inside: one kind of request in this process, without sockets, gunicorn or other requests."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from flask import Flask
from sqlalchemy import event
from werkzeug.test import EnvironBuilder, run_wsgi_app

from scim_bridge.errors import BridgeError
from scim_bridge.storage.database import Database
from tests.benchmarks import bridge
from tests.benchmarks.results import Breakdown
from tests.benchmarks.sampling import Part, shares, timed_and_sampled
from tests.benchmarks.stage import Stage

WITHIN = ("flask/app.py", "Flask.__call__")


@dataclass
class Counted:
    """What was asked of a database."""

    statements: int = 0
    transactions: int = 0


def breakdowns(
    stage: Stage, name: str, parts: Sequence[Part], environ: Callable[[str, int], EnvironBuilder], status: int
) -> dict[tuple[str, int], Breakdown]:
    """Where the time goes, on each kind of database, with the most users.

    :param environ: The request, for a database of this kind that holds so many users.
    :param status: What each answer has to be.
    """
    users = max(stage.plan.users)
    found = {}
    with stage.bar(f"Looking where {name} spends its time", len(stage.plan.databases)) as advance:
        for kind in stage.plan.databases:
            database = Database(stage.database(kind, users), pool_size=2)
            try:
                request = _calls(bridge.app_for(database), partial(environ, kind, users), status)
                found[kind, users] = _breakdown(users, kind, database, parts, request, stage.plan.profile_seconds)
            finally:
                database.close()
            advance(1)
    return found


@contextmanager
def counting(database: Database) -> Iterator[Counted]:
    """Count statements and transactions."""
    counted = Counted()

    def statement(_: object, __: object, text: str, *___: object) -> None:
        # On SQLite the bridge says BEGIN itself; on PostgreSQL the driver does, unseen.
        counted.statements += 0 if text.startswith("BEGIN") else 1

    def transaction(*_: object) -> None:
        counted.transactions += 1

    listeners = (("before_cursor_execute", statement), ("begin", transaction))
    for what, listener in listeners:
        event.listen(database.engine, what, listener)
    try:
        yield counted
    finally:
        for what, listener in listeners:
            event.remove(database.engine, what, listener)


def _breakdown(
    users: int, kind: str, database: Database, parts: Sequence[Part], request: Callable[[], None], seconds: float
) -> Breakdown:
    # The first request is another: connections are made, and the token's use is noted.
    request()
    with counting(database) as counted:
        request()
    checked = timed_and_sampled(request, seconds=seconds, within=WITHIN)
    steps, code = shares(checked.milliseconds, parts, checked.stacks)
    return Breakdown(
        users=users,
        database=kind,
        milliseconds=checked.milliseconds,
        cpu_ms=checked.cpu_ms,
        statements=counted.statements,
        transactions=counted.transactions,
        samples=len(checked.stacks),
        steps=steps,
        code=code,
    )


def _calls(app: Flask, environ: Callable[[], EnvironBuilder], status: int) -> Callable[[], None]:
    """A call of the application, without a server; whose answer has to have this status."""

    def call() -> None:
        body, answered, _ = run_wsgi_app(app, environ().get_environ(), buffered=True)
        if not answered.startswith(str(status)):
            raise BridgeError(f"answered {answered} instead of {status}: {b''.join(body)[:500].decode()}")

    return call
