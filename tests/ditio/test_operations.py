"""Every call that the bridge makes, in every documented way of answering."""

from __future__ import annotations

from datetime import date

import pytest
from werkzeug.wrappers import Response

from scim_bridge.ditio.config import OperationCall
from scim_bridge.domain.employee import Field
from scim_bridge.domain.operations import Answer, OperationName
from scim_bridge.errors import BudgetSpent, CredentialsRefused, OperationMissing, PermanentError, TransientError
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import Style

from .conftest import COMPANY, KARI, STYLES, a_call, a_creation

EMPLOYEES = "/api/v5/integration/employees"


@pytest.mark.parametrize("style", STYLES)
class TestInEveryStyle:
    """Facts about Ditio, section 2: "Accept 200, 201 and 204, with or without a body"."""

    def test_an_employee_is_created(self, client, ditio, style):
        answer = client.send(*a_creation())

        assert ditio.employee("1042").first_name == "Kari"
        assert _is_kari_or_nothing(answer, style)

    def test_every_operation_reaches_its_employee(self, client, ditio, style):
        ditio.plant("1042", start=date(2025, 3, 1), department="Anlegg")

        answers = [
            client.send(*a_call(OperationName.patch, workTitle="Formann", email=None)),
            client.send(*a_call(OperationName.update_employment, department="Ledelse")),
            client.send(*a_call(OperationName.change_phone_number, phone="+4741234567")),
            client.send(*a_call(OperationName.end_employment, endDate="2026-02-28")),
            client.send(*a_call(OperationName.create_employment, startDate="2026-03-02", payroll=1)),
            client.send(*a_call(OperationName.disable)),
        ]

        kari = ditio.employee("1042")
        assert (kari.work_title, kari.phone, kari.disabled) == ("Formann", "+4741234567", True)
        assert [(e.start, e.end) for e in kari.employments] == [
            (date(2025, 3, 1), date(2026, 2, 28)),
            (date(2026, 3, 2), None),
        ]
        assert all(_is_kari_or_nothing(answer, style) for answer in answers)

    def test_an_employee_is_enabled_and_renumbered(self, client, ditio, style):
        ditio.plant("1042", disabled=True)

        client.send(*a_call(OperationName.enable))
        client.send(*a_call(OperationName.change_employee_number, employeeNumber="A-7"))

        assert not ditio.employee("A-7").disabled
        assert client.get(KARI) is None

    def test_the_v4_pair_disables_and_enables(self, world, ditio, style):
        client = world.client(operations={OperationName.disable: "v4", OperationName.enable: "v4"})
        ditio.plant("1042")

        client.send(*a_call(OperationName.disable))
        assert ditio.employee("1042").disabled

        answer = client.send(*a_call(OperationName.enable))
        assert not ditio.employee("1042").disabled
        assert answer.employee is None

    def test_an_employee_is_read_out_of_its_envelope(self, client, ditio, style, world):
        ditio.plant("1042", "Kari", email="kari@example.com")

        found = client.get(KARI)

        assert found.employee_number == "1042"
        assert found.employments, "they are shown"
        assert world.sent[-1].url.endswith("?include=employment-history")
        assert client.get("1043") is None

    def test_a_search_finds_rows_in_any_envelope(self, client, ditio, style):
        ditio.plant("1042", phone="+4798765432")
        ditio.plant("2042", phone="+4741234567")

        assert [each.employee_number for each in client.search("+4798765432")] == ["1042"]
        assert [each.employee_number for each in client.search("042")] == ["1042", "2042"]
        assert client.search("nobody") == []

    def test_check_reads_something_cheap(self, client, ditio, style):
        client.check()

        assert [call.method for call in ditio.calls()] == ["POST", "GET"]


def _is_kari_or_nothing(answer: Answer, style: Style) -> bool:
    if style.answers in ("204", "empty-200"):
        return answer.employee is None
    return answer.employee is not None and answer.employee.employee_number == "1042"


def test_the_calls_are_the_documented_ones(client, ditio):
    ditio.plant("SAMPLE-2042", end=date(2025, 12, 31))

    client.send(*a_call(OperationName.create_employment, "SAMPLE-2042", startDate="2026-03-02", payroll=1))
    client.send(*a_call(OperationName.end_employment, "SAMPLE-2042", endDate="2026-03-31"))

    start, end = ditio.writes()
    assert (start.method, start.path) == ("POST", f"{EMPLOYEES}/SAMPLE-2042/create-employment")
    assert (end.method, end.path) == ("PATCH", f"{EMPLOYEES}/SAMPLE-2042/end-employment")
    assert end.body == {"endDate": "2026-03-31"}


def test_null_clears_and_goes_out_as_null(client, ditio):
    ditio.plant("1042", email="kari@example.com")

    client.send(*a_call(OperationName.patch, email=None))

    assert ditio.writes()[-1].body == {"email": None}
    assert ditio.employee("1042").email is None


@pytest.mark.parametrize("style", [Style(require_company_id=True)])
def test_a_creation_names_the_company_only_when_a_setting_says_so(world, ditio, style):
    with pytest.raises(PermanentError) as refused:
        world.client(company_id=COMPANY).send(*a_creation())
    world.client(company_id=COMPANY, send_company_id=True).send(*a_creation())

    assert refused.value.field == "companyId"
    assert ditio.employee("1042").company_id == COMPANY

    world.client().send(*a_call(OperationName.end_employment, endDate="2026-03-31"))
    again = a_call(OperationName.create_employment, startDate="2027-03-01")
    with pytest.raises(PermanentError):
        world.client(company_id=COMPANY).send(*again)
    world.client(company_id=COMPANY, send_company_id=True).send(*again)
    assert len(ditio.employee("1042").employments) == 2


def test_sending_the_company_needs_one(world):
    with pytest.raises(ValueError, match="DITIO__COMPANY_ID"):
        world.config(send_company_id=True)


def test_rows_of_another_company_are_not_seen(world, ditio):
    """P3: "Claims never cross tenants", and neither does a read."""
    ditio.plant("1042", company_id="054321")
    client = world.client(company_id=COMPANY)
    world.answers(200, '[{"employeeNumber": "1", "companyId": "054321"}, {"employeeNumber": "2"}]')

    assert [each.employee_number for each in client.search("042")] == ["2"]
    assert client.get(KARI) is None
    assert world.client(company_id="54321").get(KARI) is not None, "a lost leading zero is forgiven"


def test_a_search_shows_those_without_an_employee_number_too(world):
    """P4: Ditio's own SCIM app sends no number; a phone that such an employee has is not free."""
    world.answers(200, '[{"employeeNumber": null, "phone": "98765432"}, {"email": "kari@x.no"}, {"employeeNumber": 2}]')

    found = world.client().search("+4798765432")
    assert [each.employee_number for each in found] == ["", "", "2"]
    assert [each.values.get(Field.phone) for each in found] == ["+4798765432", None, None]


def test_the_v4_pair_leaves_another_company_alone(world, ditio):
    ditio.plant("1042", company_id="054321")
    client = world.client(company_id=COMPANY, operations={OperationName.disable: "v4"})

    with pytest.raises(OperationMissing):
        client.send(*a_call(OperationName.disable))

    assert ditio.writes() == []


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize("name", list(OperationName))
def test_an_unknown_operation_names_its_setting(world, name, status):
    """R1: 404 or 405 on an operation is `no-operation`; "the detail names path and setting"."""
    world.answers(status, '{"message": "no"}')

    with pytest.raises(OperationMissing) as missing:
        world.client().send(*a_call(name, phone="+4741234567", employeeNumber="7"))

    assert (missing.value.operation, missing.value.status) == (name, status)
    assert "DITIO__" in str(missing.value)
    assert "/api/v5/integration/employees" in str(missing.value)
    who = "other employees" if name is OperationName.create else "the employee"
    assert f"If {who} can be read, check DITIO__" in str(missing.value)


@pytest.mark.parametrize("style", [Style(missing_operations=frozenset({"disable"}), operations_method="POST")])
def test_an_operation_is_called_as_the_setting_says(world, ditio, style):
    ditio.plant("1042")
    how = OperationCall("POST", "/{employeeNumber}/change-phone-number", {"phone": "{phone}", "by": ["{phone}"]})
    client = world.client(operations={OperationName.change_phone_number: how})

    client.send(*a_call(OperationName.change_phone_number, phone="+4741234567"))
    with pytest.raises(OperationMissing, match="DITIO__OPERATIONS__DISABLE"):
        client.send(*a_call(OperationName.disable))

    assert ditio.writes()[0].body == {"phone": "+4741234567", "by": ["+4741234567"]}
    assert ditio.employee("1042").phone == "+4741234567"


def test_an_operation_that_is_off_calls_no_one(world, ditio):
    client = world.client(operations={OperationName.disable: "off"})

    with pytest.raises(OperationMissing, match="DITIO__OPERATIONS__DISABLE") as missing:
        client.send(*a_call(OperationName.disable))

    assert missing.value.operation == "disable"
    assert world.sent == []


def test_the_v4_lookup_of_a_person_absent_is_no_operation(world, ditio):
    with pytest.raises(OperationMissing, match="DITIO__OPERATIONS__ENABLE"):
        world.client(operations={OperationName.enable: "v4"}).send(*a_call(OperationName.enable))

    assert ditio.writes() == []


def test_an_unreadable_v4_lookup_is_tried_again(world, ditio):
    world.answers(200, "<html></html>")

    with pytest.raises(TransientError) as error:
        world.client(operations={OperationName.enable: "v4"}).send(*a_call(OperationName.enable))

    assert not error.value.ambiguous
    assert ditio.writes() == []


def test_a_failing_v4_lookup_is_not_ambiguous(world, ditio):
    """R4: only a write can have been applied."""
    ditio.plant("1042")
    ditio.faults.plan(Fault("status", status=503, method="GET"))

    with pytest.raises(TransientError) as error:
        world.client(operations={OperationName.disable: "v4"}).send(*a_call(OperationName.disable))

    assert not error.value.ambiguous


@pytest.mark.parametrize("base", ["https://ditio.test/core", "https://ditio.test/core/", "https://ditio.test/core//"])
def test_the_base_urls_path_is_kept(world, ditio, base):
    """Facts about Ditio, section 1: "A base may carry a path (`/core`): join paths without losing it"."""
    ditio.plant("1042")

    assert world.client(api_url=base, identity_url="https://ditio.test/").get(KARI) is not None


@pytest.mark.parametrize("body", ["<html></html>", "", "no json", "[" * 100_000])
def test_a_write_that_succeeded_needs_no_readable_body(world, client, body):
    world.answers(200, body, "text/html")

    assert client.send(*a_call(OperationName.patch, workTitle="Formann")).employee is None


@pytest.mark.parametrize("body", ["<html></html>", "", "no json", "[" * 100_000, '"text"', '{"ok": true}'])
def test_a_read_needs_one(world, client, body):
    for _ in range(2):
        world.answers(200, body)

    for read in (client.get, client.search):
        with pytest.raises(TransientError, match="DITIO__API_URL") as error:
            read("1042")
        assert not error.value.ambiguous


def test_an_employee_that_shows_no_number_is_not_absent(world, client):
    world.answers(200, '{"firstName": "Kari"}')

    with pytest.raises(TransientError, match="no employee number"):
        client.get(KARI)


@pytest.mark.parametrize("body", ["null", "[]", '{"data": null}', '{"items": []}'])
def test_an_empty_answer_is_no_one(world, client, body):
    world.answers(200, body)
    assert client.get(KARI) is None

    world.answers(200, body)
    assert client.search("1042") == []


FOUND = [f"{1000 + number}" for number in range(25)]


def many_are_found(world):
    for index, number in enumerate(FOUND):
        world.ditio.plant(number, phone=f"+4790000{index:03}")


@pytest.mark.parametrize("envelope", ["bare", "data", "items"])
@pytest.mark.parametrize("paging", ["link", "token", "page"])
@pytest.mark.parametrize("first_page", [0, 1])
def test_a_search_is_read_to_its_last_page(world, envelope, paging, first_page):
    """P4: the employee on the second page would be made a second time. Paging of the search is unknown ([U])."""
    many_are_found(world)
    world.ditio.style = Style(envelope=envelope, paging=paging, page_size=10, first_page=first_page)
    client = world.client()

    if (envelope, paging) == ("bare", "page"):
        # It says how many there are, and not how to read them.
        with pytest.raises(TransientError, match="not how to read them"):
            client.search("+4790000")
    else:
        assert [each.employee_number for each in client.search("+4790000")] == FOUND
    assert [each.employee_number for each in client.search("+4790000003")] == ["1003"]
    assert world.api_calls <= 4


ONE, OTHER = '{"employeeNumber": "1042"}', '{"employeeNumber": "1043"}'


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        # It is whole, though it does not look so.
        ([f'{{"data": [{ONE}], "page": 1}}'] * 2, ["1042"]),
        ([f'{{"data": [{ONE}], "total": 1, "next": "/search?page=2"}}'] * 2, ["1042"]),
        ([f'{{"data": [{ONE}], "next": "/search?page=2"}}', '{"data": [], "next": "/search?page=3"}'], ["1042"]),
        (['{"data": [], "next": "/search?page=2"}'], []),
        ([f'{{"data": [{ONE}], "nextPage": 0, "total": 1}}'], ["1042"]),
        ([f'{{"data": [{ONE}], "nextPage": null, "hasMore": false}}'], ["1042"]),
        # There is a next page, however it is said.
        ([f'{{"data": [{ONE}], "nextPage": 2}}', f'{{"data": [{OTHER}], "nextPage": null}}'], ["1042", "1043"]),
        ([f'{{"data": [{ONE}], "nextPage": 2, "total": 2}}', f'{{"data": [{OTHER}], "total": 2}}'], ["1042", "1043"]),
        ([f'{{"data": [{ONE}], "next": "?query=+47&page=2"}}', f"[{OTHER}]"], ["1042", "1043"]),
        # It says that it is not whole.
        ([f'{{"data": [{ONE}], "next": "/search?page=2"}}'] * 2, None),
        ([f'{{"data": [{ONE}], "nextPageUrl": "/search/2"}}'], None),
        ([f'{{"data": [{ONE}], "nextPageUrl": "/search/2", "total": 2}}'], None),
        ([f'{{"data": [{ONE}], "total": 2}}'], None),
        (['{"data": [], "total": 1}'], None),
        (['{"data": [], "hasMore": true}'], None),
        ([f'{{"data": [{ONE}], "page": 1, "pageSize": 1, "total": 3}}', '{"data": [], "page": 2, "total": 3}'], None),
    ],
)
def test_half_of_what_a_search_finds_is_no_answer(world, client, answers, found):
    """P4: an employee who is not seen would be made a second time. The text that is searched for stays ours."""
    for answer in answers:
        world.answers(200, answer)

    if found is None:
        with pytest.raises(TransientError, match="not how to read them"):
            client.search("+4798765432")
    else:
        assert [each.employee_number for each in client.search("+4798765432")] == found


@pytest.mark.parametrize("header", [{"X-Continuation-Token": "2"}, {"Link": '</search?page=2>; rel="next"'}])
def test_a_header_that_leads_back_to_the_same_page_makes_no_whole_answer(world, client, header):
    for _ in range(2):
        world.canned.append(Response(f"[{ONE}]", content_type="application/json", headers=header))

    with pytest.raises(TransientError, match="not how to read them"):
        client.search("+4798765432")


def test_a_search_without_time_for_all_its_pages_is_tried_later(world):
    """D1: where nothing was sent, it is tried again at once; after a page, that would go on for ever."""
    many_are_found(world)
    world.ditio.style = Style(paging="token", page_size=1)

    with pytest.raises(TransientError) as told:
        world.client(requests_per_second=0.5).search("+4790000", within=10.0)

    assert not isinstance(told.value, BudgetSpent)


def test_a_search_that_does_not_exist_is_a_wrong_address(world, client):
    """An empty list would hide a duplicate (rule P4)."""
    world.answers(404)

    with pytest.raises(CredentialsRefused, match="DITIO__API_URL"):
        client.search("+4798765432")
