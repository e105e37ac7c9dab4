"""`scim-bridge reconcile`: formats, exit codes and the list of runs (design, section 5)."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy

from scim_bridge.cli.context import Options
from scim_bridge.cli.output import csv_cell
from scim_bridge.cli.worker import asked_command, reconcile_command
from scim_bridge.ditio import roster
from scim_bridge.domain.employee import Days, EmployeeNumber, Field
from scim_bridge.domain.person import Person, PersonId
from scim_bridge.operator.audit import audited
from scim_bridge.sandbox.server import running
from scim_bridge.storage.asked import COMPARE, REPAIR, AskedRun
from tests.cli.conftest import DITIO, Run
from tests.world import World, a_user

NOWHERE = {
    "SCIM_BRIDGE_DITIO__API_URL": "http://127.0.0.1:1",
    "SCIM_BRIDGE_DITIO__IDENTITY_URL": "http://127.0.0.1:1",
}
NORD = {
    "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_ID": "sandbox",
    "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_SECRET": "sandbox-secret",
}
ITEM = ["kind", "employee_number", "user_name", "field", "wanted", "found", "acknowledged", "cause"]


@pytest.fixture
def ditio(world: World) -> Iterator[dict[str, str]]:
    """Kari is delivered; Ditio answers on a socket."""
    world.provisions(a_user(user_principal_name="Kari.Nordmann@contractor.example"))
    world.clock.passes(hours=1)
    world.forget()
    with running(world.ditio.app) as url:
        yield {
            **DITIO,
            "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core",
            "SCIM_BRIDGE_DITIO__IDENTITY_URL": url,
        }


def test_in_sync_is_exit_0_with_exactly_these_keys(run: Run, world: World, ditio: dict[str, str]):
    """Design, section 5: the JSON of `reconcile`."""
    result = run("reconcile", "--format", "json", **ditio)

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert list(document) == ["plan", "tenant", "people", "in_sync", "by_kind", "items", "applied", "skipped"]
    plan = document.pop("plan")
    assert plan
    assert document == {
        "tenant": "default",
        "people": 1,
        "in_sync": 1,
        "by_kind": {},
        "items": [],
        "applied": 0,
        "skipped": [],
    }
    assert world.ditio.writes() == []


def test_drift_is_exit_2_and_each_row_has_exactly_these_keys(run: Run, world: World, ditio: dict[str, str]):
    """Design, section 5: `items`; what is not there is null."""
    world.employee("1042").work_title = "Sjef"
    world.ditio.plant("77", phone="+4790000077")

    result = run("reconcile", "--format", "json", **ditio)

    document = json.loads(result.stdout)
    assert result.exit_code == 2
    assert document["by_kind"] == {"field": 1, "unmanaged": 1}
    assert [list(item) for item in document["items"]] == [ITEM, ITEM]
    assert document["items"][0] == {
        "kind": "field",
        "employee_number": "1042",
        "user_name": "Kari.Nordmann@contractor.example",
        "field": "workTitle",
        "wanted": "Maskinfører",
        "found": "Sjef",
        "acknowledged": "Maskinfører",
        "cause": "edited-in-ditio",
    }
    assert document["items"][1]["user_name"] is None
    assert world.ditio.writes() == []


def test_apply_repairs_and_is_exit_0(run: Run, world: World, ditio: dict[str, str]):
    """Exit 0: in sync, or repaired; `applied` counts the rows."""
    world.employee("1042").work_title = "Sjef"

    result = run("reconcile", "--apply", "--format", "json", **ditio)

    assert result.exit_code == 0
    assert json.loads(result.stdout)["applied"] == 1
    assert world.employee("1042").work_title == "Maskinfører"


def test_skipped_rows_are_named_with_a_reason(run: Run, world: World, ditio: dict[str, str]):
    """Q3; exit 2: `skipped` has the item and the reason."""
    world.employee("1042").work_title = "Sjef"
    plan = json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"]
    world.employee("1042").work_title = "Bas"

    result = run("reconcile", "--apply", "--plan", plan, "--format", "json", **ditio)

    (skipped,) = json.loads(result.stdout)["skipped"]
    assert result.exit_code == 2
    assert list(skipped) == [*ITEM, "reason"]
    assert skipped["reason"] == "Ditio moved: it shows something else now"


def test_csv_has_a_line_for_each_item(run: Run, world: World, ditio: dict[str, str]):
    """CSV: the same columns; a spreadsheet takes no value for a formula."""
    world.employee("1042").work_title = '=HYPERLINK("https://x.example")'
    world.employee("1042").disabled = True

    result = run("reconcile", "--format", "csv", **ditio)

    header, *rows = csv.reader(io.StringIO(result.stdout))
    assert header == ITEM
    assert [row[3] for row in rows] == ["disabled", "workTitle"]
    assert rows[1][5] == '\'=HYPERLINK("https://x.example")'
    assert rows[0][4:7] == ["false", "true", "false"]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(1)",
        " =1+1",
        "\n=1+1",
        "\r\n=1+1",
        "\t=1+1",
        "\t1",
        "\u00a0=1+1",
        "\u200b=1+1",
        "\ufeff=1+1",
        "\u202e=1+1",
        "＝1+1",
        "＋1+1",
        "－1+1",
        "＠SUM(1)",
        "\u3000＝1+1",
        "﹦1+1",
        "−1+1",
        "+١",
    ],
)
def test_no_disguise_makes_a_formula_of_a_value(text: str):
    """Spaces, line feeds, invisible characters and full-width signs hide nothing from the mark."""
    assert csv_cell(text) == f"'{text}"


def test_a_formula_behind_a_separator_is_marked_too():
    """A Norwegian Excel divides a line at semicolons, in the middle of a quoted cell as well."""
    assert csv_cell("Sjef;=1+1") == "Sjef;'=1+1"
    assert csv_cell("Sjef\n =1+1;@x") == "Sjef\n '=1+1;'@x"


@pytest.mark.parametrize("text", ["", "Kari", "+4798765432", "-5", "12", "a=b", "O'Hara", "Å", "x@y.example"])
def test_what_is_no_formula_stays_as_it_is(text: str):
    """A phone number stays a phone number."""
    assert csv_cell(text) == text


def test_a_report_is_for_its_owner_alone(run: Run, world: World, ditio: dict[str, str], tmp_path: Path):
    """Design, section 5: 0600, also where a file with wider rights is there already."""
    file = tmp_path / "report.csv"
    file.touch()
    file.chmod(0o644)

    run("reconcile", "--format", "csv", "--output", str(file), **ditio)

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("kind,")


def test_people_read_it_grouped_by_person(run: Run, world: World, ditio: dict[str, str]):
    """Grouped by person, + ~ -, in 80 columns, without colours where there is no terminal."""
    world.employee("1042").work_title = "Sjef"
    world.employee("1042").disabled = True

    result = run("reconcile", **ditio)

    assert result.exit_code == 2
    assert "Kari.Nordmann@contractor.example, employee 1042\n" in result.stdout
    assert "  + the login is closed and should be open  (edited in Ditio)\n" in result.stdout
    assert '  ~ workTitle is "Sjef", wanted "Maskinfører"  (edited in Ditio)\n' in result.stdout
    assert "0 of 1 person in sync" in result.stdout
    assert "--apply --plan" in result.stdout
    assert "\x1b" not in result.output
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_the_html_report_is_whole_and_escaped(run: Run, world: World, ditio: dict[str, str], tmp_path: Path):
    """A file of its own: nothing is loaded from anywhere, and nothing in it runs."""
    world.employee("1042").work_title = "<script>alert(1)</script>"
    file = tmp_path / "report.html"

    result = run("reconcile", "--format", "html", "--output", str(file), **ditio)

    text = file.read_text(encoding="utf-8")
    assert (result.exit_code, result.stdout) == (2, "")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>\n")
    assert "<script" not in text
    assert "http" not in text
    assert "url(" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_html_report_is_by_person_and_says_what_becomes_of_each_row(run: Run, world: World, ditio: dict[str, str]):
    """For a screen, a phone and paper; what was repaired is said to be, and so is what no one repairs."""
    world.employee("1042").work_title = "Sjef"
    world.ditio.plant("77", phone="+4790000077")

    plan, applied = (run("reconcile", *words, "--format", "html", **ditio).stdout for words in ([], ["--apply"]))

    person = '<th scope="rowgroup" colspan="4">Kari.Nordmann@contractor.example, employee 1042</th>'
    for text in (plan, applied):
        assert 'name="viewport"' in text
        assert "@media print" in text
        assert text.count("<tbody>") == text.count("</tbody>") == 2
        assert text.index(person) < text.index("~ field") < text.index("employee 77") < text.index("· unmanaged")
        assert "<td>only listed: no SCIM user claims this employee: left alone</td>" in text
    assert "<td>repaired by --apply</td>" in plan
    assert "<p>1 repaired, 0 skipped.</p>" in applied
    assert "<td>repaired</td>" in applied


def test_an_empty_answer_is_exit_3_with_figure_and_way_on(run: Run, world: World, ditio: dict[str, str]):
    """Q4: the plan is stored, its ID printed, and the way on said."""
    world.ditio.company.employees.clear()

    result = run("reconcile", "--format", "json", **ditio)

    plan = json.loads(result.stdout)["plan"]
    assert result.exit_code == 3
    assert "shows no employee at all, and 1 people are linked" in result.stderr
    assert f"scim-bridge reconcile --apply --plan {plan} --force" in result.stderr


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_worker_starts_writes_into_its_log_in_the_format_of_the_log(
    run: Run, world: World, ditio: dict[str, str], fails: bool
):
    """Design, section 5 (`LOG__FORMAT`): a collector reads the log of the worker line by line."""
    world.ditio.company.employees.clear()

    result = run(
        *reconcile_command(Options(), "default")[3:],
        **{**ditio, **(NOWHERE if fails else {})},
        SCIM_BRIDGE_LOG__FORMAT="json",
    )

    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.exit_code == (1 if fails else 3)
    told = next(line for line in lines if line["level"] == "error")
    assert told["event"] == ("command.failed" if fails else "reconcile.stopped")
    assert ("no connection could be made" if fails else "shows no employee at all") in told["why"]


def test_what_is_proposed_is_about_the_same_company(run: Run, world: World, ditio: dict[str, str]):
    """Design, section 5: such commands are copied as they are; without `--tenant` they are about another company."""
    nord = {**ditio, **NORD}
    adopted = run("adopt", "--tenant", "nord", "--apply", **nord)
    leaver = Person(
        PersonId("p"), None, Days(active=False, inactive_since=date(2026, 3, 1)), provisioned_on=date(2026, 3, 1)
    )
    with world.database.write("nord") as s:
        people = s.people
        people.add(leaver, external_id=None, wakes_on=None)
        phone = world.employee("1042").phone
        s.link(leaver.id, EmployeeNumber("1042"), linked_as={Field.phone: phone})
    world.clock.passes(hours=1)
    shown = run("reconcile", "--tenant", "nord", **nord)
    world.ditio.company.employees.clear()
    stopped = run("reconcile", "--tenant", "nord", **nord)

    assert adopted.stdout.rstrip().endswith("scim-bridge reconcile --tenant nord")
    assert (shown.exit_code, stopped.exit_code) == (2, 3)
    assert shown.stdout.rstrip().endswith(" --tenant nord")
    assert stopped.stderr.rstrip().endswith(" --force --tenant nord")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person who reads everyone does not try again: how long that goes on is tests/ditio's subject, with a clock."""
    monkeypatch.setattr(roster, "PATIENCE_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
def test_ditio_out_of_reach_is_exit_1(run: Run, world: World, ditio: dict[str, str]):
    """Design, section 5: exit 1, and the message says what is wrong."""
    result = run("reconcile", **{**ditio, **NOWHERE})

    assert result.exit_code == 1
    assert "no connection could be made" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--plan", "x"], "`--apply`"),
        (["--force"], "`--plan ID`"),
        (["--apply", "--force"], "`--plan ID`"),
        (["--apply", "--plan", "x", "--only", "field"], "`--only` and `--person`"),
        (["--only", "nothing"], "Invalid value for '--only'"),
        (["--format", "xml"], "Invalid value for '--format'"),
        (["--no-such-option"], "No such option"),
        (["no-such-command"], "No such command"),
        (["runs", "--format", "xml"], "Invalid value for '--format'"),
        (["--tenant", "unknown"], "unknown tenant"),
        (["--tenant", "default", "runs"], "`reconcile runs --tenant …`"),
        (["--apply", "--force", "runs"], "`--apply`"),
        (["--format", "json", "show", "x"], "`reconcile show --format …`"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_wrong_usage_is_exit_1(run: Run, words: list[str], told: str):
    """Design, section 5: 2 means drift, so wrong usage is 1 here. Said of the words: no one was asked anything."""
    result = run("reconcile", *words, **DITIO)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert told in result.stderr


def test_an_unknown_plan_or_person_is_exit_1(run: Run, ditio: dict[str, str]):
    assert run("reconcile", "--apply", "--plan", "x", **ditio).exit_code == 1
    assert "9999" in run("reconcile", "--person", "9999", **ditio).stderr


def test_only_one_kind_or_one_person(run: Run, world: World, ditio: dict[str, str]):
    world.employee("1042").work_title = "Sjef"
    world.ditio.plant("77", phone="+4790000077")

    kinds = json.loads(run("reconcile", "--only", "unmanaged", "--format", "json", **ditio).stdout)
    person = run("reconcile", "--person", "kari.nordmann@contractor.example", "--format", "json", **ditio)

    assert [item["employee_number"] for item in kinds["items"]] == ["77"]
    assert [item["employee_number"] for item in json.loads(person.stdout)["items"]] == ["1042"]
    other = run("reconcile", "--only", "certificate", **ditio).stdout
    assert other.startswith("0 of 1 person in sync; nothing of this kind differs.")


def test_a_plan_that_is_repaired_again_leaves_out_what_an_earlier_run_repaired(
    run: Run, world: World, ditio: dict[str, str]
):
    """Q3: in every format the same; what was skipped is tried again and told, what was repaired is no news."""
    world.employee("1042").work_title = "Sjef"
    world.employee("1042").employment.department = "Kontor"
    plan = json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"]
    world.employee("1042").work_title = "Bas"
    again = ("reconcile", "--apply", "--plan", plan)
    first = json.loads(run(*again, "--format", "json", **ditio).stdout)
    assert (first["by_kind"], first["applied"], len(first["items"])) == ({"field": 2}, 1, 2)

    world.employee("1042").work_title = "Sjef"
    second = json.loads(run(*again, "--format", "json", **ditio).stdout)
    assert (second["by_kind"], second["applied"], second["skipped"]) == ({"field": 1}, 1, [])
    assert [item["field"] for item in second["items"]] == ["workTitle"]

    third = run(*again, "--format", "json", **ditio)
    document = json.loads(third.stdout)
    assert third.exit_code == 0
    assert (document["by_kind"], document["items"], document["applied"]) == ({}, [], 0)
    text = run(*again, **ditio).stdout
    assert text == "All that this plan shows was repaired by earlier runs: 2 rows.\n"
    assert "All that this plan shows was repaired by earlier runs" in run(*again, "--format", "html", **ditio).stdout
    assert run(*again, "--format", "csv", **ditio).stdout.splitlines() == [",".join(ITEM)]


def test_what_an_earlier_run_repaired_is_counted(run: Run, world: World, ditio: dict[str, str]):
    """The rest is told as ever."""
    world.employee("1042").work_title = "Sjef"
    world.employee("1042").employment.department = "Kontor"
    plan = json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"]
    world.employee("1042").work_title = "Bas"
    again = ("reconcile", "--apply", "--plan", plan)
    run(*again, **ditio)

    text, page = run(*again, **ditio).stdout, run(*again, "--format", "html", **ditio).stdout
    assert "workTitle" in text
    assert "department" not in text
    assert "1 row of this plan was repaired by an earlier run, and is left out." in text
    assert "1 row of this plan was repaired by an earlier run, and is left out." in page
    assert "0 repaired, 1 skipped." in text


@pytest.mark.usefixtures("impatient")
def test_runs_lists_every_run_and_what_was_new(run: Run, world: World, ditio: dict[str, str]):
    """Design, section 5: the JSON of `reconcile runs`; one that failed is listed too."""
    assert json.loads(run("reconcile", "runs", "--format", "json").stdout) == []
    assert "no run" in run("reconcile", "runs").stdout
    world.employee("1042").work_title = "Sjef"
    first = json.loads(run("reconcile", "--format", "json", **ditio).stdout)
    world.employee("1042").disabled = True
    run("reconcile", **ditio)
    run("reconcile", **{**ditio, **NOWHERE})

    listed = json.loads(run("reconcile", "runs", "--format", "json").stdout)

    assert [list(each) for each in listed] == [
        ["plan", "started_at", "finished_at", "exit", "people", "by_kind", "new"]
    ] * 3
    assert [(each["exit"], each["new"]) for each in listed] == [(2, 1), (2, 1), (1, 0)]
    assert listed[0]["plan"] == first["plan"]
    assert listed[0]["started_at"].endswith("Z")
    assert listed[1]["by_kind"] == {"should-be-active": 1, "field": 1}
    assert "  1 should-be-active, 1 field  " in run("reconcile", "runs").stdout, "people read words, not JSON"


@pytest.mark.parametrize("format", ["text", "json", "html", "csv"])
def test_a_stored_plan_is_shown_again(run: Run, world: World, ditio: dict[str, str], format: str):
    """Design, section 5: in every form as the run printed it, by the beginning of its id, and without Ditio."""
    world.employee("1042").work_title = "Sjef"
    plan = json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"]
    first = run("reconcile", "show", plan, "--format", format, **ditio)
    again = run("reconcile", "show", plan[:4], "--format", format)

    assert first.exit_code == again.exit_code == 0, again.stderr
    assert first.stdout == again.stdout
    assert "Sjef" in again.stdout
    if format == "json":
        assert json.loads(again.stdout)["plan"] == plan

    assert run("reconcile", "--apply", "--plan", plan[:4], **ditio).exit_code == 0
    shown = json.loads(run("reconcile", "show", plan, "--format", "json").stdout)
    assert (shown["applied"], len(shown["items"]), shown["skipped"]) == (1, 1, [])
    assert "repaired" in run("reconcile", "show", plan).stdout
    assert len(json.loads(run("reconcile", "runs", "--format", "json").stdout)) == 2, "to show is no run"


def test_a_stopped_plan_is_shown_with_the_way_on(run: Run, world: World, ditio: dict[str, str]):
    """Q4: why a guard stopped it, and the command that repairs it in spite of that."""
    world.employee("1042").work_title = "Sjef"
    stopped = run("reconcile", "--format", "json", **ditio, SCIM_BRIDGE_RECONCILE__MAX_CHANGES="0")
    plan = json.loads(stopped.stdout)["plan"]
    assert stopped.exit_code == 3

    shown = run("reconcile", "show", plan, "--format", "json")
    assert json.loads(shown.stdout) == json.loads(stopped.stdout)
    assert shown.stderr == stopped.stderr
    assert "To repair" not in run("reconcile", "show", plan).stdout


def test_a_shortened_id_must_be_unique(run: Run, world: World, ditio: dict[str, str]):
    """As of a commit: at least 4 characters; several that fit are listed, and nothing is done."""
    world.employee("1042").work_title = "Sjef"
    plans = [json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"] for _ in range(2)]
    renamed = [f"abcd%_{number}" for number in range(2)]
    with world.database.write() as s:
        for plan, name in zip(plans, renamed, strict=True):
            for table, column in (("reconcile_runs", "id"), ("reconcile_runs", "plan_id"), ("plan_items", "plan_id")):
                words = f"UPDATE {table} SET {column} = :name WHERE {column} = :plan"
                s.connection.execute(sqlalchemy.text(words), {"name": name, "plan": plan})

    for words in (["show", "abcd"], ["--apply", "--plan", "abcd"]):
        result = run("reconcile", *words, **ditio)
        assert result.exit_code == 1
        assert all(name in result.stderr for name in renamed)
    for unknown in ("abc", "abcx", "%%%%"):
        result = run("reconcile", "show", unknown)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "reconcile runs" in result.stderr
    assert run("reconcile", "show", renamed[0]).exit_code == 0
    assert world.employee("1042").work_title == "Sjef"


def test_runs_say_which_were_about_a_part(run: Run, world: World, ditio: dict[str, str]):
    """Their figures are no figures of the company. The JSON has the keys of the design, and no others."""
    world.employee("1042").work_title = "Sjef"
    run("reconcile", "--only", "unmanaged", **ditio)
    run("reconcile", "--person", "1042", **ditio)
    plan = json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"]
    run("reconcile", "--apply", "--plan", plan, **ditio)

    heading, *rows = run("reconcile", "runs").stdout.splitlines()
    assert "About" in heading
    assert [row.rstrip().endswith(about) for row, about in zip(rows, ABOUT, strict=True)] == [True] * 4


ABOUT = ["a part", "a part", "all people", "the plan"]


def test_a_run_that_repairs_a_stored_plan_is_listed_with_its_figures(run: Run, world: World, ditio: dict[str, str]):
    """Design, section 5: `reconcile` prints the people and kinds of that plan, and `runs` says the same of the run."""
    world.employee("1042").work_title = "Sjef"
    plan = json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"]
    printed = json.loads(run("reconcile", "--apply", "--plan", plan, "--format", "json", **ditio).stdout)

    checked, repaired = json.loads(run("reconcile", "runs", "--format", "json").stdout)

    assert (repaired["plan"], repaired["exit"], repaired["new"]) == (plan, 0, 0)
    assert [(each["people"], each["by_kind"]) for each in (checked, repaired)] == [(1, {"field": 1})] * 2
    assert (printed["people"], printed["by_kind"]) == (1, {"field": 1})


def test_what_was_asked_for_in_the_console_is_done_by_the_command_of_a_worker(
    run: Run, world: World, ditio: dict[str, str]
):
    """Issue 19: only the approved rows of a plan; who approved them is in the audit trail already. Or a comparison."""
    world.employee("1042").work_title = "Sjef"
    ditio["SCIM_BRIDGE_DITIO__READ_LAG_SECONDS"] = "0"

    def does(name: str) -> int:
        command = asked_command(Options(), "default", AskedRun(name, "Kari", None, is_running=True))
        return run(*command[3:], **ditio).exit_code

    assert does(COMPARE) == 2
    with world.database.write("default") as s:
        (plan,) = [each.id for each in s.runs.list()]
    assert does(f"{REPAIR}{plan}") == 2
    assert world.employee("1042").work_title == "Sjef"
    with world.database.write("default") as s:
        s.plan(plan).approve([row.position or 0 for row in s.plan(plan).all()])
    assert does(f"{REPAIR}{plan}") == 0
    assert world.employee("1042").work_title == "Maskinfører"
    assert [row for row in audited(world.database, "default") if row.deed.resource_type == "plan"] == []
    refused = run("reconcile", "--apply", "--approved", **ditio)
    assert (refused.exit_code, "add `--plan ID`" in refused.stderr) == (1, True)


def test_who_had_a_plan_repaired_is_in_the_audit_trail(run: Run, world: World, ditio: dict[str, str]):
    """Design, section 10: the plan, and who: an operator, or the schedule; a look is no deed."""
    world.employee("1042").work_title = "Sjef"
    ditio["SCIM_BRIDGE_DITIO__READ_LAG_SECONDS"] = "0"
    checked = json.loads(run("reconcile", "--format", "json", **ditio).stdout)["plan"]
    repaired = json.loads(run("reconcile", "--apply", "--format", "json", **ditio).stdout)["plan"]
    run("reconcile", "--apply", **ditio)
    world.employee("1042").work_title = "Bas"
    words = reconcile_command(Options(), "default")
    run(*words[words.index("reconcile") :], "--apply", **ditio)

    applied = [row for row in audited(world.database, "default") if row.deed.resource_type == "plan"]
    assert [row.deed.action for row in applied] == ["applied", "applied"]
    assert [row.author.actor.kind for row in applied] == ["operator", "bridge"]
    assert applied[0].deed.resource_id == repaired != checked
    assert applied[1].author.actor.id == "schedule"
