"""What one process of `serve` may ask of Ditio (rule D2)."""

import pytest

from scim_bridge.settings import Settings
from scim_bridge.settings.load import of_web_process, of_worker


def settings(concurrency: int, workers: int, inline_seconds: float = 5.0) -> Settings:
    return Settings(
        server={"workers": workers},
        ditio={"max_concurrency": concurrency, "requests_per_second": 30.0},
        delivery={"inline_seconds": inline_seconds},
    )


@pytest.mark.parametrize(
    ("concurrency", "workers", "web", "worker"), [(8, 2, 2, 4), (9, 2, 3, 3), (8, 1, 4, 4), (3, 2, 1, 1), (1, 4, 1, 1)]
)
def test_serve_divides_its_limits(concurrency: int, workers: int, web: int, worker: int):
    """D2: among its web processes and its delivery worker; each has one at least."""
    whole = settings(concurrency, workers)

    assert of_web_process(whole).ditio.max_concurrency == web
    assert of_worker(whole).ditio.max_concurrency == worker
    rates = [of_worker(whole).ditio.requests_per_second] + [of_web_process(whole).ditio.requests_per_second] * workers
    assert sum(rates) == pytest.approx(30.0)


def test_without_a_worker_the_web_processes_have_all():
    """`serve --without-worker`: each `worker` that is started elsewhere has a limit of its own."""
    assert of_web_process(settings(8, 2), with_worker=False).ditio.max_concurrency == 4


def test_where_no_web_process_delivers_the_worker_has_all():
    whole = settings(8, 2, inline_seconds=0)

    assert of_worker(whole) == whole
