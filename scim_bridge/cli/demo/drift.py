"""The act of the demo in which somebody alters things in Ditio, and `reconcile` finds it and puts it right."""

from collections.abc import Iterator, Sequence
from copy import deepcopy

from scim_bridge.bootstrap import build
from scim_bridge.cli.demo.bridge import direct_session
from scim_bridge.cli.demo.calls import Check
from scim_bridge.cli.demo.scene import Scene, named
from scim_bridge.delivery.reconcile import Reconciliation
from scim_bridge.delivery.reconcile_request import IN_SYNC, Report, Request
from scim_bridge.domain.drift import Drift, Kind
from scim_bridge.plan.render import lines
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.settings import DEFAULT_TENANT, load

BY_HAND = "Direktør"
"""A title that nobody has in Entra."""


def reconcile(scene: Scene) -> Iterator[Check]:
    """Drift is planted, shown, repaired, and looked for again."""
    edited, leaver = scene.cast.settled()[0], _a_leaver(scene)
    _plant(scene, edited, leaver)
    yield Check(
        True,
        f"By hand, in Ditio: {named(edited)} is {BY_HAND} now, {named(leaver)}, who has left, has a login again, and "
        "somebody was created whom Entra does not know.",
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
    yield Check((repaired.exit, repaired.applied) == (IN_SYNC, 2), "`reconcile --apply` sends those two changes alone.")
    again, left = _run(reconciliation, Request())
    in_sync = again.exit == IN_SYNC and {item.kind for item in left} == {Kind.unmanaged}
    yield Check(in_sync, f"Run again: {again.run.in_sync} of {again.run.people} people in sync.")
    yield Check(
        in_sync,
        f"Found and named: {_told(plan)}. {repaired.applied} repaired, and whom nobody claims was left alone.",
        sums_up=True,
    )


def _a_leaver(scene: Scene) -> EntraUser:
    """Somebody who has left and not come back, and whose account is still there to be named by."""
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
    """What the command `reconcile` runs, on the bridge's own database."""
    # The simulated Ditio shows a write at once, so the bridge need not wait before it believes a read (rule C5).
    settings = load(environ={**scene.bridge.settings, "SCIM_BRIDGE_DITIO__READ_LAG_SECONDS": "0"})
    parts = build(settings, database=scene.bridge.database, session_factory=direct_session)
    return parts.reconciliations[DEFAULT_TENANT]


def _run(reconciliation: Reconciliation, request: Request) -> tuple[Report, Sequence[Drift]]:
    report = reconciliation.run(request)
    return report, list(reconciliation.items(report.run.id))


def _told(report: Report) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in report.run.by_kind.items())
