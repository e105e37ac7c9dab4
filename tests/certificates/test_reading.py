"""A certificate out of the texts in which it is sent in (K1, K5, T1)."""

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from scim_bridge.certificates.reading import InvalidCertificate, certificate_from, number_from
from scim_bridge.domain.certificate import Certificate, CertificateRules, Part, type_of

TERMS = CertificateRules(ZoneInfo("Europe/Oslo"), date(2026, 3, 2))
SAID: dict[Part, object] = {
    Part.type: " Kranførerbevis ",
    Part.number: "K-77",
    Part.issued: "2026-01-15",
    Part.valid_until: "2031-01-14",
    Part.notes: "G4",
}


def test_all_parts_are_read():
    """K1: the type in NFC and trimmed, the days as days."""
    assert certificate_from(SAID, TERMS) == Certificate(
        type_of("Kranførerbevis"), date(2026, 1, 15), date(2031, 1, 14), "K-77", "G4"
    )


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-15T00:00:00Z", "2026-01-15"),
        ("2026-01-15T23:59:59Z", "2026-01-15"),
        ("2026-01-14T23:00:00Z", "2026-01-15"),
        ("2026-01-15T00:00:00+01:00", "2026-01-15"),
        ("15.01.2026", "2026-01-15"),
    ],
)
def test_an_instant_is_a_day_of_the_company(text: str, day: str):
    """T1: midnight and 23:59 UTC are that day, any other instant the company's."""
    read = certificate_from({**SAID, Part.issued: text}, TERMS)

    assert isinstance(read, Certificate)
    assert read.issued == date.fromisoformat(day)


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_number_and_notes_may_be_wanting(blank: object):
    read = certificate_from({**SAID, Part.number: blank, Part.notes: blank}, TERMS)

    assert isinstance(read, Certificate)
    assert (read.number, read.notes) == (None, None)


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        (Part.type, " ", "certificateType is missing"),
        (Part.type, "x" * 201, "longer than 200"),
        (Part.type, "By\x00gge", "control characters"),
        (Part.type, ["Byggekort"], "certificateType is a list: it is not text"),
        (Part.issued, None, "issuedDateTime is missing"),
        (Part.issued, "01/15/2026", 'issuedDateTime is "01/15/2026": it may be read day first or month first'),
        (Part.issued, "1976-03-01", "more than 50 years off"),
        (Part.valid_until, "9999-12-31", "its year is not between"),
        (Part.valid_until, "2076-03-03", "more than 50 years off"),
        (Part.valid_until, "2026-01-15", "validUntilDateTime is 2026-01-15: it is not after issuedDateTime"),
        (Part.valid_until, "2025-01-15", "it is not after issuedDateTime, 2026-01-15"),
        (Part.valid_until, "", "validUntilDateTime is missing: a certificate without an end is refused"),
        (Part.notes, "x" * 4001, "longer than 4000"),
    ],
)
def test_what_cannot_be_used_says_why(part: Part, value: object, told: str):
    """K1, K5, T1: part, value and cure."""
    flaw = certificate_from({**SAID, part: value}, TERMS)

    assert isinstance(flaw, InvalidCertificate)
    assert flaw.part is part
    assert told in flaw.text


def test_a_missing_end_is_none_where_a_far_date_stands_for_it():
    """K5: the ledger keeps that no end was said, so that another far date is sent when the setting changes."""
    terms = replace(TERMS, missing_expiry=date(2099, 12, 31))
    read = certificate_from({**SAID, Part.valid_until: None}, terms)

    assert isinstance(read, Certificate)
    assert read.valid_until is None


def test_a_far_date_before_the_issue_is_no_end():
    """K5: Ditio takes a certificate only if it was issued before it ends."""
    terms = replace(TERMS, missing_expiry=date(2026, 1, 1))

    assert isinstance(certificate_from({**SAID, Part.valid_until: None}, terms), InvalidCertificate)


def test_parts_are_called_as_they_are_where_they_come_from():
    """K1: the reason is precise: a slot names its attribute."""
    terms = replace(TERMS, names={Part.issued: "kranforerbevisIssuedAt"}, cure="do this")
    flaw = certificate_from({**SAID, Part.issued: "soon"}, terms)

    assert flaw == InvalidCertificate(Part.issued, 'kranforerbevisIssuedAt is "soon": it is not a date: do this')


@pytest.mark.parametrize(("raw", "told"), [(None, "is missing"), ("x" * 65, "longer than 64"), ("1\x07", "control")])
def test_a_number_that_cannot_be_used(raw: object, told: str):
    flaw = number_from(raw)

    assert isinstance(flaw, InvalidCertificate)
    assert told in flaw.text


def test_a_number_is_trimmed_and_otherwise_exact():
    """P4: zeros in front count."""
    assert (number_from(" 0042 "), number_from(42)) == ("0042", "42")
