"""`scim-bridge certificates`: a competence system's file, and who may not work (rules K1, K5, T1)."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from scim_bridge.certificates.files import opened
from scim_bridge.domain.certificate import Part
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import certificate_entries as entries
from tests.cli.conftest import DITIO, Run
from tests.conftest import Clock
from tests.thorough import either
from tests.world import World, a_user

COLUMNS = [part.value for part in Part]
CRANE = ["1042", "Kranførerbevis", "K-17", "15.01.2026", "15.01.2031", 'G1, G4; og "G8"']
KARI = "Kari.Nordmann@contractor.example"
ROADWORK = ["1043", "Arbeidsvarsling kurs 1", "", "2026-01-15", "2026-03-20", ""]


def written(path: Path, rows: list[list[str]], encoding: str = "utf-8-sig", separator: str = ";") -> Path:
    """A file as Excel saves it."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


@pytest.fixture
def import_file(run: Run, tmp_path: Path) -> Any:
    """Write a file and import it; the summary, and the exit code."""

    def imported(rows: list[list[str]], *words: str, **environment: str) -> tuple[dict[str, Any], int]:
        path = written(tmp_path / "certificates.csv", [COLUMNS, *rows])
        result = run("certificates", "import", str(path), "--format", "json", *words, **DITIO, **environment)
        assert not result.exception or isinstance(result.exception, SystemExit), result.exception
        return json.loads(result.stdout), result.exit_code

    return imported


def stored(database: Database) -> list[tuple[str, str]]:
    with database.read() as s:
        rows = s.connection.execute(
            select(entries.c.employee_number, entries.c.type).order_by(entries.c.employee_number)
        )
        return [(row.employee_number, row.type) for row in rows]


def test_without_apply_it_says_what_would_happen_and_nothing_does(import_file: Any, database: Database):
    """Design, section 5: a dry run, with the figures of a real one."""
    trial, code = import_file([CRANE, ROADWORK])

    assert (trial["applied"], trial["lines"], trial["new"], code) == (False, 2, 2, 0)
    assert stored(database) == []

    applied, _ = import_file([CRANE, ROADWORK], "--apply")
    assert {**applied, "applied": False} == trial
    assert stored(database) == [("1042", "Kranførerbevis"), ("1043", "Arbeidsvarsling kurs 1")]


def test_the_same_file_again_changes_nothing_and_a_shorter_one_withdraws_nothing(import_file: Any, database: Database):
    """K1: a file says what is, and not what is no more."""
    import_file([CRANE, ROADWORK], "--apply")

    again, _ = import_file([CRANE, ROADWORK], "--apply")
    corrected, _ = import_file([[*CRANE[:2], "K-18", *CRANE[3:]]], "--apply")

    assert (again["new"], again["changed"], again["unchanged"], again["due"]) == (0, 0, 2, 0)
    assert (corrected["changed"], corrected["lines"]) == (1, 1)
    assert len(stored(database)) == 2


def test_a_rejected_line_is_named_and_all_others_are_taken(import_file: Any, database: Database):
    """Design, section 5: exit 1 when lines were rejected; the good ones are applied all the same."""
    summary, code = import_file(
        [
            CRANE,
            ["1043", "Byggekort", "", "01/02/2026", "2027-01-01", ""],
            ["", "Byggekort", "", "2026-02-01", "2027-01-01", ""],
            ["1044", "Byggekort", "", "2026-02-01", "", ""],
            ["", "", "", "", "", ""],
            CRANE,
            ["1045", "Byggekort", "", "2026-02-01", "2027-01-01", "", "one too many"],
            ["1046", "Byggekort", "", "2026-02-01", "2027-01-01", "two\nlines"],
        ],
        "--apply",
    )

    assert code == 1
    told = {each["line"]: each["text"] for each in summary["rejected_lines"]}
    assert [*told] == [3, 4, 5, 7, 8]
    assert told[3].startswith("issuedDateTime")
    assert "yyyy-MM-dd" in told[3]
    assert "employeeNumber is missing" in told[4]
    assert "validUntilDateTime is missing" in told[5]
    assert "duplicate of line 2" in told[7]
    assert "7 cells" in told[8]
    assert (summary["lines"], summary["new"], summary["rejected"]) == (7, 2, 5)
    assert [number for number, _ in stored(database)] == ["1042", "1046"]


def test_a_quote_that_is_not_closed_costs_its_own_lines_alone(run: Run, tmp_path: Path, database: Database):
    """A person who reads the report finds the quote."""
    path = tmp_path / "broken.csv"
    good = "1042;Byggekort;;2026-02-01;2027-01-01;\r\n"
    bad = '1043;"Bygge"kort;;2026-02-01;2027-01-01;\r\n1044;"Kran\r\n'
    path.write_text(f"{';'.join(COLUMNS)}\r\n{good}{bad}{good}", "utf-8")

    result = run("certificates", "import", str(path), "--apply", **DITIO)

    assert result.exit_code == 1
    assert "line 3 rejected" in result.stdout
    assert "lines 4 to 5 were read as one" in " ".join(result.stdout.split())
    assert stored(database) == [("1042", "Byggekort")]


def test_the_loser_is_told_in_its_line(import_file: Any, world: World):
    """K1: `/Certificates` has a newer one: a first word is rejected with its number, a correction is taken."""
    body = dict(zip(COLUMNS, ["1042", "Kranførerbevis", "newer", "2026-02-01", "2032-01-15"], strict=False))
    import_file([["1042", "Kranførerbevis", "older", "2026-01-01", "2031-01-15", ""]], "--apply")
    world.scim("POST", "/Certificates", body)
    world.scim("POST", "/Certificates", {**body, "certificateType": "Byggekort"})

    summary, code = import_file(
        [
            ["1042", "Kranførerbevis", "corrected", "2026-01-02", "2031-01-15", ""],
            ["1042", "Byggekort", "older", "2026-01-02", "2031-01-15", ""],
        ],
        "--apply",
    )

    assert (code, summary["changed"], summary["rejected"]) == (1, 1, 1)
    (outranked,), (rejected,) = summary["beaten_lines"], summary["rejected_lines"]
    assert (outranked["line"], rejected["line"]) == (2, 3)
    for told in (outranked, rejected):
        assert "/Certificates: number newer, issued 2026-02-01" in told["text"]


def test_who_is_at_work_is_due_and_delivered(import_file: Any, world: World, clock: Clock):
    """K2: after the commit, with the person; a number that no one has waits."""
    clock.now = datetime.now(UTC)
    world.provisions(a_user())

    summary, _ = import_file([CRANE, ROADWORK], "--apply")
    clock.passes(minutes=5)
    world.worker.run_until_idle()

    assert (summary["due"], summary["unclaimed"]) == (1, 1)
    assert list(world.ditio.certificates) == [("1042", "Kranførerbevis")]


def test_one_is_told_as_one(run: Run, tmp_path: Path, world: World, clock: Clock):
    """The report is read by people."""
    clock.now = datetime.now(UTC)
    world.provisions(a_user())
    path = written(tmp_path / "certificates.csv", [COLUMNS, CRANE, ROADWORK])

    told = run("certificates", "import", str(path), "--apply", **DITIO).stdout

    assert "1 is for an employee number without a SCIM user" in told
    assert "1 person is due" in told


@pytest.mark.parametrize(
    ("headings", "words"),
    [
        (COLUMNS[1:], "no column employeeNumber"),
        (["a", "b"], "no column employeeNumber, certificateType"),
        ([*COLUMNS, "NOTES"], "the column notes twice"),
    ],
)
def test_a_file_without_the_columns_is_refused_as_a_whole(run: Run, tmp_path: Path, headings: list[str], words: str):
    path = written(tmp_path / "certificates.csv", [headings, CRANE])

    result = run("certificates", "import", str(path), **DITIO)

    assert (result.exit_code, words in result.stderr) == (1, True), result.output


def test_a_file_half_in_another_encoding_is_refused_and_names_the_line(run: Run, tmp_path: Path):
    """Names would be garbled: "KranfÃ¸rerbevis"."""
    path = tmp_path / "half.csv"
    head = ";".join(COLUMNS)
    path.write_bytes(f"{head}\n1;Kranførerbevis;;2026-01-01;2027-01-01;\n".encode() + "2;Kranfører\n".encode("cp1252"))

    result = run("certificates", "import", str(path), **DITIO)

    assert (result.exit_code, "line 3" in result.stderr) == (1, True), result.output


cells = st.text("aB1æøåÆØÅéü ;,\t\"'\n=", max_size=8).filter(lambda text: text == text.strip())
"""What is in a Norwegian file; none of it is UTF-8 and Windows-1252 at once."""


@given(
    rows=st.lists(st.lists(cells, min_size=6, max_size=6), min_size=1, max_size=4),
    order=st.permutations(COLUMNS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"]),
    separator=st.sampled_from([";", ",", "\t"]),
    shouted=st.booleans(),
    names_separator=st.booleans(),
)
@settings(max_examples=either(80, 25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_encoding_separator_and_order_of_columns_says_the_same(
    tmp_path: Path,
    rows: list[list[str]],
    order: list[str],
    encoding: str,
    separator: str,
    shouted: bool,
    names_separator: bool,
):
    """As Norwegian Excel writes them: what is read is what was written."""
    expected = [dict(zip(COLUMNS, row, strict=True)) for row in rows if any(row)]
    headings = [each.upper() if shouted else each for each in order]
    lines = [headings, *([row[COLUMNS.index(name)] for name in order] for row in rows)]
    path = written(tmp_path / "certificates.csv", lines, encoding, separator)
    if names_separator and encoding in ("utf-8", "cp1252"):
        path.write_bytes(f"sep={separator}\r\n".encode() + path.read_bytes())

    with opened(path, needs_end=True) as read:
        found = list(read.lines)

    assert [{part.value: text for part, text in line.said.items()} for line in found] == expected
    assert all(line.flaw is None for line in found)


@pytest.mark.parametrize("name", ["1042", "KARI.nordmann@contractor.example"])
def test_what_came_by_a_file_is_withdrawn_by_a_command(
    run: Run, import_file: Any, world: World, clock: Clock, name: str
):
    """K5: Ditio gets it as expired, by number or user name; the audit trail knows; the other certificate stays."""
    clock.now = datetime.now(UTC)
    world.provisions(a_user())
    import_file([CRANE, ["1042", "Byggekort", "", "2026-01-15", "2031-01-15", ""]], "--apply")
    clock.passes(minutes=5)
    world.worker.run_until_idle()

    result = run("certificates", "withdraw", name, " Kranførerbevis ", **DITIO)
    clock.passes(minutes=5)
    world.worker.run_until_idle()

    assert (result.exit_code, "1 person is due" in result.stdout) == (0, True), result.output
    ends = {kind: body["validUntilDateTime"] for (_, kind), body in world.ditio.certificates.items()}
    assert ends == {"Kranførerbevis": "2026-01-15T00:00:01Z", "Byggekort": "2031-01-15T00:00:00Z"}
    assert stored(world.database) == [("1042", "Byggekort")]
    told = [json.loads(line) for line in run("audit", "export").stdout.splitlines()][-1]
    assert (told["actor"], told["action"], told["resource_type"]) == ("operator", "deleted", "Certificate")
    assert told["person_id"]


def test_another_source_takes_the_place_of_what_is_withdrawn(run: Run, import_file: Any, world: World):
    """K1: and the command says so; `/Certificates` and Entra withdraw their own."""
    body = dict(zip(COLUMNS, ["1042", "Kranførerbevis", "older", "2025-01-01", "2030-01-15"], strict=False))
    world.scim("POST", "/Certificates", body)
    import_file([CRANE], "--apply")

    withdrawn = run("certificates", "withdraw", "1042", "Kranførerbevis", **DITIO)
    again = run("certificates", "withdraw", "1042", "Kranførerbevis", **DITIO)

    assert (withdrawn.exit_code, "/Certificates has it too" in withdrawn.stdout) == (0, True), withdrawn.output
    assert (again.exit_code, "comes from /Certificates: number older" in again.stderr) == (1, True), again.output
    assert stored(world.database) == [("1042", "Kranførerbevis")]


def test_what_no_file_said_is_an_error_that_loses_nothing(run: Run, import_file: Any, database: Database):
    """Design, section 5: exit 1 for an unknown number or type, and the types that there are."""
    import_file([CRANE, ROADWORK], "--apply")

    for words, told in (
        (("1042", "Byggekort"), 'no certificate of the type "Byggekort"'),
        (("1042", "Byggekort"), "Kranførerbevis"),
        (("1099", "Kranførerbevis"), "no user or certificate has the employee number or user name '1099'"),
        (("kari@contractor.example", "Kranførerbevis"), "check the spelling"),
    ):
        result = run("certificates", "withdraw", *words, **DITIO)
        assert (result.exit_code, told in " ".join(result.stderr.split())) == (1, True), result.output
    assert stored(database) == [("1042", "Kranførerbevis"), ("1043", "Arbeidsvarsling kurs 1")]
    assert run("certificates", "withdraw", "1042", **DITIO).exit_code == 2


def test_a_number_that_no_user_has_yet_is_withdrawn_too(run: Run, import_file: Any, world: World):
    """K1, K2: by the number, and by the user name of a person who is to have it."""
    import_file([CRANE, ROADWORK], "--apply")
    world.provisions(a_user(mobile=None))

    by_name = run("certificates", "withdraw", "kari.nordmann@contractor.example", "Kranførerbevis", **DITIO)
    by_number = run("certificates", "withdraw", "1043", "Arbeidsvarsling kurs 1", **DITIO)

    assert (by_name.exit_code, by_number.exit_code) == (0, 0), by_name.output + by_number.output
    assert stored(world.database) == []


def test_what_is_withdrawn_may_stay_in_ditio(run: Run, import_file: Any, world: World, clock: Clock):
    """K5: `keep`."""
    clock.now = datetime.now(UTC)
    world.provisions(a_user())
    import_file([CRANE], "--apply")
    clock.passes(minutes=5)
    world.worker.run_until_idle()
    world.restarts_with(certificates={"withdrawal": "keep"})

    result = run(
        "certificates", "withdraw", "1042", "Kranførerbevis", SCIM_BRIDGE_CERTIFICATES__WITHDRAWAL="keep", **DITIO
    )
    clock.passes(minutes=5)
    world.worker.run_until_idle()

    assert "CERTIFICATES__WITHDRAWAL is `keep`" in result.stdout
    assert world.ditio.certificates[("1042", "Kranførerbevis")]["validUntilDateTime"] == "2031-01-15T00:00:00Z"


def test_one_companys_certificate_is_not_withdrawn_for_another(run: Run, import_file: Any, database: Database):
    """Design, section 10: `--tenant`."""
    import_file([CRANE], "--apply")
    nord = {
        "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_ID": "client-nord",
        "SCIM_BRIDGE_TENANTS__NORD__DITIO__CLIENT_SECRET": "secret-nord",
    }

    result = run("certificates", "withdraw", "1042", "Kranførerbevis", "--tenant", "nord", **DITIO, **nord)

    assert result.exit_code == 1
    assert stored(database) == [("1042", "Kranførerbevis")]


TODAY = datetime.now(ZoneInfo("Europe/Oslo")).date()
"""Commands have the clock of this machine."""


def after(days: int) -> str:
    return (TODAY + timedelta(days=days)).isoformat()


def expiring(run: Run, *words: str) -> Any:
    result: Result = run("certificates", "expiring", "--format", "json", *words, **DITIO)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def company(clock: Clock, world: World, import_file: Any) -> World:
    """Kari drives the crane for some weeks still, Ola has left, and no one is 1099."""
    clock.now = datetime.now(UTC)
    kari = a_user(hire_date=after(-10), user_principal_name=KARI)
    ola = a_user(
        object_id="5d1f3c0e-0000-4000-8000-000000001043",
        user_principal_name="ola@contractor.example",
        mail="ola@contractor.example",
        mobile="+47 987 65 433",
        employee_id="1043",
    )
    world.provisions(kari)
    world.provisions(ola)
    import_file(
        [
            ["1042", "Kranførerbevis", "K-17", after(-900), after(18), ""],
            ["1042", "Byggekort", "B-1", after(30), after(390), ""],
            ["1043", "Kranførerbevis", "K-18", after(-900), after(8), ""],
            ["1099", "Byggekort", "B-9", after(-900), after(-29), ""],
        ],
        "--apply",
    )
    world.changes(ola, account_enabled=False)
    return world


def test_expiring_has_these_keys_and_the_earliest_first(run: Run, company: World):
    """Design, section 5; who has left is not listed, and a number that no user has is."""
    assert expiring(run) == [
        {
            "employee_number": number,
            "certificate_type": kind,
            "certificate_number": certificate,
            "valid_until": after(days),
            "days": days,
            "user_name": user_name,
        }
        for number, kind, certificate, days, user_name in (
            ("1099", "Byggekort", "B-9", -29, None),
            ("1042", "Kranførerbevis", "K-17", 18, KARI),
        )
    ]
    assert [each["employee_number"] for each in expiring(run, "--within-days", "17")] == ["1099"]
    assert len(expiring(run, "--within-days", "400")) == 3


def test_who_may_not_work_on_a_day(run: Run, company: World):
    """The last day is one of work; a certificate that begins later is not there yet."""
    required = ("--required", "Kranførerbevis", "Byggekort")

    def lacking(days: int) -> list[tuple[Any, ...]]:
        return [tuple(each.values()) for each in expiring(run, "--on", after(days), *required)]

    assert lacking(18) == [("1042", "Byggekort", None, None, None, KARI)]
    assert lacking(31) == [("1042", "Kranførerbevis", "K-17", after(18), -13, KARI)]
    # Before her first day nobody expects her.
    assert lacking(-11) == []
    assert len(expiring(run, "--required", "Truckførerbevis")) == 1
    assert 'type "Truckførerbevis"' in run("certificates", "expiring", "--required", "Truckførerbevis", **DITIO).stderr


def test_expiring_as_a_table_and_for_a_spreadsheet(run: Run, company: World):
    """A number says nothing to a person who sends people to a course: the user's name stands beside it."""
    table = run("certificates", "expiring", **DITIO).stdout.splitlines()
    lines = run("certificates", "expiring", "--format", "csv", **DITIO).stdout.splitlines()

    assert table[0].split() == ["Employee", "User", "Certificate", "Number", "Valid", "until", "Days", "left"]
    assert table[2].split()[:3] == ["1042", KARI, "Kranførerbevis"]
    assert lines[0] == "employee_number,certificate_type,certificate_number,valid_until,days,user_name"
    assert lines[1] == f"1099,Byggekort,B-9,{after(-29)},-29,"
    assert lines[2] == f"1042,Kranførerbevis,K-17,{after(18)},18,{KARI}"


@pytest.mark.parametrize(
    "words", [("--on", "2026-03-01"), ("--within-days", "3", "--required", "A"), ("A",), ("--required", " ")]
)
def test_wrong_usage_is_exit_2(run: Run, words: tuple[str, ...]):
    assert run("certificates", "expiring", *words, **DITIO).exit_code == 2
