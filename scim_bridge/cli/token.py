"""`scim-bridge token`: the secret tokens that are pasted into Entra."""

from dataclasses import asdict
from datetime import datetime
from uuid import uuid4

import click

from scim_bridge.cli.auditing import note
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_rows, tenant_option
from scim_bridge.cli.secret_options import end_of, expiry_option, name_option, tell_expiry
from scim_bridge.cli.served_once import stored_tenant_option
from scim_bridge.domain.audit import Action, Deed
from scim_bridge.storage.credentials import TOKEN, new_secret
from scim_bridge.storage.tokens import Token, Tokens

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


@token.command()
@name_option
@expiry_option
@tenant_option
@click.pass_obj
def issue(options: Options, name: str, expires_in_days: float | None, tenant: str) -> None:
    """Make a token and print its secret, once.

    Standard output has the secret and nothing else. Only a hash of it is stored.

    \b
    Examples:
      scim-bridge token issue --name entra
      scim-bridge token issue --name validator --expires-in-days 0.5 > secret.txt
      scim-bridge token issue --name entra --no-expiry
    """
    secret, token_id = new_secret(TOKEN), uuid4().hex[:12]
    with options.database() as database, database.write() as connection:
        now = database.now(connection)
        expires_at = end_of(now, expires_in_days)
        Tokens(connection, tenant).add(token_id, name, secret, now=now, expires_at=expires_at)
        note(options, connection, tenant, Deed(Action.issued, "token", token_id), now=now)
    click.echo(secret)
    tell_expiry(f"Token {token_id}", expires_at, f"token revoke {token_id}")
    click.echo("Paste it into Entra as Secret Token now: it is not shown again.", err=True)


@token.command("list")
@stored_tenant_option
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
@stored_tenant_option
@click.pass_obj
def revoke(options: Options, token_id: str, tenant: str) -> None:
    """End a token at once.

    \b
    Examples:
      scim-bridge token revoke 3fa94c01d2b7
    """
    with options.database() as database, database.write() as connection:
        now = database.now(connection)
        if Tokens(connection, tenant).revoke(token_id, now=now):
            note(options, connection, tenant, Deed(Action.revoked, "token", token_id), now=now)
    click.echo(f"Token {token_id} is revoked.")


def _row(found: Token, now: datetime) -> dict[str, object]:
    return {**{name: value for name, value in asdict(found).items() if name != "tenant"}, "state": _state(found, now)}


def _state(found: Token, now: datetime) -> str:
    if found.revoked_at is not None:
        return "revoked"
    return "expired" if found.expires_at is not None and found.expires_at <= now else "valid"
