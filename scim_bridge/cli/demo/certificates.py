"""The act of the demo in which certificates come in by each of the three ways, and one of them is about to end."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from scim_bridge.cli.csv_lines import csv_line
from scim_bridge.cli.demo.bridge import EXTENSION
from scim_bridge.cli.demo.calls import Check, numbered
from scim_bridge.cli.demo.scene import Scene, accepted, named
from scim_bridge.domain.documents import CERTIFICATE_URN
from scim_bridge.sandbox.directory import EntraUser

CARD, CRANE, COURSE = "Byggekort", "Kranførerbevis", "Arbeidsvarsling kurs 1"
"""What Entra, the competence system and the file say."""

ENDS_IN_DAYS = 20


def certificates(scene: Scene) -> Iterator[Check]:
    """A slot of a user, the resource type, a file; who loses is told, and what ends is listed."""
    everybody = [each for each in scene.cast.settled() if each.active and each.employee_id]
    holder, today = everybody[0], scene.ditio.company.today()
    holder.extra[f"{EXTENSION}:byggekort"] = f"B-1;{_days(today, -30)};{_days(today, 700)};"
    yield accepted(scene, scene.sends(1))
    yield Check(True, f"By Entra, in a slot: {CARD} of {named(holder)}.")
    yield from _by_the_competence_system(scene, holder, today)
    yield from _by_file(scene, everybody, today)
    scene.arrive()
    courses = [(each.employee_id, COURSE) for each in everybody]
    expected = {(holder.employee_id, CARD), (holder.employee_id, CRANE), *courses}
    yield Check(
        set(scene.ditio.certificates) == expected,
        f"Ditio has all {len(expected)}, each after its employee.",
    )
    ending = scene.bridge.command("certificates", "expiring", "--format", "json")
    told = [(each["employee_number"], each["certificate_type"], each["days"]) for each in ending]
    yield Check(
        told == [(holder.employee_id, COURSE, ENDS_IN_DAYS)],
        f"`certificates expiring` lists what ends within 30 days: {COURSE} of {named(holder)}, in {ENDS_IN_DAYS} days.",
    )


def _by_the_competence_system(scene: Scene, holder: EntraUser, today: date) -> Iterator[Check]:
    crane = {
        "schemas": [CERTIFICATE_URN],
        "employeeNumber": holder.employee_id,
        "certificateType": CRANE,
        "certificateNumber": "K-17",
        "issuedDateTime": _days(today, -100),
        "validUntilDateTime": _days(today, 1000),
    }
    written = scene.bridge.post("/Certificates", crane)
    yield Check(written.status_code == 201, f"By a competence system, in /Certificates: {CRANE} of {named(holder)}.")
    older = scene.bridge.post("/Certificates", {**crane, "certificateType": CARD})
    yield Check(
        older.status_code == 409,
        f"It has an older {CARD} too, and is told (409) that Entra's counts:",
        str(older.json().get("detail")),
    )


def _by_file(scene: Scene, everybody: list[EntraUser], today: date) -> Iterator[Check]:
    path = scene.bridge.folder / "certificates.csv"
    _write(path, everybody, today)
    report = scene.bridge.command("certificates", "import", str(path), "--apply", "--format", "json")
    rejected = report["rejected_lines"]
    yield Check(
        (report["new"], len(rejected)) == (len(everybody), 1),
        f"By `certificates import`, from a file as Excel saves it: {numbered(report['new'], 'certificate')}. One line "
        "is rejected, and all others are taken:",
        f"line {rejected[0]['line']}: {rejected[0]['text']}" if rejected else None,
    )


def _write(path: Path, everybody: list[EntraUser], today: date) -> None:
    """A file in Windows-1252, with semicolons and Norwegian dates; the first of them ends soon."""
    heading = ("employeeNumber", "certificateType", "issuedDateTime", "validUntilDateTime")
    rows: list[tuple[str, ...]] = [heading]
    for place, user in enumerate(everybody):
        issued, end = today - timedelta(days=400), today + timedelta(days=ENDS_IN_DAYS if place == 0 else 800)
        rows.append((str(user.employee_id), COURSE, f"{issued:%d.%m.%Y}", f"{end:%d.%m.%Y}"))
    rows.append((str(everybody[0].employee_id), "Truckførerbevis", "01/02/2026", "01/02/2031"))
    path.write_text("".join(csv_line(row, ";") for row in rows), encoding="cp1252")


def _days(today: date, days: int) -> str:
    return (today + timedelta(days=days)).isoformat()
