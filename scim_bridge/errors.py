"""What can go wrong between Entra and Ditio, and who should act.

* BridgeError
  x SettingsError          the operator: fix the configuration, nothing was sent
  x SchemaOutdated         the operator: run ``scim-bridge db upgrade``
  x NotFound               the caller: that person, token or file does not exist
  x WrongUsage             the caller: these options do not go together
  x WrongDecisions         the operator: correct the lines named, nothing was linked
  x UntrustedRoster        the operator: Ditio shows too few employees to be believed
  x LeaseLost              nobody: another delivery took the person over, and goes on
  x DeliveryError          (status, request_id, seconds)
    + TransientError       nobody: the worker tries again; ``ambiguous`` when Ditio may have applied the write
      - Unreached          nobody: no connection could be made, so nothing was sent, and nobody else gets through
      - NotYet             nobody: Ditio is well, and it is too early to tell what became of something
      - RateLimited        carries retry_after_seconds
      - BudgetSpent        nobody: too little of the request's time was left to start a call
      - Paused             the operator paused deliveries while a person was in hand
    + PermanentError       a human: the person is parked, with Ditio's words
    + OperationMissing     the operator: Ditio does not know this operation; see the setting named
    + CredentialsRefused   the operator: Ditio refuses this API client as a whole
"""


class BridgeError(Exception):
    """The root of everything that the bridge raises on purpose. Its text is written for a person."""


class SettingsError(BridgeError):
    """A setting is missing or wrong; the message names it and says what to write instead."""


class SchemaOutdated(BridgeError):
    """The database has an older (or newer) schema than this version of the bridge."""


class NotFound(BridgeError):
    """Something that was asked for by name does not exist."""


class WrongUsage(BridgeError):
    """Options that do not go together."""


class WrongDecisions(BridgeError):
    """Lines of a file of decisions that can't be followed; each is named with the cure, and none was followed."""


class UntrustedRoster(BridgeError):
    """Ditio shows so few employees that nothing is concluded from it (rule Q4)."""


class LeaseLost(BridgeError):
    """The lease ran out, or somebody else holds it now: whoever finds out stops at once (rule D1)."""


class DeliveryError(BridgeError):
    """A call to Ditio did not succeed.

    :param status: HTTP status, or None where no answer came.
    :param request_id: The id that Ditio gave to the call, for its support; None where it gave none.
    :param seconds: How long the call took.
    """

    def __init__(
        self, message: str, *, status: int | None = None, request_id: str | None = None, seconds: float = 0.0
    ) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        self.seconds = seconds


class TransientError(DeliveryError):
    """Trying again later may help.

    :param ambiguous: Ditio may have applied the write although no answer, or a 5xx, came back (rule R4).
    :param cut_short: The call had so little time that its end says nothing about Ditio.
    :param retry_after_seconds: What Ditio asked for, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        ambiguous: bool = False,
        cut_short: bool = False,
        retry_after_seconds: float | None = None,
        status: int | None = None,
        request_id: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id, seconds=seconds)
        self.ambiguous = ambiguous
        self.cut_short = cut_short
        self.retry_after_seconds = retry_after_seconds


class Unreached(TransientError):
    """No connection could be made, and nothing was sent (rule R3)."""


class NotYet(TransientError):
    """It is too early to tell what became of an earlier call: no fault of Ditio's (rule R4)."""


class RateLimited(TransientError):
    """Ditio answered 429; ``retry_after_seconds`` is what it asked for, or None."""

    def __init__(self, message: str, *, retry_after_seconds: float | None, request_id: str | None = None) -> None:
        super().__init__(message, status=429, request_id=request_id, retry_after_seconds=retry_after_seconds)


class BudgetSpent(TransientError):
    """Too little of the request's time was left to start the call (rule A4). Nothing was sent."""


class Paused(TransientError):
    """Deliveries were paused between two calls (rule D4). Nothing more was sent."""


class PermanentError(DeliveryError):
    """Ditio said no (400, 409, 422 and other 4xx), in its own words.

    :param words: Ditio's message, bounded in length.
    :param field: The field that Ditio named, by Ditio's name (``phone``), or None.
    """

    def __init__(
        self,
        message: str,
        *,
        words: str,
        field: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id, seconds=seconds)
        self.words = words
        self.field = field


class OperationMissing(DeliveryError):
    """404 or 405 on an operation, or the operation is switched off (rule R1, ``no-operation``).

    :param operation: The operation's name, as in the setting ``DITIO__OPERATIONS__…``.
    """

    def __init__(
        self, message: str, *, operation: str, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.operation = operation


class CredentialsRefused(DeliveryError):
    """A second 401, a 403, or no token: the API client itself is at fault, not the person (rule R2)."""
