"""`scim-bridge client`: OAuth clients of the token endpoint, for Entra's client credentials."""

from dataclasses import asdict
from uuid import uuid4

import click

from scim_bridge.cli.auditing import note
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, print_json, print_rows, tenant_option
from scim_bridge.cli.secret_options import end_of, expiry_option, name_option, tell_expiry
from scim_bridge.cli.served_once import stored_tenant_option
from scim_bridge.domain.audit import Action, Deed
from scim_bridge.storage.clients import Client, Clients
from scim_bridge.storage.credentials import CLIENT_SECRET, new_secret

COLUMNS = {
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


@client.command()
@name_option
@expiry_option
@tenant_option
@click.pass_obj
def issue(options: Options, name: str, expires_in_days: float | None, tenant: str) -> None:
    """Make a client and print its id and secret, once.

    Standard output has them as JSON and nothing else. Only a hash of the secret is stored.

    \b
    Examples:
      scim-bridge client issue --name entra
      scim-bridge client issue --name entra --expires-in-days 90 > client.json
    """
    secret, client_id = new_secret(CLIENT_SECRET), uuid4().hex[:12]
    with options.database() as database, database.write() as connection:
        now = database.now(connection)
        expires_at = end_of(now, expires_in_days)
        Clients(connection, tenant).add(client_id, name, secret, now=now, expires_at=expires_at)
        note(options, connection, tenant, Deed(Action.issued, "client", client_id), now=now)
    print_json({"client_id": client_id, "client_secret": secret})
    tell_expiry("The secret", expires_at, f"client revoke {client_id}")
    click.echo("Paste both into Entra now, with /oauth/token below the bridge's address as Token Endpoint:", err=True)
    click.echo("the secret is not shown again.", err=True)


@client.command()
@click.argument("client_id", metavar="ID")
@expiry_option
@tenant_option
@click.pass_obj
def rotate(options: Options, client_id: str, expires_in_days: float | None, tenant: str) -> None:
    """Give a client another secret, beside the one that is in use.

    Secrets that are older than the one used last end; that one counts on, until the client is rotated again
    after Entra has used the new one.

    \b
    Examples:
      scim-bridge client rotate 3fa94c01d2b7
    """
    secret = new_secret(CLIENT_SECRET)
    with options.database() as database, database.write() as connection:
        now = database.now(connection)
        expires_at = end_of(now, expires_in_days)
        count = Clients(connection, tenant).rotate(client_id, secret, now=now, expires_at=expires_at)
        note(options, connection, tenant, Deed(Action.rotated, "client", client_id), now=now)
    print_json({"client_id": client_id, "client_secret": secret})
    tell_expiry("The new secret", expires_at, f"client revoke {client_id}")
    click.echo(f"Valid secrets of the client now: {count}.", err=True)


@client.command("list")
@stored_tenant_option
@format_option
@click.pass_obj
def list_command(options: Options, tenant: str, format: Format) -> None:
    """Show all clients, the revoked ones too, without their secrets.

    \b
    Examples:
      scim-bridge client list
      scim-bridge client list --format json
    """
    with options.database() as database, database.read() as connection:
        found = Clients(connection, tenant).list(database.now(connection))
    rows = [{**asdict(each), "state": _state(each)} for each in found]
    print_rows(rows, COLUMNS, format, empty="no clients: `scim-bridge client issue`")


@client.command()
@click.argument("client_id", metavar="ID")
@stored_tenant_option
@click.pass_obj
def revoke(options: Options, client_id: str, tenant: str) -> None:
    """End a client, its secrets and its access tokens at once.

    \b
    Examples:
      scim-bridge client revoke 3fa94c01d2b7
    """
    with options.database() as database, database.write() as connection:
        now = database.now(connection)
        if Clients(connection, tenant).revoke(client_id, now=now):
            note(options, connection, tenant, Deed(Action.revoked, "client", client_id), now=now)
    click.echo(f"Client {client_id} is revoked.")


def _state(found: Client) -> str:
    if found.revoked_at is not None:
        return "revoked"
    return "valid" if found.secrets else "expired"
