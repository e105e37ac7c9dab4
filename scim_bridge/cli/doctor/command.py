"""The command `doctor`."""

from dataclasses import asdict

import click

from scim_bridge import logs
from scim_bridge.cli.context import Options
from scim_bridge.cli.doctor.companies import of_each
from scim_bridge.cli.doctor.database import examine_database
from scim_bridge.cli.doctor.ditio import examine_ditio
from scim_bridge.cli.doctor.findings import Examination, Finding, Status, examined, fails
from scim_bridge.cli.doctor.keys import examine_keys
from scim_bridge.cli.doctor.server import examine_public_url, examine_settings
from scim_bridge.cli.output import Format, format_option, known_tenant, print_json
from scim_bridge.cli.paragraphs import print_paragraph
from scim_bridge.errors import SettingsError

SECONDS = 22.0
"""How long all of it may take."""


@click.command()
@click.option("--tenant", metavar="NAME", help="Only this company.  [default: all]")
@format_option
@click.pass_context
def doctor(ctx: click.Context, tenant: str | None, format: Format) -> None:
    """Look whether all is well: database, Ditio, clocks, public URL, tokens.

    Where there are several companies, what is found begins with the name of the one that it is about. Nothing is
    changed, and no secret is shown. A hint works, and may be meant so; a line that fails says the cure, and the
    exit code is 1. It ends within half a minute, whatever does not answer.

    \b
    Examples:
      scim-bridge doctor
      scim-bridge doctor --tenant nord-bygg --format json
    """
    logs.configure("critical")
    findings = _findings(ctx.obj, tenant)
    if format == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _tell(finding)
    if any(finding.status is Status.fails for finding in findings):
        ctx.exit(1)


def _findings(options: Options, tenant: str | None) -> list[Finding]:
    try:
        settings = options.settings
    except SettingsError as error:
        cure = "correct it; `scim-bridge settings example` explains every setting"
        return [fails("settings", line, cure) for line in str(error).splitlines()]
    looked_at = settings.tenants
    if tenant is not None:
        looked_at = {tenant: looked_at[known_tenant(settings, tenant)]}
    database_is_late = fails(
        "database",
        f"it gave no answer within {SECONDS:.0f} s",
        "see that it runs and can be reached; a SQLite file may be held by another process that writes for long",
    )
    ditio_is_late = fails(
        "Ditio",
        f"it gave no answer within {SECONDS:.0f} s",
        "see that this machine reaches DITIO__IDENTITY_URL and DITIO__API_URL (name server, firewall, proxy)",
    )
    url_is_late = Finding(
        "public URL",
        Status.hint,
        f"SERVER__BASE_URL gave no answer within {SECONDS:.0f} s",
        "see that its name is known to this machine's name server",
    )
    keys_are_late = fails(
        "sign-in keys",
        f"they gave no answer within {SECONDS:.0f} s",
        "see that this machine reaches AUTH__ENTRA_JWKS_URL and AUTH__WORKLOAD_JWKS_URL (name server, firewall, proxy)",
    )
    waiting = [
        Examination(lambda: examine_database(settings, list(looked_at)), database_is_late),
        *of_each(settings, looked_at, examine_ditio, ditio_is_late),
        Examination(lambda: examine_public_url(settings), url_is_late),
        *of_each(settings, looked_at, examine_keys, keys_are_late),
    ]
    return [*examined(waiting, seconds=SECONDS), *examine_settings(settings, looked_at)]


def _tell(finding: Finding) -> None:
    indent = " " * 23
    print_paragraph(finding.detail, first=f"{finding.status:<6} {finding.check:<15} ", indent=indent)
    if finding.cure is not None:
        print_paragraph(finding.cure, first=f"{indent}Cure: ", indent=indent)
