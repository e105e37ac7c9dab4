"""What the benchmarks of one run share: prepared databases, servers, the progress bar."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Table

from scim_bridge.storage.database import Database
from scim_bridge.storage.engine import COMMANDS
from tests.benchmarks.bridge import environment
from tests.benchmarks.databases import new_postgresql, postgresql_server
from tests.benchmarks.load import Answer
from tests.benchmarks.preparing import Pattern, fill, pattern_in
from tests.benchmarks.servers import RunningServer, running


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for on the command line."""

    users: Sequence[int]
    databases: Sequence[str]
    rounds: int
    seconds: float
    requests: int | None
    """For each round; None: as many as go into `seconds`."""

    connections: int
    profile_seconds: float
    people: int
    """How many are delivered where Ditio is called."""


class Stage:
    """Databases and servers, made when they are first asked for, and gone with the context of `Stage`."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self._stack = ExitStack()
        self._progress = Progress(
            TextColumn("{task.description:<44}"),
            BarColumn(30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
        )
        self._postgresql: str | None = None
        self._pattern: Pattern | None = None
        self._urls: dict[tuple[str, int], str] = {}
        self._servers: dict[str, RunningServer] = {}
        self._numbers = count(max(plan.users) + 1)
        self._lock = Lock()
        self._is_prepared = False

    def __enter__(self) -> "Stage":
        self._stack.enter_context(self._progress)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def prepare(self) -> None:
        """Fill all databases, and start what takes long to start; once."""
        if self._is_prepared:
            return
        self._is_prepared = True
        for users in self.plan.users:
            self._serve(f"scim2-flask {users}", ["tests.benchmarks.in_memory", str(users)])
        for users in self.plan.users:
            for kind in self.plan.databases:
                self.database(kind, users)
        with self.bar("Starting the servers", len(self._servers)) as advance:
            for server in self._servers.values():
                assert server.port
                advance(1)

    def database(self, kind: str, users: int) -> str:
        """The URL of a database with so many users."""
        if (kind, users) not in self._urls:
            self._urls[kind, users] = self.own_database(kind, users, "users")
        return self._urls[kind, users]

    def own_database(self, kind: str, users: int, name: str, *, only: Table | None = None) -> str:
        """The URL of another database with so many users, all due, which nothing but one benchmark uses.

        :param only: The one table that the benchmark touches: a million rows are made in a minute, all of them in many.
        """
        self._pattern = self._pattern or pattern_in(self.folder)
        return self.filled(kind, users, name, self._pattern if only is None else self._pattern.only(only))

    def bridge(self, kind: str, users: int) -> RunningServer:
        """`scim-bridge serve` on that database, without a worker."""
        words = ["scim_bridge", "serve", "--bind", "127.0.0.1:0", "--without-worker"]
        return self._serve(f"bridge {kind} {users}", words, environment(self.database(kind, users)))

    def scim2_flask(self, users: int) -> RunningServer:
        """scim2-flask with so many users in memory."""
        return self._serve(f"scim2-flask {users}", ["tests.benchmarks.in_memory", str(users)])

    def bare_route(self, name: str, answer: Answer) -> RunningServer:
        """A Flask route that answers these very bytes."""
        file = self.folder / f"{name}.answer"
        file.write_bytes(answer.body)
        words = ["tests.benchmarks.bare_route", str(file), str(answer.status), answer.content_type]
        return self._serve(f"bare {name}", words)

    def new_number(self) -> int:
        """The number of a person whom no one has stored yet."""
        with self._lock:
            return next(self._numbers)

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar on standard error; yields what to call with how much more is done."""
        if self._progress.disable:
            print(f"{what} …", file=sys.stderr, flush=True)
        task = self._progress.add_task(what, total=total)
        yield lambda more: self._progress.advance(task, more)

    def filled(self, kind: str, users: int, name: str, pattern: Pattern) -> str:
        """The URL of another database, with people of this pattern."""
        with self.bar(f"Storing {users:,} users on {kind}", users) as advance:
            url = self._empty(kind, f"{name}_{users}")
            database = Database(url, patience=COMMANDS)
            try:
                fill(database, users, pattern, advance)
            finally:
                database.close()
        return url

    def _empty(self, kind: str, name: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{self.folder / f'{name}.db'}"
        self._postgresql = self._postgresql or self._stack.enter_context(postgresql_server())
        return new_postgresql(self._postgresql, name)

    def _serve(self, what: str, words: Sequence[str], settings: Mapping[str, str] | None = None) -> RunningServer:
        if what not in self._servers:
            self._servers[what] = self._stack.enter_context(running(what, words, self.folder, settings))
        return self._servers[what]
