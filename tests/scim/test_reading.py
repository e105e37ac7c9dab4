"""Reading values out of a SCIM document by source paths."""

import pytest

from scim_bridge.scim.mapping import DEFAULT_RULES
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN, Condition, active_of, read
from scim_bridge.scim.schema import source_path

KARI: dict[str, object] = {
    "userName": "kari@firma.no",
    "title": "  ",
    "name": {"givenName": "Kari"},
    "emails": [
        {"type": "home", "value": "kari@home.no"},
        {"type": "Work", "primary": "True", "value": "kari@firma.no"},
    ],
    "phoneNumbers": [{"type": "mobile", "value": ""}, {"type": "mobile", "value": "98765432"}],
    "roles": [],
    ENTERPRISE_URN: {"employeeNumber": 1042},
    DITIO_URN: {"birthDate": "1990-05-15"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("userName", "kari@firma.no"),
        ("USERNAME", "kari@firma.no"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:userName", "kari@firma.no"),
        ("name.givenName", "Kari"),
        ("name.familyName", None),
        ('emails[type eq "work"].value', "kari@firma.no"),
        ("emails[primary eq true].value", "kari@firma.no"),
        ('emails[primary eq "true" and type eq "WORK"].value', "kari@firma.no"),
        ('emails[primary eq true and type eq "home"].value', None),
        ("emails.value", "kari@home.no"),
        ('phoneNumbers[type eq "mobile"].value', "98765432"),
        ('addresses[type eq "work"].locality', None),
        (f"{ENTERPRISE_URN}:employeeNumber", 1042),
        (f"{ENTERPRISE_URN}:manager.value", None),
        (f"{DITIO_URN.upper().replace('URN:', 'urn:')}:BIRTHDATE", "1990-05-15"),
        ("userName.value", None),
    ],
)
def test_a_source_path_reads_what_it_names(path: str, value: object) -> None:
    """RFC 7644 §3.5.2: names compare regardless of case; Entra writes booleans as text, too."""
    assert read(KARI, source_path(path)) == value


@pytest.mark.parametrize("path", ["title", "roles", "nickName"])
def test_blank_text_and_empty_lists_are_absent(path: str) -> None:
    """RFC 7643 §2.5: null and an empty array are the same as no value; Entra clears with an empty string."""
    assert read(KARI, source_path(path)) is None


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("given name", "not a SCIM attribute path"),
        ("emails[type eq].value", "not a SCIM attribute path"),
        ('emails[type eq "work"]', "name a part"),
        ('emails[type ne "work"].value', "only"),
        ('emails[type eq "a" or type eq "b"].value', "only"),
        ('emails[not (type eq "a")].value', "only"),
        ("emails[type pr].value", "only"),
        ("emails[type eq null].value", "only"),
        (ENTERPRISE_URN, "is a schema"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused_with_its_reason(path: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        source_path(path)


def test_a_source_path_is_a_value() -> None:
    """Two parses of one text are equal, so that rules can be compared."""
    path = source_path(' emails[type eq "work" and primary eq true].value ')

    assert path == source_path(path.text)
    assert path.conditions == (Condition("type", "work"), Condition("primary", True))


@pytest.mark.parametrize(
    ("document", "active"),
    [
        ({}, True),
        ({"active": None}, True),
        ({"active": ""}, True),
        ({"active": True}, True),
        ({"active": "True"}, True),
        ({"active": False}, False),
        ({"active": "False"}, False),
        ({"ACTIVE": "false"}, False),
    ],
)
def test_active_is_read_in_every_form_that_entra_sends(document: dict[str, object], active: bool) -> None:
    """H5: `active` absent counts as true."""
    assert active_of(document) is active


def test_the_default_sources_are_what_their_texts_say() -> None:
    """They are written without the parser, so that few commands load it."""
    sources = [source for rule in DEFAULT_RULES.by_field.values() for source in rule.sources]

    assert sources == [source_path(source.text) for source in sources]
