"""The whole roster, in whatever envelope and pages Ditio's list comes; half a roster is an error, never an answer."""

from __future__ import annotations

import json
from datetime import date

import pytest

from scim_bridge.ditio.client import DitioClient
from scim_bridge.ditio.config import DitioConfig
from scim_bridge.errors import CredentialsRefused, DeliveryError, PermanentError, TransientError
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.style import ALL_ENVELOPES, ALL_PAGINGS, Style
from tests.ditio.conftest import COMPANY, World

TODAY = date(2026, 3, 2)
MANY = [str(1000 + number) for number in range(25)]


def planted(world: World, numbers: list[str] = MANY) -> None:
    for index, number in enumerate(numbers):
        world.ditio.plant(number, phone=f"+4790000{index:03}")


def numbers(client: DitioClient) -> list[object]:
    return [each.employee_number for each in client.roster(TODAY)]


@pytest.mark.parametrize("envelope", ALL_ENVELOPES)
@pytest.mark.parametrize("paging", ALL_PAGINGS)
def test_everyone_is_read_once_in_every_envelope_and_paging(world: World, envelope: str, paging: str):
    """Facts about Ditio, section 2: paging, filters and envelope of the list are unknown."""
    planted(world)
    world.ditio.style = Style(envelope=envelope, paging=paging, page_size=10)

    assert numbers(world.client()) == MANY


@pytest.mark.parametrize("paging", ["page", "silent"])
@pytest.mark.parametrize("envelope", ["bare", "items"])
def test_pages_that_are_counted_from_zero(world: World, envelope: str, paging: str):
    planted(world)
    world.ditio.style = Style(envelope=envelope, paging=paging, page_size=10, first_page=0)

    assert numbers(world.client()) == MANY


@pytest.mark.parametrize("paging", ALL_PAGINGS)
@pytest.mark.parametrize("count", [0, 1, 10, 20])
def test_full_pages_and_no_page_at_all(world: World, paging: str, count: int):
    """The last page may be full, and a company empty."""
    planted(world, MANY[:count])
    world.ditio.style = Style(envelope="data", paging=paging, page_size=10)

    assert numbers(world.client()) == MANY[:count]


def test_a_list_that_is_longer_than_a_page_has_no_pages(world: World):
    """Nothing is tried where the answer has more than the page that was asked for."""
    rows = [{"employeeNumber": str(number)} for number in range(1500)]
    world.answers(200, json.dumps(rows))

    assert len(numbers(world.client())) == 1500
    assert world.api_calls == 0


@pytest.mark.parametrize("refused", [1, 2])
@pytest.mark.parametrize("paging", ["none", "page", "silent"])
def test_parameters_that_the_list_refuses_are_left_out(world: World, refused: int, paging: str):
    """Facts about Ditio, section 2: filters of the list are unknown, so a page size or an include may be refused."""
    planted(world)
    world.ditio.style = Style(envelope="items", paging=paging, page_size=10)
    for _ in range(refused):
        world.answers(400, '{"error": "UnknownParameter", "message": "pageSize is not a parameter"}')

    assert numbers(world.client()) == MANY
    queries = [str(request.url).partition("?")[2] for request in world.sent if "/employees" in str(request.url)]
    assert queries[0] == "include=employment-history&pageSize=1000"
    assert queries[1] == "include=employment-history"
    assert all("include=employment-history" in query for query in queries[1:]) == (refused == 1)
    assert not any("pageSize=1000" in query for query in queries[1:])


def test_a_list_that_is_refused_however_it_is_asked_for_is_an_error(world: World):
    for _ in range(3):
        world.answers(400, '{"message": "The list is closed."}')

    with pytest.raises(PermanentError, match="Reading all employees: Ditio refused it"):
        numbers(world.client())
    assert world.api_calls == 0


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([{"value": [1], "@odata.nextLink": "https://ditio.test/x?$skip=1"}, {"value": [2]}], id="odata"),
        pytest.param([{"data": {"items": [1], "nextCursor": "c"}}, {"data": {"items": [2], "nextCursor": None}}]),
        pytest.param([{"items": [1], "hasMore": True, "skip": 0, "take": 1}, {"items": [2], "hasMore": False}]),
        pytest.param(
            [{"items": [1], "currentPage": 1, "totalPages": 2}, {"items": [2], "currentPage": 2, "totalPages": 2}]
        ),
        pytest.param([{"items": [1], "_links": {"next": {"href": "/e?p=2"}}}, {"items": [2], "_links": {}}]),
        pytest.param(
            [
                {"pagination": {"pageNumber": 0, "pageCount": 2}, "items": [1]},
                {"pagination": {"pageNumber": 1, "pageCount": 2}, "items": [2]},
            ]
        ),
    ],
)
def test_other_usual_ways_to_page(world: World, pages: list[dict[str, object]]):
    for page in pages:
        text = json.dumps(page).replace("[1]", '[{"employeeNumber": "1"}]').replace("[2]", '[{"employeeNumber": "2"}]')
        world.answers(200, text)

    assert numbers(world.client()) == ["1", "2"]


@pytest.mark.parametrize(
    "body",
    [
        "not JSON",
        '{"message": "wait"}',
        '{"employeeNumber": "1042"}',
        '[{"employeeNumber": "1042"}, {"employee',
        '{"items": [{"employeeNumber": "1"}], "totalCount": 3}',
        '{"items": [{"employeeNumber": "1"}], "hasMore": true}',
    ],
)
def test_what_can_not_be_understood_is_an_error(world: World, body: str):
    """Bounded, with a clear error: a part of the roster must not pass for all of it."""
    for _ in range(8):
        world.answers(200, body)

    with pytest.raises(DeliveryError, match="Reading all employees"):
        numbers(world.client())


def test_a_page_that_comes_again_and_again_is_an_error(world: World):
    for _ in range(3):
        world.answers(200, '{"items": [{"employeeNumber": "1"}], "continuationToken": "x"}')

    with pytest.raises(PermanentError, match="again and again"):
        numbers(world.client())


def test_other_companies_are_left_out(world: World):
    planted(world, ["1", "2"])
    world.ditio.plant("3", phone="+4793333333", company_id="999999")
    everybody = [{"employeeNumber": "1", "companyId": 12345}, {"employeeNumber": "3", "companyId": "999999"}]
    world.answers(200, json.dumps(everybody))
    world.answers(200, "[]")

    assert numbers(world.client(company_id=COMPANY)) == ["1"]


def test_a_page_that_fails_is_tried_again(world: World):
    planted(world)
    world.ditio.style = Style(envelope="items", paging="token", page_size=10)
    world.ditio.faults.plan(Fault("status", status=503, times=2))

    assert numbers(world.client()) == MANY


def test_a_person_who_is_out_of_reach_is_told_within_half_a_minute(world: World):
    """Design, section 5: Ditio out of reach, exit 1 within 30 s."""
    world.ditio.faults.plan(Fault("status", status=503, times=None))
    before = world.clock.seconds

    with pytest.raises(TransientError):
        numbers(world.client())
    assert world.clock.seconds - before <= 30


def test_a_wrong_address_is_named(world: World):
    world.answers(404)

    with pytest.raises(CredentialsRefused, match="DITIO__API_URL seems wrong"):
        numbers(world.client())


def test_an_expired_token_is_renewed_once(world: World):
    """R2: renewed once, repeated once."""
    planted(world)
    client = world.client()
    client.check()
    world.ditio.revoke_tokens()

    assert numbers(client) == MANY
    assert world.tokens_fetched == 2


def test_the_reporting_api_is_read_in_its_documented_chunks(world: World):
    """Facts about Ditio, section 6: continuation tokens until there is none, and a scope of its own."""
    planted(world, [str(number) for number in range(3000)])
    client = world.client(api_url="https://ditio.test/reporting", scope="reportingapiv1")

    rows = list(client.reporting_roster(TODAY))

    assert len(rows) == 3000
    assert len(world.ditio.calls(containing="/reporting/v1/user")) == 2


def test_the_companys_own_rows_are_asked_for(world: World):
    world.ditio.plant("1", start=date(2026, 1, 1))
    world.ditio.plant("2", phone="+4792222222", company_id="999999")
    config: DitioConfig = world.config(
        api_url="https://ditio.test/reporting", scope="reportingapiv1", company_id=COMPANY
    )

    client = DitioClient(config, session_factory=world.session, monotonic=world.clock.monotonic, now=world.clock.now)
    assert [each.employee_number for each in client.reporting_roster(TODAY)] == ["1"]


@pytest.mark.parametrize("name", ["page", "pageNumber", "currentPage"])
def test_the_number_of_the_next_page_is_as_good_as_a_link(world: World, name: str):
    rows = [[{"employeeNumber": each}] for each in ("1", "2")]
    for number, page in enumerate(rows, start=1):
        body = {"items": page, name: number, "nextPage": number + 1 if number < len(rows) else None}
        world.answers(200, json.dumps(body))

    assert numbers(world.client()) == ["1", "2"]


def test_a_link_that_cannot_be_followed_makes_half_a_roster(world: World):
    world.answers(200, '{"items": [{"employeeNumber": "1"}], "nextPageUrl": "/employees/2"}')

    with pytest.raises(DeliveryError):
        numbers(world.client())
