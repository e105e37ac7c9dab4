"""The end of the demo: what was asked and sent in each act, and the comparison of everybody."""

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from scim_bridge.cli.demo.calls import Check, proofs
from scim_bridge.cli.demo.comparison import FIELDS, Difference
from scim_bridge.cli.demo.scene import Played, Scene
from scim_bridge.cli.demo.stage import Stage, mark

MOST_DIFFERENCES = 50

_QUIET = ("read", "search", "sign-in")


def close(scene: Scene, played: Sequence[Played]) -> bool:
    """Show the closing tables; whether everything agrees."""
    stage = scene.stage
    stage.heading("What was asked, and what was sent")
    stage.table(["Act", "Entra asked", "Ditio was sent", "Outcome"], _rows(played), lines=True)
    stage.heading("Everybody, Entra against Ditio")
    found = scene.differences()
    checks = _final_checks(scene, found)
    for check in checks:
        stage.check(check)
    if found:
        _show_differences(stage, found)
    agrees = not found and all(check.ok for check in checks) and all(each.ok for each in played)
    stage.say()
    if agrees:
        stage.say("Everything agrees.", "bold green")
    else:
        failed = [each.title for each in played if not each.ok]
        stage.say(f"Not everything agrees{': see ' + ', '.join(failed) if failed else ''}.", "bold red")
    return agrees


def _rows(played: Sequence[Played]) -> list[list[Text]]:
    return [
        [
            Text(f"{number} {each.title}"),
            _counted(each.asked),
            _counted(each.sent),
            Text.assemble(mark(each.ok), " ", _outcome(each)),
        ]
        for number, each in enumerate(played, 1)
    ]


def _outcome(played: Played) -> str:
    """The first thing that is wrong, else what the act came to."""
    wrong = [check.text for check in played.checks if not check.ok]
    summary = next((check.text for check in played.checks if check.sums_up), played.checks[-1].text)
    return wrong[0] if wrong else summary


def _counted(counts: Counter[str]) -> Text:
    if not counts:
        return Text("–", "dim")
    width = max(len(str(count)) for count in counts.values())
    loud = [(f"{count:>{width}} {kind}", _style(kind)) for kind, count in counts.items() if kind not in _QUIET]
    quiet = ", ".join(f"{count} {kind}" for kind, count in counts.items() if kind in _QUIET)
    lines = [*loud, *([(quiet, "dim")] if quiet else [])]
    return Text("\n").join(Text(text, style) for text, style in lines)


def _style(kind: str) -> str:
    return "yellow" if kind == "failed" else ""


def _final_checks(scene: Scene, found: Sequence[Difference]) -> list[Check]:
    cast, company = scene.cast, scene.ditio.company
    people = [each for each in scene.known() if each.object_id not in scene.waiting]
    differing = len({each.employee_number for each in found})
    untouched = all(company.employees.get(each.employee_number) == each for each in cast.strangers)
    return [
        Check(
            differing == 0,
            f"{len(people) - differing} of {len(people)} people are alike in every field: {', '.join(FIELDS)}.",
        ),
        *proofs(
            scene.ditio.requests,
            company.employees,
            hired=len(people) - 1,
            people=len(people),
            strangers=len(cast.strangers),
        ),
        Check(
            untouched,
            f"Whom Entra does not know was left alone in Ditio: {_listed([each.name for each in cast.strangers])}.",
        ),
        Check(
            all(status < 300 or status == 409 for status in scene.statuses),
            f"Entra asked {sum(scene.statuses.values())} times and was answered "
            f"{', '.join(f'{count} × {status}' for status, count in sorted(scene.statuses.items()))}.",
        ),
    ]


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]])


def _show_differences(stage: Stage, found: Sequence[Difference]) -> None:
    rows = [
        [
            Text(each.employee_number),
            Text(each.name),
            Text(each.field),
            Text(each.entra or "–", "green"),
            Text(each.ditio or "–", "red"),
        ]
        for each in found[:MOST_DIFFERENCES]
    ]
    stage.table(["Employee", "Name", "Field", "Entra", "Ditio"], rows)
    if len(found) > MOST_DIFFERENCES:
        stage.say(f"  … and {len(found) - MOST_DIFFERENCES} more.")
