"""`scim-bridge outbox release` and `outbox drop`: decide about what the guard holds."""

import sys
from collections.abc import Mapping
from typing import Any

import click

from scim_bridge.cli.context import Options, author
from scim_bridge.cli.output import print_paragraph, tenant_option
from scim_bridge.domain.audit import Action
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import BridgeError, NotFound
from scim_bridge.operator import actions
from scim_bridge.operator.commands import of_tenant
from scim_bridge.operator.waiting import CHANGES, Guarded, guarded
from scim_bridge.storage.database import Session
from scim_bridge.storage.refusals import REFUSED

person_option = click.option(
    "--person", metavar="N", help="Only this person, by employee number or user name.  [default: all]"
)


def person_named(s: Session, name: str) -> PersonId:
    """Return the id of a person, by employee number or user name. :raises NotFound: there is none."""
    record = s.people.find(name)
    if record is None:
        raise NotFound(f"no user has the employee number or user name {name!r}: check the spelling")
    return record.person.id


WORDS = {Action.released: "released", Action.dropped: "withdrawn"}
COMMANDS = {Action.released: "release", Action.dropped: "drop"}

yes_option = click.option("--yes", is_flag=True, help="Do not ask: for scripts.  [default: show the names, and ask]")


@click.command()
@person_option
@yes_option
@tenant_option
@click.pass_obj
def release(options: Options, person: str | None, yes: bool, tenant: str) -> None:
    """Send what the guard holds: more changes within an hour than the limits allow, but intended.

    It names the people and asks first. Held are the end of an employment, a new phone or employee number, or the
    creation of an employee; `outbox list` says why. A worker then delivers them.

    \b
    Examples:
      scim-bridge outbox release
      scim-bridge outbox release --person 1042 --yes
    """
    _decide(options, person, tenant, yes, Action.released)


@click.command()
@person_option
@yes_option
@tenant_option
@click.pass_obj
def drop(options: Options, person: str | None, yes: bool, tenant: str) -> None:
    """Withdraw what the guard holds: it is not sent until Entra changes it.

    It names the people and asks first. An ending is sent again when Entra changes `active` or deletes the user; a phone
    or an employee number, when its value changes. Until then `reconcile` lists the difference, and does not repair it.
    Entra never again sends a deleted user: that person stays active in Ditio until an operator ends the employment
    there.

    \b
    Examples:
      scim-bridge outbox drop --person kari.nordmann@contractor.example
      scim-bridge outbox drop --yes
    """
    _decide(options, person, tenant, yes, Action.dropped)


def _decide(options: Options, person: str | None, tenant: str, yes: bool, action: Action) -> None:
    with options.database() as database, database.read(tenant) as s:
        held = guarded(s, None if person is None else [person_named(s, person)])
    if not held:
        click.echo("the guard holds nothing" + (f" for {person}" if person is not None else ""))
        return
    for each in held:
        print_paragraph(_held_line(each), first="  - ", indent="    ")
    how_many = f"{len(held)} {'person is' if len(held) == 1 else 'people are'}"
    if not yes and not sys.stdin.isatty():
        one = f" --person {person}" if person else ""
        raise BridgeError(
            f"{how_many} held, and nothing was {WORDS[action]}: there is no terminal to ask on. If this is intended, "
            f"run: scim-bridge outbox {COMMANDS[action]}{one} --yes{of_tenant(tenant)}"
        )
    if not yes and not click.confirm(f"{how_many} held. Have them {WORDS[action]}?"):
        raise BridgeError(f"nothing was {WORDS[action]}")
    click.echo(_decided(options, [each.person_id for each in held], tenant, action))


def _held_line(held: Guarded) -> str:
    row = {"user_name": held.user_name, "employee_number": held.employee_number}
    name = f"{held.name}, " if held.name else ""
    return f"{name}{who(row)}: {', '.join(CHANGES[kind] for kind in held.changes)}"


def _decided(options: Options, named: list[PersonId], tenant: str, action: Action) -> str:
    """Decide about the people who were named, and about no one held since. Return the result as text."""
    paused = options.of(tenant).delivery.paused
    done = options.write(tenant, lambda s: actions.decide(s, author(options), action, named, paused_by_setting=paused))
    told = f"{done.count} {WORDS[action]}"
    return f"{told}; deliveries are paused until `outbox resume`" if done.is_paused else told


def who(row: Mapping[str, Any]) -> str:
    """Return a person by user name and employee number."""
    employee = f", employee {row['employee_number']}" if row["employee_number"] else ""
    unnamed = "a user without a name" if row.get("state") == REFUSED else "a deleted user"
    return f"{row['user_name'] or unnamed}{employee}"
