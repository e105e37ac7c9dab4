"""`--person N` of the commands of `outbox`."""

import click
from sqlalchemy import Connection

from scim_bridge.domain.person import PersonId
from scim_bridge.errors import NotFound
from scim_bridge.storage.people import People

person_option = click.option("--person", metavar="N", help="Only this one, by employee number or user name.")


def person_named(connection: Connection, tenant: str, name: str) -> PersonId:
    """A person by employee number or user name. :raises NotFound: there is none."""
    record = People(connection, tenant).find(name)
    if record is None:
        raise NotFound(f"nobody has the employee number or user name {name!r}")
    return record.person.id
