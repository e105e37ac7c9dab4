"""Places of a worker go round the tenants."""

from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.delivery.worker import FairShare


def test_tenants_take_turns():
    """D2: leasing is fair between tenants."""
    turns = FairShare({"a": 9, "b": 9, "c": 9}, places=9)
    taken = []
    for _ in range(6):
        name = turns.candidates(0.0)[0]
        turns.take(name)
        taken.append(name)

    assert taken == ["a", "b", "c", "a", "b", "c"]


def test_a_slow_tenant_leaves_a_place_for_each_other():
    """D2: it may use what is free, but for one place for each tenant that has none."""
    turns = FairShare({"slow": 9, "b": 9, "c": 9}, places=5)
    while "slow" in turns.candidates(0.0):
        turns.take("slow")
    turns.take("b")

    assert turns.candidates(0.0) == ["c"]
    turns.give_back("slow")
    assert turns.candidates(0.0) == ["c", "slow", "b"]


@given(
    names=st.lists(st.sampled_from("abcde"), min_size=1, unique=True),
    limit=st.integers(1, 9),
    places=st.integers(1, 12),
    moves=st.lists(st.integers(0, 99), max_size=60),
)
def test_no_one_is_shut_out(names: list[str], limit: int, places: int, moves: list[int]):
    """D2: limits hold, and with a place for each tenant no tenant without one is ever kept waiting by the others."""
    turns = FairShare(dict.fromkeys(names, limit), places)
    taken = dict.fromkeys(names, 0)
    for move in moves:
        candidates = turns.candidates(0.0)
        name = names[move % len(names)]
        if move % 3 and name in candidates:
            turns.take(name)
            taken[name] += 1
        elif taken[name]:
            turns.give_back(name)
            taken[name] -= 1
        assert sum(taken.values()) <= places
        assert max(taken.values()) <= limit
        if places >= len(names):
            assert {each for each in names if not taken[each]} <= set(turns.candidates(0.0))


def test_idle_tenants_are_looked_at_last_for_a_moment():
    """D2: many companies with no one due cost a busy one no look, and have their turn again soon."""
    turns = FairShare({"a": 9, "b": 9, "busy": 9}, places=9)
    turns.nothing_due("a", 10.0)
    turns.nothing_due("b", 10.2)
    turns.take("busy")

    assert turns.candidates(10.3) == ["busy", "a", "b"]
    assert turns.candidates(10.6) == ["a", "busy", "b"]
    assert turns.candidates(11.0) == ["a", "b", "busy"]
