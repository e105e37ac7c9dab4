"""`scim-bridge token`: the secret tokens that are pasted into Entra."""

import math
import secrets
from dataclasses import asdict
from datetime import datetime, timedelta
from uuid import uuid4

import click

from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_rows, tenant_option
from scim_bridge.storage.tokens import Token, Tokens

PREFIX = "scimb_"
"""Tells people, and programs that look for leaked secrets, what a secret is for."""

LONGEST_DAYS = 36500

COLUMNS = {
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


def _days(_: click.Context, __: click.Parameter, days: float | None) -> float | None:
    if days is not None and not (math.isfinite(days) and 0 < days <= LONGEST_DAYS):
        raise click.BadParameter(f"write a number of days above 0, at most {LONGEST_DAYS}")
    return days


def _name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not name.strip():
        raise click.BadParameter("write a name by which the token is known in the list")
    return name.strip()


@token.command()
@click.option("--name", required=True, callback=_name, help="What the token is for, as people will read it.")
@click.option("--expires-in-days", metavar="D", type=float, callback=_days, help="How long it counts; 0.5 is 12 hours.")
@tenant_option
@click.pass_obj
def issue(options: Options, name: str, expires_in_days: float | None, tenant: str) -> None:
    """Make a token and print its secret, once.

    Standard output has the secret and nothing else. Only a hash of it is stored.

    \b
    Examples:
      scim-bridge token issue --name entra
      scim-bridge token issue --name validator --expires-in-days 0.5 > secret.txt
    """
    secret, token_id = PREFIX + secrets.token_urlsafe(32), uuid4().hex[:12]
    with options.database() as database, database.write() as connection:
        now = database.now(connection)
        expires_at = None if expires_in_days is None else now + timedelta(days=expires_in_days)
        Tokens(connection, tenant).add(token_id, name, secret, now=now, expires_at=expires_at)
    click.echo(secret)
    until = "until it is revoked" if expires_at is None else f"until {expires_at:%Y-%m-%d %H:%M} UTC"
    click.echo(f"Token {token_id} counts {until}. Paste the line above as Secret Token in Entra:", err=True)
    click.echo("it can't be shown again.", err=True)


@token.command("list")
@tenant_option
@format_option
@click.pass_obj
def list_command(options: Options, tenant: str, format: Format) -> None:
    """Show all tokens, the revoked and expired ones too, without their secrets.

    \b
    Examples:
      scim-bridge token list
      scim-bridge token list --format json
    """
    with options.database() as database, database.read() as connection:
        now = database.now(connection)
        found = Tokens(connection, tenant).list()
    print_rows([_row(each, now) for each in found], COLUMNS, format, empty="no tokens: `scim-bridge token issue`")


@token.command()
@click.argument("token_id", metavar="ID")
@tenant_option
@click.pass_obj
def revoke(options: Options, token_id: str, tenant: str) -> None:
    """End a token at once.

    \b
    Examples:
      scim-bridge token revoke 3fa94c01d2b7
    """
    with options.database() as database, database.write() as connection:
        Tokens(connection, tenant).revoke(token_id, now=database.now(connection))
    click.echo(f"Token {token_id} is revoked.")


def _row(found: Token, now: datetime) -> dict[str, object]:
    return {**{name: value for name, value in asdict(found).items() if name != "tenant"}, "state": _state(found, now)}


def _state(found: Token, now: datetime) -> str:
    if found.revoked_at is not None:
        return "revoked"
    return "expired" if found.expires_at is not None and found.expires_at <= now else "valid"
