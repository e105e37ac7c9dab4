"""`scim-bridge serve`: the web server with a delivery worker. `scim-bridge sandbox`: a simulated Ditio and Entra."""

import atexit
import os
import random
import signal
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import click
import requests
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from scim_bridge import logs, traces
from scim_bridge.bootstrap import build
from scim_bridge.cli.context import Address, Options, address_of, bind_option, listen
from scim_bridge.cli.heartbeat import Heartbeat
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.directory import people as invented
from scim_bridge.sandbox.ditio import CLIENT_ID, CLIENT_SECRET, SandboxDitio
from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.graph import service as graph
from scim_bridge.sandbox.server import serve as serve_application
from scim_bridge.settings import DEFAULT_TENANT, Settings
from scim_bridge.settings.load import of_web_process
from scim_bridge.storage.runs import ProcessKind
from scim_bridge.storage.schema import upgrade
from scim_bridge.web.app import create_app
from scim_bridge.web.auth.failures import Addresses
from scim_bridge.web.server import DeliveryWorker, Server

MOST_PEOPLE = 100_000
ENTRA_PATH = "/entra"


@click.command()
@bind_option("127.0.0.1:8090", help="Listen on this address.")
@click.option(
    "--people",
    metavar="N",
    type=click.IntRange(0, MOST_PEOPLE),
    default=0,
    show_default=True,
    help="Begin with this many employees of an invented company, the same in each run.",
)
@click.pass_obj
def sandbox(options: Options, bind: Address, people: int) -> None:
    """Run a simulated Ditio and a simulated Entra, to try the bridge.

    It prints the settings that the bridge needs to use Ditio, and to read Entra through Microsoft Graph. It ends with
    Ctrl-C or SIGTERM, and stores nothing. The employees of --people have the numbers from 1001 on, and are users of
    Entra too. Entra provisions when it is asked to: docs/sandbox.md.

    \b
    Examples:
      scim-bridge sandbox
      scim-bridge sandbox --bind 127.0.0.1:9000 --people 50
    """
    zone = ZoneInfo(options.settings.ditio.time_zone)
    ditio = SandboxDitio(
        now=lambda: datetime.now(zone), client_id=CLIENT_ID, client_secret=CLIENT_SECRET, random=random.SystemRandom()
    )
    users = invented(people, random.Random(2026))  # nosec B311 # a simulation
    ditio.employ(users)
    application = DispatcherMiddleware(ditio.app, {ENTRA_PATH: _entra(users).app})
    listen(bind, patience_seconds=0).close()  # Its error message is better than the server's.
    server = serve_application(application, bind.host, bind.port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _introduce(f"http://{address_of(server.socket)}")
    server.serve_forever(poll_interval=0.1)


def _entra(users: Iterable[EntraUser]) -> graph.SandboxGraph:
    """Return an Entra in which all of these users are assigned, and provisioning was never started."""
    session = requests.Session()
    session.trust_env = False  # The bridge is on this machine: no proxy.
    entra = SandboxEntra(session, "", None)
    entra.job.state = "Disabled"
    for user in users:
        entra.directory.add(user)
    return graph.SandboxGraph(entra, now=lambda: datetime.now(UTC), random=random.SystemRandom())


def _introduce(url: str) -> None:
    entra = url + ENTRA_PATH
    click.echo(f"A simulated Ditio listens on {url}; its employees: {url}/_sandbox/employees")
    click.echo(f"A simulated Entra, with its Microsoft Graph: {entra}; its users: {entra}/_sandbox/users")
    click.echo("For the bridge, in another terminal:\n")
    for name, value in {
        "DITIO__API_URL": f"{url}/core",
        "DITIO__IDENTITY_URL": url,
        "DITIO__CLIENT_ID": CLIENT_ID,
        "DITIO__CLIENT_SECRET": CLIENT_SECRET,
        "ENTRA__GRAPH_URL": entra,
        "ENTRA__LOGIN_URL": entra,
        "ENTRA__TENANT_ID": graph.TENANT_ID,
        "ENTRA__CLIENT_ID": graph.CLIENT_ID,
        "ENTRA__CLIENT_SECRET": graph.CLIENT_SECRET,
        "ENTRA__SERVICE_PRINCIPAL_ID": graph.SERVICE_PRINCIPAL.object_id,
    }.items():
        click.echo(f"export SCIM_BRIDGE_{name}={value}")
    click.echo("\nCtrl-C ends it.")


@click.command()
@bind_option(help="Listen on this address.  [default: the setting SERVER__BIND]")
@click.option(
    "--without-worker",
    is_flag=True,
    help="Run only the web server; `scim-bridge worker` delivers.  [default: run a worker too]",
)
@click.pass_obj
def serve(options: Options, bind: Address | None, without_worker: bool) -> None:
    """Run the web server for Entra, and a delivery worker.

    The command first migrates the database to this version. On SIGTERM it answers the running requests, finishes the
    running deliveries, and ends.

    \b
    Examples:
      scim-bridge serve
      scim-bridge --config /etc/scim-bridge.toml serve --bind 0.0.0.0:8080
      scim-bridge serve --without-worker
    """
    settings = options.settings
    logs.configure(settings.log.level, settings.log.format)
    with options.database(any_schema=True) as database:
        # Report missing settings now, not in a process that ends later; fork nothing that is open.
        build(settings, database=database)
        upgrade(database)
    listener = listen(bind or Address.parse(settings.server.bind))
    address = address_of(listener)
    base_url = settings.server.base_url or f"http://{address}"

    web_settings = of_web_process(settings, with_worker=not without_worker)

    def make_app() -> Flask:
        traces.configure()
        parts = build(web_settings, bind=str(address))
        # Otherwise SQLite's log would stay beside the file, and a copy of the file alone would lack what is in it.
        atexit.register(parts.database.close)
        Heartbeat(parts.database, ProcessKind.serve, requests=parts.last_requests, tally=parts.tally).start()
        return create_app(parts)

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
    server.run_with(None if without_worker else DeliveryWorker(options.command("worker", "--parent", str(os.getpid()))))


def tenant_urls(settings: Settings, base_url: str) -> str:
    """Return the URL to paste into the Entra of each company."""
    paths = {name: "" if name == DEFAULT_TENANT else f"/tenants/{name}" for name in settings.tenants}
    if list(paths) == [DEFAULT_TENANT]:
        return f"Entra's Tenant URL is {base_url}/scim/v2"
    return "Entra's Tenant URLs are" + "".join(f"\n  {base_url}{path}/scim/v2" for path in paths.values())
