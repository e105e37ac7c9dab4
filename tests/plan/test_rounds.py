"""What Ditio makes of a value that it took: pure, one read after another (rule C2)."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.employee import Field, Value
from scim_bridge.domain.person import Acknowledged, SentValue
from scim_bridge.plan.readback import MAX_ROUNDS, Write, confirmed, is_stuck, judged, read_back, sent_values_of

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
TITLE = Field.work_title
OLD, WISH, FORM, EDIT = "Lærling", "Formann", "FORMANN", "Sjef"
TAKEN = SentValue(NOW, before=OLD)


def sent_again(taking: SentValue) -> SentValue:
    """The same value is sent and taken once more."""
    known = Acknowledged({TITLE: WISH}, sent_values={TITLE: TAKEN})
    after = sent_values_of(known, {TITLE: WISH}, Write(earlier={TITLE: taking}), NOW)[TITLE]
    assert after is not None
    return after


def test_the_second_look_tells_a_form():
    """C2: it differs from what was before the write, and is shown again."""
    once = judged(TITLE, TAKEN, FORM)
    assert (once.rounds, once.form) == (1, None)

    twice = judged(TITLE, sent_again(once), FORM)
    assert twice.is_confirmed
    assert twice.form == FORM
    assert judged(TITLE, twice, FORM).is_confirmed


def test_what_was_there_before_is_no_form():
    """C2: what was shown before the write, and is still shown, is a value that Ditio ignored."""
    twice = judged(TITLE, sent_again(judged(TITLE, TAKEN, OLD)), OLD)

    assert is_stuck(twice)
    assert twice.form is None


def test_nothing_is_no_form():
    assert is_stuck(judged(TITLE, sent_again(judged(TITLE, TAKEN, None)), None))


def test_two_forms_in_turn_are_two_rounds():
    assert is_stuck(judged(TITLE, sent_again(judged(TITLE, TAKEN, FORM)), "formann."))


def test_an_answer_that_shows_the_form_is_the_first_look():
    known = Acknowledged({TITLE: OLD})
    write = Write(before={TITLE: OLD}, after={TITLE: FORM})
    taking = sent_values_of(known, {TITLE: WISH}, write, NOW)[TITLE]

    assert taking == SentValue(NOW, before=OLD, shown=FORM)
    assert judged(TITLE, taking, FORM).form == FORM


@pytest.mark.parametrize("shown", [OLD, WISH, f" {WISH} ", None])
def test_an_answer_that_shows_nothing_new_tells_nothing(shown: str | None):
    write = Write(before={TITLE: OLD}, after={TITLE: shown})

    assert sent_values_of(Acknowledged(), {TITLE: WISH}, write, NOW) == {TITLE: SentValue(NOW, before=OLD)}


def test_a_value_that_was_shown_as_it_was_sent_has_no_other_form():
    """C2: a person who edits it by hand afterwards, again and again, is not taken for Ditio."""
    seen = confirmed(TAKEN, WISH)
    first = judged(TITLE, seen, EDIT)
    second = judged(TITLE, sent_again(first), EDIT)
    assert (first.rounds, second.rounds) == (0, 1)

    third = judged(TITLE, sent_again(second), EDIT)
    assert is_stuck(third)
    assert third.form == WISH


def test_what_is_stuck_is_judged_no_more_until_it_is_sent_again():
    """C2: without another write, seeing the same thing again tells nothing new."""
    stuck = judged(TITLE, sent_again(judged(TITLE, TAKEN, FORM)), EDIT)

    assert is_stuck(judged(TITLE, judged(TITLE, stuck, EDIT), EDIT))


def test_a_new_wish_starts_anew_and_the_same_goes_on():
    known = Acknowledged({TITLE: OLD}, sent_values={TITLE: replace(TAKEN, rounds=2)})

    assert sent_values_of(known, {TITLE: WISH}, Write(before={TITLE: EDIT}), NOW) == {
        TITLE: SentValue(NOW, before=EDIT)
    }
    assert sent_again(replace(TAKEN, rounds=1)).rounds == 1


def test_what_was_only_read_has_no_taking():
    known = Acknowledged({TITLE: OLD}, sent_values={TITLE: TAKEN})

    assert sent_values_of(known, {TITLE: WISH}, None, NOW) == {TITLE: None}
    assert sent_values_of(known, {TITLE: OLD}, None, NOW) == {TITLE: TAKEN}


def test_a_read_back_believes_what_is_there_and_nothing_else():
    """C5: just after a write, only a value that is shown proves anything."""
    assert read_back({TITLE: TAKEN}, {TITLE: WISH}, {TITLE: WISH}) == {TITLE: confirmed(TAKEN, WISH)}
    assert read_back({TITLE: TAKEN}, {TITLE: WISH}, {TITLE: OLD}) == {}
    assert read_back({TITLE: TAKEN}, {TITLE: WISH}, {}) == {}
    assert read_back({TITLE: TAKEN}, {TITLE: WISH}, {TITLE: FORM}) == {TITLE: replace(TAKEN, shown=FORM)}


@given(shown=st.lists(st.sampled_from([OLD, FORM, EDIT, "x", None]), min_size=8, max_size=12))
def test_a_value_that_is_never_shown_is_sent_twice_at_most(shown: list[Value | None]):
    """C2: however Ditio answers, it comes to an end: a form that stays, or two rounds for each one that does not."""
    taking, writes = TAKEN, 1
    for found in shown:
        after = judged(TITLE, taking, found)
        if not after.is_confirmed and not is_stuck(after):
            taking, writes = sent_again(after), writes + 1
        else:
            taking = after
    has_form = taking.form is not None
    assert has_form or is_stuck(taking)
    assert has_form or writes == MAX_ROUNDS
