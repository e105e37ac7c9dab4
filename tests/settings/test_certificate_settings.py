"""The settings of certificates (K1, K3, K5)."""

import json
from datetime import date
from pathlib import Path

import pytest

from scim_bridge.errors import SettingsError
from scim_bridge.scim.provider import ditio_extension
from scim_bridge.settings import effective, load
from scim_bridge.settings.sections import OTHER_ATTRIBUTES

SLOTS = "SCIM_BRIDGE_CERTIFICATES__SLOTS"
EXAMPLE = (
    '[{"type":"Byggekort","packed":"byggekort"},{"type":"Kranførerbevis","number":"kranforerbevisNumber",'
    '"issued":"kranforerbevisIssuedAt","valid_until":"kranforerbevisValidUntil","notes":"kranforerbevisNotes"}]'
)


def test_slots_are_json_in_the_environment_and_tables_in_the_file(tmp_path: Path):
    """Design, section 5: lists and tables are JSON in the environment."""
    file = tmp_path / "scim-bridge.toml"
    file.write_text(
        '[[certificates.slots]]\ntype = "Byggekort"\npacked = "byggekort"\n'
        '[[certificates.slots]]\ntype = "Kranførerbevis"\nnumber = "kranforerbevisNumber"\n'
        'issued = "kranforerbevisIssuedAt"\nvalid_until = "kranforerbevisValidUntil"\nnotes = "kranforerbevisNotes"\n',
        encoding="utf-8",
    )
    written, given = load(file, {}), load(None, {SLOTS: EXAMPLE})

    assert written.certificates.slots == given.certificates.slots == tuple(json.loads(EXAMPLE))
    assert effective(given)["certificates"] == {
        "slots": json.loads(EXAMPLE),
        "withdrawal": "expire",
        "missing_expiry": "refuse",
        "unclaimed": "wait",
        "reassert_every": 30.0,
        "max_per_request": 500,
    }


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        ("byggekort", "write a list"),
        ('["byggekort"]', "write a table"),
        ('[{"type":"X"}]', 'slot 1: write {"type", "packed"}, or'),
        ('[{"type":"X","packed":"x","notes":"y"}]', "slot 1: write"),
        ('[{"type":"X","issued":"x"}]', "slot 1: write"),
        ('[{"type":" ","packed":"x"}]', "slot 1: its type must be"),
        ('[{"type":"X","packed":"x"},{"type":"X ","packed":"y"}]', 'the type "X"'),
        ('[{"type":"X","packed":"x"},{"type":"Y","packed":"X"}]', 'slot 2: "X" is the same name as "x", which another'),
        ('[{"type":"X","issued":"a-b","valid_until":"aB"}]', 'slot 1: "aB" is the same name as "a-b"'),
        ('[{"type":"X","packed":"1x"}]', 'slot 1: its "packed" is not a valid'),
        ('[{"type":"X","packed":"kranførerbevis"}]', 'slot 1: its "packed" is not a valid'),
        (
            '[{"type":"X","packed":"BirthDate"}]',
            'slot 1: "BirthDate" is the same name as birthDate, which the extension',
        ),
        ('[{"type":"X","packed":"deliveryState"}]', "is the same name as deliveryState, which the extension"),
        ('[{"type":"X","packed":5}]', "string"),
    ],
)
def test_a_slot_that_cannot_be_is_refused_with_the_reason(slots: str, told: str):
    """K1: names are unique, legal, and no one else's."""
    with pytest.raises(SettingsError) as refused:
        load(None, {SLOTS: slots})

    assert SLOTS in str(refused.value)
    assert told in str(refused.value)


def test_the_names_that_are_taken_are_those_of_the_extension():
    names = {each.name for each in ditio_extension().to_schema().attributes or []}

    assert names | {"schemas"} == set(OTHER_ATTRIBUTES)


@pytest.mark.parametrize("name", ["copy", "model_fields", "class", "json", "kran-1", "Kran_2"])
def test_any_legal_name_will_do(name: str):
    """RFC 7643 §2.1: whatever the library calls its own."""
    model = ditio_extension({name: "A slot"})

    assert model.model_validate({name: "x"}).model_dump()[name] == "x"


@pytest.mark.parametrize(("text", "value"), [("refuse", "refuse"), ("2099-12-31", date(2099, 12, 31))])
def test_a_missing_end_is_refused_or_a_day(text: str, value: object):
    """K5."""
    settings = load(None, {"SCIM_BRIDGE_CERTIFICATES__MISSING_EXPIRY": text})

    assert settings.certificates.missing_expiry == value


def test_a_day_of_the_file_is_a_day(tmp_path: Path):
    file = tmp_path / "scim-bridge.toml"
    file.write_text("[certificates]\nmissing_expiry = 2099-12-31\n")

    assert load(file, {}).certificates.missing_expiry == date(2099, 12, 31)


@pytest.mark.parametrize("text", ["never", "20991231", "0", "2099-02-30", "2099-12-31T00:00:00"])
def test_another_end_is_refused(text: str):
    with pytest.raises(SettingsError, match="write refuse, or a day as 2099-12-31"):
        load(None, {"SCIM_BRIDGE_CERTIFICATES__MISSING_EXPIRY": text})
