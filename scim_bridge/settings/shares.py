"""What one process of `serve` may ask of Ditio: a company's limits are for all processes together (rule D2)."""

from scim_bridge.settings.model import Settings


def of_web_process(settings: Settings, *, with_worker: bool = True) -> Settings:
    """The settings of one web process. :param with_worker: Whether `serve` has a delivery worker, too."""
    processes = settings.server.workers + (1 if with_worker else 0)
    return settings.each(lambda own: _limited(own, max(1, own.ditio.max_concurrency // processes), processes))


def of_worker(settings: Settings) -> Settings:
    """The settings of the delivery worker: what the web processes leave, all where none of them delivers."""
    return settings.each(_of_worker)


def _of_worker(settings: Settings) -> Settings:
    if settings.delivery.inline_seconds == 0:
        return settings
    processes = settings.server.workers + 1
    of_web = max(1, settings.ditio.max_concurrency // processes)
    left = settings.ditio.max_concurrency - settings.server.workers * of_web
    return _limited(settings, max(1, left), processes)


def _limited(settings: Settings, concurrency: int, processes: int) -> Settings:
    rate = settings.ditio.requests_per_second
    limits = {"max_concurrency": concurrency, "requests_per_second": None if rate is None else rate / processes}
    return settings.model_copy(update={"ditio": settings.ditio.model_copy(update=limits)})
