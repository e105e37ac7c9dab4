"""Certificates without any database: types, and whose word counts (K1)."""

import unicodedata
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.certificate import Certificate, Entry, EntryId, Holder, Source, beats, type_of, winner_of
from scim_bridge.domain.person import PersonId
from scim_bridge.domain.values import is_far_off

KARI = Holder.of_person(PersonId("kari"))
NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
CRANE = type_of("Kranførerbevis")
DAYS = st.dates(min_value=date(2025, 12, 30), max_value=date(2026, 1, 2))


def an_entry(name: str, issued: date, valid_until: date | None, *, wins: bool = False, minutes: int = 0) -> Entry:
    at = NOW + timedelta(minutes=minutes)
    certificate = Certificate(CRANE, issued, valid_until)
    return Entry(EntryId(name), KARI, Source.csv, certificate, wins, None, 1, at, at)


@given(
    said=st.lists(st.tuples(DAYS, st.none() | DAYS, st.integers(0, 2)), min_size=1, max_size=3),
    present=st.integers(0, 3),
    data=st.data(),
)
def test_the_newest_counts_then_the_longest_then_what_is_there(
    said: list[tuple[date, date | None, int]], present: int, data: st.DataObject
):
    """K1: the newest `issued` decides, then the later end; on equal dates what is there stays; the order does not."""
    entries = [
        an_entry(str(place), issued, end, wins=place == present, minutes=minutes)
        for place, (issued, end, minutes) in enumerate(said)
    ]
    winner = winner_of(data.draw(st.permutations(entries)))

    assert winner is not None
    assert all(winner.certificate.issued >= each.certificate.issued for each in entries)
    rivals = [each for each in entries if each.certificate.issued == winner.certificate.issued]
    ends = [each.certificate.valid_until for each in rivals]
    assert winner.certificate.valid_until == (None if None in ends else max(end for end in ends if end))
    equal = [each for each in entries if each.certificate == winner.certificate]
    assert winner.wins or not any(each.wins for each in equal)
    assert winner.wins or winner.created_at == min(each.created_at for each in equal)
    for each in entries:
        assert not beats(each.certificate, winner.certificate)


def test_no_one_wins_where_no_one_says_anything():
    assert winner_of([]) is None


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_type_is_one_however_it_was_typed(form: str):
    """K1: trimmed and in NFC, and otherwise exact."""
    typed = unicodedata.normalize(form, "  Gravemaskinfører, klasse Å\t")

    assert type_of(typed) == "Gravemaskinfører, klasse Å"
    assert type_of("byggekort") != type_of("Byggekort")


@pytest.mark.parametrize(
    ("day", "is_far"),
    [("1976-03-02", False), ("1976-03-01", True), ("2076-03-02", False), ("2076-03-03", True), ("0001-01-01", True)],
)
def test_a_day_is_far_off_after_fifty_years(day: str, is_far: bool):
    """K1: a date that is sent in more than 50 years off is refused."""
    assert is_far_off(date.fromisoformat(day), date(2026, 3, 2)) == is_far


def test_fifty_years_from_a_leap_day():
    assert not is_far_off(date(1974, 2, 28), date(2024, 2, 29))
    assert is_far_off(date(1974, 2, 27), date(2024, 2, 29))
