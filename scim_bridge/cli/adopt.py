"""`scim-bridge adopt`: an operator says which user an employee of Ditio's is (rule H1)."""

from datetime import datetime
from typing import Any, NoReturn

import click
from sqlalchemy import Connection

from scim_bridge.bootstrap import build_rules
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import tenant_option
from scim_bridge.delivery.tenant import wish_of
from scim_bridge.domain.employee import EmployeeNumber, Field
from scim_bridge.errors import BridgeError
from scim_bridge.mapping.rules import Rules
from scim_bridge.mapping.values import Unusable, value_of
from scim_bridge.storage.documents import document_of
from scim_bridge.storage.history import Entry, History
from scim_bridge.storage.outbox import Outbox
from scim_bridge.storage.people import People, Record, user_names
from scim_bridge.storage.permissions import Permissions

WHAT_TO_WRITE = "write `scim-bridge adopt --accept EMPLOYEE_NUMBER USER_NAME`"


class WrongUsage(click.UsageError):
    """Wrong usage is exit code 1 here: 2 says that there are disputes (design, section 5)."""

    exit_code = 1


class WrongUsageFails(click.Command):
    """A command whose wrong usage is exit code 1, whoever finds it out."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Read the words of the command line."""
        try:
            return super().make_context(info_name, args, *rest, **extra)
        except click.UsageError as error:
            _wrong(error.format_message(), error.ctx)


def _wrong(message: str, ctx: click.Context | None = None) -> NoReturn:
    raise WrongUsage(f"{message.rstrip('.')}: {WHAT_TO_WRITE}", ctx)


@click.command(cls=WrongUsageFails, options_metavar="--accept EMPLOYEE_NUMBER USER_NAME [OPTIONS]")
@click.option(
    "--accept",
    nargs=2,
    metavar="EMPLOYEE_NUMBER USER_NAME",
    help="Allow this user to take this employee, once: although phone, e-mail, birth date and name do not agree.",
)
@tenant_option
@click.pass_obj
def adopt(options: Options, accept: tuple[str, str] | None, tenant: str) -> None:
    """Say which user an employee of Ditio's is, where the two sides do not agree.

    A user who is stored is due at once; one whom Entra could not create is linked at its next try. The permission
    ends when it is used, or after 30 days.

    \b
    Examples:
      scim-bridge adopt --accept 1042 kari.nordmann@contractor.example
    """
    if accept is None:
        _wrong("nothing to accept", click.get_current_context())
    rules = build_rules(options.of(tenant))
    number, user_name = _number(accept[0], rules), accept[1].strip()
    if not user_name:
        _wrong("an empty user name", click.get_current_context())
    with options.database() as database, database.write() as connection:
        said = _accept(connection, tenant, number, user_name, rules, database.now(connection))
    # Nothing else is printed: standard output is for the pairs.
    click.echo(said, err=True)


def _number(text: str, rules: Rules) -> EmployeeNumber:
    value = value_of(Field.employee_number, text, rules)
    if isinstance(value, Unusable) or not value:
        why = value.why if isinstance(value, Unusable) else "it is empty"
        _wrong(f"the employee number can't be used: {why}", click.get_current_context())
    return EmployeeNumber(str(value))


def _accept(
    connection: Connection, tenant: str, number: EmployeeNumber, user_name: str, rules: Rules, now: datetime
) -> str:
    people = People(connection, tenant)
    record = people.of_user_name(user_name)
    linked = people.linked_to(number)
    if linked is not None and (record is None or linked.person.id != record.person.id):
        raise BridgeError(f"employee {number} is {_name(connection, tenant, linked)} already: nothing was recorded")
    if record is not None and (why := _why_not(connection, tenant, record, number, rules, now)):
        raise BridgeError(f"{user_name} {why}: nothing was recorded")
    until = Permissions(connection, tenant).grant(number, user_name, now=now)
    said = f"recorded: {user_name} may take employee {number}, once, until {until:%Y-%m-%d}"
    if record is None:
        return f"{said}; no user of that name is stored now: Entra's next try to create him uses it"
    Outbox(connection, tenant, now).mark_due(record.person.id)
    History(connection, tenant, now).add(record.person.id, Entry("adopt-accepted", "done", cause="operator"))
    return f"{said}; the person is due"


def _why_not(
    connection: Connection, tenant: str, record: Record, number: EmployeeNumber, rules: Rules, now: datetime
) -> str | None:
    """Why a permission would be of no use to a user who is stored."""
    person = record.person
    if person.employee_number is not None:
        return f"is employee {person.employee_number} already"
    document = document_of(connection, tenant, person.user_id) if person.user_id else None
    if document is None:
        return None
    wanted = wish_of(document, rules, person, now.astimezone(rules.zone).date()).employee_number
    if wanted is not None and wanted != number:
        return f"has the employee number {wanted} in Entra, not {number}: correct one of the two first"
    return None


def _name(connection: Connection, tenant: str, record: Record) -> str:
    user_id = record.person.user_id
    names = user_names(connection, tenant, [user_id]) if user_id else {}
    return names.get(user_id, "another user") if user_id else "a deleted user"
