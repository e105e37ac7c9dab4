"""What a provisioning cycle of the simulated Entra reports, and what ends it early."""

from __future__ import annotations

from dataclasses import dataclass

from scim_bridge.sandbox.scim_calls import Answer, Step


@dataclass(frozen=True, slots=True)
class Cycle:
    """One provisioning cycle. A user or group for whom there was nothing to do has no step."""

    steps: list[Step]

    quarantined: bool
    """The cycle stopped at its last step, and Entra would now come once a day only."""

    @property
    def failed(self) -> list[Step]:
        """The steps that Entra tries again in the next cycle."""
        return [step for step in self.steps if not step.ok]


class Quarantined(Exception):
    """The bridge answered what stops the whole job."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.detail or f"{step.method} {step.path} was answered {step.status}")
        self.step = step


def checked(answer: Answer, object_id: str, *, matching: bool = False) -> Answer:
    """Return the answer, unless it quarantines the job: any 401, and a 404 on a match query.

    :raises Quarantined: it does.
    """
    if answer.status == 401 or (matching and answer.status == 404):
        raise Quarantined(answer.step(object_id, "none"))
    return answer
