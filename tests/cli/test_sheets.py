"""`--excel`, and workbooks that are imported: what Norwegian Excel does to numbers, days and formulas."""

import csv
import io
import json
import sys
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from scim_bridge.certificates import workbook
from scim_bridge.certificates.files import opened
from scim_bridge.cli.adopt import decisions_in
from scim_bridge.cli.output import csv_lines
from scim_bridge.domain.certificate import Part
from scim_bridge.domain.drift import Decision, Misfit
from scim_bridge.errors import BridgeError
from tests.cli.conftest import DITIO, Run

COLUMNS = [part.value for part in Part]
Write = Callable[..., Path]


@pytest.fixture
def sheet(tmp_path: Path) -> Write:
    """Save rows as a workbook; `edit` gets the sheet before that."""

    def saved(rows: list[list[object]], edit: Callable[[Any], object] = lambda sheet: None) -> Path:
        book = Workbook()
        active = book.active
        assert active is not None
        for row in rows:
            active.append(row)
        edit(active)
        book.save(tmp_path / "file.xlsx")
        return tmp_path / "file.xlsx"

    return saved


def excel_cells(*row: object) -> list[str]:
    """The cells of one row, as a reader of CSV with semicolons gets them."""
    text = "".join(csv_lines(["a"], [row], excel=True))
    assert text.startswith("\N{BYTE ORDER MARK}a\r\n")
    _, cells = csv.reader(io.StringIO(text, newline=""), delimiter=";")
    return cells


@pytest.mark.parametrize("text", ["0042", "+4791234567", "912 34 567", "1E5", "12-3", "MAR1", "3/4", "1.5", "-1+1"])
def test_excel_keeps_a_text_that_looks_like_a_number(text: str):
    """A zero in front and a plus sign stay: Excel shows what is between the quotes."""
    assert excel_cells(text) == [f'="{text}"']


def test_excel_gets_days_numbers_and_words_as_they_are():
    """A day is a day to Excel, a figure is a figure, and a name needs nothing."""
    row = (date(2026, 12, 31), "2026-12-31", -3, None, True, "Kari; Åsen")
    assert excel_cells(*row) == ["2026-12-31", "2026-12-31", "-3", "", "true", "Kari; Åsen"]


@given(st.text(alphabet="=+-@\t\r\n;\"'! AC1(|)\uff1d\u2212", min_size=1, max_size=12))
def test_no_text_is_computed(text: str):
    """A cell begins with a formula's sign only if it is a constant: no quote can end it early."""
    (cell,) = excel_cells(text)
    if cell.startswith("="):
        assert cell == f'="{text}"'
        assert '"' not in text
    else:
        assert cell[0] not in "+-@\t\r\N{MINUS SIGN}\N{FULLWIDTH EQUALS SIGN}"
        assert not any(piece.strip().startswith(("=", "@")) for piece in cell.split(";"))


@pytest.mark.parametrize(
    "words",
    [("certificates", "expiring"), ("certificates", "expiring", "--format", "json"), ("reconcile",), ("adopt",)],
)
def test_excel_without_csv_is_wrong_usage(run: Run, words: tuple[str, ...]):
    """The message says what to add."""
    result = run(*words, "--excel", **DITIO)

    assert result.exit_code == (2 if words[0] == "certificates" else 1)
    assert "--format csv" in result.stderr or "--output" in result.stderr


def test_a_workbook_is_imported_with_its_dates_numbers_and_texts(run: Run, sheet: Write):
    """Each row by itself, named by its number in Excel; an empty row does not move the others."""
    path = sheet(
        [
            [*COLUMNS, "comment"],
            ["0042", "Byggekort", 17, datetime(2026, 1, 15), date(2031, 1, 15), "G1; G4"],
            [43, "Byggekort", 17.0, "15.01.2026", "2031-01-15", None],
            [],
            [1044, "Byggekort", None, 46022, date(2031, 1, 15)],
            [1045, "Byggekort", "#N/A", date(2026, 1, 15), date(2031, 1, 15)],
            [1046, "Byggekort", 10**15, date(2026, 1, 15), date(2031, 1, 15)],
        ],
        lambda sheet: setattr(sheet["A3"], "number_format", "0000"),
    )

    result = run("certificates", "import", str(path), "--format", "json", **DITIO)

    told = json.loads(result.stdout)
    assert (result.exit_code, told["new"], told["lines"]) == (1, 2, 5)
    assert [each["line"] for each in told["rejected_lines"]] == [5, 6, 7]
    assert "column C" in told["rejected_lines"][1]["text"]
    assert told["ignored_columns"] == ["comment"]
    with opened(path, needs_end=True) as read:
        first, second, *_ = read.lines
    assert [first.said[part] for part in Part][:5] == ["0042", "Byggekort", "17", "2026-01-15", "2031-01-15"]
    assert (second.said[Part.employee_number], second.said[Part.number]) == ("0043", "17")


def test_decisions_are_read_from_a_workbook(sheet: Write):
    """The same lines as of a CSV file; what `--excel` wrote is read back too."""
    path = sheet(
        [
            ["employee_number", "user_name", "decision"],
            ["007", "ola@contractor.example", "Link"],
            ["'=1", "kari@contractor.example", "skip"],
            ["8", "per@contractor.example", None],
            ["9", "eva@contractor.example", "perhaps"],
        ]
    )

    linked, skipped, wrong = decisions_in(path)

    assert linked == Decision(2, "007", "ola@contractor.example", True)  # type: ignore[arg-type]
    assert skipped == Decision(3, "=1", "kari@contractor.example", False)  # type: ignore[arg-type]
    assert isinstance(wrong, Misfit)
    assert wrong.line == 5


def test_what_excel_gets_is_read_back(tmp_path: Path):
    """The file of decisions that Excel never touched."""
    path = tmp_path / "decided.csv"
    rows = [["007", "ola@contractor.example", "link"]]
    path.write_text("".join(csv_lines(["employee_number", "user_name", "decision"], rows, excel=True)), "utf-8")

    assert [*decisions_in(path)] == [Decision(2, "007", "ola@contractor.example", True)]  # type: ignore[arg-type]


def test_only_the_first_visible_sheet_is_read(sheet: Write):
    """A hidden sheet has lists for cells to choose from."""

    def hide(active: Any) -> None:
        active.parent.create_sheet("lists", 0).append(["Byggekort"])
        active.parent["lists"].sheet_state = "hidden"

    path = sheet([COLUMNS, ["1042", "Byggekort", "", "2026-01-15", "2031-01-15"]], hide)

    with opened(path, needs_end=True) as read:
        assert [line.number for line in read.lines] == [2]


def bomb(path: Path) -> None:
    """A sound workbook of some kilobytes, with a part that unpacks to more than the limit."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/1.png", "w") as part:
        for _ in range(workbook.MOST_BYTES // 2**20 + 1):
            part.write(bytes(2**20))


def entities(path: Path) -> None:
    """XML whose entities grow."""
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    with zipfile.ZipFile(path) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            is_sheet = name == "xl/worksheets/sheet1.xml"
            archive.writestr(name, laughs.encode() + data.replace(b"Byggekort", b"&b;") if is_sheet else data)


def cut(path: Path) -> None:
    """A file whose copying was interrupted."""
    path.write_bytes(path.read_bytes()[:-200])


def protected(path: Path) -> None:
    """What Excel saves with a password."""
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512))


def renamed(path: Path) -> None:
    """Text with the name of a workbook."""
    path.write_text(";".join(COLUMNS))


def foreign(path: Path) -> None:
    """Another kind of archive."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "not a workbook")


@pytest.mark.parametrize("harm", [bomb, entities, cut, protected, renamed, foreign])
def test_a_harmful_or_broken_workbook_is_refused(run: Run, sheet: Write, harm: Callable[[Path], None]):
    """Exit 1 with the file's name and a cure, and no traceback."""
    path = sheet([COLUMNS, ["1042", "Byggekort", "", "2026-01-15", "2031-01-15"]])
    harm(path)

    result = run("certificates", "import", str(path), "--apply", **DITIO)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "save it" in result.stderr
    assert "file.xlsx" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_library_the_message_says_what_to_install(run: Run, sheet: Write, monkeypatch: pytest.MonkeyPatch):
    """A plain installation has no openpyxl; CSV works there."""
    path = sheet([COLUMNS])
    monkeypatch.setitem(sys.modules, "openpyxl", None)

    result = run("certificates", "import", str(path), **DITIO)

    assert result.exit_code == 1
    assert "[xlsx]" in result.stderr


def test_an_error_of_the_import_is_not_blamed_on_the_workbook(sheet: Write):
    """Only what the library raises is about the file."""
    path = sheet([COLUMNS])
    with pytest.raises(KeyError), opened(path, needs_end=True):
        raise KeyError("another cause")
    with pytest.raises(BridgeError, match="no column"), opened(sheet([["employeeNumber"]]), needs_end=True):
        pass
