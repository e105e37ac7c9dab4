"""The employee that a SCIM document asks for."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim_bridge.domain.employee import NEEDED, REQUIRED, DesiredEmployee, Field, Problem
from scim_bridge.domain.values import JsonObject
from scim_bridge.scim.mapping import DEFAULT_RULES, desired_from_user, rules_from
from scim_bridge.scim.reading import DITIO_URN, ENTERPRISE_URN

TODAY = date(2026, 10, 5)
MOBILE = 'phoneNumbers[type eq "mobile"].value'
WORK_PHONE = 'phoneNumbers[type eq "work"].value'


def a_user(**changes: object) -> JsonObject:
    """Kari with everything; None takes an attribute away."""
    user: JsonObject = {
        "userName": "kari@firma.no",
        "displayName": "Kari Anne Nordmann",
        "title": "Maskinfører",
        "name": {"givenName": "Kari", "familyName": "Nordmann"},
        "emails": [{"type": "work", "value": "kari.nordmann@firma.no"}],
        "phoneNumbers": [{"type": "mobile", "value": "987 65 432"}, {"type": "work", "value": "22 33 44 55"}],
        ENTERPRISE_URN: {"employeeNumber": "1042", "department": "Anlegg"},
        DITIO_URN: {"birthDate": "1990-05-15", "employmentStartDate": "2026-03-01", "payroll": 2},
    }
    return {name: value for name, value in (user | changes).items() if value is not None}


def desired_of(document: JsonObject, **options: Any) -> DesiredEmployee:
    return desired_from_user(document, DEFAULT_RULES, today=TODAY, **options)


def only_problem(desired: DesiredEmployee) -> Problem:
    (problem,) = desired.problems
    return problem


def test_a_complete_user_is_a_complete_employee() -> None:
    """Design, section 6: every field from its first source, which is recorded."""
    desired = desired_of(a_user())

    assert desired.values == {
        Field.employee_number: "1042",
        Field.first_name: "Kari",
        Field.last_name: "Nordmann",
        Field.phone: "+4798765432",
        Field.birth_date: date(1990, 5, 15),
        Field.email: "kari.nordmann@firma.no",
        Field.work_title: "Maskinfører",
        Field.department: "Anlegg",
        Field.start_date: date(2026, 3, 1),
        Field.payroll: 2,
    }
    assert desired.sources[Field.phone] == MOBILE
    assert desired.sources[Field.department] == f"{ENTERPRISE_URN}:department"
    assert set(desired.sources) == set(desired.values)
    assert (desired.problems, desired.defaulted) == ((), frozenset())


def test_text_is_trimmed_and_composed() -> None:
    """C2: text trimmed and NFC."""
    desired = desired_of(a_user(name={"givenName": " A\u030ase ", "familyName": "Nordmann\t"}))

    assert (desired.text(Field.first_name), desired.text(Field.last_name)) == ("Åse", "Nordmann")


def test_a_number_is_taken_for_its_digits() -> None:
    """Entra's mapping may send `employeeNumber` as a number."""
    assert desired_of(a_user(**{ENTERPRISE_URN: {"employeeNumber": 1042}})).employee_number == "1042"
    assert desired_of(a_user(**{ENTERPRISE_URN: {"employeeNumber": 1042.0}})).employee_number == "1042"


def test_an_employee_number_is_otherwise_exact() -> None:
    """P4: trimmed, and not touched in any other way."""
    assert desired_of(a_user(**{ENTERPRISE_URN: {"employeeNumber": " 00a-42 "}})).employee_number == "00a-42"


@pytest.mark.parametrize("number", [".", "..", "search", "SEARCH", "10\x0042", "10\n42", "9" * 65, "10\ud80042"])
def test_an_employee_number_that_a_url_would_misread_is_unusable(number: str) -> None:
    """P7: `.`, `..`, `search`, control characters, longer than 64."""
    desired = desired_of(a_user(**{ENTERPRISE_URN: {"employeeNumber": number}}))

    assert desired.employee_number is None
    assert only_problem(desired).attribute == f"{ENTERPRISE_URN}:employeeNumber"
    only_problem(desired).message.encode()
    assert desired.missing() == desired.problems


def test_an_employee_number_of_64_characters_is_used() -> None:
    """P7: longer than 64 is unusable, 64 is not."""
    assert desired_of(a_user(**{ENTERPRISE_URN: {"employeeNumber": "9" * 64}})).employee_number == "9" * 64


def test_names_fall_back_on_the_display_name() -> None:
    """Design, section 6: `displayName` is split at the last space."""
    desired = desired_of(a_user(name=None))

    assert (desired.text(Field.first_name), desired.text(Field.last_name)) == ("Kari Anne", "Nordmann")
    assert desired.sources[Field.last_name] == "displayName"


def test_a_display_name_of_one_word_gives_no_names() -> None:
    """H3: the attribute is named."""
    desired = desired_of(a_user(name={"givenName": "Kari"}, displayName="Kari"))

    assert desired.text(Field.first_name) == "Kari"
    assert only_problem(desired).field is Field.last_name
    assert only_problem(desired).message.startswith('displayName is "Kari"')


@pytest.mark.parametrize(
    ("numbers", "phone"),
    [
        ([{"type": "work", "value": "22334455"}], "+4722334455"),
        ([{"type": "other", "primary": True, "value": "22334456"}], "+4722334456"),
        (
            [
                {"type": "other", "primary": "True", "value": "22334456"},
                {"type": "work", "value": "22334455"},
                {"type": "mobile", "value": ""},
            ],
            "+4722334455",
        ),
    ],
)
def test_the_phone_is_mobile_then_work_then_primary(numbers: object, phone: str) -> None:
    """Design, section 6: the first source that is present."""
    assert desired_of(a_user(phoneNumbers=numbers)).text(Field.phone) == phone


def test_an_unusable_mobile_number_is_not_replaced_by_the_work_phone() -> None:
    """C3: the phone number is the login name: another number never takes over silently."""
    numbers = [{"type": "mobile", "value": "98765432 / 41234567"}, {"type": "work", "value": "22334455"}]
    desired = desired_of(a_user(phoneNumbers=numbers))

    assert Field.phone not in desired.values
    assert only_problem(desired).attribute == MOBILE
    assert "98765432 / 41234567" in only_problem(desired).message


def test_another_unusable_value_is_named_and_the_next_source_taken() -> None:
    """C3: everything else flows on."""
    desired = desired_of(a_user(emails=[{"type": "work", "value": "kari at firma"}]))

    assert desired.text(Field.email) == "kari@firma.no"
    assert only_problem(desired).field is Field.email
    assert desired.missing() == ()


def test_a_login_number_does_not_change_because_its_source_vanished() -> None:
    """C3: another source takes over only by appearing earlier in the list."""
    only_work = a_user(phoneNumbers=[{"type": "work", "value": "22334455"}])

    kept = desired_of(only_work, served={Field.phone: MOBILE})
    assert Field.phone not in kept.values
    assert only_problem(kept).attribute == MOBILE
    assert desired_of(only_work, served={Field.phone: WORK_PHONE}).text(Field.phone) == "+4722334455"
    assert desired_of(a_user(), served={Field.phone: WORK_PHONE}).text(Field.phone) == "+4798765432"
    assert desired_of(only_work, served={Field.phone: "no longer mapped"}).text(Field.phone) == "+4722334455"


def test_the_source_that_served_last_binds_required_values_alone() -> None:
    """C3 is about required values: a cleared work address gives way to the user name."""
    served = {Field.email: 'emails[type eq "work"].value'}

    assert desired_of(a_user(emails=None), served=served).text(Field.email) == "kari@firma.no"


@pytest.mark.parametrize("name", ["kari", "FIRMA\\kari", "kari@a@b", "kari nordmann@firma.no", "@firma.no"])
def test_a_user_name_that_is_no_address_is_no_faulty_address(name: str) -> None:
    """Design, section 6: `userName` if it is an address."""
    desired = desired_of(a_user(emails=None, userName=name))

    assert Field.email not in desired.values
    assert desired.problems == ()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": "x" * 257}, Field.work_title),
        ({"title": True}, Field.work_title),
        ({"title": ["Fører", {"value": "x"}], "displayName": None}, None),
        ({"title": {"value": "Fører"}}, Field.work_title),
        ({"title": "\ud800"}, Field.work_title),
        ({ENTERPRISE_URN: {"employeeNumber": "1042", "department": "x" * 257}}, Field.department),
        ({"emails": [{"type": "work", "value": "x" * 315 + "@y.no"}], "userName": "kari"}, None),
        ({"emails": [{"type": "work", "value": "x" * 316 + "@y.no"}], "userName": "kari"}, Field.email),
        ({DITIO_URN: {"birthDate": "05/15/1990"}}, Field.birth_date),
        ({DITIO_URN: {"birthDate": 19900515}}, Field.birth_date),
        ({DITIO_URN: {"employmentEndDate": "1899-12-31"}}, Field.end_date),
        ({DITIO_URN: {"employmentStartDate": "9999-12-31"}}, Field.start_date),
        ({DITIO_URN: {"payroll": 3}}, Field.payroll),
        ({DITIO_URN: {"payroll": True}}, Field.payroll),
        ({DITIO_URN: {"payroll": "some"}}, Field.payroll),
    ],
)
def test_what_cannot_be_used_is_left_out_and_named(changes: JsonObject, field: Field | None) -> None:
    """H3, C3, T1: a problem names the attribute; the value is not sent."""
    desired = desired_of(a_user(**changes))

    assert [problem.field for problem in desired.problems] == ([field] if field else [])
    assert field not in desired.values


def test_a_problem_names_attribute_value_and_cure() -> None:
    """H3: written for the administrator, the value bounded and on one line."""
    slashes = only_problem(desired_of(a_user(**{DITIO_URN: {"birthDate": "05/15/1990"}})))
    long = only_problem(desired_of(a_user(title="x\n" * 5000)))

    assert slashes.attribute == f"{DITIO_URN}:birthDate"
    assert slashes.message == (
        f'{DITIO_URN}:birthDate is "05/15/1990": it may be read day first or month first: '
        'send FormatDateTime(…, "yyyy-MM-dd") in Entra\'s attribute mapping'
    )
    assert len(long.message) < 200
    assert long.message.isprintable()


def test_each_missing_required_field_says_what_to_map() -> None:
    """H3: the attribute is named, and the cure."""
    desired = desired_of({"userName": "kari"})

    assert {problem.field for problem in desired.missing()} == set(REQUIRED)
    assert [problem.message.split(" in Entra's")[0] for problem in desired.problems] == [
        f"employeeNumber is missing: map employeeId to {ENTERPRISE_URN}:employeeNumber",
        "firstName is missing: map givenName to name.givenName",
        "lastName is missing: map surname to name.familyName",
        f"phone is missing: map mobile to {MOBILE}",
    ]


def test_start_and_payroll_are_supplied_and_marked() -> None:
    """H4: the start is the day of provisioning, payroll MAPPING__PAYROLL; a birth date is never invented."""
    bare = a_user(**{DITIO_URN: None})
    desired = desired_of(bare)

    assert desired.defaulted == {Field.start_date, Field.payroll}
    assert (desired.day(Field.start_date), desired.values[Field.payroll]) == (TODAY, 1)
    assert Field.birth_date not in desired.values
    assert desired_of(bare, provisioned_on=date(2026, 9, 1)).day(Field.start_date) == date(2026, 9, 1)


@pytest.mark.parametrize("payroll", [0, 2, None])
def test_the_supplied_payroll_is_a_setting(payroll: int | None) -> None:
    """H4: MAPPING__PAYROLL, `omit` included."""
    desired = desired_from_user(a_user(**{DITIO_URN: None}), rules_from({}, payroll=payroll), today=TODAY)

    assert desired.values.get(Field.payroll) == payroll
    assert (Field.payroll in desired.defaulted) is (payroll is not None)


@pytest.mark.parametrize("extension", [{"employmentStartDate": "03/01/2026", "payroll": "some"}])
def test_an_unusable_value_is_not_replaced_by_a_supplied_one(extension: JsonObject) -> None:
    """T1: dates with slashes are held, so they can't become today by themselves."""
    desired = desired_of(a_user(**{DITIO_URN: extension}))

    assert desired.defaulted == frozenset()
    assert {problem.field for problem in desired.problems} == {Field.start_date, Field.payroll}


@pytest.mark.parametrize(
    ("sent", "payroll"),
    [
        (0, 0),
        (1, 1),
        (2, 2),
        ("0", 0),
        (" 1 ", 1),
        ("2", 2),
        ("Disabled", 0),
        ("enabled", 1),
        ("VARIABLE", 2),
    ],
)
def test_payroll_is_a_number_or_a_word(sent: object, payroll: int) -> None:
    """Ditio "Employees (v5)": 0 disabled, 1 enabled, 2 variable."""
    desired = desired_of(a_user(**{DITIO_URN: {"payroll": sent}}))

    assert desired.values[Field.payroll] == payroll
    assert Field.payroll not in desired.defaulted


def test_a_leave_date_of_entras_is_its_day() -> None:
    """T1: 23:59:59 UTC is that day, not the next one in Oslo."""
    assert desired_of(a_user(**{DITIO_URN: {"employmentEndDate": "2026-08-31T23:59:59Z"}})).day(Field.end_date) == date(
        2026, 8, 31
    )


@pytest.mark.parametrize(
    "never",
    [
        "1601-01-01",
        "1601-01-01T00:00:00Z",
        "01.01.1601",
        "9999-12-31",
        "31.12.9999",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T22:59:59Z",
        "9999-12-31T23:30:00-12:00",
        "9223372036854775807",
        9223372036854775807,
        (TODAY + timedelta(days=366 * 50)).isoformat(),
        "2199-12-31",
    ],
)
def test_an_end_that_never_comes_is_no_end(never: object) -> None:
    """T1: the directory's own "never", and an end more than 50 years ahead, are no end, and no problem either."""
    desired = desired_of(a_user(**{DITIO_URN: {"employmentEndDate": never}}))

    assert Field.end_date not in desired.values
    assert desired.problems == ()


def test_an_end_within_fifty_years_is_one() -> None:
    """T1."""
    last = TODAY.replace(year=TODAY.year + 50)
    assert desired_of(a_user(**{DITIO_URN: {"employmentEndDate": last.isoformat()}})).day(Field.end_date) == last


def test_configured_sources_are_read_in_their_order() -> None:
    """MAPPING__FIELDS: the employee number may come from anywhere."""
    rules = rules_from({"employeeNumber": {"from": ["externalId", "nickName"]}})
    desired = desired_from_user(a_user(nickName="N7"), rules, today=TODAY)

    assert desired.employee_number == "N7"
    assert desired.sources[Field.employee_number] == "nickName"


NAMES = [
    *("userName", "USERNAME", "displayName", "title", "name", "givenName", "familyName", "active"),
    *("emails", "phoneNumbers", "type", "value", "primary"),
    *("employeeNumber", "department", "birthDate", "employmentStartDate", "employmentEndDate", "payroll"),
    *(ENTERPRISE_URN, DITIO_URN),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=70)
    | st.sampled_from(["work", "mobile", "98765432", "kari@firma.no", "2026-03-01T00:00:00Z", "\ud800", "1"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)
DOCUMENTS = st.dictionaries(st.sampled_from(NAMES), JSON)


@given(DOCUMENTS)
def test_no_document_is_a_surprise(document: JsonObject) -> None:
    """H3: whatever Entra sends is mapped, or named by its attribute; a required field is one or the other."""
    desired = desired_of(document)
    attributes = {source.text for rule in DEFAULT_RULES.by_field.values() for source in rule.sources}

    assert all(problem.attribute in attributes for problem in desired.problems)
    for problem in desired.problems:
        assert problem.attribute in problem.message
        problem.message.encode()
    missing = {problem.field for problem in desired.missing()}
    assert missing & set(REQUIRED) == {field for field in REQUIRED if field not in desired.values}
    assert missing <= set(NEEDED)
    assert set(desired.values) == set(desired.sources) | desired.defaulted
