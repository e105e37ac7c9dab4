"""`scim-bridge token` and `scim-bridge client`: the credentials that Entra signs in with."""

import math
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

import click

from scim_bridge.cli.context import Options, author, stored_tenant_option
from scim_bridge.cli.output import Format, format_option, print_json, print_rows, tenant_option
from scim_bridge.operator import credentials
from scim_bridge.operator.credentials import DEFAULT_DAYS, LONGEST_DAYS, state_of_client, state_of_token, tenant_url
from scim_bridge.storage.credentials import Token

Command = TypeVar("Command", bound=Callable[..., Any])

_NEVER = f"{__name__}.no_expiry"


def name_option(command: Command) -> Command:
    """Add `--name`, which reaches the command as `name`."""
    words = "Show this name in lists, such as what it is for."
    return click.option("--name", required=True, callback=_name, help=words)(command)


def expiry_option(command: Command) -> Command:
    """Add `--expires-in-days` and `--no-expiry`, which reach the command as `expires_in_days`: None for no expiry."""
    days = click.option(
        "--expires-in-days",
        metavar="D",
        type=float,
        callback=_days,
        help=f"Let it expire after D days; 0.5 is 12 hours.  [default: {DEFAULT_DAYS}]",
    )
    # Eager: click must read it before `_days` runs.
    never = click.option(
        "--no-expiry", is_flag=True, is_eager=True, expose_value=False, callback=_never, help="Let it never expire."
    )
    return days(never(command))


def tell_expiry(what: str, expires_at: datetime | None, revoke: str) -> None:
    """Print on standard error how long a secret is valid; warn if it never expires.

    :param what: The secret, as the beginning of a sentence.
    :param revoke: The command that revokes it.
    """
    if expires_at is not None:
        click.echo(f"{what} is valid until {expires_at:%Y-%m-%d %H:%M} UTC.", err=True)
        return
    click.echo(f"WARNING: {what} never expires (--no-expiry).", err=True)
    click.echo(f"A stolen copy works until you run `scim-bridge {revoke}`.", err=True)


def _never(ctx: click.Context, _: click.Parameter, is_set: bool) -> None:
    ctx.meta[_NEVER] = is_set


def _days(ctx: click.Context, _: click.Parameter, days: float | None) -> float | None:
    if ctx.meta[_NEVER]:
        if days is not None:
            raise click.UsageError("--no-expiry and --expires-in-days exclude each other: use only one of them")
        return None
    if days is None:
        return DEFAULT_DAYS
    if not (math.isfinite(days) and 0 < days <= LONGEST_DAYS):
        raise click.BadParameter(f"write a number of days above 0, at most {LONGEST_DAYS}")
    return days


def _name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not name.strip():
        raise click.BadParameter("the name is empty: write a name to show in the list")
    return name.strip()


CLIENT_COLUMNS = {
    "id": "Client id",
    "name": "Name",
    "state": "State",
    "secrets": "Secrets",
    "created_at": "Created",
    "expires_at": "Expires",
    "last_used_at": "Last used",
    "revoked_at": "Revoked",
}


@click.group()
def client() -> None:
    """Issue, rotate, list and revoke the clients that Entra fetches access tokens with.

    \b
    Examples:
      scim-bridge client issue --name entra
      scim-bridge client list
    """


@client.command("issue")
@name_option
@expiry_option
@tenant_option
@click.pass_obj
def issue_client(options: Options, name: str, expires_in_days: float | None, tenant: str) -> None:
    """Issue a client, and print its id and secret once.

    Standard output has both as JSON and nothing else. The database stores only a hash of the secret.

    \b
    Examples:
      scim-bridge client issue --name entra
      scim-bridge client issue --name entra --expires-in-days 90 > client.json
    """
    with options.database() as database, database.write(tenant) as s:
        issued = credentials.issue_client(s, author(options), name, expires_in_days)
    print_json({"client_id": issued.id, "client_secret": issued.secret})
    tell_expiry("The secret", issued.expires_at, f"client revoke {issued.id}")
    click.echo("Paste both into Entra now, with /oauth/token below the bridge's address as Token Endpoint:", err=True)
    click.echo("the secret is not shown again.", err=True)


@client.command("rotate")
@click.argument("client_id", metavar="ID")
@expiry_option
@tenant_option
@click.pass_obj
def rotate(options: Options, client_id: str, expires_in_days: float | None, tenant: str) -> None:
    """Issue another secret for a client, beside the one in use.

    Secrets older than the one used last are revoked. The one used last stays valid until you rotate again, after
    Entra has used the new one.

    \b
    Examples:
      scim-bridge client rotate 3fa94c01d2b7
    """
    with options.database() as database, database.write(tenant) as s:
        issued, count = credentials.rotate_client(s, author(options), client_id, expires_in_days)
    print_json({"client_id": client_id, "client_secret": issued.secret})
    tell_expiry("The new secret", issued.expires_at, f"client revoke {client_id}")
    click.echo(f"Valid secrets of the client now: {count}.", err=True)


@client.command("list")
@stored_tenant_option
@format_option
@click.pass_obj
def list_clients(options: Options, tenant: str, format: Format) -> None:
    """List all clients, the revoked ones too, without their secrets.

    \b
    Examples:
      scim-bridge client list
      scim-bridge client list --format json
    """
    with options.database() as database, database.read(tenant) as s:
        found = s.clients.list()
    rows = [{**asdict(each), "state": state_of_client(each)} for each in found]
    print_rows(rows, CLIENT_COLUMNS, format, empty="no clients: `scim-bridge client issue`")


@client.command("revoke")
@click.argument("client_id", metavar="ID")
@stored_tenant_option
@click.pass_obj
def revoke_client(options: Options, client_id: str, tenant: str) -> None:
    """Revoke a client, its secrets and its access tokens at once.

    \b
    Examples:
      scim-bridge client revoke 3fa94c01d2b7
    """
    with options.database() as database, database.write(tenant) as s:
        credentials.revoke_client(s, author(options), client_id)
    click.echo(f"Client {client_id} is revoked.")


TOKEN_COLUMNS = {
    "id": "Id",
    "name": "Name",
    "state": "State",
    "created_at": "Created",
    "expires_at": "Expires",
    "last_used_at": "Last used",
    "revoked_at": "Revoked",
}


@click.group()
def token() -> None:
    """Issue, list and revoke the tokens that Entra signs in with.

    \b
    Examples:
      scim-bridge token issue --name entra
      scim-bridge token list
    """


@token.command("issue")
@name_option
@expiry_option
@tenant_option
@click.pass_obj
def issue_token(options: Options, name: str, expires_in_days: float | None, tenant: str) -> None:
    """Issue a token, and print its secret once.

    Standard output has the secret and nothing else. The database stores only a hash of it.

    \b
    Examples:
      scim-bridge token issue --name entra
      scim-bridge token issue --name validator --expires-in-days 0.5 > secret.txt
      scim-bridge token issue --name entra --no-expiry
    """
    with options.database() as database, database.write(tenant) as s:
        issued = credentials.issue_token(s, author(options), name, expires_in_days)
    click.echo(issued.secret)
    tell_expiry(f"Token {issued.id}", issued.expires_at, f"token revoke {issued.id}")
    click.echo("Paste it into Entra as Secret Token now: it is not shown again.", err=True)
    if (url := tenant_url(options.of(tenant).server.base_url, tenant)) is not None:
        click.echo(f"Tenant URL: {url}", err=True)


@token.command("list")
@stored_tenant_option
@format_option
@click.pass_obj
def list_tokens(options: Options, tenant: str, format: Format) -> None:
    """List all tokens, the revoked and expired ones too, without their secrets.

    \b
    Examples:
      scim-bridge token list
      scim-bridge token list --format json
    """
    with options.database() as database, database.read(tenant) as s:
        now = s.now
        found = s.tokens.list()
    print_rows([_row(each, now) for each in found], TOKEN_COLUMNS, format, empty="no tokens: `scim-bridge token issue`")


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@stored_tenant_option
@click.pass_obj
def revoke_token(options: Options, token_id: str, tenant: str) -> None:
    """Revoke a token at once.

    \b
    Examples:
      scim-bridge token revoke 3fa94c01d2b7
    """
    with options.database() as database, database.write(tenant) as s:
        credentials.revoke_token(s, author(options), token_id)
    click.echo(f"Token {token_id} is revoked.")


def _row(found: Token, now: datetime) -> dict[str, object]:
    shown = {name: value for name, value in asdict(found).items() if name != "tenant"}
    return {**shown, "state": state_of_token(found, now)}
