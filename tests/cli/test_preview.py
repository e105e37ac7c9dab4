"""`scim-bridge preview`: what would be sent is what is then really sent, and nothing is sent."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import NAMESPACE_URL, uuid5

import pytest
import requests
from click.testing import CliRunner, Result

from scim_bridge.cli.main import main
from scim_bridge.domain.certificate import Source
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import running
from tests.cli.conftest import DITIO, Run, run_with
from tests.delivery.test_certifying import a_certificate, put
from tests.world import World, a_user

DITIO_URN = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
ENTERPRISE_URN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
EMPLOYEES = "/core/api/v5/integration/employees"
EXCHANGES = Path(__file__).parents[1] / "samples" / "entra-exchanges.json"

KARI: dict[str, Any] = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE_URN],
    "externalId": "5d1f3c0e-0000-4000-8000-000000001042",
    "userName": "kari.nordmann@contractor.example",
    "active": True,
    "displayName": "Kari Nordmann",
    "name": {"givenName": "Kari", "familyName": "Nordmann"},
    "emails": [{"type": "work", "value": "kari.nordmann@contractor.example", "primary": True}],
    "phoneNumbers": [{"type": "mobile", "value": "+47 987 65 432"}],
    "title": "Maskinfører",
    ENTERPRISE_URN: {"employeeNumber": "1042", "department": "Anlegg"},
    DITIO_URN: {"birthDate": "1990-05-15", "employmentStartDate": "2026-03-01"},
}

SHAPES: dict[str, dict[str, Any]] = {
    "as the RFC has it": KARI,
    "the smallest": {
        "userName": "smallest",
        "displayName": "Kari Nordmann",
        "phoneNumbers": [{"value": "98765432", "primary": True}],
        f"{ENTERPRISE_URN}:employeeNumber": "1042",
    },
    "flat keys": {
        "userName": "kari@contractor.example",
        "active": "True",
        "name.givenName": "Kari",
        "name.familyName": "Nordmann",
        'emails[type eq "work"].value': "kari@contractor.example",
        'phoneNumbers[type eq "mobile"].value': "tel:+47-987-65-432",
        f"{ENTERPRISE_URN}:employeeNumber": 1042,
        f"{DITIO_URN}:employmentStartDate": "2026-02-28T23:00:00Z",
        f"{DITIO_URN}:payroll": "2",
    },
    "a number that a path has to escape": {**KARI, ENTERPRISE_URN: {"employeeNumber": "ÅS 10/42"}},
    "inactive": {**KARI, "active": False},
    "without a phone": {**KARI, "phoneNumbers": []},
    "a date with slashes": {**KARI, DITIO_URN: {"birthDate": "15/05/1990"}},
    "a leave date that is over": {**KARI, DITIO_URN: {"employmentEndDate": "2026-01-31"}},
    "a leave date that lies ahead": {**KARI, DITIO_URN: {"employmentEndDate": "2199-12-31"}},
}


def previewed(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    assert list(document) == ["employee", "rules", "problems", "calls"]
    return document


def written(tmp_path: Path, document: object) -> str:
    path = tmp_path / "user.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def sent(world: World) -> list[tuple[str, str, Any]]:
    """The writes that Ditio got, as `preview` tells them."""
    return [(call.method, f"/core{call.path}", call.body) for call in world.ditio.writes()]


def told(document: dict[str, Any]) -> list[tuple[str, str, Any]]:
    return [(call["method"], unquote(call["path"]), call["body"]) for call in document["calls"]]


@pytest.fixture
def today(world: World) -> World:
    """The world on the day on which the commands run: they read the machine's clock."""
    world.clock.now = datetime.now(UTC)
    return world


@pytest.fixture
def against(run: Run, today: World) -> Iterator[Run]:
    """Run `preview --against-ditio` on the test's database and a Ditio behind a socket."""
    with running(today.ditio.app) as url:
        environment = {**DITIO, "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core", "SCIM_BRIDGE_DITIO__IDENTITY_URL": url}
        yield lambda *words, **more: run(
            "preview", *words, "--against-ditio", "--format", "json", **{**environment, **more}
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_shown_is_what_is_then_sent(run: Run, today: World, tmp_path: Path, shape: str):
    """Design, section 5: the exact Ditio calls that this SCIM user would cause."""
    document = previewed(run("preview", written(tmp_path, SHAPES[shape]), "--format", "json", **DITIO))

    assert today.scim("POST", "/Users", SHAPES[shape]).status_code == 201
    assert told(document) == sent(today)


def test_nothing_is_logged_as_done(run: Run, tmp_path: Path):
    """No one was created: standard error is not to say so."""
    assert run("preview", written(tmp_path, KARI), **DITIO).stderr == ""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hire_date": None, "birth_date": None},
        {"mail": None, "job_title": None, "department": None},
        {"mobile": None, "telephone_number": "22 33 44 55"},
        {"hire_date": "2026-04-01T00:00:00Z"},
        {"given_name": None, "surname": None, "birth_date": "15.05.1990"},
        {"hire_date": "2026-02-28T23:00:00Z", "leave_date": "2199-09-30T23:59:59Z"},
        {"extra": {f"{DITIO_URN}:payroll": "2", 'emails[type eq "home"].value': "kari@home.example"}},
    ],
    ids=str,
)
def test_what_entra_posts_can_be_previewed(run: Run, today: World, tmp_path: Path, changes: dict[str, Any]):
    """The examples of the documented attribute mapping, as the provisioning service sends them."""
    bodies: list[bytes] = []

    def keep(response: requests.Response, *_: object, **__: object) -> None:
        if response.request.method == "POST" and response.url.split("?")[0].endswith("/Users"):
            bodies.append(response.request.body)

    today.http.hooks["response"].append(keep)
    today.provisions(a_user(**changes))
    (tmp_path / "posted.json").write_bytes(bodies[0])

    document = previewed(run("preview", str(tmp_path / "posted.json"), "--format", "json", **DITIO))

    assert told(document) == sent(today) != []


def a_guid(placeholder: re.Match[str]) -> str:
    return str(uuid5(NAMESPACE_URL, placeholder[1]))


def documented_bodies() -> dict[str, dict[str, Any]]:
    """Every body of a creation among the recorded exchanges, its placeholders filled."""
    bodies: dict[str, dict[str, Any]] = {}
    for scenario in json.loads(EXCHANGES.read_text(encoding="utf-8")):
        for number, step in enumerate(scenario["steps"]):
            request = step["request"]
            if (request["method"], request["path"]) == ("POST", "/Users"):
                name = f"{scenario['id']}-{number}"
                body = re.sub(
                    r"\{\{guid:(.+?)\}\}", lambda m: str(uuid5(NAMESPACE_URL, m[1])), json.dumps(request["body"])
                )
                bodies[name] = json.loads(body.replace("{{run}}", name))
    return bodies


def test_the_documented_examples_are_shown_as_they_are_sent(run: Run, today: World, tmp_path: Path):
    """Design, section 5: every documented creation, as it is and completed to a person who can be hired."""
    bodies = documented_bodies()
    shapes = {json.dumps([sorted(body), sorted(body.get(ENTERPRISE_URN, {}))]): name for name, body in bodies.items()}
    assert len(shapes) > 3
    for count, name in enumerate(sorted(shapes.values())):
        body = bodies[name]
        phones = [{"type": "mobile", "value": f"+47 400 00 {count:03}"}]
        number = {"employeeNumber": f"N-{count}"}
        completed = {
            "name": {"givenName": "Kari", "familyName": "Nordmann"},
            **body,
            "externalId": f"completed-{name}",
            "userName": f"completed-{name}",
            "phoneNumbers": phones,
            ENTERPRISE_URN: {**body.get(ENTERPRISE_URN, {}), **number},
        }
        for user in (body, completed):
            today.forget()
            document = previewed(run("preview", written(tmp_path, user), "--format", "json", **DITIO))
            answer = today.scim("POST", "/Users", user)
            assert answer.status_code == 201, (name, answer.text)
            assert told(document) == sent(today), name
            if document["calls"]:
                break
        assert document["calls"], name


def test_what_the_bridge_answers_can_be_previewed(run: Run, today: World, tmp_path: Path):
    """A document as `GET /Users/{id}` returns it; the person is taken as absent all the same."""
    kari = a_user()
    today.provisions(kari)

    document = previewed(run("preview", written(tmp_path, today.user(kari)), "--format", "json", **DITIO))

    assert told(document) == sent(today)


def test_each_field_has_its_rule(run: Run, tmp_path: Path):
    """JSON: employee and rules by Ditio's names; what the bridge supplies says so (H4)."""
    user = {**KARI, DITIO_URN: {}, "emails": []}
    document = previewed(run("preview", written(tmp_path, user), "--format", "json"))

    assert document["employee"]["phone"] == "+4798765432"
    assert document["rules"]["phone"] == 'phoneNumbers[type eq "mobile"].value'
    assert document["rules"]["email"] == "userName"
    assert document["rules"]["employeeNumber"] == f"{ENTERPRISE_URN}:employeeNumber"
    assert document["rules"]["payroll"].startswith("MAPPING__PAYROLL")
    assert document["rules"]["startDate"].startswith("the day of provisioning")
    assert (document["employee"]["birthDate"], document["rules"]["birthDate"]) == (None, None)
    assert document["problems"] == []


def test_neither_database_nor_ditio_is_needed(tmp_path: Path):
    """Without the option it reads neither; the settings of Ditio may be missing."""
    missing = {"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/none.db"}

    document = previewed(run_with(missing, "preview", written(tmp_path, KARI), "--format", "json"))

    assert [call["path"] for call in document["calls"]] == [EMPLOYEES.removeprefix("/core")]
    assert not (tmp_path / "none.db").exists()


def test_ditio_is_not_asked_without_the_option(run: Run, today: World, tmp_path: Path):
    with running(today.ditio.app) as url:
        environment = {**DITIO, "SCIM_BRIDGE_DITIO__API_URL": url, "SCIM_BRIDGE_DITIO__IDENTITY_URL": url}
        previewed(run("preview", written(tmp_path, KARI), "--format", "json", **environment))

    assert today.ditio.requests == []


def test_the_settings_count(run: Run, tmp_path: Path):
    """MAPPING__FIELDS, MAPPING__PAYROLL, DITIO__SEND_COMPANY_ID: what is sent is as they say."""
    document = previewed(
        run(
            "preview",
            written(tmp_path, KARI),
            "--format",
            "json",
            SCIM_BRIDGE_MAPPING__FIELDS='{"employeeNumber": {"from": ["externalId"]}}',
            SCIM_BRIDGE_MAPPING__PAYROLL="omit",
            SCIM_BRIDGE_DITIO__SEND_COMPANY_ID="true",
            SCIM_BRIDGE_DITIO__COMPANY_ID="012345",
        )
    )

    (call,) = document["calls"]
    assert call["body"]["employeeNumber"] == KARI["externalId"]
    assert call["body"]["companyId"] == "012345"
    assert "payroll" not in call["body"]["employment"]
    assert document["rules"]["employeeNumber"] == "externalId"


def test_an_inactive_user_causes_nothing_and_hears_why(run: Run, tmp_path: Path):
    """H2: nothing is created for an inactive user."""
    document = previewed(run("preview", written(tmp_path, {**KARI, "active": "False"}), "--format", "json"))

    assert document["calls"] == []
    (why,) = document["problems"]
    assert why["message"].startswith("inactive in Entra")


@pytest.mark.parametrize("on_incomplete", ["hold", "refuse"])
def test_what_is_missing_is_named_with_the_cure(run: Run, tmp_path: Path, on_incomplete: str):
    """H3: the attribute and the cure, whether the bridge would hold the person or refuse him."""
    user = {**KARI, "phoneNumbers": [], DITIO_URN: {"birthDate": "15/05/1990"}}
    environment = {"SCIM_BRIDGE_DELIVERY__ON_INCOMPLETE": on_incomplete}
    document = previewed(run("preview", written(tmp_path, user), "--format", "json", **environment))

    assert document["calls"] == []
    by_field = {problem["field"]: problem for problem in document["problems"]}
    assert set(by_field) == {"phone", "birthDate"}
    assert by_field["phone"]["attribute"] == 'phoneNumbers[type eq "mobile"].value'
    assert "map mobile to" in by_field["phone"]["message"]
    assert "FormatDateTime" in by_field["birthDate"]["message"]


def test_people_read_it_in_80_columns(run: Run, tmp_path: Path):
    """The table: each field with its rule, the problems, the calls as they would be made."""
    told = run("preview", written(tmp_path, {**KARI, DITIO_URN: {"birthDate": "15/05/1990"}})).stdout
    assert "Problems\n  - " in told
    assert "Nothing would be sent." in told

    told = run("preview", written(tmp_path, KARI), **DITIO).stdout
    assert "1 call would be made, if " in told
    assert f"\nPOST {EMPLOYEES}\n{{\n" in told
    assert '  "workTitle": "Maskinfører",\n' in told
    assert max(map(len, told.splitlines())) <= 80


def test_standard_input_is_read(run: Run, database_url: str):
    """`-` stands for it."""
    result = CliRunner(env={"SCIM_BRIDGE_DATABASE__URL": database_url}).invoke(
        main, ["preview", "-", "--format", "json"], input=json.dumps(KARI)
    )

    assert len(previewed(result)["calls"]) == 1


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"{", "user.json is not JSON"),
        (b"\xff\xfe", "user.json is not JSON"),
        (b"[]", "not an object"),
        (b'{"Resources": []}', "a search"),
        (b'{"schemas": [], "Operations": []}', "is a PATCH"),
        (b'{"displayName": "Kari"}', "user.json: the bridge would answer 400: userName is missing"),
        (b'{"userName": "  "}', "userName is empty"),
        (b'{"userName": "kari", "active": "perhaps"}', "active"),
    ],
)
def test_what_is_no_user_is_said_in_one_line(run: Run, tmp_path: Path, contents: bytes, words: str):
    """Exit 1 with what, where and what to do."""
    path = tmp_path / "user.json"
    path.write_bytes(contents)

    result = run("preview", str(path))

    assert (result.exit_code, result.stdout) == (1, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_is_not_there_is_said(run: Run, tmp_path: Path):
    for path in (tmp_path / "none.json", tmp_path):
        result = run("preview", str(path))
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{path} can't be read: " in result.stderr
    assert run("preview").exit_code == 2


# -- Against Ditio --------------------------------------------------------


def test_a_person_absent_in_ditio_is_created(against: Run, today: World, tmp_path: Path):
    """H1, P4: read by number, searched by phone and e-mail; shown, and nothing is sent."""
    document = previewed(against(written(tmp_path, KARI)))

    assert [call["method"] for call in document["calls"]] == ["POST"]
    assert sent(today) == []
    assert [call.query["query"] for call in today.ditio.calls("GET", "/search")] == [
        "+4798765432",
        "kari.nordmann@contractor.example",
    ]
    today.scim("POST", "/Users", KARI)
    assert told(document) == sent(today)


def test_an_employee_who_is_adopted_gets_the_difference(against: Run, today: World, tmp_path: Path):
    """H1: as delivery would: what differs, each by the operation made for it."""
    today.ditio.plant("1042", "Kari", "Hansen", email="kari.nordmann@contractor.example", work_title="Lærling")
    document = previewed(against(written(tmp_path, KARI)))

    assert sent(today) == []
    today.scim("POST", "/Users", KARI)
    assert told(document) == sent(today)
    assert f"{EMPLOYEES}/1042/change-phone-number" in [call["path"] for call in document["calls"]]


def test_a_stranger_in_ditio_is_a_refusal(against: Run, today: World, tmp_path: Path):
    """H1, P4: both sides and the cure; no call."""
    today.ditio.plant("1042", "Ola", "Hansen", "+4741111111")
    document = previewed(against(written(tmp_path, KARI)))

    assert document["calls"] == []
    (problem,) = document["problems"]
    assert "+4741111111" in problem["message"]
    assert sent(today) == []


def test_a_known_person_gets_what_has_changed(against: Run, today: World, tmp_path: Path):
    """As delivery would: compared with what is stored of the person, who is left as he is."""
    kari = a_user()
    today.provisions(kari)
    today.forget()
    user = {**today.user(kari), "title": "Anleggsleder", "phoneNumbers": [{"type": "mobile", "value": "41234567"}]}

    document = previewed(against(written(tmp_path, user)))

    assert sent(today) == []
    assert today.user(kari)["title"] == "Maskinfører"
    today.scim("PUT", f"/Users/{user['id']}", user)
    assert told(document) == sent(today)
    assert len(document["calls"]) == 2


def test_a_known_person_who_leaves(against: Run, today: World, tmp_path: Path):
    """L2, L5: the offboarding steps of today, found by user name where the document has no id."""
    kari = a_user()
    today.provisions(kari)
    today.forget()
    at_once = {"SCIM_BRIDGE_DELIVERY__END_EMPLOYMENT": "at-once"}

    for steps, environment in ((["disable"], {}), (["end-employment", "disable"], at_once)):
        document = previewed(against(written(tmp_path, {**KARI, "active": False}), **environment))
        assert [call["path"].rpartition("/")[2] for call in document["calls"]] == steps
    assert today.state(kari) == ("delivered", None)


def test_a_person_whose_number_is_claimed(against: Run, today: World, tmp_path: Path):
    """P3: held, naming the holder, who is not delivered on the way."""
    today.ditio.faults.plan(Fault("status", status=503, times=None))
    today.provisions(a_user(user_principal_name="holder@contractor.example", mobile="41234567"))
    today.ditio.faults.clear()
    today.forget()

    document = previewed(against(written(tmp_path, KARI)))

    assert document["calls"] == []
    (problem,) = document["problems"]
    assert "employee number 1042 belongs to holder@contractor.example" in problem["message"]
    assert sent(today) == []


def test_a_person_who_is_just_being_delivered(against: Run, today: World, tmp_path: Path):
    """Another's lease and back-off are nothing to a preview."""
    today.ditio.faults.plan(Fault("status", status=503, times=None))
    kari = a_user()
    today.provisions(kari)
    today.ditio.faults.clear()
    with today.database.write() as s:
        s.connection.exec_driver_sql("UPDATE people SET lease = 'other', leased_until = '2199-01-01 00:00:00+00:00'")

    document = previewed(against(written(tmp_path, today.user(kari))))

    assert [call["method"] for call in document["calls"]] == ["POST"]


def test_without_a_database_the_person_is_unknown(against: Run, today: World, tmp_path: Path):
    """Said on standard error; Ditio is read all the same."""
    environment = {"SCIM_BRIDGE_DATABASE__URL": f"sqlite:///{tmp_path}/none.db"}
    result = against(written(tmp_path, KARI), **environment)

    assert len(previewed(result)["calls"]) == 1
    assert "there is no database at" in result.stderr


def test_an_older_schema_is_refused(against: Run, tmp_path: Path):
    """D7: half of what is known would be believed."""
    (tmp_path / "old.db").touch()
    result = against(written(tmp_path, KARI), SCIM_BRIDGE_DATABASE__URL=f"sqlite:///{tmp_path}/old.db")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "scim-bridge db upgrade" in result.stderr


def test_ditio_out_of_reach_fails(run: Run, tmp_path: Path):
    """Exit 1 with the reason: half an answer would be believed."""
    nowhere = {
        "SCIM_BRIDGE_DITIO__API_URL": "http://127.0.0.1:1",
        "SCIM_BRIDGE_DITIO__IDENTITY_URL": "http://127.0.0.1:1",
    }

    result = run("preview", written(tmp_path, KARI), "--against-ditio", **{**DITIO, **nowhere})

    assert (result.exit_code, result.stdout) == (1, "")
    assert "no connection could be made" in result.stderr


def test_against_ditio_its_settings_are_needed(run: Run, tmp_path: Path):
    result = run("preview", written(tmp_path, KARI), "--against-ditio")

    assert result.exit_code == 1
    assert "SCIM_BRIDGE_DITIO__API_URL" in result.stderr


SLOTS = {"SCIM_BRIDGE_CERTIFICATES__SLOTS": '[{"type":"Byggekort","packed":"byggekort"}]'}


def test_certificates_are_shown_as_they_are_sent(against: Run, run: Run, today: World, tmp_path: Path):
    """K2: after the employee; what Ditio took already is not shown again, and what a CSV said is."""
    user = {**KARI, DITIO_URN: {**KARI[DITIO_URN], "byggekort": "77;2026-01-15;2028-01-14;"}}
    new = previewed(run("preview", written(tmp_path, user), "--format", "json", **DITIO, **SLOTS))
    today.restarts_with(certificates={"slots": json.loads(SLOTS["SCIM_BRIDGE_CERTIFICATES__SLOTS"])})
    today.scim("POST", "/Users", user)

    assert told(new) == sent(today)
    assert [call["path"].rpartition("/")[2] for call in new["calls"]] == ["employees", "certificates"]

    put(today, Source.csv, a_certificate(type="Truckførerbevis"))
    (call,) = previewed(against(written(tmp_path, user), **SLOTS))["calls"]
    assert [item["certificateType"] for item in call["body"]] == ["Truckførerbevis"]


def test_the_next_delivery_of_a_person_is_what_is_then_sent(against: Run, today: World):
    """`--person`, as the console shows it."""
    kari = a_user(hire_date="2025-01-01")
    today.provisions(kari)
    today.restarts_with(delivery={"inline_seconds": 0.0})
    today.clock.passes(minutes=10)
    today.changes(kari, job_title="Formann", mobile="+47 987 65 499")
    today.forget()

    document = json.loads(against("--person", "kari nordmann").stdout)
    assert today.sent() == []
    today.worker.run_until_idle()

    assert (document["state"], document["reason"]) == ("delivered", None)
    assert [call["body"] for call in document["calls"]] == [body for _, _, body in today.sent()]
    assert len(document["calls"]) == 2


def test_a_person_or_a_file_is_named(run: Run, today: World, tmp_path: Path):
    assert run("preview", **DITIO).exit_code == 2
    assert run("preview", written(tmp_path, KARI), "--person", "1042", **DITIO).exit_code == 2
    assert run("preview", "--person", "9999", **DITIO).exit_code == 1
