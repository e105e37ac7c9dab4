"""`memory`: what a web process is resident with once it is warm, and after 100,000 requests more."""

import random
from collections.abc import Callable, Sequence
from statistics import median

from tests.benchmarks import bridge, people
from tests.benchmarks.change import Toggles
from tests.benchmarks.figures import Ratio
from tests.benchmarks.load import Burst, Source, burst, get, patch, post
from tests.benchmarks.match import ids_in
from tests.benchmarks.results import Goal, Measured, Result
from tests.benchmarks.servers import RunningServer
from tests.benchmarks.soaking import below, resident_mb
from tests.benchmarks.stage import Stage

REQUESTS = 100_000
WARM_UP = 0.1
"""How many requests come before the first figure, as a share of those after it: caches fill, connections open."""

PARTS = 10
"""After how many equal parts of the requests memory is looked at."""

CREATES = 0.05
"""The share of requests that create a user; of the others most look a user up, as Entra's do."""

OTHERS = {"match": 0.7, "by-id": 0.15, "patch": 0.15}

WANTED_GROWTH = 1.05
WANTED_MEGABYTES = 120.0


def memory(stage: Stage) -> Result:
    """Send lookups, changes and new users to each bridge, and look at its memory in between."""
    found, users = Result("memory"), max(stage.plan.users)
    requests = stage.plan.requests or REQUESTS
    for kind in stage.plan.databases:
        server, sources = stage.bridge(kind, users), _sources(stage, kind, users)
        bursts: list[Burst] = []
        megabytes: list[float] = []
        with stage.bar(f"Sending {requests:,} requests to {kind}", PARTS + 1) as advance:
            for share in (WARM_UP, *[1 / PARTS] * PARTS):
                bursts += _sent(stage, server, sources, max(1, round(requests * share)))
                megabytes.append(resident_mb(below(server.process.pid)))
                advance(1)
        found.measured.append(_measured(kind, users, bursts))
        found.goals.extend(goals(kind, users, megabytes))
        told = ", ".join(f"{each:.1f}" for each in megabytes)
        found.notes.append(f"{kind}: {told} MB, warm and after each tenth of {requests:,} requests")
    return found


def goals(kind: str, users: int, megabytes: Sequence[float]) -> list[Goal]:
    """Return what was to be kept. :param megabytes: Resident once warm, and after each part of the requests."""
    warm, after = megabytes[0], megabytes[-1]
    growth = after / warm
    limit = f"{warm:.1f} MB once warm, {after:.1f} MB at the end, {max(megabytes):.1f} MB at most"
    return [
        Goal("memory: at the end ÷ once warm", users, kind, _alone(growth), WANTED_GROWTH, False, None, limit),
        Goal("memory: megabytes at most", users, kind, _alone(max(megabytes)), WANTED_MEGABYTES, False, None, limit),
    ]


def _alone(figure: float) -> Ratio:
    return Ratio(figure, figure, figure)


def _sources(stage: Stage, kind: str, users: int) -> tuple[Source, Source]:
    """Return what makes the requests that are answered 200, and those that are answered 201."""
    ids = ids_in(stage.database(kind, users))
    toggles = Toggles(ids)

    def change() -> bytes:
        user_id, body = toggles()
        return patch(f"{bridge.PATH}/{user_id}", body, bridge.CONTENT_TYPE, bridge.TOKEN)

    make: dict[str, Callable[[], bytes]] = {
        "match": lambda: get(bridge.PATH, people.match_query(random.randint(1, users)), bridge.TOKEN),
        "by-id": lambda: get(f"{bridge.PATH}/{random.choice(ids)}", "", bridge.TOKEN),
        "patch": change,
    }
    names, weights = list(OTHERS), list(OTHERS.values())
    return (
        lambda: make[random.choices(names, weights)[0]](),
        lambda: post(bridge.PATH, people.body(stage.new_number()), bridge.CONTENT_TYPE, bridge.TOKEN),
    )


def _sent(stage: Stage, server: RunningServer, sources: tuple[Source, Source], requests: int) -> list[Burst]:
    creates = max(1, round(requests * CREATES))
    return [
        burst(
            server.port,
            source,
            status,
            connections=stage.plan.connections,
            seconds=0,
            requests=count,
            server_cpu=server.cpu_seconds,
        )
        for source, status, count in zip(sources, (200, 201), (max(1, requests - creates), creates), strict=True)
    ]


def _measured(kind: str, users: int, bursts: Sequence[Burst]) -> Measured:
    requests, seconds = sum(each.requests for each in bursts), sum(each.seconds for each in bursts)
    cpu = sum(each.server_cpu_seconds or 0 for each in bursts)
    return Measured(
        "bridge",
        users,
        kind,
        requests / seconds,
        median(each.p50_ms for each in bursts),
        median(each.p95_ms for each in bursts),
        requests,
        cpu / requests * 1000,
        cpu / seconds,
        sum(each.client_cpu_seconds for each in bursts) / seconds,
    )
