"""The one thing behind a port: Ditio."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.operations import Answer, Call, OperationName
from scim_bridge.domain.values import JsonObject


class Ditio(Protocol):
    """What delivery asks of Ditio. Every method raises the `DeliveryError` that says what went wrong.

    `within` is how many seconds are left for the call; None means that only the client's own time-out counts.
    """

    def permit(
        self, *, within: float | None = None, meanwhile: Callable[[], object] | None = None
    ) -> AbstractContextManager[None]:
        """The right to call in this block: a process has as many at a time as the settings say (rule D2).

        `within` is how many seconds to wait for it at most, and `meanwhile` is done every second of the wait. Each call
        takes it by itself; first takes it whoever has to look at something when the wait is over.
        """

    def get(self, number: EmployeeNumber, *, within: float | None = None) -> Answer | None:
        """The employee with exactly this number, or None."""

    def search(self, text: str, *, within: float | None = None) -> list[JsonObject]:
        """Employees found by free text; not exact, so filter what comes back."""

    def check(self, *, within: float | None = None, renews: bool = True) -> None:
        """Read something cheap that concerns nobody: whether Ditio accepts this API client at all (rule R2).

        `renews` says whether a 401 has the token renewed.
        """

    def send(self, call: Call, *, within: float | None = None) -> Answer:
        """Do something to an employee."""

    def is_off(self, name: OperationName) -> bool:
        """Whether an operation is switched off by a setting, so that nothing is ever sent for it."""

    def post_certificates(self, items: Sequence[JsonObject], *, within: float | None = None) -> Answer:
        """Upsert certificates of any employees; where it raises, some may have been taken all the same."""
