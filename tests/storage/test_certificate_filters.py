"""A filter or an order of certificates in SQL finds what the library finds, on both databases, also at the root."""

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scim2_models import Context, ScimFilter, SearchRequest
from sqlalchemy import insert

from scim_bridge.domain.certificate import Certificate, Entry, EntryId, Holder, Source, type_of
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.values import CERTIFICATE_URN, nfc
from scim_bridge.scim.provider import build_provider
from scim_bridge.scim.resources import certificate_resource
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import certificate_entries
from scim_bridge.web.scim.storage import BridgeStorage
from tests.protocol.doubles import AUTHOR, NoIntake
from tests.storage import filter_cases as cases
from tests.storage.test_filters import asked_of, no_filtering_in_python
from tests.thorough import either

PROVIDER = build_provider(max_page_size=1000)
USER, _, CERTIFICATE = PROVIDER.resource_types
USER_MODEL: Any = PROVIDER.model_for("User")
MODEL: Any = PROVIDER.model_for("Certificate")

FIRST = date(2026, 1, 15)
MOMENT = cases.MOMENTS[0]
DAYS = [FIRST + timedelta(days=each) for each in range(4)]
TEXT = ["employeeNumber", "certificateType", "certificateNumber", "notes", *cases.COMMON[:2], *cases.COMMON[3:]]
DATES = ["issuedDateTime", "validUntilDateTime", "meta.created", "meta.lastModified"]
SORTS = [None, *TEXT, *DATES, "userName"]

quoted_instants = st.one_of(
    st.builds(
        lambda day, seconds, zone: (datetime.combine(day, time(), UTC) + timedelta(seconds=seconds)).astimezone(zone),
        st.sampled_from(DAYS),
        st.sampled_from([0, 0, 0, -1, 1, 3600, 86399]),
        cases.zones,
    ).map(lambda moment: ScimFilter.quote(moment.isoformat())),
    cases.instants,
)

examples = settings(
    max_examples=either(25, 10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def entries_of(texts: list[str]) -> st.SearchStrategy[Entry]:
    """What a source may say, with a few texts; as the ledger keeps it."""
    said = st.sampled_from([nfc(each) for each in texts])
    certificates = st.builds(
        Certificate, said.map(type_of), st.sampled_from(DAYS), st.none() | st.sampled_from(DAYS), said, st.none() | said
    )
    return st.builds(
        Entry,
        id=st.uuids().map(lambda each: EntryId(str(each))),
        holder=st.uuids().map(lambda each: Holder.of_number(EmployeeNumber(str(each)))),
        source=st.sampled_from(Source),
        certificate=certificates,
        wins=st.sampled_from([True, True, True, False]),
        employee_number=st.none() | said.map(EmployeeNumber),
        version=st.integers(1, 12),
        created_at=st.sampled_from(cases.MOMENTS),
        last_modified_at=st.sampled_from(cases.MOMENTS),
        external_id=st.none() | said,
    )


def conditions(texts: list[str]) -> st.SearchStrategy[str]:
    whole = "{} {} {}".format
    operands = st.sampled_from(texts).map(ScimFilter.quote) | st.sampled_from(['"Certificate"', '"W/\\"1\\""', "null"])
    simple = st.one_of(
        st.builds(whole, cases.spelled(TEXT, CERTIFICATE_URN), cases.words, operands),
        st.builds(whole, cases.spelled(DATES, CERTIFICATE_URN), st.sampled_from(cases.ORDER), quoted_instants),
        st.builds(whole, cases.spelled(DATES, CERTIFICATE_URN), st.sampled_from(cases.EQUALITY), st.just("null")),
        st.builds("{} {}".format, cases.spelled([*TEXT, *DATES, "meta"], CERTIFICATE_URN), cases.presence),
        st.sampled_from(['schemas[value co "ditio"]', 'schemas[not (value ew "x")]', "schemas[other pr]", "title pr"]),
    )
    return cases.joined(simple, depth=3)


def kept(database: Database, entries: list[Entry]) -> tuple[BridgeStorage, list[Any]]:
    """A tenant's storage, and its certificates that count, as the server shows them."""
    tenant = str(uuid.uuid4())
    with database.write() as s:
        for each in entries:
            said = each.certificate
            row = {"tenant": tenant, "id": each.id, "holder_kind": each.holder.kind, "holder": each.holder.value}
            row |= {"type": said.type, "number": said.number, "issued": said.issued, "valid_until": said.valid_until}
            row |= {"notes": said.notes, "source": each.source, "employee_number": each.employee_number}
            row |= {"external_id": each.external_id}
            row |= {"wins": each.wins, "version": each.version, "created_at": each.created_at}
            s.connection.execute(insert(certificate_entries).values(last_modified_at=each.last_modified_at, **row))
    storage = BridgeStorage(database, tenant, PROVIDER, NoIntake(), lambda ticket: None, AUTHOR)
    return storage, [certificate_resource(MODEL, PROVIDER, each) for each in entries if each.wins]


def asked(of: Any, **parameters: Any) -> SearchRequest[Any] | None:
    """A search as the server builds it; None for one that is refused before any storage is asked."""
    try:
        request: SearchRequest[Any] = SearchRequest[of].model_validate(parameters, scim_ctx=Context.SEARCH_REQUEST)
    except ValidationError:
        return None
    return request


@given(data=st.data(), vocabulary=cases.vocabularies)
@examples
def test_sql_finds_the_certificates_that_the_library_finds(database: Database, data: Any, vocabulary: list[str]):
    """RFC 7644 §3.4.2.2: a day is midnight UTC, to the microsecond; who does not count is not listed (K1)."""
    storage, shown = kept(database, data.draw(st.lists(entries_of(vocabulary), max_size=5)))
    for text in data.draw(st.lists(conditions(vocabulary), min_size=1, max_size=6)):
        with PROVIDER:
            request = asked(MODEL, filter=text, count=1000)
            if request is None:
                continue
            expected = sorted(each.id for each in shown if request.filter.match(each))
            with asked_of(database) as statements, no_filtering_in_python():
                page = storage.search([CERTIFICATE], request)
        assert [each.id for each in page.resources] == expected, text
        assert page.total == len(expected), text
        assert len(statements.statements) == 1


def test_a_day_is_midnight_utc_to_the_second(database: Database):
    """RFC 7644 §3.4.2.2: an instant of the day before, the day itself, and one that is later than its midnight."""
    certificates = [Certificate(type_of(str(end)), FIRST, end) for end in (*DAYS[:3], None)]
    entries = [
        Entry(EntryId(kind.type), Holder.of_number(EmployeeNumber("1")), Source.csv, kind, True, None, 1, *[MOMENT] * 2)
        for kind in certificates
    ]
    storage, shown = kept(database, entries)
    for instant in (
        "2026-01-15T23:59:59Z",
        "2026-01-16T00:00:00Z",
        "2026-01-16T01:00:00+01:00",
        "2026-01-16T00:00:01Z",
    ):
        for op in cases.ORDER:
            with PROVIDER:
                request = asked(MODEL, filter=f'validUntilDateTime {op} "{instant}"', count=9)
                assert request is not None
                expected = {each.id for each in shown if request.filter.match(each)}
                found = {each.id for each in storage.search([CERTIFICATE], request).resources}
            assert found == expected, (op, instant)


@given(
    data=st.data(),
    vocabulary=cases.vocabularies,
    sort_by=st.sampled_from(SORTS),
    descending=st.booleans(),
    count=st.integers(1, 4),
    users=st.integers(0, 3),
    text=st.sampled_from(
        [None, None, 'meta.created pr and not (id eq "x")', 'issuedDateTime gt "2026-01-15T00:00:00Z"']
    ),
)
@examples
def test_sql_sorts_certificates_alone_and_among_all_types_and_no_cursor_skips_one(
    database: Database,
    data: Any,
    vocabulary: list[str],
    sort_by: str | None,
    descending: bool,
    count: int,
    users: int,
    text: str | None,
):
    """RFC 7644 §3.4.2.3, RFC 9865: missing values last, equal ones by id, and each once, whatever the page size."""
    storage, shown = kept(database, data.draw(st.lists(entries_of(vocabulary), max_size=5)))
    types, of = [CERTIFICATE], MODEL
    if users:
        types, of = [USER, CERTIFICATE], USER_MODEL | MODEL
    with PROVIDER:
        shown += [storage.create(USER, USER_MODEL(user_name=f"user{each}")) for each in range(users)]
        sorting = {"sortBy": sort_by, "sortOrder": "descending" if descending else "ascending"} if sort_by else {}
        sorting |= {"filter": text} if text else {}
        request = asked(of, **sorting)
        if request is None:
            return
        matching = [each for each in shown if request.filter is None or request.filter.match(each)]
        matching.sort(key=lambda each: each.id, reverse=bool(sort_by) and descending)
        expected = [each.id for each in request.sort(matching)]

        whole = storage.search(types, request)
        walked, position = [], None
        while True:
            page = storage.search(types, asked(of, cursor="", count=count, **sorting), position=position)
            walked += [each.id for each in page.resources]
            assert page.total == len(expected)
            if page.next is None:
                break
            position = json.loads(json.dumps(page.next))

    assert [each.id for each in whole.resources] == expected
    assert walked == expected
