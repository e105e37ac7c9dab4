"""Acts of the demo: changes, an outage, people who leave and people who come back."""

from collections.abc import Iterator
from datetime import timedelta

from scim_bridge.cli.demo.calls import Check, numbered
from scim_bridge.cli.demo.scene import Scene, accepted, named
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.gateway import Fault

NEW_TITLES = ("Formann", "Bas", "Anleggsleder", "Prosjektleder")


def change(scene: Scene) -> Iterator[Check]:
    """An ordinary week."""
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
        # Entra tries whom it was refused again in every cycle.
        {step.object_id for step in steps} - scene.waiting == changed,
        f"{numbered(len(promoted), 'new title')}; {moved.display_name} in another department; "
        f"{called.display_name} with a new phone; {before} is now {married.display_name}.",
    )


def outage(scene: Scene) -> Iterator[Check]:
    """Ditio loses an answer, and then answers nothing but 503."""
    cast, faults = scene.cast, scene.ditio.faults
    changed = cast.settled()[1::4]
    with scene.sending(1 + len(changed)):
        faults.plan(Fault("reset-after", method="POST", path="/employees"))
        cast.everybody.append(scene.entra.directory.add(cast.newcomer))
        steps = scene.cycle()
        faults.plan(Fault("status", 503, times=None))
        for user in changed:
            user.job_title = next(title for title in reversed(NEW_TITLES) if title != user.job_title)
        steps += scene.cycle()
    due = scene.bridge.due()
    yield accepted(scene, steps)
    yield Check(due > 0, f"Ditio can't be reached, and the bridge remembers who is due: {due}. Now Ditio is back:")
    faults.clear()
    yield Check(scene.arrive() == 0, "Everything has arrived, without anybody's help.")
    employee = scene.employee(cast.newcomer)
    yield Check(
        employee is not None and employee.created_count == 1,
        f"{named(cast.newcomer)} was hired just as the line broke, and Ditio's answer was lost. The bridge looked "
        "before it tried again: one employee, not two.",
    )


def leave(scene: Scene) -> Iterator[Check]:
    """People leave, in each of the ways in which Entra says so."""
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
    """Half of them come back, each by the way that is left."""
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
    # Who was deleted for good gets a new account; the number, the phone and the address are the same.
    user = scene.cast.comes_back_as_another(user) if index % 3 == 2 else user
    user.account_enabled, user.soft_deleted, user.hire_date = True, False, back_on
    scene.entra.directory.add(user)
