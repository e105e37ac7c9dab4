"""`scim-bridge doctor`: check what the bridge stands on, and name the cure of what fails."""

from dataclasses import asdict

import click

from scim_bridge import logs
from scim_bridge.cli.context import Options
from scim_bridge.cli.output import Format, format_option, known_tenant, print_json, print_paragraph
from scim_bridge.doctor.checks import examine
from scim_bridge.doctor.findings import Finding, Status, fails
from scim_bridge.errors import SettingsError


@click.command()
@click.option("--tenant", metavar="NAME", help="Check only this company.  [default: all]")
@format_option
@click.pass_context
def doctor(ctx: click.Context, tenant: str | None, format: Format) -> None:
    """Check the database, Ditio, clocks, public URL and tokens.

    If Entra is read, it also checks the sign-in to Microsoft Graph, the permissions, the application and the job. With
    several companies, each finding begins with the name of its company. Nothing is changed, and no secret is shown. A
    `hint` works, and may be intended. A line that `fails` says the cure, and the exit code is 1. The command ends
    within half a minute, even if a server does not answer.

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
        indent = " " * 23
        for each in findings:
            print_paragraph(each.detail, first=f"{each.status:<6} {each.check:<15} ", indent=indent)
            if each.cure is not None:
                print_paragraph(each.cure, first=f"{indent}Cure: ", indent=indent)
    if any(finding.status is Status.fails for finding in findings):
        ctx.exit(1)


def _findings(options: Options, tenant: str | None) -> list[Finding]:
    try:
        settings = options.settings
    except SettingsError as error:
        cure = "correct it; `scim-bridge settings example` explains every setting"
        return [fails("settings", line, cure) for line in str(error).splitlines()]
    looked_at = settings.tenants if tenant is None else {tenant: settings.tenants[known_tenant(settings, tenant)]}
    return examine(settings, looked_at)
