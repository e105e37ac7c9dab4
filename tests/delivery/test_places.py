"""Places for deliveries while a request waits go round the companies."""

from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.delivery.inline import InlinePlaces


def taken(places: InlinePlaces, name: str) -> int:
    """As many as there are for a company."""
    count = 0
    while places.take(name):
        count += 1
    return count


def test_one_company_alone_has_all():
    """A4: half of the threads, which is what there are places."""
    assert taken(InlinePlaces({"a": 9}, 4), "a") == 4


def test_its_own_limit_holds():
    """D2: `DITIO__MAX_CONCURRENCY`."""
    assert taken(InlinePlaces({"a": 3}, 4), "a") == 3


def test_of_several_one_has_half_and_leaves_one():
    """D2: a slow company keeps no one else from delivering while his request waits."""
    places = InlinePlaces({"slow": 9, "slow too": 9, "other": 9}, 4)
    assert taken(places, "slow") == 2
    assert taken(places, "slow too") == 1
    assert taken(places, "other") == 1
    assert taken(places, "slow") == 0
    places.give_back("slow")
    assert not places.take("slow too")
    assert places.take("slow") is False
    places.give_back("other")
    assert places.take("slow")


def test_where_there_is_one_place_a_person_who_comes_first_has_it():
    places = InlinePlaces({"a": 9, "b": 9}, 1)
    assert taken(places, "a") == 1
    assert taken(places, "b") == 0
    places.give_back("a")
    assert taken(places, "b") == 1


@given(
    names=st.lists(st.sampled_from("abcde"), min_size=1, unique=True),
    limit=st.integers(1, 9),
    count=st.integers(1, 9),
    moves=st.lists(st.integers(0, 99), max_size=60),
)
def test_no_company_alone_keeps_the_others_out(names: list[str], limit: int, count: int, moves: list[int]):
    """D2: limits hold; and while one company alone has places, every other finds one, if there are two at all."""
    places, held = InlinePlaces(dict.fromkeys(names, limit), count), dict.fromkeys(names, 0)
    for move in moves:
        name = names[move % len(names)]
        if move % 3:
            held[name] += places.take(name)
        elif held[name]:
            places.give_back(name)
            held[name] -= 1
        assert sum(held.values()) <= count
        assert max(held.values()) <= limit
        holders = [each for each, has in held.items() if has]
        for other in names:
            if len(holders) == 1 and other not in holders and count > 1:
                assert places.take(other)
                places.give_back(other)
