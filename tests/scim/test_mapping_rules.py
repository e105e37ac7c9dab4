"""The mapping rules, and the setting that is merged over them."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scim_bridge.domain.employee import Field, Owner
from scim_bridge.scim.mapping import DEFAULT_RULES, rules_from


def sources_of(field: Field) -> list[str]:
    return [source.text for source in DEFAULT_RULES.by_field[field].sources]


def test_the_defaults_read_what_entras_default_mapping_sends() -> None:
    """Design, section 6: the first source that is present serves."""
    ditio = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

    assert {field.value: sources_of(field) for field in Field} == {
        "employeeNumber": [f"{enterprise}:employeeNumber"],
        "firstName": ["name.givenName", "displayName"],
        "lastName": ["name.familyName", "displayName"],
        "phone": [
            'phoneNumbers[type eq "mobile"].value',
            'phoneNumbers[type eq "work"].value',
            "phoneNumbers[primary eq true].value",
        ],
        "birthDate": [f"{ditio}:birthDate"],
        "email": ['emails[type eq "work"].value', "emails[primary eq true].value", "userName"],
        "workTitle": ["title"],
        "department": [f"{enterprise}:department"],
        "startDate": [f"{ditio}:employmentStartDate"],
        "endDate": [f"{ditio}:employmentEndDate"],
        "payroll": [f"{ditio}:payroll"],
    }


def test_payroll_and_birth_date_are_seeds_and_everything_else_is_entras() -> None:
    """H5: the default owners."""
    seeds = {field for field, owner in DEFAULT_RULES.owners().items() if owner is Owner.seed}

    assert seeds == {Field.payroll, Field.birth_date}
    assert set(DEFAULT_RULES.owners().values()) == {Owner.seed, Owner.entra}


def test_without_a_setting_the_defaults_hold() -> None:
    assert rules_from({}) == DEFAULT_RULES


def test_the_setting_is_merged_over_the_defaults() -> None:
    """MAPPING__FIELDS replaces what it names and nothing else."""
    rules = rules_from(
        {
            "email": {"from": ['emails[type eq "work"].value', "userName"]},
            "workTitle": {"owner": "ditio"},
        },
        phone_region="SE",
        payroll=None,
        zone=ZoneInfo("Europe/Stockholm"),
    )

    assert [s.text for s in rules.by_field[Field.email].sources] == [
        'emails[type eq "work"].value',
        "userName",
    ]
    assert rules.by_field[Field.email].owner is Owner.entra
    assert rules.by_field[Field.work_title].owner is Owner.ditio
    assert rules.by_field[Field.work_title].sources == DEFAULT_RULES.by_field[Field.work_title].sources
    assert rules.by_field[Field.phone] == DEFAULT_RULES.by_field[Field.phone]
    assert (rules.phone_region, rules.payroll, rules.zone.key) == ("SE", None, "Europe/Stockholm")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"fone": {"owner": "entra"}}, ["MAPPING__FIELDS, name 1 is not", "phone, birthDate"]),
        ({"phone": {"owner": "us"}}, ["MAPPING__FIELDS.phone.owner", "entra, seed, ditio"]),
        ({"phone": {"sources": []}}, ["MAPPING__FIELDS.phone, name 1", "from, owner"]),
        ({"phone": {"from": ["a b"]}}, ["MAPPING__FIELDS.phone.from", "a b", "not a SCIM attribute path"]),
        ({"phone": {"from": []}}, ["MAPPING__FIELDS.phone.from", "list of SCIM attribute paths"]),
        ({"phone": {"from": "userName"}}, ["MAPPING__FIELDS.phone.from", "list"]),
        ({"phone": {"from": [1]}}, ["MAPPING__FIELDS.phone.from", "list"]),
        ({"phone": "userName"}, ["MAPPING__FIELDS.phone", "table"]),
    ],
)
def test_a_setting_that_cannot_be_used_says_where_what_and_what_is_allowed(setting: Any, words: list[str]) -> None:
    with pytest.raises(ValueError, match=r"^MAPPING__FIELDS") as refused:
        rules_from(setting)

    assert [word for word in words if word not in str(refused.value)] == []
