"""What the Entra of one company sends, at a steady rate, over connections that stay open."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.benchmarks import people
from tests.benchmarks.bridge import CONTENT_TYPE
from tests.benchmarks.load import Answer, Connection, get, post

CONNECTIONS = 2
"""How many requests of one company may be under way at a time."""

MATCHES, READS, CHANGES, SWITCHES = 0.55, 0.20, 0.20, 0.04
"""Shares of a cycle's requests: is this user there; one user by id; a new title; a login off or on. The rest are new
users."""

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass(frozen=True, slots=True)
class Company:
    """A company: where its Entra calls, and which people are its own."""

    name: str
    token: str
    first: int
    """The number of its first person; those of its other people follow."""

    @property
    def path(self) -> str:
        """The path of its users."""
        return f"/tenants/{self.name}/scim/v2/Users"


@dataclass
class Seen:
    """What came back since the last look: seconds by kind of request, and answers that were not as they should be."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)


class Control:
    """Asks the server whether it lives, at a steady pace: a request that costs nothing, beside those that do.

    Each time over a new connection, so that every process of the server is asked in turn.
    """

    EVERY_SECONDS = 0.2

    def __init__(self, port: int) -> None:
        self._port = port
        self._took: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join()

    def look(self) -> list[float]:
        """Return how many seconds each answer since the last look took."""
        with self._lock:
            took, self._took = self._took, []
        return took

    def _ask(self) -> None:
        while not self._ended.wait(self.EVERY_SECONDS):
            began = time.perf_counter()
            try:
                connection = Connection(self._port)
                connection.exchange(ALIVE)
                connection.close()
            except Exception:  # nosec B112 # The requests beside it report that the server does not answer.
                continue
            with self._lock:
                self._took.append(time.perf_counter() - began)


class Traffic:
    """The requests of one company. Its people are created by `fill`; after that `start` begins.

    :param per_second: How many requests begin in a second, over all connections; Entra sends up to 25.
    """

    def __init__(self, company: Company, port: int, per_second: float) -> None:
        self._company = company
        self._port = port
        self._per_second = per_second
        self._ids: list[tuple[int, str]] = []
        self._is_active: dict[str, bool] = {}
        self._next = company.first
        self._seen = Seen()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads: Sequence[threading.Thread] = ()

    def fill(self, count: int) -> None:
        """Create the company's people, as an initial cycle does."""
        connection = Connection(self._port)
        for _ in range(count):
            self._create(connection)
        connection.close()
        self.look()

    def start(self) -> None:
        """Begin to send."""
        self._threads = [
            threading.Thread(target=self._send, args=(number,), daemon=True) for number in range(CONNECTIONS)
        ]
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        """Send no more."""
        self._ended.set()
        for each in self._threads:
            each.join()

    def look(self) -> Seen:
        """Return what came back since the last look."""
        with self._lock:
            seen, self._seen = self._seen, Seen()
        return seen

    def _send(self, number: int) -> None:
        chance = random.Random(f"{self._company.name} {number}")
        connection = Connection(self._port)
        for _ in self._turns(number):
            try:
                self._one(connection, chance)
            except Exception as error:  # The soak goes on, and reports it.
                self._note(type(error).__name__, None, is_write=False)
                connection.close()
                connection = Connection(self._port)
        connection.close()

    def _turns(self, number: int) -> Iterator[None]:
        """Yield at an even pace; turns that a slow answer took are left out, and not made up for."""
        distance = CONNECTIONS / self._per_second
        turn = time.monotonic() + distance * number / CONNECTIONS
        while not self._ended.wait(max(0.0, turn - time.monotonic())):
            yield
            turn = max(turn + distance, time.monotonic())

    def _one(self, connection: Connection, chance: random.Random) -> None:
        kind = chance.random()
        number, user_id = chance.choice(self._ids)
        path, token = self._company.path, self._company.token
        if kind < MATCHES:
            self._ask(connection, get(path, people.match_query(number), token), 200, is_write=False)
        elif kind < MATCHES + READS:
            self._ask(connection, get(f"{path}/{user_id}", "", token), 200, is_write=False)
        elif kind < MATCHES + READS + CHANGES:
            self._patch(connection, user_id, "title", f"Fagarbeider {chance.randrange(10**6)}")
        elif kind < MATCHES + READS + CHANGES + SWITCHES:
            active = self._is_active[user_id] = not self._is_active[user_id]
            self._patch(connection, user_id, "active", str(active))
        else:
            self._create(connection)

    def _patch(self, connection: Connection, user_id: str, path: str, value: str) -> None:
        body = {"schemas": [PATCH], "Operations": [{"op": "Replace", "path": path, "value": value}]}
        request = post(f"{self._company.path}/{user_id}", json.dumps(body).encode(), CONTENT_TYPE, self._company.token)
        self._ask(connection, request.replace(b"POST", b"PATCH", 1), 200, is_write=True)

    def _create(self, connection: Connection) -> None:
        with self._lock:
            number = self._next
            self._next += 1
        request = post(self._company.path, people.body(number), CONTENT_TYPE, self._company.token)
        answer = self._ask(connection, request, 201, is_write=True)
        if answer.status == 201:
            user_id = str(json.loads(answer.body)["id"])
            self._is_active[user_id] = True
            self._ids.append((number, user_id))

    def _ask(self, connection: Connection, request: bytes, status: int, *, is_write: bool) -> Answer:
        began = time.perf_counter()
        answer = connection.exchange(request)
        took = time.perf_counter() - began
        self._note(None if answer.status == status else str(answer.status), took, is_write=is_write)
        return answer

    def _note(self, wrong: str | None, took: float | None, *, is_write: bool) -> None:
        with self._lock:
            if took is not None:
                (self._seen.writes if is_write else self._seen.reads).append(took)
            if wrong is not None:
                self._seen.wrong[wrong] += 1
