"""`--tenant`: every command that is about one company, and those that serve all."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from scim_bridge import cli
from scim_bridge.cli.context import Options
from scim_bridge.cli.main import COMMANDS, main
from scim_bridge.cli.serve import tenant_urls
from scim_bridge.cli.worker import look_at, reconcile_command
from scim_bridge.operator.commands import about_tenant
from scim_bridge.reconcile.run import Scheduler
from scim_bridge.sandbox.ditio import SandboxDitio
from scim_bridge.sandbox.server import running
from scim_bridge.settings import load
from scim_bridge.storage.database import Database
from tests.cli.conftest import DITIO, Run
from tests.companies import Companies
from tests.conftest import Clock
from tests.reconcile.test_scheduler import Runs
from tests.world import a_user

NORD = {
    "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_ID": "client-nord",
    "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_SECRET": "secret-nord",
}

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

CLI = Path(cli.__file__).parent

REST = ["--scheduled", "--format", "csv"]
"""How every scheduled run ends."""

SERVES_ALL = {
    *("demo", "serve", "worker", "sandbox", "settings check", "settings example", "db upgrade"),
    *("outbox", "people", "quirks", "audit", "certificates", "token", "client", "settings", "db"),
    *("entra", "notify", "console"),
}
"""Commands, and groups that do nothing themselves, which are about no single company."""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its words."""
    with click.Context(main) as ctx:
        for name in COMMANDS:
            command = main.get_command(ctx, name)
            assert command is not None
            yield name, command
            for inner, below in getattr(command, "commands", {}).items():
                yield f"{name} {inner}", below


def needed(command: click.Command) -> list[str]:
    """What it can't be called without."""
    words: list[str] = []
    for parameter in command.params:
        if parameter.required:
            words += ["x"] if isinstance(parameter, click.Argument) else [parameter.opts[0], "x"]
    return words


@SQLITE
@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda value: str(getattr(value, "name", value)))
def test_an_unknown_company_is_wrong_usage_that_names_those_there_are(run: Run, name: str, command: click.Command):
    """Design, section 5: `--tenant T` where it concerns one; wrong usage is 2, of reconcile and adopt 1."""
    if name in SERVES_ALL:
        assert "tenant" not in {parameter.name for parameter in command.params}
        return
    result = run(*name.split(), *needed(command), "--tenant", "sor", **{**DITIO, **NORD})
    assert result.exit_code == (1 if name.startswith(("reconcile", "adopt")) else 2), result.output
    assert "unknown tenant 'sor': the settings have default, nord" in result.stderr


OF_ALL = (
    "options.settings.log",
    "open_database(options.settings",
    "known_tenant(options.settings",
    "list(options.settings.tenants)",
)


@pytest.mark.parametrize("module", sorted(CLI.rglob("*.py")), ids=lambda path: str(path.relative_to(CLI)))
def test_a_command_about_one_company_reads_the_settings_of_that_one(module: Path):
    """`options.of(tenant)`: `options.settings` would be those of the company `default`. `doctor` looks at all."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and {"options", "tenant"} <= {each.arg for each in node.args.args}:
            text = ast.unparse(node)
            for each in OF_ALL:
                text = text.replace(each, "")
            assert "options.settings" not in text or module.stem.startswith("doctor"), node.name


@SQLITE
def test_what_was_issued_for_a_company_that_is_served_no_more_can_be_revoked(run: Run):
    """As `doctor` says; who did what there is still told."""
    for words in (("token", "issue"), ("client", "issue")):
        assert run(*words, "--name", "Entra", "--tenant", "nord", **NORD).exit_code == 0

    for kind in ("token", "client"):
        (issued,) = json.loads(run(kind, "list", "--tenant", "nord", "--format", "json").stdout)
        assert run(kind, "revoke", issued["id"], "--tenant", "nord").exit_code == 0
        (revoked,) = json.loads(run(kind, "list", "--tenant", "nord", "--format", "json").stdout)
        assert revoked["revoked_at"] is not None
    assert len(run("audit", "export", "--tenant", "nord").stdout.splitlines()) == 4

    refused = run("token", "issue", "--name", "Entra", "--tenant", "nord")
    assert (refused.exit_code, "unknown tenant 'nord'" in refused.stderr) == (2, True)


@SQLITE
def test_where_only_names_are_set_a_command_wants_one(run: Run):
    """The default of --tenant is no company then; who typed none is not told of a "default"."""
    for words in (("token", "list"), ("reconcile",), ("outbox", "status")):
        told = run(*words, **NORD).stderr
        assert "--tenant" in told
        assert told.rstrip().endswith(" nord")
        assert "default" not in told
    for words in (("token", "list"), ("reconcile", "runs"), ("outbox", "status")):
        assert run(*words, "--tenant", "nord", **NORD).exit_code == 0


@SQLITE
def test_a_command_that_a_message_names_is_about_the_company_of_the_message(run: Run, database: Database, clock: Clock):
    """Typed as it is shown, without --tenant, it would be about another company, or about none."""
    nord = ("--tenant", "nord")
    ditio = SandboxDitio(now=clock, client_id="client-nord", client_secret="secret-nord")
    companies = Companies(database, clock, "nord", settings={"nord": {}})
    run("outbox", "pause", *nord, **NORD)
    companies.provisions("nord", a_user())
    with running(ditio.app) as url:
        environ = {**NORD, "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core", "SCIM_BRIDGE_DITIO__IDENTITY_URL": url}
        cures = [each["cure"] or "" for each in findings(run, **environ)]
        waiting = run("outbox", "list", *nord, **environ).stdout
        reconciled = run("reconcile", *nord, **environ).stdout
        paired = run("adopt", "--apply", *nord, **environ).stdout

    assert "`outbox resume --tenant nord`" in cures
    assert "Cure: `outbox resume --tenant nord`" in waiting
    assert re.search(r"scim-bridge reconcile --apply --plan \S+ --tenant nord\n", reconciled)
    assert ": scim-bridge reconcile --tenant nord\n" in paired
    assert about_tenant("nord", "`scim-bridge token issue --name Entra`, see `doctor`") == (
        "`scim-bridge token issue --name Entra --tenant nord`, see `doctor`"
    )
    assert about_tenant("default", "`outbox list`") == "`outbox list`"


@SQLITE
def test_tokens_and_clients_are_of_one_company(run: Run, database: Database, clock: Clock):
    """Design, section 10: issued, listed, rotated and revoked for one."""
    secret = run("token", "issue", "--name", "E", "--tenant", "nord", **NORD).stdout.strip()
    client = json.loads(run("client", "issue", "--name", "E", "--tenant", "nord", **NORD).stdout)
    with database.read() as s:
        assert s.of("nord").tokens.valid(secret) is not None
        assert s.of("default").tokens.valid(secret) is None
    (token,) = json.loads(run("token", "list", "--tenant", "nord", "--format", "json", **NORD).stdout)
    both = {**DITIO, **NORD}
    for words in (("token", "list"), ("client", "list")):
        assert json.loads(run(*words, "--format", "json", **both).stdout) == []
    for words in (
        ("token", "revoke", token["id"]),
        ("client", "rotate", client["client_id"]),
        ("client", "revoke", client["client_id"]),
    ):
        assert run(*words, **both).exit_code == 1
        assert run(*words, "--tenant", "nord", **both).exit_code == 0


@SQLITE
def test_what_is_about_one_company_has_its_settings(run: Run, tmp_path: Path):
    """Mapping and pauses of the company that is named."""
    user = {
        "userName": "kari@contractor.example",
        "externalId": "A-77",
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "phoneNumbers": [{"type": "mobile", "value": "+47 98765432"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "1042"},
    }
    file = tmp_path / "kari.json"
    file.write_text(json.dumps(user))
    environ = {
        **DITIO,
        **NORD,
        "SCIM_BRIDGE_TENANTS__NORD__MAPPING__FIELDS": '{"employeeNumber":{"from":["externalId"]}}',
        "SCIM_BRIDGE_TENANTS__NORD__DELIVERY__PAUSED": "true",
    }
    numbers = [
        json.loads(run("preview", str(file), *words, "--format", "json", **environ).stdout)["employee"][
            "employeeNumber"
        ]
        for words in ((), ("--tenant", "nord"))
    ]
    assert numbers == ["1042", "A-77"]
    paused = [
        json.loads(run("outbox", "status", *words, "--format", "json", **environ).stdout)["paused"]
        for words in ((), ("--tenant", "nord"))
    ]
    assert paused == [False, True]
    assert run("outbox", "resume", **environ).exit_code == 0
    resumed = run("outbox", "resume", "--tenant", "nord", **environ)
    assert resumed.exit_code == 1
    assert "SCIM_BRIDGE_TENANTS__NORD__DELIVERY__PAUSED" in resumed.stderr


@SQLITE
def test_anothers_missing_settings_are_nothing_to_a_command_about_one(run: Run):
    """But no server starts with them."""
    environ = {**DITIO, "SCIM_BRIDGE_TENANTS__NORD__MAPPING__PAYROLL": "0"}
    assert run("outbox", "list", **environ).exit_code == 0
    started = run("worker", "--until-idle", **environ)
    assert started.exit_code == 1
    assert "tenants.nord.ditio.client_id (SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_ID) is not set" in started.stderr


def test_the_worker_serves_all(database: Database, clock: Clock, run: Run):
    """Design, section 5: a person who is due, of whatever company."""
    companies = Companies(database, clock, "nord", common={"delivery": {"inline_seconds": 0}}, settings={"nord": {}})
    for name in companies.names:
        companies.provisions(name, a_user())
    with running(companies.ditio["default"].app) as one, running(companies.ditio["nord"].app) as other:
        environ = {
            "SCIM_BRIDGE_DITIO__CLIENT_ID": "client-default",
            "SCIM_BRIDGE_DITIO__CLIENT_SECRET": "secret-default",
            **NORD,
        }
        for prefix, url in (("", one), ("TENANTS__NORD__", other)):
            environ[f"SCIM_BRIDGE_{prefix}DITIO__API_URL"] = f"{url}/core"
            environ[f"SCIM_BRIDGE_{prefix}DITIO__IDENTITY_URL"] = url
        assert "2 deliveries made" in run("worker", "--until-idle", **environ).stdout
    assert [list(ditio.company.employees) for ditio in companies.ditio.values()] == [["1042"]] * 2


@SQLITE
def test_doctor_looks_at_all_companies_or_at_one(run: Run, database: Database, clock: Clock):
    """What is found begins with the company that it is about."""
    with database.write() as s:
        for name in ("nord", "gone"):
            s.of(name).tokens.add("t", "Entra", f"secret of {name}", expires_at=None)
    with running(SandboxDitio(now=clock, client_id="client-nord", client_secret="secret-nord").app) as url:
        environ = {
            **NORD,
            "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core",
            "SCIM_BRIDGE_DITIO__IDENTITY_URL": url,
            "SCIM_BRIDGE_TENANTS__SOR__DITIO__CLIENT_ID": "client-nord",
            "SCIM_BRIDGE_TENANTS__SOR__DITIO__CLIENT_SECRET": "wrong",
            "SCIM_BRIDGE_TENANTS__SOR__AUTH__ENTRA_TENANT_ID": "3fa8",
            "SCIM_BRIDGE_TENANTS__SOR__AUTH__ENTRA_JWKS_URL": f"{url}/none",
            "SCIM_BRIDGE_TENANTS__NORD__AUTH__ENTRA_TENANT_ID": "3fa8",
            "SCIM_BRIDGE_TENANTS__NORD__AUTH__ENTRA_JWKS_URL": f"{url}/none",
        }
        told = [(each["check"], each["status"], each["detail"]) for each in findings(run, **environ)]
        only = findings(run, "--tenant", "nord", **environ)

    assert ("tokens", "ok", "nord: 1 is valid") in told
    # Entra itself vouches for whoever signs in there: nobody needs a secret.
    assert not any(check == "tokens" and words.startswith("sor: ") for check, _, words in told)
    assert ("Ditio read", "ok", f"nord: {url}/core answers") in told
    assert any(check == "Ditio token" and status == "fails" and "sor: " in words for check, status, words in told)
    assert any(check == "companies" and words.startswith("gone has tokens") for check, _, words in told)
    assert any("nord and sor call Ditio as the same API client" in words for *_, words in told)
    assert any("is the same for nord and sor" in words and status == "fails" for _, status, words in told)
    assert any(check == "sign-in keys" and words.startswith("sor: ") for check, _, words in told)
    assert not any(each["detail"].startswith("sor: ") for each in only)


def findings(run: Run, *words: str, **environ: str) -> list[dict[str, Any]]:
    result = run("doctor", "--format", "json", *words, **environ)
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


@SQLITE
def test_check_shows_what_each_company_has_for_itself(run: Run):
    """And what it lacks, by the name of the setting."""
    result = run(
        "settings",
        "check",
        "--format",
        "json",
        **{**DITIO, **NORD, "SCIM_BRIDGE_TENANTS__SOR__SCIM__PATCH_STATUS": "204"},
    )
    rows = {row["setting"]: (row["value"], row["from"]) for row in json.loads(result.stdout)}

    assert rows["ditio.client_id"] == ("sandbox", "SCIM_BRIDGE_DITIO__CLIENT_ID")
    assert rows["tenants.nord.ditio.client_id"] == ("client-nord", "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_ID")
    assert rows["tenants.nord.ditio.client_secret"][0] == "********"
    assert rows["tenants.sor.ditio.client_id"] == (None, "default")
    assert rows["tenants.sor.scim.patch_status"] == (204, "SCIM_BRIDGE_TENANTS__SOR__SCIM__PATCH_STATUS")
    assert "tenants.nord.scim.patch_status" not in rows
    assert result.exit_code == 1
    assert "tenants.sor.ditio.client_id (SCIM_BRIDGE_TENANTS__SOR__DITIO__CLIENT_ID) is not set" in result.stderr
    assert "tenants.nord" not in result.stderr


@SQLITE
def test_what_can_not_be_used_is_told_with_the_company(run: Run):
    """By `settings check`, and by a process that would start."""
    environ = {**DITIO, **NORD, "SCIM_BRIDGE_TENANTS__NORD__MAPPING__FIELDS": '{"mail":{"from":["userName"]}}'}
    for words in (("settings", "check"), ("worker", "--until-idle")):
        result = run(*words, **environ)
        assert result.exit_code == 1
        assert result.stderr.startswith("nord: ")
        assert "MAPPING__FIELDS" in result.stderr
    assert run("settings", "check", **{**DITIO, **NORD}).exit_code == 0


def test_serve_says_the_tenant_url_of_each():
    """What is pasted into each company's Entra."""
    two = load(environ={**DITIO, **NORD})
    assert tenant_urls(load(environ={}), "https://x") == "Entra's Tenant URL is https://x/scim/v2"
    assert tenant_urls(two, "https://x").splitlines()[1:] == ["  https://x/scim/v2", "  https://x/tenants/nord/scim/v2"]


def test_the_scheduled_run_of_a_company_is_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """RECONCILE__EVERY and RECONCILE__APPLY of each."""
    file = tmp_path / "settings.toml"
    file.write_text("[tenants.nord.reconcile]\napply = true\n[tenants.default]\n")
    options = Options(file)
    assert reconcile_command(options, "default")[3:] == ["--config", str(file), "reconcile", *REST]
    assert reconcile_command(options, "nord")[5:] == ["reconcile", "--apply", "--tenant", "nord", *REST]


def test_not_all_runs_are_at_the_same_time(database: Database, clock: Clock):
    """However many companies: a person who has to wait begins when another has ended."""
    runs = {name: Runs() for name in "abc"}
    schedulers = [Scheduler(database, name, 600, started.start, lambda: "us") for name, started in runs.items()]
    for _ in range(3):
        look_at(schedulers, most=2)
        clock.passes(seconds=5)
    assert [len(each.exits) for each in runs.values()] == [1, 1, 0]

    runs["a"].exits[0] = 0
    look_at(schedulers, most=2)
    assert [len(each.exits) for each in runs.values()] == [1, 1, 1]
