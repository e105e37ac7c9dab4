"""`scim-bridge outbox`: list who waits for delivery and why; retry, pause, resume, release and drop."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from scim_bridge.cli.context import Options, author
from scim_bridge.cli.output import (
    Format,
    format_option,
    instant,
    print_json,
    print_paragraph,
    print_rows,
    tenant_option,
)
from scim_bridge.delivery.guard import person_named
from scim_bridge.domain.audit import Action
from scim_bridge.domain.outcome import SHOULD_BE_INACTIVE, State, explained, reason_of
from scim_bridge.domain.person import PersonId
from scim_bridge.errors import BridgeError
from scim_bridge.operator import actions
from scim_bridge.operator.commands import about_tenant, of_tenant
from scim_bridge.operator.waiting import CHANGES, Guarded, Waiting, guarded, is_paused, status_of, waiting
from scim_bridge.operator.waiting import refused as refused_people
from scim_bridge.storage.database import Session, take_up_all
from scim_bridge.storage.last_requests import last_request
from scim_bridge.storage.refusals import REFUSED
from scim_bridge.tenant import build_rules


@click.command()
@tenant_option
@click.pass_obj
def pause(options: Options, tenant: str) -> None:
    """Stop all deliveries to Ditio, on all running servers at once. Entra's writes are accepted and kept.

    A call that has begun is finished. People in delivery stop before their next call.

    \b
    Examples:
      scim-bridge outbox pause
    """

    held = options.write(tenant, lambda s: actions.pause(s, author(options)))
    click.echo(f"deliveries are paused, {held} held; a call that has begun is finished, and no other begins")


@click.command()
@tenant_option
@click.pass_obj
def resume(options: Options, tenant: str) -> None:
    """Resume deliveries to Ditio: all people held by the pause become due.

    \b
    Examples:
      scim-bridge outbox resume
    """
    settings = options.of(tenant)
    if settings.delivery.paused:
        raise BridgeError(
            f"the setting DELIVERY__PAUSED ({settings.origin(('delivery', 'paused'))}) pauses deliveries: "
            "remove it, restart the servers, then run `scim-bridge outbox resume`"
        )

    resumed = options.write(tenant, lambda s: actions.resume(s, author(options)))
    with options.database() as database:
        resumed += take_up_all(database, tenant)
    click.echo(f"deliveries are resumed, {resumed} made due")


person_option = click.option(
    "--person", metavar="N", help="Only this person, by employee number or user name.  [default: all]"
)


_WORDS = {Action.released: "released", Action.dropped: "withdrawn"}
_COMMANDS = {Action.released: "release", Action.dropped: "drop"}

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
        held = guarded(s, None if person is None else [person_named(s, person).person.id])
    if not held:
        click.echo("the guard holds nothing" + (f" for {person}" if person is not None else ""))
        return
    for each in held:
        print_paragraph(_held_line(each), first="  - ", indent="    ")
    how_many = f"{len(held)} {'person is' if len(held) == 1 else 'people are'}"
    if not yes and not sys.stdin.isatty():
        one = f" --person {person}" if person else ""
        raise BridgeError(
            f"{how_many} held, and nothing was {_WORDS[action]}: there is no terminal to ask on. If this is intended, "
            f"run: scim-bridge outbox {_COMMANDS[action]}{one} --yes{of_tenant(tenant)}"
        )
    if not yes and not click.confirm(f"{how_many} held. Have them {_WORDS[action]}?"):
        raise BridgeError(f"nothing was {_WORDS[action]}")
    click.echo(_decided(options, [each.person_id for each in held], tenant, action))


def _held_line(held: Guarded) -> str:
    row = {"user_name": held.user_name, "employee_number": held.employee_number}
    name = f"{held.name}, " if held.name else ""
    return f"{name}{who(row)}: {', '.join(CHANGES[kind] for kind in held.changes)}"


def _decided(options: Options, named: list[PersonId], tenant: str, action: Action) -> str:
    """Decide about the people who were named, and about no one held since. Return the result as text."""
    paused = options.of(tenant).delivery.paused
    done = options.write(tenant, lambda s: actions.decide(s, author(options), action, named, paused_by_setting=paused))
    told = f"{done.count} {_WORDS[action]}"
    return f"{told}; deliveries are paused until `outbox resume`" if done.is_paused else told


def who(row: Mapping[str, Any]) -> str:
    """Return a person by user name and employee number."""
    employee = f", employee {row['employee_number']}" if row["employee_number"] else ""
    unnamed = "a user without a name" if row.get("state") == REFUSED else "a deleted user"
    return f"{row['user_name'] or unnamed}{employee}"


@click.command()
@person_option
@tenant_option
@click.pass_obj
def retry(options: Options, person: str | None, tenant: str) -> None:
    """Retry people now who are due, parked, or held for a claim, an operation or data.

    A worker then delivers them, even if Ditio was not called after failures: it is called again until the next
    failure.

    \b
    Examples:
      scim-bridge outbox retry
      scim-bridge outbox retry --person kari.nordmann@contractor.example
    """

    def work(s: Session) -> actions.Done:
        chosen = [person_named(s, person).person.id] if person is not None else None
        return actions.retry(s, author(options), chosen, paused_by_setting=options.of(tenant).delivery.paused)

    done = options.write(tenant, work)
    click.echo(
        f"{done.count} wait for `outbox resume`: deliveries are paused" if done.is_paused else f"{done.count} made due"
    )


MOST_NAMED = 5
"""How many people with the same reason are named; during a pause the whole company may wait."""

Row = Mapping[str, Any]
"""A row, as in the JSON."""


def tell(rows: Sequence[Row], tenant: str, *, names_all: bool) -> None:
    """Print each person in lines that fit into a mail; of many with the same reason, the first and the number."""
    for number, group in enumerate(_groups(rows, names_all=names_all)):
        if number:
            click.echo("")
        if len(group) == 1:
            _tell_one(group[0], tenant)
        else:
            _tell_many(group, tenant)


def _groups(rows: Sequence[Row], *, names_all: bool) -> Iterator[Sequence[Row]]:
    """Yield many people with the same reason as one group, all others alone, in the order of the rows."""
    by_reason: dict[object, list[Row]] = {}
    for row in rows:
        by_reason.setdefault(_reason(row), []).append(row)
    told: set[object] = set()
    for row in rows:
        group = by_reason[_reason(row)]
        if names_all or len(group) <= MOST_NAMED:
            yield [row]
        elif _reason(row) not in told:
            told.add(_reason(row))
            yield group


def _reason(row: Row) -> object:
    """Return the key of a group. Leavers who are still active in Ditio are a separate group (rule L6)."""
    return row["state"], row["reason"], str(row["detail"]).startswith(SHOULD_BE_INACTIVE)


def _tell_one(row: Row, tenant: str) -> None:
    print_paragraph(who(row), indent="  ")
    reason = f", {row['reason']}" if row["reason"] else ""
    print_paragraph(f"{row['state']}{reason}, {_since(row)}", first="  ", indent="  ")
    _tell_detail(row["detail"], tenant)
    _explain(row, tenant)


def _tell_many(group: Sequence[Row], tenant: str) -> None:
    first, details = group[0], {row["detail"] for row in group}
    reason = f", {first['reason']}" if first["reason"] else ""
    print_paragraph(f"{len(group)} people: {first['state']}{reason}", indent="  ")
    if len(details) == 1:
        _tell_detail(first["detail"], tenant)
    _explain(first, tenant)
    for row in group[:MOST_NAMED]:
        print_paragraph(f"{who(row)}, {_since(row)}", first="  - ", indent="    ")
        if len(details) > 1:
            _tell_detail(row["detail"], tenant, indent="    ")
    left = len(group) - MOST_NAMED
    print_paragraph(about_tenant(tenant, f"and {left} more: `outbox list --all`"), first="  - ", indent="    ")


def _since(row: Row) -> str:
    tries = f", {row['attempts']} failed {'try' if row['attempts'] == 1 else 'tries'}" if row["attempts"] else ""
    return f"since {instant(row['since'])}{tries}"


def _tell_detail(detail: object, tenant: str, *, indent: str = "  ") -> None:
    if detail:
        print_paragraph(about_tenant(tenant, str(detail)), first=f"{indent}Detail: ", indent=f"{indent}  ")


def _explain(row: Row, tenant: str) -> None:
    explanation = explained(State(row["state"]), reason_of(row["reason"]))
    if explanation is not None:
        print_paragraph(explanation.meaning, first="  Meaning: ", indent="    ")
        print_paragraph(about_tenant(tenant, explanation.cure), first="  Cure: ", indent="    ")


STATUS_COLUMNS = {
    "due": "Due",
    "held": "Held",
    "parked": "Parked",
    "oldest_seconds": "Oldest due, seconds",
    "paused": "Paused",
}


@click.command()
@tenant_option
@format_option
@click.pass_obj
def status(options: Options, tenant: str, format: Format) -> None:
    """Show how many people are due, held and parked.

    \b
    Examples:
      scim-bridge outbox status
      scim-bridge outbox status --format json
    """
    with options.database() as database, database.read(tenant) as s:
        paused = is_paused(s, by_setting=options.of(tenant).delivery.paused)
        figures = {**asdict(status_of(s, paused=paused)), "paused": paused}
        requested_at = last_request(s)
    if format == "json":
        print_json(figures)
    else:
        print_rows([figures], STATUS_COLUMNS)
        if requested_at is not None:
            click.echo(f"Entra's last request was accepted at {instant(requested_at)}.")


@click.command("list")
@tenant_option
@format_option
@click.option("--all", "names_all", is_flag=True, help="Name all people, even if many wait for the same reason.")
@click.pass_obj
def list_command(options: Options, tenant: str, format: Format, names_all: bool) -> None:
    """List all people who are due, held or parked, and why; longest wait first. Then those refused to Entra.

    Refused, and told to Entra: Entra's last write about the person was answered 400 or 409. Entra sends it again by
    itself, and the person leaves the list once it succeeds.

    If many wait for the same reason, only the first are named and the rest are counted; --all names all. JSON always
    has all people.

    \b
    Examples:
      scim-bridge outbox list
      scim-bridge outbox list --all
      scim-bridge outbox list --format json
    """
    rules = build_rules(options.of(tenant))
    with options.database() as database, database.read(tenant) as s:
        paused = is_paused(s, by_setting=options.of(tenant).delivery.paused)
        rows = [_row(each) for each in waiting(s, rules, paused=paused)]
        refused = [_row(each) for each in refused_people(s)]
    if format == "json":
        print_json([*rows, *refused])
        return
    if rows:
        tell(rows, tenant, names_all=names_all)
    else:
        click.echo("no deliveries are waiting")
    if refused:
        _tell_refused(refused, names_all=names_all)


def _tell_refused(refused: Sequence[Row], *, names_all: bool) -> None:
    """Print people whose last write was answered 400 or 409, and the answer."""
    click.echo("\nRefused, and told to Entra; Entra sends it again by itself")
    for row in refused if names_all else refused[:MOST_NAMED]:
        print_paragraph(f"{who(row)}, {_since(row)}", first="  - ", indent="    ")
        print_paragraph(str(row["detail"]), first="    Answer: ", indent="      ")
    if not names_all and len(refused) > MOST_NAMED:
        click.echo(f"  - and {len(refused) - MOST_NAMED} more: `outbox list --all`")


_KEYS = ("user_name", "employee_number", "state", "reason", "detail", "since", "attempts")


def _row(found: Waiting) -> dict[str, Any]:
    return {key: getattr(found, key) for key in _KEYS}


@click.group()
def outbox() -> None:
    """List people who wait for delivery; retry, pause or resume deliveries.

    \b
    Examples:
      scim-bridge outbox status
      scim-bridge outbox retry --person 1042
      scim-bridge outbox pause
    """


for _command in (status, list_command, retry, release, drop, pause, resume):
    outbox.add_command(_command)
