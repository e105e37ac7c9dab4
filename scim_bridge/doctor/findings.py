"""How a check reports: a finding with its cure; and checks that run at the same time, within a limit."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from scim_bridge.operator.commands import about_tenant
from scim_bridge.settings import DEFAULT_TENANT, Settings

SOON = timedelta(days=30)
"""How long before its end a secret is reported."""

Status = StrEnum("Status", ["ok", "hint", "fails"])
"""The result of a check. A hint works, and may be intended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `detail` and `cure` hold no secret and no personal data."""

    check: str
    status: Status
    detail: str
    cure: str | None = None


def ok(check: str, detail: str) -> Finding:
    """Return a finding that all is right."""
    return Finding(check, Status.ok, detail)


def hint(check: str, detail: str, cure: str) -> Finding:
    """Return a finding that may be intended."""
    return Finding(check, Status.hint, detail, cure)


def fails(check: str, detail: str, cure: str = "", *, split: str | None = None) -> Finding:
    """Return a finding that needs an operator. :param split: Where it stands in `detail`, the cure follows it."""
    told, _, own_cure = detail.partition(split) if split else (detail, "", "")
    return Finding(check, Status.fails, told, own_cure or cure)


class Examination(threading.Thread):
    """Checks in sequence; each may stop the following ones. :param late: The finding if they do not end in time."""

    def __init__(self, checks: Callable[[], Iterable[Finding]], late: Finding) -> None:
        super().__init__(daemon=True)  # Some waits, such as for a name server, have no time-out.
        self.checks, self.late = checks, late
        self.found: list[Finding] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        """Collect the findings, each as soon as it is there."""
        try:
            for finding in self.checks():
                self.found.append(finding)
        except BaseException as error:  # Raised again in the command's own thread.
            self.error = error


def examined(examinations: Sequence[Examination], *, seconds: float) -> list[Finding]:
    """Run all examinations at the same time; report as late each that does not end in time."""
    deadline, found = time.monotonic() + seconds, list[Finding]()
    for each in examinations:
        each.start()
    for each in examinations:
        each.join(max(0.0, deadline - time.monotonic()))
        if each.error is not None:
            raise each.error
        found += [*each.found, each.late] if each.is_alive() else each.found
    return found


def named(tenant: str, settings: Settings, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield the findings about one company, with its name if there are several."""
    several = list(settings.tenants) != [DEFAULT_TENANT]
    for each in findings:
        cure = None if each.cure is None else about_tenant(tenant, each.cure)
        yield replace(each, detail=f"{tenant}: {each.detail}", cure=cure) if several else each
