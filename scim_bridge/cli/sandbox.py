"""`scim-bridge sandbox`: a simulated Ditio to try the bridge on."""

import random
import signal
import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import click

from scim_bridge.cli.bind import Address, address_of, bind_option, listen
from scim_bridge.cli.context import Options
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import serve as serve_application

CLIENT_ID = "sandbox"
CLIENT_SECRET = "sandbox-secret"  # nosec B105 # of the simulated Ditio


@click.command()
@bind_option("127.0.0.1:8090", help="Where to listen.")
@click.pass_obj
def sandbox(options: Options, bind: Address) -> None:
    """Run a simulated Ditio to try the bridge on.

    It forgets everything when it ends, with Ctrl-C or SIGTERM. Printed are the settings that lead the bridge to it.

    \b
    Examples:
      scim-bridge sandbox
      scim-bridge sandbox --bind 127.0.0.1:9000
    """
    zone = ZoneInfo(options.settings.ditio.time_zone)
    ditio = SandboxDitio(
        now=lambda: datetime.now(zone),
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        random=random.SystemRandom(),
    )
    listen(bind, patience_seconds=0).close()  # It says what is wrong better than the server does.
    server = serve_application(ditio.app, bind.host, bind.port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    _introduce(f"http://{address_of(server.socket)}")
    server.serve_forever(poll_interval=0.1)


def _introduce(url: str) -> None:
    click.echo(f"A simulated Ditio listens on {url}; what it knows: {url}/_sandbox/employees")
    click.echo("For the bridge, in another terminal:\n")
    for name, value in {
        "API_URL": f"{url}/core",
        "IDENTITY_URL": url,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
    }.items():
        click.echo(f"export SCIM_BRIDGE_DITIO__{name}={value}")
    click.echo("\nCtrl-C ends it.")
