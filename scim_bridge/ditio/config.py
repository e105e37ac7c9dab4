"""How the bridge reaches Ditio."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scim_bridge.ditio.operation_settings import (
    DEFAULT_OPERATIONS,
    OperationCall,
    OperationSetting,
    operation_setting,
)
from scim_bridge.domain.operations import OperationName

__all__ = ["DitioConfig", "OperationCall", "OperationSetting", "operation_setting"]


@dataclass(frozen=True, slots=True)
class DitioConfig:
    """What the client has to know. Nothing here is read from the environment."""

    api_url: str
    """Base of the integration API; it may carry a path, such as `/core`."""

    identity_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = "ditioapiv3"
    company_id: str | None = None
    """The company's six-digit id, as text. Rows that name another company are not seen."""

    send_company_id: bool = False
    """Whether a creation carries `companyId`; Ditio's documents disagree on that."""

    timeout_seconds: float = 20.0
    """How long one HTTP call may take, in seconds."""

    max_concurrency: int = 8
    """How many connections to Ditio are kept open for reuse, all threads together."""

    requests_per_second: float | None = None
    """How many calls may start in a second, all threads together; None for as many as there are."""

    operations: Mapping[OperationName, OperationSetting] = field(default_factory=dict)
    """Only what differs from `DEFAULT_OPERATIONS`."""

    def __post_init__(self) -> None:
        if self.send_company_id and not self.company_id:
            raise ValueError("DITIO__SEND_COMPANY_ID is on, so DITIO__COMPANY_ID has to name the company")

    def operation(self, name: OperationName) -> OperationSetting:
        """How a configurable operation is called."""
        return self.operations.get(name, DEFAULT_OPERATIONS[name])

    def is_off(self, name: OperationName) -> bool:
        """Whether an operation is never called; a documented one always is."""
        return self.operations.get(name) == "off"
