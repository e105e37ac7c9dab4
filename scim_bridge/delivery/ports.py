"""The one thing behind a port: Ditio."""

from collections.abc import Sequence
from typing import Protocol

from scim_bridge.domain.documents import JsonObject
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.operations import Answer, Call, OperationName


class Ditio(Protocol):
    """What delivery asks of Ditio. Every method raises the `DeliveryError` that says what went wrong.

    `within` is how many seconds are left for the call; None means that only the client's own time-out counts.
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
