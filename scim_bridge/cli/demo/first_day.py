"""Acts of the demo: the first day, and the two people who had to wait then."""

from collections.abc import Iterator

from scim_bridge.cli.demo.calls import Check, kind_of, numbered
from scim_bridge.cli.demo.scene import Scene, accepted, named


def connect(scene: Scene) -> Iterator[Check]:
    """Entra's button "Test connection"."""
    wrong = scene.bridge.get("/Users", "a token that nobody issued")
    yield Check(wrong.status_code == 401, "A wrong token is turned away.")
    answer = scene.entra.test_connection()
    yield Check(answer.status_code == 200, "The right one is accepted, and Entra may begin.")


def hire(scene: Scene) -> Iterator[Check]:
    """The initial cycle: everybody, of whom three are not simple."""
    cast = scene.cast
    for user in cast.everybody:
        scene.entra.directory.add(user)
    scene.waiting = {cast.namesake.object_id, cast.unnumbered.object_id}
    yield accepted(scene, scene.sends(len(cast.everybody)))
    scene.arrive()
    new = len(cast.everybody) - len(scene.waiting) - 1
    created = sum(kind_of(call) == "create employee" and call.status < 300 for call in scene.ditio.requests)
    yield Check(created == new, f"In Ditio {numbered(new, 'new employee')} came to be.")
    yield _adopted(scene)
    yield _left_alone(scene)
    state, detail = scene.delivery_of(cast.unnumbered)
    yield Check(state == "held", f"{named(cast.unnumbered)} has no employee number yet, and waits:", detail)


def put_right(scene: Scene) -> Iterator[Check]:
    """Both who waited get a number that is theirs."""
    cast = scene.cast
    cast.unnumbered.employee_id, cast.namesake.employee_id = cast.own_number, cast.free_number
    scene.waiting = set()
    yield accepted(scene, scene.sends(2))
    scene.arrive()
    delivered = scene.delivery_of(cast.unnumbered)[0] == "delivered"
    yield Check(delivered, f"{named(cast.unnumbered)} has a number now, and was hired because of that.")
    delivered = scene.delivery_of(cast.namesake)[0] == "delivered"
    yield Check(delivered, f"{named(cast.namesake)} has another number, and was hired under it.")


def _adopted(scene: Scene) -> Check:
    user = scene.cast.adopted
    employee = scene.employee(user)
    return Check(
        employee is not None and employee.created_count == 0 and employee.work_title == user.job_title,
        f"{named(user)} was in Ditio already, with the same phone: taken over and brought up to date.",
    )


def _left_alone(scene: Scene) -> Check:
    user, stranger = scene.cast.namesake, scene.cast.strangers[0]
    state, detail = scene.delivery_of(user)
    return Check(
        state in ("parked", "refused") and scene.employee(user) == stranger,
        f"{named(user)} has the number of somebody else in Ditio, {stranger.name}, who is left alone. "
        "The bridge reports:",
        detail,
    )
