"""Phone numbers in E.164."""

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.values import phone_shown, to_e164

REGIONS = st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS))
E164 = re.compile(r"\+[1-9][0-9]{1,14}")


@pytest.mark.parametrize(
    "raw",
    [
        "98765432",
        " 987 65 432 ",
        "987-65-432",
        "+4798765432",
        "+47 (987) 65-432",
        "004798765432",
        "0047 98 76 54 32",
        "tel:+47-987-65-432",
        "+47\u00a0987\u00a065\u00a0432",
    ],
)
def test_a_norwegian_number_is_read_however_it_is_typed(raw: str) -> None:
    """Design, section 6: E.164, default region NO."""
    assert to_e164(raw, "NO") == "+4798765432"


@given(st.from_regex(r"\+47( ?[0-9]){7,9}", fullmatch=True), REGIONS)
def test_a_norwegian_number_is_what_the_library_says(raw: str, region: str) -> None:
    """Most numbers take a short cut, which may change no result."""
    number = phonenumbers.parse(raw, region)
    is_valid = phonenumbers.is_valid_number(number)
    expected = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if is_valid else None

    assert to_e164(raw, region) == expected
    assert phone_shown(raw, region) == (expected or raw)


def test_a_number_of_another_country_keeps_its_country() -> None:
    assert to_e164("+46 70 123 45 67", "NO") == "+46701234567"
    assert to_e164("070-123 45 67", "SE") == "+46701234567"


@pytest.mark.parametrize(
    "raw",
    ["98765432 / 41234567", "98765432, 41234567", "123", "112", "", "-", "987654321234", "98765432 ext. 12",
     "98765432#12", "ring Kari 98765432", "+999 98765432", "\x00"],
)  # fmt: skip
def test_a_doubtful_number_is_not_used(raw: str) -> None:
    """C3: parsed *and* valid; what the library would cut off or guess must not decide who signs in."""
    assert to_e164(raw, "NO") is None


@given(raw=st.text() | st.from_regex(r"[+0-9 ()-]{5,20}", fullmatch=True), region=REGIONS)
def test_the_result_is_always_e164_and_stays_as_it_is(raw: str, region: str) -> None:
    """ITU-T E.164: a plus sign and at most fifteen digits; read again it is the same."""
    phone = to_e164(raw, region)

    if phone is not None:
        assert E164.fullmatch(phone)
        assert to_e164(phone, "NO") == phone


@given(region=REGIONS, digits=st.integers(min_value=0, max_value=99_999), kind=st.sampled_from([1, 0, 2, 7]))
def test_numbers_near_real_ones_of_every_country_stay_as_they_are(region: str, digits: int, kind: int) -> None:
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None:
        return
    national = str(example.national_number)
    raw = f"+{example.country_code}{national[: max(len(national) - 5, 0)]}{digits:05}"
    phone = to_e164(raw, "NO")

    assert phone is None or (E164.fullmatch(phone) and to_e164(phone, region) == phone)
