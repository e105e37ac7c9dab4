"""The certificates that a SCIM user carries in slots (K1, T1)."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from scim_bridge.certificates.reading import InvalidCertificate, slots_from, slots_of
from scim_bridge.domain.certificate import Certificate, CertificateRules, type_of
from scim_bridge.scim.reading import DITIO_URN

TERMS = CertificateRules(ZoneInfo("Europe/Oslo"), date(2026, 3, 2))
SLOTS = slots_from(
    [
        {"type": "Byggekort", "packed": "byggekort"},
        {
            "type": "Kranfo\u0308rerbevis ",
            "number": "kranNumber",
            "issued": "kranIssuedAt",
            "valid_until": "kranValidUntil",
            "notes": "kranNotes",
        },
    ]
)


def said(**attributes: object) -> list[Certificate | InvalidCertificate | None]:
    return [reading.said for reading in slots_of({DITIO_URN: attributes}, SLOTS, TERMS)]


def test_both_forms_are_read():
    """K1: packed as `number;issued;validUntil;notes`, or an attribute for each part."""
    packed, spread = said(
        byggekort="77; 2026-01-15 ;14.01.2028;HMS; se perm 3",
        kranNumber="K-1",
        kranIssuedAt="2026-01-15T00:00:00Z",
        kranValidUntil="2031-01-14T23:59:59Z",
        kranNotes="G4",
    )

    assert packed == Certificate(type_of("Byggekort"), date(2026, 1, 15), date(2028, 1, 14), "77", "HMS; se perm 3")
    assert spread == Certificate(type_of("Kranförerbevis"), date(2026, 1, 15), date(2031, 1, 14), "K-1", "G4")


@pytest.mark.parametrize(
    "empty", [{}, {"byggekort": None}, {"byggekort": " "}, {"byggekort": ";;;"}, {"byggekort": " ; ;;"}]
)
def test_an_empty_slot_says_that_there_is_none(empty: dict[str, object]):
    """K1, L3: Entra sends no cleared values, but a `Join` of four of them leaves three separators."""
    assert said(**empty, kranNumber="", kranIssuedAt=None) == [None, None]
    assert [reading.said for reading in slots_of({}, SLOTS, TERMS)] == [None, None]


def test_names_compare_regardless_of_case():
    """RFC 7643 §2.1."""
    assert isinstance(said(BYGGEKORT="77;2026-01-15;2028-01-14;")[0], Certificate)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"byggekort": "77"}, "issued in byggekort is missing"),
        ({"byggekort": "77;2026-01-15"}, "validUntil in byggekort is missing"),
        (
            {"byggekort": "77;2026-01-15;2025-01-15;"},
            "validUntil in byggekort is 2025-01-15: it is not after issued in",
        ),
        ({"byggekort": "77;01/15/2026;2028-01-15;"}, 'issued in byggekort is "01/15/2026": it may be read day first'),
        ({"byggekort": "77|2026-01-15|2028-01-15|"}, "issued in byggekort is missing"),
        ({"byggekort": 77}, "issued in byggekort is missing"),
        ({"kranNumber": "K-1"}, "kranIssuedAt is missing"),
        ({"kranNotes": "G4", "kranValidUntil": "2028-01-15"}, "kranIssuedAt is missing"),
        ({"kranIssuedAt": "2026-01-15"}, "kranValidUntil is missing"),
        ({"kranIssuedAt": "2026-01-15", "kranValidUntil": "soon"}, 'kranValidUntil is "soon": it is not a date: send'),
    ],
)
def test_a_slot_that_cannot_be_used_says_why(attributes: dict[str, object], told: str):
    """K1, D3: half-filled, the wrong way round or unparsable: with the attribute, the value and the cure."""
    (flaw,) = (each for each in said(**attributes) if each is not None)

    assert isinstance(flaw, InvalidCertificate)
    assert flaw.text.startswith(told)
