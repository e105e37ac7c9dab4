"""`scim-bridge adopt`: its JSON, its exit codes, and the file of decisions (design, sections 5 and 9)."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result

from scim_bridge.cli.context import Options
from scim_bridge.cli.worker import asked_command
from scim_bridge.domain.drift import By, Proposal
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.sandbox.server import running
from scim_bridge.storage.asked import FIND, LINK, AskedRun
from scim_bridge.storage.database import Database
from scim_bridge.storage.pairs import kept_pairs
from tests.cli.conftest import DITIO, Run
from tests.world import World, a_user

KARI, OLA = "Kari.Nordmann@contractor.example", "ola@contractor.example"


@pytest.fixture
def ditio(world: World) -> Iterator[dict[str, str]]:
    """Kari is in Ditio already; of Ola's employee there nothing agrees but the number, which has a zero in front."""
    with world.database.write("default") as s:
        s.pauses.pause()
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432", birth_date=date(1990, 5, 15))
    world.ditio.plant("007", "=Ola", "Åsen", "+4740000007", email="old@contractor.example")
    world.provisions(a_user(user_principal_name=KARI))
    world.provisions(
        a_user(
            object_id="ola",
            user_principal_name=OLA,
            mail=OLA,
            given_name="Ola",
            surname="Ås",
            mobile="+47 41 00 00 07",
            employee_id="007",
        )
    )
    with running(world.ditio.app) as url:
        yield {**DITIO, "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core", "SCIM_BRIDGE_DITIO__IDENTITY_URL": url}
    assert world.ditio.writes() == []


def linked(database: Database) -> dict[str, str]:
    with database.read("default") as s:
        stored = s.people
        return {
            number: "kari" if number == "1042" else "ola"
            for number in ("1042", "007")
            if stored.linked_to(EmployeeNumber(number)) is not None
        }


def decided(file: Path, word: str, *, delimiter: str = ",", encoding: str = "utf-8-sig") -> None:
    """A person fills in the column `decision`, and the spreadsheet saves in its own way."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text))
    with file.open("w", encoding=encoding, newline="") as text:
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({**row, "decision": word} for row in rows)


def test_without_apply_it_is_a_report(run: Run, ditio: dict[str, str], database: Database):
    """Design, section 5: exactly these keys; exit 2 with disputes; nothing is linked."""
    result = run("adopt", "--format", "json", **ditio)

    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "pairs": [{"employee_number": "1042", "user_name": KARI, "by": "number"}],
        "disputed": [{"user_name": OLA, "employee_numbers": ["007"]}],
        "linked": 0,
    }
    assert linked(database) == {}


def test_apply_links_the_exact_pairs_and_a_second_run_finds_nothing_more(
    run: Run, ditio: dict[str, str], database: Database
):
    """Design, section 9: exact pairs are linked, every other one is disputed."""
    first = json.loads(run("adopt", "--apply", "--format", "json", **ditio).stdout)
    second = json.loads(run("adopt", "--apply", "--format", "json", **ditio).stdout)

    assert (len(first["pairs"]), first["linked"]) == (1, 1)
    assert (second["pairs"], second["linked"], len(second["disputed"])) == ([], 0, 1)
    assert linked(database) == {"1042": "kari"}


def test_people_read_who_is_whom_and_what_to_do_next(run: Run, ditio: dict[str, str]):
    """A table for people."""
    result = run("adopt", **ditio)

    assert f"= employee 1042  {KARI}  (by number)" in result.stdout
    assert f"? {OLA}\n      employee 007: phone, e-mail, and birth date with last name differ" in result.stdout
    assert "1 pair, 1 disputed; 0 linked." in result.stdout
    assert "scim-bridge adopt --apply\n" in result.stdout
    assert "scim-bridge adopt --output FILE.csv" in result.stdout


def test_who_will_be_created_is_named(run: Run, ditio: dict[str, str], world: World, database: Database):
    """D4, H5: before `outbox resume` does it, and those alone: no pair, no leaver, no one whose data is incomplete."""
    siv, per, liv, jon = (
        a_user(
            object_id=name,
            user_principal_name=f"{name}@x.no",
            mail=f"{name}@x.no",
            given_name=name,
            surname="Dahl",
            mobile=f"+47 90 00 00 0{number}",
            employee_id=f"200{number}",
        )
        for number, name in enumerate(("siv", "per", "liv", "jon"))
    )
    per.mobile = None
    jon.hire_date, jon.leave_date = "2020-01-01", "2026-01-31"
    for user in (siv, per, liv, jon):
        world.provisions(user)
    world.changes(liv, account_enabled=False)

    told = run("adopt", "--apply", **ditio).stdout
    named = [line for line in told.splitlines() if line.startswith("  + ")]
    assert named == ["  + employee 2000  siv@x.no  (siv Dahl)"]
    assert "1 pair, 1 disputed, 1 to be created; 1 linked." in told
    assert list(json.loads(run("adopt", "--format", "json", **ditio).stdout)) == ["pairs", "disputed", "linked"]

    with world.database.write("default") as s:
        s.pauses.resume()
    world.worker.run_until_idle()
    assert [body["employeeNumber"] for method, _, body in world.sent() if method == "POST"] == ["2000"]
    world.forget()


def test_a_link_that_would_renumber_is_told(run: Run, ditio: dict[str, str], world: World, tmp_path: Path):
    """H5: in the report, in the file of decisions, and again once an operator has decided for it."""
    world.ditio.plant("0300", "Siv", "Dahl", "+4790000300", email="siv@x.no")
    world.provisions(
        a_user(object_id="siv", user_principal_name="siv@x.no", mail="siv@x.no", mobile="90000300", employee_id="300")
    )
    warning = "a link would change the number in Ditio from 0300 to 300"
    assert warning in " ".join(run("adopt", **ditio).stdout.split())

    file = tmp_path / "disputed.csv"
    run("adopt", "--output", str(file), **ditio)
    with file.open(encoding="utf-8", newline="") as text:
        why = {row["employee_number"]: row["why"] for row in csv.DictReader(text)}
    assert warning in why["0300"]
    assert "change the number" not in why["007"]
    file.write_text("employee_number,user_name,decision\n0300,siv@x.no,link\n")
    assert warning in " ".join(run("adopt", "--decisions", str(file), **ditio).stdout.split())


@pytest.mark.parametrize(
    ("delimiter", "encoding"),
    [(",", "utf-8"), (";", "utf-8-sig"), (";", "cp1252"), ("\t", "utf-16")],
    ids=["comma", "semicolon", "Norwegian Excel's CSV", "Excel's Unicode text"],
)
def test_the_file_is_written_decided_and_read_back(
    run: Run, ditio: dict[str, str], database: Database, tmp_path: Path, delimiter: str, encoding: str
):
    """Design, section 9: both sides are in it; a spreadsheet's ways are understood; exit 0 once nothing is disputed."""
    file = tmp_path / "disputed.csv"
    assert run("adopt", "--output", str(file), **ditio).exit_code == 2
    assert file.read_bytes().startswith(b"employee_number,user_name,decision,why,")
    with file.open(encoding="utf-8-sig", newline="") as text:
        (row,) = csv.DictReader(text)
    assert (row["employee_number"], row["user_name"], row["decision"]) == ("007", OLA, "")
    assert (row["lastName in Entra"], row["lastName in Ditio"]) == ("Ås", "Åsen")
    assert (row["phone in Entra"], row["phone in Ditio"]) == ("+4741000007", "+4740000007")
    assert row["firstName in Ditio"] == "'=Ola", "no formula"
    decided(file, "Link", delimiter=delimiter, encoding=encoding)

    result = run("adopt", "--apply", "--decisions", str(file), "--format", "json", **ditio)

    assert result.exit_code == 0
    assert json.loads(result.stdout)["linked"] == 2
    assert linked(database) == {"1042": "kari", "007": "ola"}


def test_a_file_that_a_person_has_decided_is_not_written_over(run: Run, ditio: dict[str, str], tmp_path: Path):
    """What was decided by hand is not to be decided again."""
    file = tmp_path / "disputed.csv"
    file.write_text("decided")

    result = run("adopt", "--output", str(file), **ditio)

    assert (result.exit_code, result.stdout, file.read_text()) == (1, "", "decided")
    assert "name another file" in result.stderr


def test_the_sheet_is_for_its_owner_alone(run: Run, ditio: dict[str, str], tmp_path: Path):
    """Design, section 5: 0600; a link that was planted, and leads nowhere, is not followed."""
    file = tmp_path / "disputed.csv"
    file.symlink_to(tmp_path / "elsewhere")

    run("adopt", "--output", str(file), **ditio)

    assert not (tmp_path / "elsewhere").exists()
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_skipped_is_disputed_no_more(run: Run, ditio: dict[str, str], database: Database, tmp_path: Path):
    """`skip`: exit 0, and that pair is not linked."""
    file = tmp_path / "disputed.csv"
    run("adopt", "--output", str(file), **ditio)
    decided(file, "skip")

    assert run("adopt", "--apply", "--decisions", str(file), **ditio).exit_code == 0
    assert linked(database) == {"1042": "kari"}


HEADER = "employee_number,user_name,decision\n"
WRONG = {
    "line 3: Ditio shows no employee 7, but 007": f"{HEADER}1042,{KARI},link\n7,{OLA},link\n",
    'line 2: the decision is "ja": write link or skip': f"{HEADER}007,{OLA},ja\n",
    "line 4: the user_name is empty": f"sep=,\n{HEADER}\n007,,link\n",
    "line 2: the employee_number is empty": f"{HEADER},{OLA},skip\n",
    "there is no column decision": f"employee_number,user_name\n007,{OLA}\n",
    "line 1: there is no column": "",
    "UTF-8, but not in line 3": f"{HEADER}007,{OLA},link,Ã¥\n1042,Kåri,link\n",
    "line 2: unexpected end of data": f'{HEADER}007,"{OLA},link\n',
}


def test_what_does_not_fit_is_exit_1_and_nothing_is_linked(
    run: Run, ditio: dict[str, str], database: Database, tmp_path: Path
):
    """With the line's number, what is wrong, and the cure; the pairs that are exact are not linked either."""
    file = tmp_path / "decisions.csv"
    for told, text in WRONG.items():
        file.write_bytes(text.encode("latin-1"))

        result = run("adopt", "--apply", "--decisions", str(file), "--format", "json", **ditio)

        assert (result.exit_code, result.stdout) == (1, "")
        assert told in result.stderr
        assert "nothing was linked" in result.stderr
        assert linked(database) == {}


def test_accept_with_apply_records_and_links_at_once(run: Run, ditio: dict[str, str], database: Database):
    """H1: the permission counts for the pairs of the same call, and is used up by the link."""
    result = run("adopt", "--accept", "007", OLA, "--apply", "--format", "json", **ditio)

    assert result.exit_code == 0
    assert json.loads(result.stdout)["linked"] == 2
    assert linked(database) == {"1042": "kari", "007": "ola"}


def test_ditio_out_of_reach_is_exit_1(run: Run, ditio: dict[str, str], world: World, database: Database):
    """Nothing is concluded, and nothing linked."""
    world.ditio.client_disabled = True

    result = run("adopt", "--apply", "--format", "json", **ditio)

    assert (result.exit_code, result.stdout) == (1, "")
    assert linked(database) == {}
    world.ditio.client_disabled = False


def test_what_was_asked_for_in_the_console_is_done_by_the_commands_of_a_worker(
    run: Run, database: Database, ditio: dict[str, str]
):
    """Issue 19: the pairs are kept for the page; then linked for the administrator who asked, as decided there."""

    def does(name: str) -> int:
        command = asked_command(Options(), "default", AskedRun(name, "Kari", None, is_running=True))
        return run(*command[3:], **ditio).exit_code

    assert does(LINK) == 1
    assert does(FIND) == 2
    with database.write("default") as s:
        kept = kept_pairs(s)
        assert kept is not None
        (disputed,) = s.pairs(kept.run_id).disputed()
        s.pairs(kept.run_id).skip(disputed)
        assert s.asked.ask(LINK, "Kari")
    assert linked(database) == {}

    assert does(LINK) == 0
    assert linked(database) == {"1042": "kari"}
    with database.read("default") as s:
        rows = [row for row in s.audit.page(since=None, until=None) if row.deed.action == "linked"]
        assert [(row.author.actor.kind, row.author.actor.id) for row in rows] == [("console", "Kari")]
        kept = kept_pairs(s)
        assert kept is not None
        assert s.pairs(kept.run_id).counts() == (0, 0)


TO_LINK = Proposal(EmployeeNumber("007"), By.decision, contends=True)


def test_decisions_of_the_console_that_do_not_fit_any_more_put_no_name_into_the_log(
    run: Run, database: Database, ditio: dict[str, str]
):
    """Design, section 10: the command names them to an operator; the log of a worker has no personal data."""

    def does(name: str) -> Result:
        command = asked_command(Options(), "default", AskedRun(name, "Kari", None, is_running=True))
        return run(*command[3:], **ditio, SCIM_BRIDGE_LOG__FORMAT="json")

    does(FIND)
    with database.write("default") as s:
        kept = kept_pairs(s)
        assert kept is not None
        (disputed,) = s.pairs(kept.run_id).disputed()
        s.pairs(kept.run_id).decide(replace(disputed, proposal=TO_LINK), why_not_others="taken")
        assert s.asked.ask(LINK, "Kari")
        s.link(disputed.person_id, EmployeeNumber("2042"))

    result = does(LINK)

    (told,) = [line for line in map(json.loads, result.stderr.splitlines()) if line["level"] == "error"]
    assert (result.exit_code, told["event"]) == (1, "command.failed")
    assert OLA not in result.stderr
