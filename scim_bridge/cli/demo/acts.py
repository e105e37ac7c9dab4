"""The acts of the demo, in order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

import requests

from scim_bridge.bootstrap import build
from scim_bridge.cli.context import operator
from scim_bridge.cli.demo.scene import Scene, direct_session
from scim_bridge.cli.demo.stage import Check, numbered
from scim_bridge.cli.output import paragraph
from scim_bridge.domain.drift import OF_ENTRA, Kind
from scim_bridge.domain.values import CERTIFICATE_URN
from scim_bridge.reconcile.report import IN_SYNC, Request, lines
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.entra import EXTENSION
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.service import CLIENT_ID as GRAPH_CLIENT_ID
from scim_bridge.sandbox.graph.service import CLIENT_SECRET as GRAPH_SECRET
from scim_bridge.sandbox.graph.service import SERVICE_PRINCIPAL, TENANT_ID, SandboxGraph
from scim_bridge.sandbox.server import WsgiTransport
from scim_bridge.settings import DEFAULT_TENANT, load

CARD, CRANE, COURSE = "Byggekort", "Kranførerbevis", "Arbeidsvarsling kurs 1"
"""The certificate types that Entra, the competence system and the file send."""

TITLES, BY_HAND = ("Formann", "Bas", "Anleggsleder", "Prosjektleder"), "Direktør"  # No user in Entra has the last.
ENDS_IN_DAYS, NORWEGIAN = 20, "%d.%m.%Y"


GRAPH_URL = "https://graph.sandbox.example"
GRAPH = {
    "SCIM_BRIDGE_ENTRA__TENANT_ID": TENANT_ID,
    "SCIM_BRIDGE_ENTRA__CLIENT_ID": GRAPH_CLIENT_ID,
    "SCIM_BRIDGE_ENTRA__CLIENT_SECRET": GRAPH_SECRET,
    "SCIM_BRIDGE_ENTRA__SERVICE_PRINCIPAL_ID": SERVICE_PRINCIPAL.object_id,
    "SCIM_BRIDGE_ENTRA__GRAPH_URL": GRAPH_URL,
    "SCIM_BRIDGE_ENTRA__LOGIN_URL": GRAPH_URL,
    "SCIM_BRIDGE_ENTRA__REQUESTS_PER_SECOND": "1000",
}
"""The settings with which Entra is read."""


class Act(NamedTuple):
    """One part of the demo."""

    title: str
    why: str  # What happens, and why it matters.
    play: Callable[[Scene], Iterator[Check]]  # Perform the act and yield its checks; then all people are compared.


def _connect(scene: Scene) -> Iterator[Check]:
    wrong = scene.bridge.request("GET", "/Users", "a token that was never issued")
    yield Check(wrong.status_code == 401, "A wrong token is refused.")
    yield Check(scene.entra.test_connection().ok, "The right token is accepted, and Entra can begin.")


def _hire(scene: Scene) -> Iterator[Check]:
    adopted, namesake, unnumbered = scene.cast.adopted, scene.cast.namesake, scene.cast.unnumbered
    for user in scene.cast.users:
        scene.entra.directory.add(user)
    scene.waiting = {namesake.object_id, unnumbered.object_id}
    yield from scene.sends(scene.cast.users)
    created = sum(each.created_count for each in scene.ditio.company.employees.values())
    yield Check(created == len(scene.arrived()) - 1, f"Ditio has {numbered(created, 'new employee')}.")
    linked = scene.employee(adopted).created_count == 0 and scene.employee(adopted).work_title == adopted.job_title
    yield Check(linked, f"{_named(adopted)} was already in Ditio with the same phone: linked and updated.")
    (state, detail), stranger = scene.delivery_of(namesake), scene.cast.strangers[0]
    told = f"{_named(namesake)} has the number of another person in Ditio, {stranger.name}, who stays unchanged."
    kept_apart = state in ("parked", "refused") and scene.employee(namesake) == stranger
    yield Check(kept_apart, f"{told} The bridge reports:", detail)
    state, detail = scene.delivery_of(unnumbered)
    yield Check(state == "held", f"{_named(unnumbered)} has no employee number yet, and is held:", detail)


def _change(scene: Scene) -> Iterator[Check]:
    settled = scene.cast.settled()
    promoted, moved, called, married = settled[::3], settled[0], settled[1], settled[-1]
    _promote(promoted, TITLES)
    moved.department = "Prosjekt" if moved.department != "Prosjekt" else "Bygg"
    called.mobile, before, married.surname = scene.cast.free_phone, married.display_name, f"{married.surname} Nygaard"
    married.display_name = f"{married.given_name} {married.surname}"
    yield from scene.sends([*promoted, called, married])
    told = f"{numbered(len(promoted), 'new title')}; {moved.display_name} in another department"
    told = f"{told}; {called.display_name} with a new phone; {before} is now {married.display_name}."
    yield Check(True, told)


def _outage(scene: Scene) -> Iterator[Check]:
    newcomer, faults, changed = scene.cast.newcomer, scene.ditio.faults, scene.cast.settled()[1::4]
    faults.plan(Fault("reset-after", method="POST", path="/employees"))
    scene.cast.users.append(scene.entra.directory.add(newcomer))
    yield from scene.sends([newcomer], arrives=False)
    faults.plan(Fault("status", 503, times=None))
    _promote(changed, TITLES[::-1])
    yield from scene.sends(changed, arrives=False)
    due = scene.bridge.due()
    yield Check(due > 0, f"Ditio is down, and the bridge remembers who is due: {due}. Now Ditio is back:")
    faults.clear()
    yield Check(scene.arrive() == 0, "All changes were delivered, without an operator.")
    told = f"{_named(newcomer)} was created just as the connection broke, and Ditio's answer was lost. The bridge read"
    told = f"{told} Ditio before it tried again: one employee, not two."
    yield Check(scene.employee(newcomer).created_count == 1, told)


def _leave(scene: Scene) -> Iterator[Check]:
    leavers = scene.cast.leavers()
    for index, user in enumerate(leavers):
        if index % 3 == 0:
            user.account_enabled, user.leave_date = False, _day(scene, 0)
        else:
            user.soft_deleted = True
        if index % 3 == 2:
            scene.entra.directory.hard_delete(user.object_id)
    yield from scene.sends(leavers)
    employees = [scene.employee(user) for user in leavers]
    told = f"{len(leavers)} logins are closed, {len(leavers)} employments ended. The employees stay, with their hours"
    ended = all(each.disabled and each.employment and each.employment.end for each in employees)
    yield Check(ended, f"{told} and certificates.")


def _rehire(scene: Scene) -> Iterator[Check]:
    leavers, users, directory = scene.cast.leavers(), scene.cast.users, scene.entra.directory
    returning, back_on = leavers[: len(leavers) // 2], _day(scene, 7)
    for index, user in enumerate(returning):
        if user.object_id not in directory.users:
            # A permanently deleted user gets a new account with the same number, phone and address.
            returning[index] = users[users.index(user)] = replace(user, object_id=str(uuid4()))
        user = directory.add(returning[index])
        user.account_enabled, user.soft_deleted, user.hire_date = True, False, back_on
    yield from scene.sends(returning)
    employees = [scene.employee(user) for user in returning]
    told = f"{len(returning)} of {len(leavers)} return on {back_on}: the same employees as before, with a second"
    returned = all(not each.disabled and len(each.employments) == 2 for each in employees)
    yield Check(returned, f"{told} employment.")


def _put_right(scene: Scene) -> Iterator[Check]:
    unnumbered, namesake = scene.cast.unnumbered, scene.cast.namesake
    unnumbered.employee_id, namesake.employee_id = scene.cast.own_number, scene.cast.free_number
    scene.waiting = set()
    yield from scene.sends([unnumbered, namesake])
    for user, number in (unnumbered, "a number"), (namesake, "another number"):
        told = f"{_named(user)} now has {number}, and was created in Ditio."
        yield Check(scene.delivery_of(user)[0] == "delivered", told)


def _certify(scene: Scene) -> Iterator[Check]:
    at_work = [user for user in scene.cast.settled() if user.active]
    holder, number = at_work[0], at_work[0].employee_id
    holder.extra[f"{EXTENSION}:byggekort"] = f"B-1;{_day(scene, -30)};{_day(scene, 700)};"
    yield from scene.sends([holder])
    yield Check(True, f"From Entra, in a slot: {CARD} of {_named(holder)}.")
    crane = {"schemas": [CERTIFICATE_URN], "employeeNumber": number, "certificateType": CRANE}
    crane |= {"certificateNumber": "K-17", "issuedDateTime": _day(scene, -100), "validUntilDateTime": _day(scene, 1000)}
    written = scene.bridge.request("POST", "/Certificates", body=crane)
    yield Check(written.status_code == 201, f"From a competence system, by /Certificates: {CRANE} of {_named(holder)}.")
    older = scene.bridge.request("POST", "/Certificates", body={**crane, "certificateType": CARD})
    told = f"It also sends an older {CARD}, and gets 409, because Entra's counts:"
    yield Check(older.status_code == 409, told, older.json().get("detail"))
    path = scene.bridge.folder / "certificates.csv"
    path.write_text("\n".join(_file(scene, at_work)), encoding="cp1252")
    report = scene.bridge.command("certificates", "import", str(path), "--apply")
    rejected = [f"line {each['line']}: {each['text']}" for each in report["rejected_lines"]]
    told = f"From a file as Excel saves it, by `certificates import`: {numbered(report['new'], 'certificate')}."
    imported = report["new"] == len(at_work) and len(rejected) == 1
    yield Check(imported, f"{told} One line is rejected, and all others are imported:", "; ".join(rejected))
    scene.arrive()
    expected = {(number, CARD), (number, CRANE), *((user.employee_id, COURSE) for user in at_work)}
    told = f"Ditio has all {len(expected)} certificates, each sent after its employee."
    yield Check(set(scene.ditio.certificates) == expected, told)
    ending = scene.bridge.command("certificates", "expiring")
    ends = [(each["employee_number"], each["certificate_type"], each["days"]) for each in ending]
    told = f"`certificates expiring` lists what ends within 30 days: {COURSE} of {_named(holder)}"
    yield Check(ends == [(number, COURSE, ENDS_IN_DAYS)], f"{told}, in {ENDS_IN_DAYS} days.")


def _file(scene: Scene, at_work: Sequence[EntraUser]) -> Iterator[str]:
    """Yield lines with Norwegian dates; the first certificate ends soon, and the dates of the last are ambiguous."""
    yield "employeeNumber;certificateType;issuedDateTime;validUntilDateTime"
    for user in at_work:
        days = ENDS_IN_DAYS if user is at_work[0] else 800
        yield f"{user.employee_id};{COURSE};{_day(scene, -400, NORWEGIAN)};{_day(scene, days, NORWEGIAN)}"
    yield f"{at_work[0].employee_id};Truckførerbevis;01/02/2026;01/02/2031"


def _tell_unsaid(scene: Scene) -> Iterator[Check]:
    stays, *_, leaver = [user for user in scene.cast.settled() if user.active]
    stays.leave_date = _day(scene, 60)
    yield from scene.sends([stays])
    scene.entra.job.pause()
    leaver.assigned, stays.leave_date = False, None
    told = f"Provisioning is stopped. In Entra, {_named(leaver)} is unassigned, and the leave date of {_named(stays)}"
    yield Check(not scene.employee(leaver).disabled, f"{told} is cleared. Entra says neither.")
    graph = SandboxGraph(scene.entra, now=lambda: datetime.now(UTC))
    # The simulated Ditio shows a write at once, so the bridge need not wait before it trusts a read (rule C5).
    settings = load(environ={**scene.bridge.settings, **GRAPH, "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0"})
    parts = build(
        settings, database=scene.bridge.database, session_factory=direct_session, entra_sessions=lambda: _to(graph)
    )
    reconciliation = parts.reconciliations[DEFAULT_TENANT]
    first = reconciliation.run(Request(with_entra=True, author=operator()))
    pending = not any(row.kind in OF_ENTRA for row in reconciliation.items(first.run.id))
    yield Check(pending, "`reconcile --with-entra` reads Entra, and waits: what is seen once may still come.")
    plan = reconciliation.run(Request(with_entra=True, author=operator())).run
    rows = [row for row in reconciliation.items(plan.id) if row.kind in OF_ENTRA]
    shown = [
        text
        for line in lines(rows)
        for text in paragraph(line.text, first=f"      {line.mark} " if line.mark else "    ", indent="        ")
    ]
    scene.stage.line(("\n{}\n".format("\n".join(shown)), "cyan"))
    found = {(row.kind, row.user_name) for row in rows}
    expected = {
        (Kind.left_without_notice, leaver.user_principal_name),
        (Kind.cleared_in_entra, stays.user_principal_name),
    }
    yield Check(found == expected, "The second time it shows this plan, and changes nothing.")
    repaired = reconciliation.run(Request(apply=True, plan_id=plan.id, author=operator()))
    closed = repaired.applied == 2 and scene.employee(leaver).disabled and not scene.employee(stays).disabled
    scene.entra.job.start()
    told = f"With `--apply --plan`, {_named(leaver)} has no login any more, as if Entra had said so."
    yield Check(closed, f"{told} {_named(stays)} stays.")


def _to(graph: SandboxGraph) -> requests.Session:
    """Return a session that reaches the simulated Graph in this process."""
    session = direct_session()
    session.mount(GRAPH_URL, WsgiTransport(graph.app))
    return session


def _repair(scene: Scene) -> Iterator[Check]:
    edited, accounts = scene.cast.settled()[0], scene.entra.directory.users
    leaver = next(each for each in scene.cast.leavers() if not each.active and each.object_id in accounts)
    with scene.ditio.company.lock:
        scene.employee(edited).work_title, scene.employee(leaver).disabled = BY_HAND, False
        scene.add_stranger("9002", "Piotr", "Zieliński", "+48601234568")
    told = f"By hand, in Ditio: {_named(edited)} is now {BY_HAND}; {_named(leaver)}, who has left, has a login again"
    yield Check(True, f"{told}; and an employee was created that Entra does not know.")
    # The simulated Ditio shows a write at once, so the bridge need not wait before it trusts a read (rule C5).
    settings = load(environ={**scene.bridge.settings, "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0"})
    parts = build(settings, database=scene.bridge.database, session_factory=direct_session)
    reconciliation = parts.reconciliations[DEFAULT_TENANT]
    plan = reconciliation.run(Request()).run
    rows = [row for row in reconciliation.items(plan.id) if row.kind is not Kind.unmanaged]
    shown = (f"      {line.mark} {line.text}" if line.mark else f"    {line.text}" for line in lines(rows))
    scene.stage.line(("\n{}\n".format("\n".join(shown)), "cyan"))
    expected = {"should-be-inactive": 1, "field": 1, "unmanaged": len(scene.cast.strangers)}
    found = ", ".join(f"{count} {kind}" for kind, count in plan.by_kind.items())
    yield Check(plan.by_kind == expected, f"`reconcile` shows this plan, and sends nothing: {found}.")
    repaired = reconciliation.run(Request(apply=True, plan_id=plan.id))
    yield Check((repaired.exit, repaired.applied) == (IN_SYNC, 2), "`reconcile --apply` sends only those two changes.")
    again = reconciliation.run(Request())
    in_sync = again.exit == IN_SYNC and set(again.run.by_kind) == {"unmanaged"}
    yield Check(in_sync, f"A second run: {again.run.in_sync} of {again.run.people} people are in sync.")
    told = f"Found: {found}. {repaired.applied} repaired; unclaimed employees are unchanged."
    yield Check(in_sync, told, sums_up=True)


def _named(user: EntraUser) -> str:
    return f"{user.display_name} ({user.employee_id})" if user.employee_id else str(user.display_name)


def _day(scene: Scene, days: int, form: str = "%Y-%m-%d") -> str:
    return f"{scene.ditio.company.today() + timedelta(days):{form}}"


def _promote(users: Sequence[EntraUser], titles: Sequence[str]) -> None:
    for user in users:
        user.job_title = next(title for title in titles if title != user.job_title)


ACTS = (
    Act("Test connection", "An administrator's first button: Entra asks for a user that can't exist.", _connect),
    Act("Hire", "Entra sends all people for the first time, and Ditio gets employees. Three are special cases.", _hire),
    Act(
        "Change", "People get other titles, phones, departments and names. The bridge sends only what differs.", _change
    ),
    Act("Ditio is down", "Ditio breaks off a creation, then answers only 503. Entra notices nothing.", _outage),
    Act(
        "Leave",
        "Accounts are disabled, moved to the bin or deleted. Leavers must not keep a login. For the demo, "
        "DELIVERY__END_EMPLOYMENT is at-once; by default the employment ends when the last day is over. "
        "DELIVERY__MAX_ENDED_FRACTION is 1, so all may leave; by default the guard holds the sixth ending in an hour.",
        _leave,
    ),
    Act("Rehire", "Some return: an account is enabled, restored from the bin, or created again.", _rehire),
    Act("Put right", "The two waiting people are corrected in Entra. The bridge needs no action.", _put_right),
    Act(
        "Certificates",
        "From Entra, a competence system and a file. Ditio shows none; the bridge stores them.",
        _certify,
    ),
    Act(
        "Never said",
        "A stopped job is silence, and no cleared value is ever sent. The bridge can read Entra by Microsoft Graph.",
        _tell_unsaid,
    ),
    Act(
        "Reconcile", "Entra never checks Ditio. The bridge compares, shows what differs and why, and repairs.", _repair
    ),
)
