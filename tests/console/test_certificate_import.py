"""The import of a file of certificates in the console: checked first, confirmed, and never trusted."""

import base64
import io
import re
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from openpyxl import Workbook
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from scim_bridge.domain.certificate import Part
from scim_bridge.operator import certificate_import
from scim_bridge.storage.database import Database
from scim_bridge.web.console import certificates as import_page
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, Visitor, at_once, meeting, signed_in
from tests.world import BRIDGE, World, a_user

SCRIPT = "<script>alert('x')</script>"
HEADINGS = [part.value for part in Part]
CRANE = ["1042", "Kranførerbevis", "K-17", "15.01.2026", "15.01.2031", ""]


def csv_of(*rows: list[str]) -> bytes:
    return "\n".join(";".join(row) for row in (HEADINGS, *rows)).encode()


def xlsx_of(*rows: list[str], edit: Callable[[Workbook], object] = lambda book: None) -> bytes:
    book, saved = Workbook(), io.BytesIO()
    for row in (HEADINGS, *rows):
        book.active.append(row)
    edit(book)
    book.save(saved)
    return saved.getvalue()


def checks(kari: Visitor, content: bytes, name: str = "bevis.csv") -> TestResponse:
    return kari.post("certificates/import/check", file=(io.BytesIO(content), name))


def confirms(kari: Visitor, page: TestResponse) -> TestResponse:
    """Send the form of the page that shows what the import would do."""
    fields = dict(re.findall(r'<input type="hidden" name="(name|content)" value="([^"]*)"', page.text))
    return kari.post("certificates/import/apply", **fields)


def counts(page: TestResponse) -> list[int]:
    """New, changed, unchanged, rejected."""
    return [int(each) for each in re.findall(r'<li class="tile[^"]*"><strong>(\d+)</strong>', page.text)]


def stored(world: World) -> list[tuple[str, str]]:
    with world.database.read("default") as s:
        rows = s.connection.exec_driver_sql("SELECT type, number FROM certificate_entries ORDER BY type").all()
    return [tuple(row) for row in rows]


@pytest.fixture
def kari(world: World, signs_in: SignsIn) -> Visitor:
    """Kari Nordmann is employee 1042, and an operator is at the pages."""
    world.provisions(a_user())
    return signs_in()


@pytest.mark.parametrize(("content", "name"), [(csv_of(CRANE), "bevis.csv"), (xlsx_of(CRANE), "bevis.xlsx")])
def test_a_file_is_checked_then_confirmed_and_delivered(world: World, kari: Visitor, content: bytes, name: str):
    page = checks(kari, content, name)

    assert (page.status_code, counts(page)) == (200, [1, 0, 0, 0])
    assert "Nothing was changed yet" in page.text
    assert stored(world) == []

    done = confirms(kari, page)

    assert counts(done) == [1, 0, 0, 0]
    assert "1 person is due" in done.text
    assert stored(world) == [("Kranførerbevis", "K-17")]
    with world.database.read("default") as s:
        rows = [each for each in s.audit.page(since=None, until=None) if each.deed.resource_type == "Certificate"]
    assert [(each.author.actor.kind, each.author.actor.id, each.deed.action) for each in rows] == [
        ("console", "Kari", "created")
    ]
    world.worker.run_until_idle()
    assert [kind for _, kind in world.ditio.certificates] == ["Kranførerbevis"]


def test_the_same_file_again_changes_nothing(kari: Visitor):
    page = checks(kari, csv_of(CRANE))
    confirms(kari, page)

    assert counts(confirms(kari, page)) == [0, 0, 1, 0]
    again = checks(kari, csv_of(CRANE))
    assert "There is nothing to import." in again.text
    assert "certificates/import/apply" not in again.text


def test_the_reason_stands_beside_the_line(world: World, kari: Visitor):
    wrong = ["1042", "Byggekort", "B-1", "yesterday", "15.01.2031", ""]
    page = checks(kari, csv_of(CRANE, wrong, CRANE))
    rows = re.findall(r'<tr class="differs"><th scope="row"[^>]*>(\d+)</th>(.*?)</tr>', page.text, re.S)

    assert counts(page) == [1, 0, 0, 2]
    assert [number for number, _ in rows] == ["3", "4"]
    assert "Byggekort" in rows[0][1]
    assert "yesterday" in rows[0][1]
    assert "issuedDateTime" in rows[0][1]
    assert "duplicate of line 2" in rows[1][1]
    assert counts(confirms(kari, page)) == [1, 0, 0, 2]
    assert stored(world) == [("Kranførerbevis", "K-17")]


def test_remarks_are_told_in_norwegian(kari: Visitor):
    wrong = ["1042", "Byggekort", "B-1", "yesterday", "15.01.2031", ""]
    told = kari.post(
        "certificates/import/check",
        headers={"Accept-Language": "nb"},
        file=(io.BytesIO(csv_of(CRANE, wrong, CRANE, ["", "Truck", "", "15.01.2026", "15.01.2031", ""])), "bevis.csv"),
    ).text
    useless = kari.post(
        "certificates/import/check", headers={"Accept-Language": "nb"}, file=(io.BytesIO(b"a;b\n1;2\n"), "bevis.csv")
    )

    assert "gjentar linje 2" in told
    assert "utf-8, skilt med semikolon" in told
    assert "employeeNumber mangler" in told
    assert "den første linjen mangler kolonnen" in useless.text
    assert 'action="/console/default/certificates/import/check"' in useless.text
    assert not re.findall(r'<span lang="en">(.*?)</span>', told + useless.text)


def test_unknown_columns_and_numbers_are_told(kari: Visitor):
    rows = [[*HEADINGS, "shoeSize"], ["1099", "Byggekort", "", "15.01.2026", "15.01.2031", "", "44"]]
    page = checks(kari, "\n".join(";".join(row) for row in rows).encode())

    assert "<code>shoeSize</code>" in page.text
    assert "1 line is for an employee number that no user has" in page.text


def test_no_text_of_a_file_is_markup(world: World, kari: Visitor):
    name = f"{SCRIPT}.csv"
    rows = [["1042", SCRIPT, SCRIPT, "15.01.2026", "15.01.2031", SCRIPT], [SCRIPT, SCRIPT, SCRIPT, SCRIPT, SCRIPT, ""]]
    content = csv_of(*rows).replace(b"notes", SCRIPT.encode())

    page = checks(kari, content, name)
    for told in (page, confirms(kari, page)):
        assert "<script" not in told.text
        assert "alert(" in told.text


@pytest.mark.parametrize("formula", ['=HYPERLINK("http://x.test";"y")', "+1+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3"])
def test_a_formula_is_only_a_text(world: World, kari: Visitor, formula: str):
    """It is shown as it is, and computed nowhere."""
    content = csv_of(["1042", '"' + formula.replace('"', '""') + '"', "", "15.01.2026", "15.01.2031", ""])
    confirms(kari, checks(kari, content))

    assert [kind for kind, _ in stored(world)] == [formula]


def test_a_formula_of_a_workbook_is_not_computed(world: World, kari: Visitor):
    """Only the value that Excel has stored counts, and there is none."""
    page = checks(kari, xlsx_of(["1042", "=1+1", "", "15.01.2026", "15.01.2031", ""]), "bevis.xlsx")

    assert counts(page) == [0, 0, 0, 1]


def bomb() -> bytes:
    """A workbook of some kilobytes that unpacks to more than the limit."""
    made = io.BytesIO(xlsx_of(CRANE))
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/1.png", bytes(certificate_import.UNPACKED.bytes))
    return made.getvalue()


def far_away() -> bytes:
    """A workbook whose second row is Excel's last one: all rows between are empty."""
    made = xlsx_of(CRANE)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'<row r="2"', b'<row r="1048576"').replace(b'2" t="', b'1048576" t="')
    saved = io.BytesIO()
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return saved.getvalue()


def entities() -> bytes:
    """XML whose entities grow."""
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    saved = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(xlsx_of(CRANE))) as archive, zipfile.ZipFile(saved, "w") as made:
        for name in archive.namelist():
            data = archive.read(name)
            is_sheet = name == "xl/worksheets/sheet1.xml"
            made.writestr(name, laughs + data.replace(b"K-17", b"&b;") if is_sheet else data)
    return saved.getvalue()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (bomb(), "bevis.xlsx"),
        (far_away(), "bevis.xlsx"),
        (entities(), "bevis.xlsx"),
        (xlsx_of(CRANE)[:-200], "bevis.xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "bevis.xls"),
        (b"GIF89a" + bytes(range(256)), "bevis.gif"),
        (b"", "bevis.csv"),
        (b"\x00" * 500, "bevis.csv"),
        (b"a;b\n1;2\n", "bevis.csv"),
        (csv_of(*[CRANE] * (certificate_import.MOST_LINES + 1)), "bevis.csv"),
    ],
    ids=["bomb", "far-away", "entities", "cut", "password", "picture", "empty", "zeros", "columns", "long"],
)
def test_a_harmful_or_useless_file_is_refused(world: World, kari: Visitor, content: bytes, name: str):
    """By the name that the administrator knows, and without one of a folder here."""
    answer = checks(kari, content, name)

    assert answer.status_code == 409
    assert name in answer.text
    assert "/tmp" not in answer.text
    assert "upload" not in answer.text
    assert stored(world) == []


def test_a_file_that_is_too_large_is_refused(kari: Visitor):
    row = (";".join(CRANE) + "\n").encode()
    large = csv_of(CRANE) + row * (certificate_import.MOST_BYTES // len(row) + 1)

    for content, status in ((large, 409), (large * 3, 413)):
        fields = {"token": kari.token(), "file": FileStorage(io.BytesIO(content), "bevis.csv")}
        boundary, body = encode_multipart(fields)
        sent = {"data": body, "content_type": f"multipart/form-data; boundary={boundary}", "base_url": BRIDGE}
        assert kari.client.post("/console/default/certificates/import/check", **sent).status_code == status


@pytest.mark.parametrize("content", ["", "%%%", "æ", "a"])
def test_a_confirmation_without_a_file_imports_nothing(world: World, kari: Visitor, content: str):
    assert kari.post("certificates/import/apply", content=content, name="x").status_code == 400
    assert kari.post("certificates/import/check").status_code == 400
    assert stored(world) == []


def test_a_confirmation_is_checked_like_the_first_upload(world: World, kari: Visitor):
    """The form comes from a browser: it may hold another file than the one that was checked."""
    for content in (bomb(), b"\x00" * 500):
        answer = kari.post(
            "certificates/import/apply", content=base64.urlsafe_b64encode(content).decode(), name="x.csv"
        )
        assert answer.status_code == 409
    assert stored(world) == []


def test_a_path_in_a_name_is_left_out(kari: Visitor):
    told = checks(kari, csv_of(CRANE), "C:/Users/kari/../bevis\x07.csv").text

    assert "bevis.csv" in told
    assert "Users" not in told


def test_a_viewer_is_not_offered_the_import(world: World, signs_in: SignsIn):
    viewer = signs_in("viewer")

    assert "certificates/import" not in viewer.get("certificates").text
    assert viewer.get("certificates/import").status_code == 403


def test_a_file_is_for_one_company(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    kari = signed_in(companies, company="nord")
    confirms(kari, checks(kari, csv_of(CRANE)))

    with database.read("default") as s:
        rows = s.connection.exec_driver_sql("SELECT tenant FROM certificate_entries").all()
    assert [tuple(row) for row in rows] == [("nord",)]


def test_one_file_is_read_at_a_time(kari: Visitor, signs_in: SignsIn, monkeypatch: pytest.MonkeyPatch):
    """A workbook of a few KiB may hold as much work as a large file: the second one waits."""
    ola = signs_in(name="Ola")
    tokens, read = (kari.token(), ola.token()), meeting(import_page.import_upload)
    inside: list[object] = []
    most: list[int] = []

    def together(*of: Any, **more: Any) -> Any:
        inside.append(of)
        most.append(len(inside))
        try:
            return read(*of, **more)
        finally:
            inside.pop()

    monkeypatch.setattr(import_page, "import_upload", together)
    sent = [
        partial(each.post, "certificates/import/check", token, file=(io.BytesIO(csv_of(CRANE)), "bevis.csv"))
        for each, token in zip((kari, ola), tokens, strict=True)
    ]

    assert at_once(*sent) == [200, 200]
    assert most == [1, 1]


def test_a_file_that_waits_too_long_for_another_one_is_refused(kari: Visitor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(import_page, "WAIT_SECONDS", 0.01)
    with import_page._import_running:
        answer = checks(kari, csv_of(CRANE))
        assert answer.status_code == 409
        assert "Another file is being imported" in answer.text

    assert checks(kari, csv_of(CRANE)).status_code == 200
