"""`scim-bridge serve`: the web server and a delivery worker, in one command."""

import os
import sys

import click
from flask import Flask

from scim_bridge import logs
from scim_bridge.bootstrap import build
from scim_bridge.cli.bind import Address, address_of, bind_option, listen
from scim_bridge.cli.context import Options
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.settings.load import of_web_process
from scim_bridge.storage.schema import upgrade
from scim_bridge.web.app import create_app
from scim_bridge.web.auth.failures import Addresses
from scim_bridge.web.server import DeliveryWorker, Server


@click.command()
@bind_option(help="Where to listen.  [default: the setting SERVER__BIND]")
@click.option("--without-worker", is_flag=True, help="Only answer; `scim-bridge worker` delivers.")
@click.pass_obj
def serve(options: Options, bind: Address | None, without_worker: bool) -> None:
    """Answer Entra, and deliver to Ditio.

    Brings the database to the schema of this version first. On SIGTERM the requests in flight are answered
    and the people in hand are delivered; then it ends.

    \b
    Examples:
      scim-bridge serve
      scim-bridge --config /etc/scim-bridge.toml serve --bind 0.0.0.0:8080
      scim-bridge serve --without-worker
    """
    settings = options.settings
    logs.configure(settings.log.level, settings.log.format)
    with options.database(any_schema=True) as database:
        # What is missing is said now, and not by a process that dies later; nothing that is open is forked.
        build(settings, database=database)
        upgrade(database)
    listener = listen(bind or Address.parse(settings.server.bind))
    address = address_of(listener)
    base_url = settings.server.base_url or f"http://{address}"

    web_settings = of_web_process(settings, with_worker=not without_worker)

    def make_app() -> Flask:
        return create_app(build(web_settings, bind=str(address)))

    def when_ready() -> None:
        click.echo(f"Listening on http://{address}. {tenant_urls(settings, base_url)}")

    server = Server(
        make_app,
        listener=listener.detach(),
        workers=settings.server.workers,
        threads=settings.server.threads,
        client_seconds=settings.server.client_seconds,
        tenants=tuple(settings.tenants),
        is_trusted=Addresses.behind(settings.server.trusted_proxies).is_trusted,
        log_level=settings.log.level,
        log_config=logs.standard_config(settings.log.level, settings.log.format),
        when_ready=when_ready,
    )
    server.run_with(None if without_worker else DeliveryWorker(_worker_command(options)))


def tenant_urls(settings: Settings, base_url: str) -> str:
    """What is pasted into the Entra of each company."""
    paths = {name: "" if name == DEFAULT_TENANT else f"/tenants/{name}" for name in settings.tenants}
    if list(paths) == [DEFAULT_TENANT]:
        return f"Entra's Tenant URL is {base_url}/scim/v2"
    return "Entra's Tenant URLs are" + "".join(f"\n  {base_url}{path}/scim/v2" for path in paths.values())


def _worker_command(options: Options) -> list[str]:
    config = ["--config", str(options.config)] if options.config is not None else []
    return [sys.executable, "-m", "scim_bridge", *config, "worker", "--parent", str(os.getpid())]
