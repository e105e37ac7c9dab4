"""A refused batch is narrowed down, so that one bad certificate holds back no other (rule K4)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from scim_bridge.errors import PermanentError

T = TypeVar("T")

BISECTED = frozenset({400, 409, 422})
"""What may be the fault of one item; any other refusal is about the whole."""

LEVELS = 3
"""How many levels in a row both halves have to fail for their whole to be given up: it is the whole that is wrong."""


@dataclass(frozen=True, slots=True)
class Refused(Generic[T]):
    """Items that Ditio refuses together, and that were not narrowed down any further."""

    items: Sequence[T]
    error: PermanentError

    @property
    def why(self) -> str:
        """What Ditio said; of several, what else it may be."""
        said = f"{self.error}: {self.error.words}"
        count = len(self.items)
        # How many Ditio takes at a time is not documented ([U]).
        too_many = f". {count} were sent together: if that is too many, lower CERTIFICATES__MAX_PER_REQUEST"
        return said if count == 1 else said.rstrip(".") + too_many


def send_narrowing(post: Callable[[Sequence[T]], None], items: Sequence[T], most: int) -> list[Refused[T]]:
    """Post items in as few requests as it takes to have every good one taken. What is refused.

    :param post: Posts some of them; all of them are taken, or it raises `PermanentError`.
    :param most: How many may be in one request.
    :raises DeliveryError: anything else that `post` raises; what was taken before is taken.
    """
    batches = (items[start : start + most] for start in range(0, len(items), most))
    return [refused for batch in batches for refused in _sent(post, batch)]


def _sent(post: Callable[[Sequence[T]], None], items: Sequence[T]) -> list[Refused[T]]:
    error = _posted(post, items)
    return [] if error is None else _narrowed(post, items, error, 0)


def _narrowed(
    post: Callable[[Sequence[T]], None], items: Sequence[T], error: PermanentError, failed_levels: int
) -> list[Refused[T]]:
    if len(items) == 1 or not _may_be_of_one(error):
        return [Refused(items, error)]
    middle = len(items) // 2
    halves = items[:middle], items[middle:]
    errors = [_posted(post, half) for half in halves]
    failed = [(half, each) for half, each in zip(halves, errors, strict=True) if each is not None]
    failed_levels = failed_levels + 1 if len(failed) == len(halves) else 0
    if failed_levels == LEVELS:
        return [Refused(half, each) for half, each in failed]
    return [refused for half, each in failed for refused in _narrowed(post, half, each, failed_levels)]


def _may_be_of_one(error: PermanentError) -> bool:
    """Errors within a 2xx are about items too: the others of it were taken, and are the same when sent again."""
    status = error.status or 0
    return status in BISECTED or 200 <= status <= 299


def _posted(post: Callable[[Sequence[T]], None], items: Sequence[T]) -> PermanentError | None:
    try:
        post(items)
    except PermanentError as error:
        return error
    return None
