"""`scim-bridge adopt`: on the first day, employees whom Ditio has already become the people of Entra."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import click

from scim_bridge import logs
from scim_bridge.bootstrap import build, build_rules
from scim_bridge.cli.adopt.accepting import accept as record_permission
from scim_bridge.cli.adopt.decisions import decisions_in
from scim_bridge.cli.adopt.output import json_pieces, text_pieces
from scim_bridge.cli.adopt.sheet import write_sheet
from scim_bridge.cli.adopt.usage import WrongUsageFails
from scim_bridge.cli.auditing import operator
from scim_bridge.cli.context import Options
from scim_bridge.cli.named_commands import of_tenant
from scim_bridge.cli.output import Format, format_option, tenant_option
from scim_bridge.cli.reconcile.progress import bars
from scim_bridge.domain.pairing import Decision, Misfit
from scim_bridge.errors import BridgeError

DISPUTED = 2
"""The exit code where somebody has to decide something."""

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=WrongUsageFails)
@click.option("--apply", is_flag=True, help="Link the exact pairs, and those that were decided.")
@click.option(
    "--decisions",
    metavar="FILE.csv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What you decided of disputed pairs: employee_number,user_name,decision (link or skip).",
)
@click.option(
    "--output",
    metavar="FILE.csv",
    type=FILE,
    help="Write the disputed pairs here, to be decided; a file that is there is never written over.",
)
@click.option(
    "--accept",
    nargs=2,
    metavar="EMPLOYEE_NUMBER USER_NAME",
    help="Allow this user to take this employee, once: although phone, e-mail, birth date and name do not agree.",
)
@format_option
@tenant_option
@click.pass_context
def adopt(
    ctx: click.Context,
    apply: bool,
    decisions: Path | None,
    output: Path | None,
    accept: tuple[str, str] | None,
    format: Format,
    tenant: str,
) -> None:
    """Say which employees of Ditio's are which users, before the first delivery.

    A user is paired by employee number, and exactly only if phone, e-mail, or birth date and last name agree; one to
    whom Entra gives no number by e-mail, then by phone. --apply links the exact pairs. Every other pair is disputed:
    --output writes both sides to a file, which you edit and give back with --decisions. One line in it that does not
    fit, and none is followed. Nobody is created, changed or ended in Ditio, now or by `outbox resume`: what differs is
    shown and repaired by `reconcile`. Run it as often as you like; who is linked stays linked.

    --accept alone records a permission for one user: a stored one is due at once, one whom Entra could not create is
    linked at its next try. It ends when it is used, or after 30 days.

    Exit codes: 0 nothing is disputed, 2 something is, 1 error or wrong usage.

    \b
    Examples:
      scim-bridge adopt --output disputed.csv
      scim-bridge adopt --apply --decisions disputed.csv
      scim-bridge adopt --accept 1042 kari.nordmann@contractor.example
    """
    options: Options = ctx.obj
    if output is not None and output.exists():
        raise BridgeError(f"{output} is there already, and may hold decisions: name another file, or remove it")
    with options.database() as database:
        if accept is not None:
            # Nothing of it is printed on standard output, which is for the pairs.
            rules = build_rules(options.of(tenant))
            click.echo(record_permission(options, database, tenant, rules, *accept), err=True)
            if not apply and decisions is None and output is None:
                return
        logs.configure("error", options.settings.log.format)
        adoption = build(options.of(tenant), database=database).adoption(tenant)
        with ExitStack() as shown:
            progress = shown.enter_context(bars())
            with adoption.run(
                apply_for=operator() if apply else None, decisions=_lines(decisions), progress=progress
            ) as found:
                shown.close()  # The bars are gone before anything is printed.
                if output is not None:
                    write_sheet(found.disputes(), output)
                pieces = (
                    json_pieces(found)
                    if format == "json"
                    else text_pieces(found, of_tenant(tenant), apply=apply, output=output)
                )
                for piece in pieces:
                    click.echo(piece, nl=False)
                is_disputed = found.is_disputed
    ctx.exit(DISPUTED if is_disputed else 0)


def _lines(file: Path | None) -> Iterable[Decision | Misfit]:
    return () if file is None else decisions_in(file)
