"""`scim-bridge outbox release` and `outbox drop`: decide about what the guard holds."""

import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

import click

from scim_bridge.cli.context import Options, note, of_tenant
from scim_bridge.cli.output import print_paragraph, tenant_option
from scim_bridge.delivery import guard
from scim_bridge.domain.audit import Action, AuditEvent
from scim_bridge.domain.person import GuardedChange, PersonId
from scim_bridge.errors import BridgeError, NotFound
from scim_bridge.storage.database import Session
from scim_bridge.storage.refusals import REFUSED
from scim_bridge.storage.resources import document_of

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

CHANGES = {
    GuardedChange.ending: "end of employment",
    GuardedChange.creation: "creation of the employee",
    GuardedChange.phone: "new phone",
    GuardedChange.employee_number: "new employee number",
}

Decide = Callable[[Session, Collection[PersonId] | None], int]

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
    _decide(options, person, tenant, yes, Action.released, guard.release)


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
    _decide(options, person, tenant, yes, Action.dropped, guard.drop)


def _decide(options: Options, person: str | None, tenant: str, yes: bool, action: Action, decide: Decide) -> None:
    with options.database() as database, database.read(tenant) as s:
        person_id = person_named(s, person) if person is not None else None
        held = {each: kinds for each, kinds in s.guard.held().items() if person_id in (None, each)}
        lines = [_held_line(s, each, kinds) for each, kinds in held.items()]
    if not held:
        click.echo("the guard holds nothing" + (f" for {person}" if person is not None else ""))
        return
    for line in lines:
        print_paragraph(line, first="  - ", indent="    ")
    how_many = f"{len(held)} {'person is' if len(held) == 1 else 'people are'}"
    if not yes and not sys.stdin.isatty():
        one = f" --person {person}" if person else ""
        raise BridgeError(
            f"{how_many} held, and nothing was {WORDS[action]}: there is no terminal to ask on. If this is intended, "
            f"run: scim-bridge outbox {COMMANDS[action]}{one} --yes{of_tenant(tenant)}"
        )
    if not yes and not click.confirm(f"{how_many} held. Have them {WORDS[action]}?"):
        raise BridgeError(f"nothing was {WORDS[action]}")
    click.echo(_decided(options, person_id, list(held), tenant, action, decide))


def _held_line(s: Session, person_id: PersonId, kinds: Collection[GuardedChange]) -> str:
    record = s.people.get(person_id)
    document = document_of(s, record.person.user_id) if record is not None and record.person.user_id else None
    row = {
        "user_name": document["userName"] if document else None,
        "employee_number": record.person.employee_number if record is not None else None,
    }
    name = f"{_name(document)}, " if document and _name(document) else ""
    return f"{name}{who(row)}: {', '.join(CHANGES[kind] for kind in GuardedChange if kind in kinds)}"


def _name(document: Mapping[str, Any]) -> str:
    """Return a user's name for display, as Entra sent it; empty if it sent none."""
    name = document.get("name") or {}
    parts = (str(name.get(part) or "") for part in ("givenName", "familyName"))
    return str(document.get("displayName") or name.get("formatted") or " ".join(filter(None, parts)))


def _decided(
    options: Options, person_id: PersonId | None, named: list[PersonId], tenant: str, action: Action, decide: Decide
) -> str:
    """Decide about the people who were named, and about no one held since. Return the result as text."""

    def work(s: Session) -> tuple[int, bool]:
        count = decide(s, named)
        if count:
            note(options, s, AuditEvent(action, "outbox", person_id=person_id))
        is_paused = options.of(tenant).delivery.paused or s.breaker.get().is_paused
        if is_paused:
            s.pauses.hold_due()
        return count, is_paused

    count, is_paused = options.write(tenant, work)
    told = f"{count} {WORDS[action]}"
    return f"{told}; deliveries are paused until `outbox resume`" if is_paused else told


def who(row: Mapping[str, Any]) -> str:
    """Return a person by user name and employee number."""
    employee = f", employee {row['employee_number']}" if row["employee_number"] else ""
    unnamed = "a user without a name" if row.get("state") == REFUSED else "a deleted user"
    return f"{row['user_name'] or unnamed}{employee}"
