"""Too many wrong credentials from an address, whose address that is, and a right one in the middle of them (A3)."""

import pytest
import requests

from scim_bridge.web.auth.failures import MOST_ADDRESSES, Failures
from tests.conftest import Clock
from tests.world import BRIDGE, TOKEN, World


def asks(world: World, token: str, forwarded: str | None = None, proxy: str = "10.0.0.7") -> requests.Response:
    """A request that came through a proxy, or through none."""
    headers = {"Authorization": f"Bearer {token}"}
    client = world.app.test_client()
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    answer = client.get(
        "/scim/v2/Users?filter=userName%20eq%20%22x%22", headers=headers, environ_overrides={"REMOTE_ADDR": proxy}
    )
    made = requests.Response()
    made.status_code, made._content = answer.status_code, answer.data
    made.headers.update(answer.headers)
    return made


def test_the_sixty_first_failure_in_a_minute_is_429_and_a_right_credential_is_let_in(
    world: World, caplog: pytest.LogCaptureFixture
):
    """A3: a valid credential is never refused because of other requests."""
    statuses = [asks(world, "wrong", "203.0.113.7").status_code for _ in range(70)]

    assert statuses == [401] * 60 + [429] * 10
    assert asks(world, TOKEN, "203.0.113.7").status_code == 200
    answer = asks(world, "wrong", "203.0.113.7")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) == 60
    assert asks(world, "wrong", "203.0.113.8").status_code == 401
    lines = [record.getMessage() for record in caplog.records]
    assert sum("auth.throttled" in line for line in lines) == 1
    assert sum("auth.refused" in line for line in lines) == 61
    world.clock.passes(seconds=61)
    assert asks(world, "wrong", "203.0.113.7").status_code == 401


def test_failures_at_both_doors_count_together(world: World):
    for _ in range(60):
        world.http.post(f"{BRIDGE}/oauth/token", data={"grant_type": "client_credentials"})
    answer = world.http.post(f"{BRIDGE}/oauth/token", data={"grant_type": "client_credentials"})
    assert (answer.status_code, int(answer.headers["Retry-After"])) == (429, 60)
    assert (
        world.http.get(
            f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22", headers={"Authorization": "Bearer x"}
        ).status_code
        == 429
    )
    assert world.http.get(f"{BRIDGE}/scim/v2/Users?filter=userName%20eq%20%22x%22").status_code == 200


@pytest.mark.parametrize(
    ("proxy", "forwarded", "address"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.7", None, "10.0.0.7"),
        ("10.0.0.7", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", "1.1.1.1, 198.51.100.1, 10.0.0.8", "198.51.100.1"),
        ("10.0.0.7", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.7", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.7", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.7", "::ffff:198.51.100.1", "198.51.100.1"),
        ("10.0.0.7", 'evil"><x, nonsense', "10.0.0.7"),
        ("10.0.0.7", "", "10.0.0.7"),
    ],
)
def test_only_a_trusted_proxy_is_believed(
    world: World, caplog: pytest.LogCaptureFixture, proxy: str, forwarded: str | None, address: str
):
    """SERVER__TRUSTED_PROXIES decides whose failure it is, and the address in the log."""
    asks(world, "wrong", forwarded, proxy)
    (line,) = [record.getMessage() for record in caplog.records if "auth.refused" in record.getMessage()]
    assert f"'address': '{address}'" in line


def test_what_is_remembered_is_bounded(clock: Clock):
    """And one customer's IPv6 addresses are one."""
    failures = Failures(1, clock.monotonic)
    for number in range(MOST_ADDRESSES + 50):
        failures.add(str(number))
    assert len(failures._counts) == MOST_ADDRESSES
    assert failures.add("2001:db8::1")[1] is None
    assert failures.add("2001:db8::2")[1] is not None
    assert failures.add("2001:db8:0:1::1")[1] is None
