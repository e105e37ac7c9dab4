"""`/Certificates`, as a competence system uses it: each answer, and what Ditio has then (rule K1)."""

from typing import Any

import pytest

from scim_bridge.certificates.sources import CertificateSources, Stored
from scim_bridge.delivery.intake import Intake
from scim_bridge.domain.certificate import Certificate, Source, type_of
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.values import CERTIFICATE_URN
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from tests.conftest import Clock
from tests.world import World, a_user, day

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

CRANE = {
    "schemas": [CERTIFICATE_URN],
    "employeeNumber": "1042",
    "certificateType": "Kranførerbevis",
    "certificateNumber": "K-17",
    "issuedDateTime": "2026-01-15T00:00:00Z",
    "validUntilDateTime": "2031-01-15T00:00:00Z",
    "notes": "G1, G4 og G8",
}


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return World(database, clock)


def created(world: World, **changes: Any) -> dict[str, Any]:
    """A new certificate, as answered."""
    response = world.scim("POST", "/Certificates", {**CRANE, **changes})
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


def said_by(world: World, source: Source, number: str = "1042", kind: str = "Kranførerbevis", **days: str) -> str:
    """Another source says something of a certificate; the id of what it says."""
    certificate = Certificate(type_of(kind), day(days["issued"]), day(days["valid_until"]), "other")
    intake = Intake(world.parts.tenants["default"], "request-0")
    sources = CertificateSources(intake.tenant, intake.certificate_said)
    with world.database.write("default") as s:
        kept = sources.put(s, source, EmployeeNumber(number), certificate)
    assert isinstance(kept, Stored)
    return str(kept.entry.id)


def found(world: World, **parameters: Any) -> list[str]:
    """The types of the certificates that a list has."""
    response = world.http.get("https://bridge.test/scim/v2/Certificates", params=parameters)
    assert response.status_code == 200, response.text
    return [each["certificateType"] for each in response.json()["Resources"]]


def patch(world: World, resource: dict[str, Any], *operations: Any, **headers: str) -> Any:
    body = {"schemas": [PATCH], "Operations": list(operations)}
    return world.scim("PATCH", f"/Certificates/{resource['id']}", body, **headers)


def test_a_certificate_comes_back_as_it_was_sent(world: World):
    """A6, and K1: UTF-8 types are unharmed, in the answer, by id and in the list."""
    answer = created(world)

    assert {name: answer[name] for name in CRANE} == CRANE
    assert answer["meta"]["resourceType"] == "Certificate"
    assert answer["meta"]["location"] == f"https://bridge.test/scim/v2/Certificates/{answer['id']}"
    assert world.scim("GET", f"/Certificates/{answer['id']}").json() == answer
    assert world.scim("GET", "/Certificates").json()["Resources"] == [answer]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2026-01-15", "2026-01-15T00:00:00Z"),
        ("15.1.2026", "2026-01-15T00:00:00Z"),
        ("2026-01-15T23:59:59Z", "2026-01-15T00:00:00Z"),
        ("2026-01-15T23:30:00Z", "2026-01-16T00:00:00Z"),
        ("2026-01-16T00:00:00+01:00", "2026-01-16T00:00:00Z"),
    ],
)
def test_an_instant_is_a_day_and_goes_out_at_midnight_utc(world: World, sent: str, shown: str):
    """T1, K6: Ditio keeps days, so the ledger does; that day is answered, unshifted."""
    assert created(world, issuedDateTime=sent)["issuedDateTime"] == shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuedDateTime": "01/15/2026"}, "issuedDateTime"),
        ({"issuedDateTime": 1768435200}, "issuedDateTime"),
        ({"issuedDateTime": "1768435200"}, "issuedDateTime"),
        ({"validUntilDateTime": "2026-01-15T00:00:00Z"}, "not after issuedDateTime"),
        ({"validUntilDateTime": None}, "validUntilDateTime is missing"),
        ({"validUntilDateTime": "2126-01-15T00:00:00Z"}, "50 years"),
        ({"employeeNumber": " "}, "employeeNumber"),
        ({"employeeNumber": "1" * 65}, "64"),
        ({"certificateType": "x" * 201}, "200"),
        ({"notes": "x" * 4001}, "4000"),
        ({"notes": "\x00"}, "NUL"),
    ],
)
def test_what_cannot_be_used_is_400_with_the_attribute_and_the_cure(world: World, changes: dict[str, Any], words: str):
    """K1, K5, A7: and nothing of it is stored."""
    response = world.scim("POST", "/Certificates", {**CRANE, **changes})

    assert response.status_code == 400, response.text
    assert words in response.json()["detail"]
    assert found(world) == []


@pytest.mark.parametrize("name", ["certificateType", "employeeNumber", "issuedDateTime"])
def test_what_is_missing_is_told_to_a_competence_system(world: World, name: str):
    """A7: who reads it has no attribute mapping of Entra's to correct; of a user it is Entra's administrator."""
    without = world.scim("POST", "/Certificates", {key: value for key, value in CRANE.items() if key != name})
    empty = world.scim("POST", "/Certificates", {**CRANE, "certificateType": ""})
    of_entra = world.scim("POST", "/Users", {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"]})

    assert without.json()["detail"] == f"{name} is missing or empty: send a value"
    assert empty.json()["detail"] == "certificateType is empty: send a value"
    assert "in Entra, check the attribute mapping to userName" in of_entra.json()["detail"]


def test_a_missing_end_is_taken_where_the_settings_say_what_it_means(database: Database, clock: Clock):
    """K5: then the schema does not require one."""
    world = World(database, clock, settings={"certificates": {"missing_expiry": "2099-12-31"}})

    answer = created(world, validUntilDateTime=None)

    assert "validUntilDateTime" not in answer
    assert found(world, filter="not (validUntilDateTime pr)") == ["Kranførerbevis"]
    schema = world.scim("GET", f"/Schemas/{CERTIFICATE_URN}").json()
    assert {each["name"] for each in schema["attributes"] if each["required"]} == {
        *("employeeNumber", "certificateType", "issuedDateTime")
    }


def test_unknown_attributes_are_ignored_and_counted(world: World):
    """A7: by name, never a value."""
    answer = created(world, level="G4")

    assert "level" not in answer
    with world.database.read("default") as s:
        assert [(each.kind, each.name) for each in s.quirks.list()] == [("unknown-attribute", "level")]


def test_the_clients_own_id_is_kept_and_found(world: World):
    """RFC 7643 §3.1: an `externalId` survives what else changes, is a change by itself, and can be cleared."""
    first = created(world, externalId="competence-7")

    moved = patch(world, first, {"op": "replace", "path": "certificateType", "value": "Byggekort"}).json()
    renamed = patch(world, first, {"op": "replace", "path": "externalId", "value": "competence-8"}).json()
    same = patch(world, first, {"op": "replace", "path": "externalId", "value": "competence-8"}).json()

    assert [each["externalId"] for each in (first, moved, renamed)] == ["competence-7", "competence-7", "competence-8"]
    assert [each["meta"]["version"] for each in (first, moved, renamed, same)] == ['W/"1"', 'W/"2"', 'W/"3"', 'W/"3"']
    assert found(world, filter='externalId eq "competence-8"') == ["Byggekort"]
    assert world.scim("GET", f"/Certificates/{first['id']}").json() == same
    assert "externalId" not in patch(world, first, {"op": "remove", "path": "externalId"}).json()


def test_a_patch_and_a_put_keep_the_id_and_count_the_version(world: World):
    """RFC 7644 §3.5: another type too; what changes nothing leaves the version as it is."""
    first = created(world)

    patched = patch(world, first, {"op": "replace", "path": "certificateType", "value": "Arbeidsvarsling kurs 1"})
    same = patch(world, first, {"op": "replace", "value": {"issuedDateTime": "15.01.2026"}})
    replaced = world.scim("PUT", f"/Certificates/{first['id']}", {**CRANE, "notes": None})

    assert (patched.status_code, patched.json()["certificateType"]) == (200, "Arbeidsvarsling kurs 1")
    assert same.json()["meta"] == patched.json()["meta"]
    assert (replaced.status_code, replaced.json()["id"]) == (200, first["id"])
    assert "notes" not in replaced.json()
    versions = [each["meta"]["version"] for each in (first, patched.json(), replaced.json())]
    assert versions == ['W/"1"', 'W/"2"', 'W/"3"']
    assert found(world) == ["Kranførerbevis"]


def test_a_version_that_is_out_of_date_is_412(world: World):
    """RFC 7644 §3.14: no one writes over what he has not seen; what is known is 304."""
    first = created(world)
    changed = patch(world, first, {"op": "remove", "path": "notes"})
    path, old = f"/Certificates/{first['id']}", {"If-Match": first["meta"]["version"]}

    assert patch(world, first, {"op": "remove", "path": "certificateNumber"}, **old).status_code == 412
    assert world.scim("PUT", path, CRANE, **old).status_code == 412
    assert world.scim("DELETE", path, **old).status_code == 412
    assert world.scim("GET", path, **{"If-None-Match": changed.json()["meta"]["version"]}).status_code == 304
    assert world.scim("DELETE", path, **{"If-Match": changed.json()["meta"]["version"]}).status_code == 204
    assert world.scim("GET", path).status_code == 404


def test_a_second_post_of_a_type_is_409_and_names_the_first(world: World):
    """K1: `/Certificates` itself holds that type already."""
    first = created(world)

    response = world.scim("POST", "/Certificates", {**CRANE, "issuedDateTime": "2026-02-01T00:00:00Z"})

    assert (response.status_code, response.json()["scimType"]) == (409, "uniqueness")
    assert first["id"] in response.json()["detail"]
    assert "number K-17" in response.json()["detail"]
    assert found(world) == ["Kranførerbevis"]


@pytest.mark.parametrize("issued", ["2026-01-15", "2026-01-16"])
def test_who_loses_to_another_source_is_told_its_number_and_name(world: World, issued: str):
    """K1: the newest counts, and on equal dates what is there stays: 409, and nothing is stored."""
    said_by(world, Source.csv, issued=issued, valid_until="2031-01-15")

    response = world.scim("POST", "/Certificates", CRANE)

    assert (response.status_code, response.json()["scimType"]) == (409, "uniqueness")
    assert "CSV" in response.json()["detail"]
    assert "number other" in response.json()["detail"]
    assert world.scim("GET", "/Certificates").json()["Resources"][0]["certificateNumber"] == "other"


def test_what_another_source_says_is_listed_and_read_and_not_changed(world: World):
    """K1: the list is the ledger, whatever the way in; 409 names the source, and the entry stays."""
    entry = said_by(world, Source.csv, issued="2026-01-15", valid_until="2031-01-15")
    path = f"/Certificates/{entry}"

    assert world.scim("GET", "/Certificates").json()["Resources"] == [world.scim("GET", path).json()]
    refused = [
        world.scim("PUT", path, CRANE),
        patch(world, {"id": entry}, {"op": "remove", "path": "certificateNumber"}),
        world.scim("DELETE", path),
    ]
    assert [each.status_code for each in refused] == [409, 409, 409]
    assert all("CSV" in each.json()["detail"] for each in refused)
    assert world.scim("GET", path).json()["certificateNumber"] == "other"


def test_the_list_has_what_counts_and_an_id_finds_the_loser_too(world: World):
    """K1: a newer one of `/Certificates` takes the place of the file's, and gives it back when it is deleted."""
    entry = said_by(world, Source.csv, issued="2026-01-14", valid_until="2031-01-15")
    newer = created(world)

    listed = world.scim("GET", "/Certificates").json()["Resources"]
    assert [each["id"] for each in listed] == [newer["id"]]
    assert world.scim("GET", f"/Certificates/{entry}").json()["certificateNumber"] == "other"
    world.scim("DELETE", f"/Certificates/{newer['id']}")
    assert [each["id"] for each in world.scim("GET", "/Certificates").json()["Resources"]] == [entry]


def test_filters_sort_and_pages_of_a_list(world: World):
    """RFC 7644 §3.4.2, RFC 9865: what expires, in its order, page by page, by GET and by `.search`."""
    for number, end in ((1, "2027-06-30"), (2, "2026-06-30"), (3, "2028-06-30")):
        created(world, certificateType=f"Arbeidsvarsling kurs {number}", validUntilDateTime=f"{end}T00:00:00Z")
    created(world)
    wanted = 'validUntilDateTime lt "2027-12-31T00:00:00Z" and certificateType sw "Arbeidsvarsling"'

    assert found(world, filter=wanted) == found(world, filter=wanted, sortBy="meta.created")
    assert found(world, filter=wanted, sortBy="validUntilDateTime") == [
        "Arbeidsvarsling kurs 2",
        "Arbeidsvarsling kurs 1",
    ]
    assert found(world, filter='certificateType eq "Kranførerbevis" and employeeNumber eq "1042"') == ["Kranførerbevis"]
    ends, cursor = [], ""
    while cursor is not None:
        body = {"sortBy": "validUntilDateTime", "sortOrder": "descending", "count": 2, "cursor": cursor}
        page = world.scim("POST", "/Certificates/.search", body).json()
        ends += [each["validUntilDateTime"][:4] for each in page["Resources"]]
        cursor = page.get("nextCursor")
    assert ends == ["2031", "2028", "2027", "2026"]
    assert world.scim("GET", "/Certificates?startIndex=2&count=1").json()["totalResults"] == 4


def test_certificates_are_part_of_a_search_from_the_root(world: World):
    """RFC 7644 §3.4.2.1: with users and groups in one order, and one cursor."""
    world.scim("POST", "/Groups", {"displayName": "Kranførere"})
    created(world)
    world.scim("POST", "/Users", {"userName": "kari@contractor.example"})

    types, cursor = [], ""
    while cursor is not None:
        body = {"sortBy": "meta.resourceType", "count": 1, "cursor": cursor}
        page = world.scim("POST", "/.search", body).json()
        assert page["totalResults"] == 3
        types += [each["meta"]["resourceType"] for each in page["Resources"]]
        cursor = page.get("nextCursor")
    assert types == ["Certificate", "Group", "User"]
    by_number = {"filter": 'meta.resourceType eq "Certificate"', "sortBy": "meta.created", "startIndex": 1}
    assert world.scim("POST", "/.search", by_number).json()["totalResults"] == 1


def test_a_repeated_write_tries_again_what_ditio_refused(world: World, clock: Clock):
    """A5: it changes nothing, not even the version."""
    world.provisions(a_user())
    clock.passes(minutes=1)
    world.ditio.faults.plan(Fault("status", 400, path="/certificates", times=None))
    first = created(world)
    world.ditio.faults.clear()
    world.worker.run_until_idle()
    assert not world.ditio.certificates

    again = world.scim("PUT", f"/Certificates/{first['id']}", CRANE)

    assert (again.status_code, again.json()["meta"]) == (200, first["meta"])
    assert list(world.ditio.certificates) == [("1042", "Kranførerbevis")]


def test_a_bulk_request_writes_certificates_each_by_itself_and_only_queues(world: World, clock: Clock):
    """RFC 7644 §3.7, A4: a loser is 409 in its own result; a worker delivers them."""
    world.provisions(a_user())
    clock.passes(minutes=1)
    second = {**CRANE, "certificateType": "Arbeidsvarsling kurs 1"}
    operations = [
        {"method": "POST", "path": "/Certificates", "bulkId": str(number), "data": data}
        for number, data in enumerate([CRANE, CRANE, second])
    ]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}

    results = world.scim("POST", "/Bulk", body).json()["Operations"]

    assert [each["status"] for each in results] == ["201", "409", "201"]
    assert found(world, sortBy="certificateType") == ["Arbeidsvarsling kurs 1", "Kranførerbevis"]
    assert not world.ditio.certificates
    world.worker.run_until_idle()
    assert {kind for _, kind in world.ditio.certificates} == {"Arbeidsvarsling kurs 1", "Kranførerbevis"}
