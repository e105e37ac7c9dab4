"""What can go wrong between Entra and Ditio, and who should act.

* BridgeError
  x SettingsError          the operator: fix the configuration, nothing was sent
  x SchemaOutdated         the operator: run ``scim-bridge db upgrade``
  x NotFound               the caller: that person, token or file does not exist
  x WrongUsage             the caller: these options do not go together
  x WrongDecisions         the operator: correct the lines named, nothing was linked
  x UntrustedRoster        the operator: Ditio shows too few employees to be believed
  x EntraError             the operator, unless `is_passing`: Entra can't be read; deliveries go on without it
  x LeaseLost              no one: another process has taken this person over, and continues
  x UndoUncertain          the client: ask again, because it is unknown whether a refused write was taken back
  x DeliveryError          (status, request_id, seconds)
    + TransientError       no one: the worker retries; ``ambiguous`` when Ditio may have applied the write
      - Unreached          no one: no connection could be made, so nothing was sent, and other calls fail as well
      - NotYet             no one: Ditio works, and it is too early to know the outcome of an earlier call
      - RateLimited        carries retry_after_seconds
      - BudgetSpent        no one: too little of the request's time was left to start a call
      - Paused             the operator paused deliveries while this person was being delivered
    + PermanentError       the operator: the person is parked, with Ditio's words
    + OperationMissing     the operator: Ditio does not know this operation; see the setting named
    + CredentialsRefused   the operator: Ditio refuses this API client as a whole
"""


class BridgeError(Exception):
    """The base of every error that the bridge raises on purpose. Its text is written for operators."""


class SettingsError(BridgeError):
    """A setting is missing or invalid. The message names it and says what to write instead."""


class SchemaOutdated(BridgeError):
    """The database has an older (or newer) schema than this version of the bridge."""


class NotFound(BridgeError):
    """A person, token or file that was asked for by name does not exist."""


class WrongUsage(BridgeError):
    """The options of a command do not go together."""


class WrongDecisions(BridgeError):
    """A file of decisions has lines that can't be applied. Each is named with its cure; no line was applied."""


class UntrustedRoster(BridgeError):
    """Ditio shows too few employees for its answer to be believed (rule Q4)."""


class EntraError(BridgeError):
    """Entra can't be read through Microsoft Graph. It never concerns users or deliveries.

    :param status: The HTTP status; None if no answer came.
    :param code: Graph's own word for the error.
    :param is_passing: Whether a later try may succeed without an operator.
    :param permission: The application permission that is missing.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        is_passing: bool = False,
        permission: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.is_passing = is_passing
        self.permission = permission


class LeaseLost(BridgeError):
    """The lease ran out, or another process holds it now: the delivery that finds out stops at once (rule D1)."""


class UndoUncertain(BridgeError):
    """The database was lost while a write was being taken back: it is unknown whether the write stays."""


class DeliveryError(BridgeError):
    """A call to Ditio did not succeed.

    :param status: The HTTP status, or None if no answer came.
    :param request_id: The id that Ditio gave to the call, for Ditio's support; None if it gave none.
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
    """A later retry may succeed.

    :param ambiguous: Ditio may have applied the write although no answer, or a 5xx, came back (rule R4).
    :param cut_short: The call had so little time that its timeout says nothing about Ditio.
    :param retry_after_seconds: How long Ditio asked to wait, or None.
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
    """No connection could be made, so nothing was sent (rule R3)."""


class NotYet(TransientError):
    """It is too early to know the outcome of an earlier call. Ditio is not at fault (rule R4)."""


class RateLimited(TransientError):
    """Ditio answered 429. ``retry_after_seconds`` is how long it asked to wait, or None."""

    def __init__(self, message: str, *, retry_after_seconds: float | None) -> None:
        super().__init__(message, status=429, retry_after_seconds=retry_after_seconds)


class BudgetSpent(TransientError):
    """Too little of the request's time was left to start the call (rule A4). Nothing was sent."""


class Paused(TransientError):
    """Deliveries were paused between two calls (rule D4). Nothing more was sent."""


class PermanentError(DeliveryError):
    """Ditio refused the call (400, 409, 422 and other 4xx), in its own words.

    :param words: Ditio's message, limited in length.
    :param field: The field that Ditio named, in Ditio's spelling (``phone``), or None.
    """

    def __init__(self, message: str, *, words: str, field: str | None = None, status: int | None = None) -> None:
        super().__init__(message, status=status)
        self.words = words
        self.field = field


class OperationMissing(DeliveryError):
    """Ditio answered 404 or 405 to an operation, or a setting turns it off (rule R1, ``no-operation``).

    :param operation: The operation's name, as in the setting ``DITIO__OPERATIONS__…``.
    """

    def __init__(self, message: str, *, operation: str) -> None:
        super().__init__(message)
        self.operation = operation


class CredentialsRefused(DeliveryError):
    """Ditio answered a second 401 or a 403, or gave no token: the API client is at fault, not the person (rule R2)."""
