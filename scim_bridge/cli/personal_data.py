"""`scim-bridge people export` and `people erase`: the personal data of one person."""

import sys
from pathlib import Path

import click

from scim_bridge.bootstrap import build
from scim_bridge.cli.context import Options, note
from scim_bridge.cli.output import as_json, private_file, tenant_option
from scim_bridge.domain.audit import Action, AuditEvent
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import JsonObject
from scim_bridge.errors import BridgeError
from scim_bridge.operator.find import found_of, resolve
from scim_bridge.operator.person import erase, export
from scim_bridge.scim.mapping import Rules
from scim_bridge.storage.database import Session
from scim_bridge.storage.people import PersonRecord
from scim_bridge.storage.personal_data import erase_refused
from scim_bridge.storage.refusals import RefusedWrite
from scim_bridge.tenant import build_rules


@click.command("export")
@click.argument("person", metavar="TEXT")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file, which only you can read.  [default: standard output]",
)
@tenant_option
@click.pass_obj
def export_command(options: Options, person: str, output: Path | None, tenant: str) -> None:
    """Export everything that the bridge stores about one person, as JSON, by table. TEXT is what `people find` takes.

    \b
    Examples:
      scim-bridge people export 1042 --output 1042.json
    """
    rules = build_rules(options.of(tenant))

    def work(s: Session) -> JsonObject:
        one = resolve(s, rules, person)
        found = export(s, one)
        note(options, s, AuditEvent(Action.exported, "person", None, _id_of(one)))
        return found

    text = as_json(options.write(tenant, work))
    if output is None:
        click.echo(text)
        return
    with private_file(output) as file:
        file.write(f"{text}\n")


@click.command("erase")
@click.argument("person", metavar="TEXT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@tenant_option
@click.pass_obj
def erase_command(options: Options, person: str, yes: bool, tenant: str) -> None:
    """Erase the personal data of one person who has left. TEXT is what `people find` takes.

    Removed are Entra's user, what Ditio acknowledged, certificates, refusals, and values in stored plans. Employee
    number, link and days stay if Ditio shows an id of the profile. A later user with the number can take the employee
    over. History and audit trail hold ids and no names; they are removed after RETENTION__DAYS. Nothing changes in
    Ditio or Entra.

    It fails while Entra's user is active, or anything about the person is still to be delivered.

    \b
    Examples:
      scim-bridge people erase 1042
      scim-bridge people erase ola.hansen@contractor.example --yes
    """
    settings = options.of(tenant)
    rules = build_rules(settings)
    with options.database() as database:
        company = build(settings, database=database).tenants[tenant]
        with database.read(tenant) as s:
            one = resolve(s, rules, person)
            who = _who(s, rules, one)
        if not yes:
            if not sys.stdin.isatty():
                raise BridgeError(f"this would erase {who}: add --yes to do it; nothing was done")
            click.confirm(f"Erase {who}?", abort=True)

        def work(s: Session) -> None:
            if isinstance(one, RefusedWrite):
                erase_refused(s, one)
            else:
                erase(s, company, one.person.id)
            note(options, s, AuditEvent(Action.erased, "person", _id_of(one), _id_of(one)))

        database.transact(tenant, work)
        database.truncate_log()
    click.echo(f"erased {who}")


def _id_of(one: PersonRecord | RefusedWrite) -> PersonId | None:
    return None if isinstance(one, RefusedWrite) else one.person.id


def _who(s: Session, rules: Rules, one: PersonRecord | RefusedWrite) -> str:
    """Return how a question names a person."""
    if isinstance(one, RefusedWrite):
        return one.user_name or one.name or str(one.external_id)
    (listed,) = s.directory.of([one.person.id])
    found = found_of(listed, s, rules)
    known = (found.name, found.user_name, f"employee {found.employee_number}" if found.employee_number else None)
    return ", ".join(each for each in known if each) or one.person.id
