"""A refused batch is narrowed down (K4)."""

from collections.abc import Sequence
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim_bridge.certificates.sending import BISECTED, LEVELS, send_narrowing
from scim_bridge.errors import PermanentError, RateLimited


class Ditio:
    """Takes all items of a batch, or none."""

    def __init__(self, bad: set[int], status: int = 400) -> None:
        self.bad, self.status = bad, status
        self.batches: list[list[int]] = []
        self.taken: list[int] = []

    def post(self, batch: Sequence[int]) -> None:
        self.batches.append(list(batch))
        if self.bad.intersection(batch):
            raise PermanentError("refused", words=f"one of {len(batch)}", status=self.status)
        self.taken += batch


def after(bad: set[int], count: int, status: int = 400, most: int = 500) -> tuple[Ditio, list[list[int]]]:
    ditio = Ditio(bad, status)
    return ditio, [list(refused.items) for refused in send_narrowing(ditio.post, range(count), most)]


@pytest.mark.parametrize("most", [1, 7, 50, 499])
def test_no_request_has_more_than_it_may_and_one_bad_item_stands_alone(most: int):
    """Facts about Ditio, section 3: how long the array may be is unknown."""
    ditio, refused = after({13}, 500, most=most)

    assert max(map(len, ditio.batches)) == most
    assert refused == [[13]]
    assert sorted(ditio.taken) == [each for each in range(500) if each != 13]


def test_what_is_refused_together_names_the_setting():
    """An operator reads what else it may be; of one alone it is not so."""
    everybody = send_narrowing(Ditio(set(range(500)), 413).post, range(500), 500)
    alone = send_narrowing(Ditio({1}).post, [1], 500)

    assert [each.why for each in everybody] == [
        "refused: one of 500. 500 were sent together: if that is too many, lower CERTIFICATES__MAX_PER_REQUEST"
    ]
    assert [each.why for each in alone] == ["refused: one of 1"]


@pytest.mark.parametrize("bad", [0, 1, 249, 250, 499])
@pytest.mark.parametrize("status", [*sorted(BISECTED), 200, 207])
def test_one_bad_item_of_five_hundred(bad: int, status: int):
    """K4: it stands alone, everyone else is delivered, and the requests are logarithmic."""
    ditio, refused = after({bad}, 500, status)

    assert refused == [[bad]]
    assert sorted(ditio.taken) == [each for each in range(500) if each != bad]
    assert len(ditio.batches) <= 1 + 2 * ceil(log2(500))


def test_a_batch_that_is_wholly_refused_costs_few_requests():
    """K4: both halves fail three levels down in a row."""
    ditio, refused = after(set(range(500)), 500)

    assert len(ditio.batches) == 2 ** (LEVELS + 1) - 1
    assert sorted(each for part in refused for each in part) == list(range(500))
    assert ditio.taken == []


@pytest.mark.parametrize("status", [403, 404, 413, 415])
def test_what_no_item_is_the_reason_of_is_not_narrowed_down(status: int):
    """K4: on 400, 409 and 422 only."""
    ditio, refused = after({3}, 500, status)

    assert (len(ditio.batches), refused) == (1, [list(range(500))])


def test_nothing_is_swallowed():
    """R3: a 429 is everyone's: what was taken before is taken."""

    def post(batch: Sequence[int]) -> None:
        if len(batch) < 4:
            raise RateLimited("slow down", retry_after_seconds=None)
        raise PermanentError("refused", words="", status=400)

    with pytest.raises(RateLimited):
        send_narrowing(post, range(4), 4)


@given(count=st.integers(1, 200), bad=st.sets(st.integers(0, 199), max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_set_of_bad_items(count: int, bad: set[int]):
    """K4: every good item is taken, but for those within a part of which both halves failed three levels in a row."""
    bad = {each for each in bad if each < count}
    ditio, refused = after(bad, count)

    assert sorted([*ditio.taken, *(each for part in refused for each in part)]) == list(range(count))
    assert all(bad.intersection(part) for part in refused)
    assert len(ditio.batches) <= 1 + 2 * max(1, len(bad)) * ceil(log2(count) if count > 1 else 1)
    given_up = [part for part in refused if len(part) > 1]
    for part in given_up:
        assert _was_hopeless(ditio.batches, part, bad)


@given(count=st.integers(1, 300), bad=st.sets(st.integers(0, 299), max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_few_bad_items_never_hold_back_a_good_one(count: int, bad: set[int]):
    """K4: it takes four for both halves to fail on three levels; fewer stand alone, wherever they are."""
    bad = {each for each in bad if each < count}
    ditio, refused = after(bad, count)

    assert sorted(each for part in refused for each in part) == sorted(bad)
    assert set(ditio.taken) == set(range(count)) - bad


def _was_hopeless(batches: list[list[int]], part: list[int], bad: set[int]) -> bool:
    """Whether the part, its other half, and both halves two levels above were refused."""
    around = [batch for batch in batches if set(part) < set(batch)]
    chain = sorted(around, key=len)[:LEVELS]
    return len(chain) == LEVELS and all(_both_halves_are_bad(batch, bad) for batch in chain)


def _both_halves_are_bad(batch: list[int], bad: set[int]) -> bool:
    middle = len(batch) // 2
    return bool(bad.intersection(batch[:middle])) and bool(bad.intersection(batch[middle:]))
