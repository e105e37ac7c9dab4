"""The acts of the demo, in order."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import date, timedelta
from pathlib import Path

from scim_bridge.bootstrap import build
from scim_bridge.cli.csv_files import csv_line
from scim_bridge.cli.demo.bridge import EXTENSION, direct_session
from scim_bridge.cli.demo.scene import Act, Scene, accepted, named
from scim_bridge.cli.demo.stage import Check, kind_of, numbered
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.domain.values import CERTIFICATE_URN
from scim_bridge.reconcile.report import IN_SYNC, Report, Request, lines
from scim_bridge.reconcile.run import Reconciliation
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.settings import DEFAULT_TENANT, load

CARD, CRANE, COURSE = "Byggekort", "Kranførerbevis", "Arbeidsvarsling kurs 1"
"""The certificate types that Entra, the competence system and the file send."""

ENDS_IN_DAYS = 20


def certificates(scene: Scene) -> Iterator[Check]:
    """Send certificates in a slot, by `/Certificates` and from a file; check the conflict and what expires."""
    at_work = [each for each in scene.cast.settled() if each.active and each.employee_id]
    holder, today = at_work[0], scene.ditio.company.today()
    holder.extra[f"{EXTENSION}:byggekort"] = f"B-1;{_days(today, -30)};{_days(today, 700)};"
    yield accepted(scene, scene.sends(1))
    yield Check(True, f"From Entra, in a slot: {CARD} of {named(holder)}.")
    yield from _by_the_competence_system(scene, holder, today)
    yield from _by_file(scene, at_work, today)
    scene.arrive()
    courses = [(each.employee_id, COURSE) for each in at_work]
    expected = {(holder.employee_id, CARD), (holder.employee_id, CRANE), *courses}
    yield Check(
        set(scene.ditio.certificates) == expected,
        f"Ditio has all {len(expected)} certificates, each sent after its employee.",
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
    yield Check(written.status_code == 201, f"From a competence system, by /Certificates: {CRANE} of {named(holder)}.")
    older = scene.bridge.post("/Certificates", {**crane, "certificateType": CARD})
    yield Check(
        older.status_code == 409,
        f"It also sends an older {CARD}, and gets 409, because Entra's counts:",
        str(older.json().get("detail")),
    )


def _by_file(scene: Scene, at_work: list[EntraUser], today: date) -> Iterator[Check]:
    path = scene.bridge.folder / "certificates.csv"
    _write(path, at_work, today)
    report = scene.bridge.command("certificates", "import", str(path), "--apply", "--format", "json")
    rejected = report["rejected_lines"]
    yield Check(
        (report["new"], len(rejected)) == (len(at_work), 1),
        f"From a file as Excel saves it, by `certificates import`: {numbered(report['new'], 'certificate')}. One "
        "line is rejected, and all others are imported:",
        f"line {rejected[0]['line']}: {rejected[0]['text']}" if rejected else None,
    )


def _write(path: Path, at_work: list[EntraUser], today: date) -> None:
    """Write a file in Windows-1252, with semicolons and Norwegian dates; the first certificate expires soon."""
    heading = ("employeeNumber", "certificateType", "issuedDateTime", "validUntilDateTime")
    rows: list[tuple[str, ...]] = [heading]
    for place, user in enumerate(at_work):
        issued, end = today - timedelta(days=400), today + timedelta(days=ENDS_IN_DAYS if place == 0 else 800)
        rows.append((str(user.employee_id), COURSE, f"{issued:%d.%m.%Y}", f"{end:%d.%m.%Y}"))
    rows.append((str(at_work[0].employee_id), "Truckførerbevis", "01/02/2026", "01/02/2031"))
    path.write_text("".join(csv_line(row, ";") for row in rows), encoding="cp1252")


def _days(today: date, days: int) -> str:
    return (today + timedelta(days=days)).isoformat()


BY_HAND = "Direktør"
"""A title that no user has in Entra."""


def reconcile(scene: Scene) -> Iterator[Check]:
    """Edit by hand in Ditio, show the drift, repair it, and compare again."""
    edited, leaver = scene.cast.settled()[0], _a_leaver(scene)
    _plant(scene, edited, leaver)
    yield Check(
        True,
        f"By hand, in Ditio: {named(edited)} is now {BY_HAND}; {named(leaver)}, who has left, has a login again; and "
        "an employee was created that Entra does not know.",
    )
    reconciliation = _reconciliation(scene)
    plan, items = _run(reconciliation, Request())
    scene.stage.say()
    for line in lines(item for item in items if item.kind is not Kind.unmanaged):
        scene.stage.line((f"      {line.mark or ''} {line.text}" if line.mark else f"    {line.text}", "cyan"))
    scene.stage.say()
    expected = {"should-be-inactive": 1, "field": 1, "unmanaged": len(scene.cast.strangers)}
    yield Check(plan.run.by_kind == expected, f"`reconcile` shows this plan, and sends nothing: {_told(plan)}.")
    repaired, _ = _run(reconciliation, Request(apply=True, plan_id=plan.run.id))
    yield Check((repaired.exit, repaired.applied) == (IN_SYNC, 2), "`reconcile --apply` sends only those two changes.")
    again, left = _run(reconciliation, Request())
    in_sync = again.exit == IN_SYNC and {item.kind for item in left} == {Kind.unmanaged}
    yield Check(in_sync, f"A second run: {again.run.in_sync} of {again.run.people} people are in sync.")
    yield Check(
        in_sync,
        f"Found: {_told(plan)}. {repaired.applied} repaired; unclaimed employees are unchanged.",
        sums_up=True,
    )


def _a_leaver(scene: Scene) -> EntraUser:
    """Return a person who has left and not returned, and whose account still exists."""
    leavers = scene.cast.leavers()
    first = len(leavers) // 2
    return leavers[first if first % 3 != 2 else first + 1]


def _plant(scene: Scene, edited: EntraUser, leaver: EntraUser) -> None:
    with scene.ditio.company.lock:
        scene.ditio.employee(edited.employee_id or "").work_title = BY_HAND
        scene.ditio.employee(leaver.employee_id or "").disabled = False
        outsider = scene.ditio.plant("9002", "Piotr", "Zieliński", "+48601234568", work_title="Innleid")
        scene.cast.strangers.append(deepcopy(outsider))


def _reconciliation(scene: Scene) -> Reconciliation:
    """Return what the command `reconcile` runs, on the bridge's own database."""
    # The simulated Ditio shows a write at once, so the bridge need not wait before it trusts a read (rule C5).
    settings = load(environ={**scene.bridge.settings, "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0"})
    parts = build(settings, database=scene.bridge.database, session_factory=direct_session)
    return parts.reconciliations[DEFAULT_TENANT]


def _run(reconciliation: Reconciliation, request: Request) -> tuple[Report, Sequence[Drift]]:
    report = reconciliation.run(request)
    return report, list(reconciliation.items(report.run.id))


def _told(report: Report) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in report.run.by_kind.items())


def connect(scene: Scene) -> Iterator[Check]:
    """Press Entra's button "Test connection"."""
    wrong = scene.bridge.get("/Users", "a token that was never issued")
    yield Check(wrong.status_code == 401, "A wrong token is refused.")
    answer = scene.entra.test_connection()
    yield Check(answer.status_code == 200, "The right token is accepted, and Entra can begin.")


def hire(scene: Scene) -> Iterator[Check]:
    """Run the initial cycle with all people; three of them are special cases."""
    cast = scene.cast
    for user in cast.users:
        scene.entra.directory.add(user)
    scene.waiting = {cast.namesake.object_id, cast.unnumbered.object_id}
    yield accepted(scene, scene.sends(len(cast.users)))
    scene.arrive()
    new = len(cast.users) - len(scene.waiting) - 1
    created = sum(kind_of(call) == "create employee" and call.status < 300 for call in scene.ditio.requests)
    yield Check(created == new, f"Ditio has {numbered(new, 'new employee')}.")
    yield _adopted(scene)
    yield _left_alone(scene)
    state, detail = scene.delivery_of(cast.unnumbered)
    yield Check(state == "held", f"{named(cast.unnumbered)} has no employee number yet, and is held:", detail)


def put_right(scene: Scene) -> Iterator[Check]:
    """Give both waiting people their own number."""
    cast = scene.cast
    cast.unnumbered.employee_id, cast.namesake.employee_id = cast.own_number, cast.free_number
    scene.waiting = set()
    yield accepted(scene, scene.sends(2))
    scene.arrive()
    delivered = scene.delivery_of(cast.unnumbered)[0] == "delivered"
    yield Check(delivered, f"{named(cast.unnumbered)} now has a number, and was created in Ditio.")
    delivered = scene.delivery_of(cast.namesake)[0] == "delivered"
    yield Check(delivered, f"{named(cast.namesake)} now has another number, and was created with it.")


def _adopted(scene: Scene) -> Check:
    user = scene.cast.adopted
    employee = scene.employee(user)
    return Check(
        employee is not None and employee.created_count == 0 and employee.work_title == user.job_title,
        f"{named(user)} was already in Ditio with the same phone: linked and updated.",
    )


def _left_alone(scene: Scene) -> Check:
    user, stranger = scene.cast.namesake, scene.cast.strangers[0]
    state, detail = scene.delivery_of(user)
    return Check(
        state in ("parked", "refused") and scene.employee(user) == stranger,
        f"{named(user)} has the number of another person in Ditio, {stranger.name}, who stays unchanged. "
        "The bridge reports:",
        detail,
    )


NEW_TITLES = ("Formann", "Bas", "Anleggsleder", "Prosjektleder")


def change(scene: Scene) -> Iterator[Check]:
    """Change people as in an ordinary week."""
    settled = scene.cast.settled()
    promoted, moved, called, married = settled[::3], settled[0], settled[1], settled[-1]
    for user in promoted:
        user.job_title = next(title for title in NEW_TITLES if title != user.job_title)
    moved.department = "Prosjekt" if moved.department != "Prosjekt" else "Bygg"
    called.mobile = scene.cast.free_phone
    before = married.display_name
    married.surname = f"{married.surname} Nygaard"
    married.display_name = f"{married.given_name} {married.surname}"
    changed = {each.object_id for each in (*promoted, moved, called, married)}
    steps = scene.sends(len(changed))
    yield accepted(scene, steps)
    yield Check(
        # Entra retries refused people in every cycle.
        {step.object_id for step in steps} - scene.waiting == changed,
        f"{numbered(len(promoted), 'new title')}; {moved.display_name} in another department; "
        f"{called.display_name} with a new phone; {before} is now {married.display_name}.",
    )


def outage(scene: Scene) -> Iterator[Check]:
    """Lose one answer of Ditio, then let Ditio answer only 503."""
    cast, faults = scene.cast, scene.ditio.faults
    changed = cast.settled()[1::4]
    with scene.sending(1 + len(changed)):
        faults.plan(Fault("reset-after", method="POST", path="/employees"))
        cast.users.append(scene.entra.directory.add(cast.newcomer))
        steps = scene.cycle()
        faults.plan(Fault("status", 503, times=None))
        for user in changed:
            user.job_title = next(title for title in reversed(NEW_TITLES) if title != user.job_title)
        steps += scene.cycle()
    due = scene.bridge.due()
    yield accepted(scene, steps)
    yield Check(due > 0, f"Ditio is down, and the bridge remembers who is due: {due}. Now Ditio is back:")
    faults.clear()
    yield Check(scene.arrive() == 0, "All changes were delivered, without an operator.")
    employee = scene.employee(cast.newcomer)
    yield Check(
        employee is not None and employee.created_count == 1,
        f"{named(cast.newcomer)} was created just as the connection broke, and Ditio's answer was lost. The bridge "
        "read Ditio before it tried again: one employee, not two.",
    )


def leave(scene: Scene) -> Iterator[Check]:
    """Let people leave, in each way that Entra reports it."""
    leavers = scene.cast.leavers()
    for index, user in enumerate(leavers):
        _leaves(scene, user, index)
    yield accepted(scene, scene.sends(len(leavers)))
    scene.arrive()
    employees = [scene.employee(user) for user in leavers]
    yield Check(
        all(each and each.disabled and each.employment and each.employment.end for each in employees),
        f"{len(leavers)} logins are closed, {len(leavers)} employments ended. The employees stay, with their hours and "
        "certificates.",
    )


def rehire(scene: Scene) -> Iterator[Check]:
    """Let half of the leavers return, each in the way that is possible."""
    leavers = scene.cast.leavers()
    returning = leavers[: len(leavers) // 2]
    back_on = (scene.ditio.company.today() + timedelta(days=7)).isoformat()
    for index, user in enumerate(returning):
        _returns(scene, user, index, back_on)
    yield accepted(scene, scene.sends(len(returning)))
    scene.arrive()
    employees = [scene.employee(user) for user in returning]
    yield Check(
        all(each and not each.disabled and len(each.employments) == 2 for each in employees),
        f"{len(returning)} of {len(leavers)} return on {back_on}: the same employees as before, with a second "
        "employment.",
    )


def _leaves(scene: Scene, user: EntraUser, index: int) -> None:
    if index % 3 == 0:
        user.account_enabled, user.leave_date = False, scene.ditio.company.today().isoformat()
        return
    user.soft_deleted = True
    if index % 3 == 2:
        scene.entra.directory.hard_delete(user.object_id)


def _returns(scene: Scene, user: EntraUser, index: int, back_on: str) -> None:
    # A permanently deleted user gets a new account with the same number, phone and address.
    user = scene.cast.comes_back_as_another(user) if index % 3 == 2 else user
    user.account_enabled, user.soft_deleted, user.hire_date = True, False, back_on
    scene.entra.directory.add(user)


ACTS: Sequence[Act] = (
    Act(
        "Test connection",
        "The first button that an administrator presses: Entra asks for a user that can't exist.",
        connect,
    ),
    Act(
        "Hire",
        "Entra sends all people for the first time, and Ditio gets employees. Three are special cases.",
        hire,
    ),
    Act(
        "Change",
        "People get other titles, phones, departments and names. The bridge sends only what differs.",
        change,
    ),
    Act(
        "Ditio is down",
        "Ditio breaks the connection during a creation, then answers only 503. Entra notices nothing.",
        outage,
    ),
    Act(
        "Leave",
        "Accounts are disabled, moved to the bin or deleted. Leavers must not keep a login. For the demo, "
        "DELIVERY__END_EMPLOYMENT is at-once; by default the employment ends when the last day is over. "
        "DELIVERY__MAX_ENDED_FRACTION is 1, so all may leave; by default the guard holds the sixth ending in an hour.",
        leave,
    ),
    Act(
        "Rehire",
        "Some return: an account is enabled, restored from the bin, or created again.",
        rehire,
    ),
    Act(
        "Put right",
        "The two waiting people are corrected in Entra. The bridge needs no action.",
        put_right,
    ),
    Act(
        "Certificates",
        "They come from Entra, from a competence system and from a file. Ditio shows none, so the bridge stores them.",
        certificates,
    ),
    Act(
        "Reconcile",
        "A user edits in Ditio. Entra does not check; the bridge compares, shows what differs and why, and repairs it.",
        reconcile,
    ),
)
