"""One company sends the worst that was found, while another provisions: the other is answered as ever."""

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import requests

from tests.processes.conftest import Bridge
from tests.processes.running import PATIENCE_SECONDS, ROOT, environment
from tests.thorough import either, short_on_sqlite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes below /proc")

SECONDS = float(os.environ.get("SCIM_BRIDGE_TESTS_FAIRNESS_SECONDS", either(6, 3)))
"""How long; a minute is what the design asks for, and is told by the environment."""

LIMIT_SECONDS = 1.0
"""What 95 of 100 requests of the other company may take."""

SLOWER = 8
"""On a machine that is busy with other things, so many times what they take while no one else asks."""

SENDERS = 8
"""So many requests at a time does the busy company send."""

MARKS = ("a" + "\u0301\u0323" * 15) * 130
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"

_number = itertools.count()


def _user(**attributes: Any) -> dict[str, Any]:
    return {"userName": f"busy-{next(_number)}", **attributes}


def _patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


WORST: list[Callable[[], tuple[str, str, Any]]] = [
    lambda: ("POST", "/Users", _user(title="\u0301" * 440_000)),
    lambda: ("POST", "/Users", _user(schemas=["[" * 160_000])),
    lambda: ("POST", "/Users", _user(schemas=["[" * 4096] * 240)),
    lambda: ("POST", "/Users", _user(roles=[{"value": MARKS, "type": str(n)} for n in range(115)])),
    lambda: ("POST", "/Users", _user(roles=[{"value": str(n)} for n in range(900)])),
    lambda: ("POST", "/Groups", {"displayName": "g", "members": [1] * 340_000}),
    lambda: ("POST", "/Groups", {"displayName": "g", "members": [1] * 5000}),
    lambda: ("PATCH", "/Users/{id}", _patch(*[{"op": "replace", "path": "title", "value": MARKS}] * 100)),
    lambda: (
        "PATCH",
        "/Users/{id}",
        _patch(*[{"op": "add", "path": "roles", "value": [{"value": MARKS + str(n)}]} for n in range(90)]),
    ),
    lambda: (
        "POST",
        "/Bulk",
        {
            "schemas": [BULK],
            "Operations": [
                {"method": "POST", "path": "/Users", "bulkId": str(n), "data": _user(title=MARKS)} for n in range(90)
            ],
        },
    ),
    lambda: ("GET", "/Users?count=200", None),
    lambda: ("POST", "/Users/.search", {"filter": " or ".join(['title co "x"'] * 100)}),
]


SENDS = """
import sys
from tests.processes.test_fairness import send_the_worst
send_the_worst(*sys.argv[1:])
"""


def send_the_worst(url: str, token: str) -> None:
    """Send it without a pause until the input ends, and print how often each status was answered."""
    over, statuses = threading.Event(), Counter[int]()
    headers = {"Authorization": f"Bearer {token}"}
    created = requests.post(f"{url}/Users", json=_user(), headers=headers, timeout=PATIENCE_SECONDS).json()["id"]
    ready = [
        (method, path.replace("{id}", created), json.dumps(body, ensure_ascii=False).encode() if body else None)
        for method, path, body in (make() for make in WORST * 3)
    ]

    def send(first: int) -> None:
        with requests.Session() as session:
            for method, path, body in itertools.islice(itertools.cycle(ready), first, None):
                if over.is_set():
                    return
                with suppress(requests.RequestException):
                    answer = session.request(method, url + path, data=body, headers=headers, timeout=PATIENCE_SECONDS)
                    statuses[answer.status_code] += 1

    threads = [threading.Thread(target=send, args=(5 * number,)) for number in range(SENDERS)]
    for thread in threads:
        thread.start()
    print("sending", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(statuses), flush=True)


@contextmanager
def busy_company(url: str, token: str) -> Iterator[dict[str, int]]:
    """Another company, which sends the worst without a pause, from a process of its own. What it was answered."""
    statuses: dict[str, int] = {}
    command = [sys.executable, "-c", SENDS, url, token]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, env=environment(), text=True
    ) as sender:
        assert sender.stdout is not None
        assert sender.stdout.readline() == "sending\n"
        try:
            yield statuses
        finally:
            answered, _ = sender.communicate("")
            statuses |= json.loads(answered)


def provisioning(bridge: Bridge, seconds: float) -> list[float]:
    """How long each request of a company takes that looks for people, makes and changes them."""
    took: list[float] = []
    ends = time.monotonic() + seconds

    def ask(method: str, path: str, body: object = None) -> requests.Response:
        began = time.monotonic()
        answer = bridge.asks(method, path, body)
        took.append(time.monotonic() - began)
        assert answer.ok, answer.text
        return answer

    while time.monotonic() < ends:
        name = f"ours-{next(_number)}"
        ask("GET", f'/scim/v2/Users?filter=userName eq "{name}"')
        made = ask("POST", "/scim/v2/Users", {"userName": name, "active": True}).json()
        ask("PATCH", f"/scim/v2/Users/{made['id']}", _patch({"op": "replace", "path": "title", "value": "Foreman"}))
    return sorted(took)


def percentile(took: list[float], share: float) -> float:
    return took[min(len(took) - 1, int(len(took) * share))]


@short_on_sqlite
def test_the_worst_of_one_company_keeps_no_other_waiting(bridge: Bridge):
    """A9: 95 of 100 requests of the other are answered within a second, on both databases."""
    ditio = {name.rpartition("__")[2]: value for name, value in bridge.settings.items() if "_DITIO__" in name}
    bridge.settings |= {f"SCIM_BRIDGE_TENANTS__BUSY__DITIO__{name}": value for name, value in ditio.items()}
    token = bridge.prints("token", "issue", "--tenant", "busy", "--name", "busy").strip()
    bridge.serves("--without-worker")
    alone = provisioning(bridge, SECONDS / 4)
    with busy_company(f"{bridge.url}/tenants/busy/scim/v2", token) as counts:
        beside = provisioning(bridge, SECONDS)

    figures = {
        "alone_p95": percentile(alone, 0.95),
        "p50": percentile(beside, 0.5),
        "p95": percentile(beside, 0.95),
        "longest": beside[-1],
        "requests": len(beside),
        "busy": counts,
    }
    print(figures)
    assert figures["p95"] < max(LIMIT_SECONDS, SLOWER * percentile(alone, 0.95)), figures
    assert not [status for status in counts if int(status) >= 500], counts
