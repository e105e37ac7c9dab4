"""The pages of certificates: what ends, who lacks what, and the calendar file."""

import re
from datetime import date, timedelta
from typing import Any

import pytest

from scim_bridge.certificates.csv_import import CertificateImport, FileLine
from scim_bridge.certificates.sources import CertificateSources
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.audit import Actor, ActorKind, Author
from scim_bridge.domain.certificate import Part, type_of
from scim_bridge.operator.certificates import Due, calendar
from scim_bridge.storage.database import Database
from scim_bridge.storage.expiries import Expiries, Expiry
from scim_bridge.tenant import new_id
from tests.companies import Companies
from tests.conftest import Clock
from tests.console.conftest import CONSOLE, SignsIn, person_id, signed_in
from tests.world import World, a_user

SCRIPT = "<script>alert('x')</script>"


def brings(parts: Any, *rows: tuple[str, str, str, str], company: str = "default") -> None:
    """A file of certificates: number, type, first and last day."""
    names = (Part.employee_number, Part.type, Part.issued, Part.valid_until)
    lines = [FileLine(place, dict(zip(names, row, strict=True))) for place, row in enumerate(rows, start=2)]
    intake = Intake(parts.tenants[company], new_id(), queues_only=True)
    sources = CertificateSources(intake.tenant, intake.certificate_said)
    report = CertificateImport(sources, Author(Actor(ActorKind.operator, "1")), applies=True).run(lines)
    assert not report.rejected


def today(world: Any) -> date:
    return world.parts.tenants["default"].today(world.clock.now)


def in_days(world: Any, days: int) -> str:
    return (today(world) + timedelta(days=days)).isoformat()


@pytest.fixture
def crew(world: World) -> World:
    """Kari drives the crane until soon, Ola has what he needs, and no user is 1099."""
    world.provisions(a_user(hire_date="2025-01-01"))
    ola = {"object_id": "ola", "user_principal_name": "ola@x.no", "mail": "ola@x.no", "mobile": "+47 987 65 433"}
    ola |= {"employee_id": "1043", "department": "Betong", "display_name": "Ola Hansen", "hire_date": "2025-01-01"}
    world.provisions(a_user(**ola))
    brings(
        world.parts,
        ("1042", "Kranførerbevis", "2024-01-01", in_days(world, 18)),
        ("1042", "Byggekort", "2024-01-01", in_days(world, 60)),
        ("1043", "Kranførerbevis", "2024-01-01", in_days(world, 200)),
        ("1099", "Byggekort", "2024-01-01", in_days(world, -29)),
    )
    return world


def test_what_ends_is_listed_with_its_holder(crew: World, signs_in: SignsIn):
    told = signs_in("viewer").get("certificates").text
    rows = told[told.index('id="ending"') :]

    assert rows.index("no user has this number") < rows.index("ended 29 days ago") < rows.index("Kari Nordmann")
    assert "18 days left" in rows
    assert f'href="/console/default/people/{person_id(crew, "1042")}"' in rows
    assert "60 days left" not in rows
    assert "Ola Hansen" not in rows


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("within=365", {"1042", "1043", "1099"}),
        ("within=365&type=Kranf%C3%B8rerbevis", {"1042", "1043"}),
        ("within=365&department=betong", {"1043"}),
        ("within=365&department=Kontor", set()),
        ("within=12", {"1042", "1099"}),
        ("within=x&type=%00&department=%00", {"1042", "1099"}),
    ],
)
def test_the_list_is_chosen_by_time_type_and_department(crew: World, signs_in: SignsIn, query: str, shown: set[str]):
    told = signs_in().get(f"certificates?{query}").text

    assert {number for number in ("1042", "1043", "1099") if f">{number}</td>" in told} == shown


def test_the_counts_are_by_type(crew: World, signs_in: SignsIn):
    told = signs_in().get("certificates").text
    counts = told[told.index('id="counted"') : told.index('id="ending"')]
    rows = {
        kind: re.findall(r">(\d+)</td>", row) for kind, row in re.findall(r">(\w+)</a></th>(.*?)</tr>", counts, re.S)
    }

    assert rows == {"Byggekort": ["1", "0", "1"], "Kranførerbevis": ["0", "1", "0"]}


def test_who_lacks_what_on_a_day(crew: World, signs_in: SignsIn):
    kari = signs_in()
    page = "certificates/lacking?required=Kranf%C3%B8rerbevis&required=Byggekort"

    soon = kari.get(page).text
    later = kari.get(f"{page}&on={in_days(crew, 61)}").text

    assert "Ola Hansen" in soon
    assert "Kari Nordmann" not in soon
    assert later.count("Kari Nordmann") == 2
    assert "Ola Hansen" not in kari.get(f"{page}&department=Anlegg").text
    assert "No person at work lacks" in kari.get("certificates/lacking?required=Byggekort&department=Anlegg").text
    assert "has the type Truck" in kari.get("certificates/lacking?required=Truck").text
    assert "<table" not in kari.get("certificates/lacking").text
    assert kari.get(f"{page}&on=tomorrow").status_code == 400


def test_types_are_listed_by_name(crew: World):
    """Those that count: not those of another company, nor of withdrawn certificates."""
    rows = [("1043", kind, "2024-01-01", in_days(crew, 60)) for kind in ("Arbeid i høyden", "Ås")]
    brings(crew.parts, *rows)
    with crew.database.read("default") as s:
        expiries = Expiries(s)
        assert expiries.types(10) == ["Arbeid i høyden", "Byggekort", "Kranførerbevis", "Ås"]
        assert expiries.types(2) == ["Arbeid i høyden", "Byggekort"]
        assert expiries.unknown([type_of("Truck"), type_of("Byggekort"), type_of("Truck")]) == ["Truck"]
    with crew.database.read("other") as s:
        assert Expiries(s).types(10) == []


def unfolded(text: str) -> list[str]:
    """The lines of a calendar as a reader puts them together (RFC 5545 section 3.1)."""
    assert text.endswith("\r\n")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    return text.replace("\r\n ", "").split("\r\n")


def test_the_calendar_has_the_chosen_ends(crew: World, signs_in: SignsIn):
    answer = signs_in("viewer").get("certificates.ics?within=365&department=Anlegg")
    lines = unfolded(answer.text)

    assert answer.content_type == "text/calendar; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="certificates.ics"'
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 2
    assert "SUMMARY:Kranførerbevis: Kari Nordmann (1042)" in lines
    assert f"DTSTART;VALUE=DATE:{in_days(crew, 18).replace('-', '')}" in lines
    uids = [line for line in lines if line.startswith("UID:")]
    assert len(set(uids)) == 2
    again = unfolded(signs_in("viewer").get("certificates.ics?within=365&department=Anlegg").text)
    assert [line for line in again if line.startswith("UID:")] == uids


def test_no_text_ends_a_line_of_the_calendar():
    """A name can't add an event, and no letter is cut where a line is folded."""
    kind = type_of("Bevis; ø, \\ \r\nEND:VEVENT\nBEGIN:VALARM\u2028" + "æ" * 90)
    text = "".join(calendar([Due(Expiry(None, kind, valid_until=date(2026, 3, 1)), 1)], Clock()(), "nord"))
    lines = unfolded(text)

    assert [line.partition(":")[0].partition(";")[0] for line in lines] == [
        *("BEGIN", "VERSION", "PRODID", "BEGIN", "UID", "DTSTAMP", "DTSTART"),
        *("SUMMARY", "CATEGORIES", "TRANSP", "END", "END", ""),
    ]
    summary = next(line for line in lines if line.startswith("SUMMARY"))
    assert summary.startswith("SUMMARY:Bevis\\; ø\\, \\\\ ")
    assert summary.count("æ") == 90


def test_texts_of_a_file_are_never_markup(world: World, signs_in: SignsIn):
    world.provisions(a_user(display_name=SCRIPT, department=SCRIPT, hire_date="2025-01-01"))
    brings(world.parts, ("1042", SCRIPT, "2024-01-01", in_days(world, 5)))
    kari = signs_in()

    for path in ("certificates", f"certificates/lacking?required={SCRIPT}", "certificates/lacking?required=x"):
        told = kari.get(path).text
        assert "<script" not in told
        assert "alert(" in told


def test_another_companys_certificates_are_not_there(database: Database, clock: Clock):
    companies = Companies(database, clock, "nord", common=CONSOLE)
    companies.provisions("default", a_user(hire_date="2025-01-01"))
    brings(companies.parts, ("1042", "Byggekort", "2024-01-01", in_days(companies, 5)))
    kari = signed_in(companies, company="nord")

    for path in ("certificates", "certificates/lacking?required=Byggekort", "certificates.ics"):
        assert "Nordmann" not in kari.get(path).text
        assert kari.get(f"/console/default/{path}").status_code == 404
    assert "BEGIN:VEVENT" not in kari.get("certificates.ics").text


def test_a_stranger_gets_no_calendar(world: World):
    answer = world.app.test_client().get("/console/default/certificates.ics")

    assert answer.status_code == 303
