"""`scim-bridge console`: links to sign in to the console, and the end of all its sessions."""

import os
from secrets import token_urlsafe

import click

from scim_bridge.cli.context import Options, author
from scim_bridge.cli.output import known_tenant, tenant_option
from scim_bridge.domain.audit import Action, AuditEvent, Role
from scim_bridge.errors import BridgeError
from scim_bridge.storage.console import LINK_LASTS
from scim_bridge.storage.database import Session

LONGEST_NAME = 100


@click.group()
def console() -> None:
    """Make a link to sign in to the console, or end all its sessions.

    \b
    Examples:
      scim-bridge console login-link --role operator --name "Kari Nordmann"
      scim-bridge console sign-out-all
    """


@console.command("login-link")
@click.option(
    "--role",
    type=click.Choice([each.value for each in Role]),
    default=Role.viewer.value,
    show_default=True,
    help="What the administrator may do: see everything but birth dates, or also act.",
)
@click.option(
    "--name", metavar="NAME", help="Who signs in: shown in the audit trail.  [default: your user id in the system]"
)
@tenant_option
@click.pass_obj
def login_link(options: Options, role: str, name: str | None, tenant: str) -> None:
    """Print a link that signs one administrator in to the console of one company. It works once, for five minutes.

    It needs no setting but CONSOLE__ENABLED: use it where administrators don't sign in with Entra. Anyone who has the
    link can use it, so send it to no one but the administrator.

    \b
    Examples:
      scim-bridge console login-link --role operator --name "Kari Nordmann"
      scim-bridge console login-link --tenant nord-bygg
    """
    if not options.of(tenant).console.enabled:
        raise BridgeError("the console is off: set CONSOLE__ENABLED to true, restart the servers, and try again")
    called = " ".join((name or str(os.getuid())).split())[:LONGEST_NAME]
    if not called.isprintable() or not called:
        raise click.BadParameter("write a name that can be printed", param_hint="'--name'")
    secret = token_urlsafe(32)

    def work(s: Session) -> None:
        s.console_sessions.add_link(secret, Role(role), called)
        s.audit.add(AuditEvent(Action.issued, "console", detail=role), author(options))

    options.write(tenant, work)
    server = options.of(tenant).server
    click.echo(f"{server.base_url or f'http://{server.bind}'}/console/-/link?key={secret}")
    click.echo(f"works once, for {LINK_LASTS.seconds // 60} minutes, as {role} of {tenant}", err=True)


@console.command("sign-out-all")
@click.option("--tenant", metavar="NAME", help="Only this company.  [default: all companies]")
@click.pass_obj
def sign_out_all(options: Options, tenant: str | None) -> None:
    """End all sessions of the console on all servers, and all links that were not used yet.

    \b
    Examples:
      scim-bridge console sign-out-all
      scim-bridge console sign-out-all --tenant nord-bygg
    """
    names = [known_tenant(options.settings, tenant)] if tenant is not None else list(options.settings.tenants)

    def work(s: Session) -> int:
        ended = s.console_sessions.end_all()
        s.audit.add(AuditEvent(Action.signed_out, "console"), author(options))
        return ended

    ended = sum(options.write(name, work) for name in names)
    click.echo(f"{ended} ended")
