"""The simulated Entra sends what Microsoft documents, in both dialects, and keeps its rules."""

from __future__ import annotations

import random

import phonenumbers
import pytest
import requests

from scim_bridge.sandbox.directory import EntraGroup, EntraUser, people
from scim_bridge.sandbox.entra import SandboxEntra
from scim_bridge.sandbox.server import AnswerLate, WsgiTransport

from .scim_endpoint import ScimEndpoint

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
DITIO = "urn:ietf:params:scim:schemas:extension:ditio:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
FLAG = "aadOptscim062020"


@pytest.fixture
def endpoint():
    return ScimEndpoint()


@pytest.fixture
def connected(endpoint):
    """A function from a dialect to a job of Entra's that provisions into the endpoint."""

    def build(dialect="default", **options):
        session = requests.Session()
        session.mount("https://bridge.example/", WsgiTransport(endpoint.app))
        return SandboxEntra(session, "https://bridge.example/scim", "secret", dialect=dialect, **options)

    return build


@pytest.fixture
def entra(connected):
    return connected()


def adele(**changes):
    values = {
        "object_id": "0a-1",
        "user_principal_name": "adele@contoso.example",
        "display_name": "Adele Vance",
        "given_name": "Adele",
        "surname": "Vance",
        "mail": "adele@contoso.example",
    }
    return EntraUser(**(values | changes))


def operations(*ops):
    return {"schemas": [PATCH_OP], "Operations": list(ops)}


def test_the_connection_test_probes_users_and_groups(entra, endpoint):
    assert entra.test_connection().status_code == 200

    users, groups = (path for _, path, _ in endpoint.calls)
    assert users.startswith('/Users?filter=userName+eq+"')
    assert groups.startswith('/Groups?excludedAttributes=members&filter=displayName+eq+"')
    assert endpoint.headers[0]["Authorization"] == "Bearer secret"
    assert "Content-Type" not in endpoint.headers[0]


def test_a_user_is_matched_and_then_created_in_the_documented_form(entra, endpoint):
    entra.directory.add(adele())

    cycle = entra.cycle()

    assert [(step.action, step.status) for step in cycle.steps] == [("create", 201)]
    assert endpoint.calls[0][:2] == ("GET", '/Users?filter=userName+eq+"adele@contoso.example"')
    assert endpoint.sent("POST") == [
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE],
            "externalId": "0a-1",
            "userName": "adele@contoso.example",
            "active": True,
            "displayName": "Adele Vance",
            "emails": [{"primary": True, "type": "work", "value": "adele@contoso.example"}],
            "meta": {"resourceType": "User"},
            "name": {"formatted": "Adele Vance", "familyName": "Vance", "givenName": "Adele"},
            "roles": [],
        }
    ]
    assert endpoint.headers[1]["Content-Type"] == "application/scim+json; charset=utf-8"


def test_everything_that_is_mapped_has_its_place(entra, endpoint):
    entra.directory.add(
        adele(
            mobile="+47 900 11 222",
            telephone_number="22334455",
            job_title="Bas",
            department="Anlegg",
            employee_id="1042",
            birth_date="1990-05-15",
            hire_date="2026-03-01",
            extra={f"{DITIO}:payroll": 2, "preferredLanguage": "nb-NO"},
        )
    )
    entra.cycle()

    body = endpoint.sent("POST")[0]
    assert body["phoneNumbers"] == [
        {"primary": True, "type": "work", "value": "22334455"},
        {"type": "mobile", "value": "+47 900 11 222"},
    ]
    assert body[ENTERPRISE] == {"employeeNumber": "1042", "department": "Anlegg"}
    assert body[DITIO] == {"birthDate": "1990-05-15", "employmentStartDate": "2026-03-01", "payroll": 2}
    assert (body["title"], body["preferredLanguage"]) == ("Bas", "nb-NO")
    assert DITIO not in body["schemas"], "Entra does not list a custom extension"


def test_a_cycle_without_changes_asks_nothing(entra, endpoint):
    entra.directory.add(adele())
    entra.cycle()
    endpoint.calls.clear()

    assert entra.cycle().steps == []
    assert endpoint.calls == []


def changed_user(entra):
    user = entra.directory.add(adele(department="Anlegg"))
    entra.cycle()
    user.display_name, user.surname, user.mail = "Adele V. Vance", "V. Vance", "new@contoso.example"
    user.department, user.job_title, user.account_enabled = "Vei", "Bas", False
    return entra.cycle().steps


def test_the_default_dialect_sends_one_operation_for_each_attribute(entra, endpoint):
    steps = changed_user(entra)

    assert [step.action for step in steps] == ["disable"]
    assert steps[0].path == "/Users/u1"
    assert steps[0].body == endpoint.sent("PATCH")[0]
    assert sorted(steps[0].body["Operations"], key=lambda op: op["path"]) == [
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Replace", "path": "displayName", "value": "Adele V. Vance"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "new@contoso.example"},
        {"op": "Replace", "path": "name.familyName", "value": "V. Vance"},
        {"op": "Replace", "path": "name.formatted", "value": "Adele V. Vance"},
        {"op": "Add", "path": "title", "value": "Bas"},
        {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Vei"},
    ]


def test_the_flagged_dialect_sends_one_replace_without_a_path(connected, endpoint):
    steps = changed_user(connected(FLAG))

    assert steps[0].body == operations(
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "new@contoso.example"},
        {
            "op": "replace",
            "value": {
                "active": False,
                "displayName": "Adele V. Vance",
                "name.familyName": "V. Vance",
                "title": "Bas",
                f"{ENTERPRISE}:department": "Vei",
                "name.formatted": "Adele V. Vance",
            },
        },
    )
    assert all(FLAG in path for _, path, _ in endpoint.calls)


@pytest.mark.parametrize(
    ("dialect", "disabling", "restoring"),
    [
        (
            "default",
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "Replace", "path": "active", "value": "True"},
        ),
        (
            FLAG,
            {"op": "replace", "path": "active", "value": False},
            {"op": "replace", "path": "active", "value": True},
        ),
    ],
)
@pytest.mark.parametrize(
    ("field", "gone", "back"),
    [("account_enabled", False, True), ("assigned", False, True), ("soft_deleted", True, False)],
)
def test_a_leaver_is_disabled_and_restored(connected, dialect, disabling, restoring, field, gone, back):
    entra = connected(dialect)
    user = entra.directory.add(adele())
    entra.cycle()

    setattr(user, field, gone)
    (leaving,) = entra.cycle().steps
    assert (leaving.action, leaving.body) == ("disable", operations(disabling))
    assert entra.cycle().steps == []

    setattr(user, field, back)
    (returning,) = entra.cycle().steps
    assert (returning.action, returning.body) == ("restore", operations(restoring))


def test_out_of_scope_only_active_is_sent_and_the_rest_follows_on_return(entra):
    user = entra.directory.add(adele())
    entra.cycle()
    user.assigned, user.job_title = False, "Bas"
    (leaving,) = entra.cycle().steps
    user.assigned = True
    (returning,) = entra.cycle().steps

    assert [op["path"] for op in leaving.body["Operations"]] == ["active"]
    assert [op["path"] for op in returning.body["Operations"]] == ["active", "title"]


def test_a_disabled_user_is_never_created(entra, endpoint):
    entra.directory.add(adele(account_enabled=False))
    entra.directory.add(adele(object_id="0a-2", assigned=False))

    assert [step.action for step in entra.cycle().steps] == ["none"]
    assert endpoint.sent("POST") == []


def test_nulls_do_not_flow_unless_cleared(entra):
    user = entra.directory.add(adele(job_title="Bas"))
    entra.cycle()
    user.job_title = None
    assert entra.cycle().steps == []

    assert entra.clears(user, "jobTitle").body == operations({"op": "Remove", "path": "title"})
    assert entra.cycle().steps == []


def test_the_flagged_dialect_clears_with_empty_text(connected):
    entra = connected(FLAG)
    user = entra.directory.add(adele(leave_date="2026-06-30"))
    entra.cycle()

    cleared = entra.clears(user, "employeeLeaveDateTime")

    assert cleared.body == operations({"op": "replace", "path": f"{DITIO}:employmentEndDate", "value": ""})
    assert user.leave_date is None


@pytest.mark.parametrize(("dialect", "op", "value"), [("default", "Add", "u1"), (FLAG, "add", {"value": "u1"})])
def test_the_manager_follows_in_a_second_pass(connected, dialect, op, value):
    entra = connected(dialect)
    boss = entra.directory.add(adele(object_id="0a-0", user_principal_name="boss@contoso.example"))
    entra.directory.add(adele(manager=boss.object_id))

    steps = entra.cycle().steps

    assert [step.action for step in steps] == ["create", "create", "update"]
    assert steps[2].body == operations({"op": op, "path": f"{ENTERPRISE}:manager", "value": value})
    assert entra.cycle().steps == []


def test_an_existing_user_is_matched_and_only_differences_are_sent(entra, endpoint):
    endpoint.resources["u7"] = {
        "id": "u7",
        "userName": "adele@contoso.example",
        "externalId": "0a-1",
        "active": True,
        "displayName": "A. Vance",
        "name": {"givenName": "Adele", "familyName": "Vance", "formatted": "Adele Vance"},
        "emails": [{"type": "work", "value": "adele@contoso.example"}],
    }
    entra.directory.add(adele())

    (step,) = entra.cycle().steps

    assert (step.action, step.path) == ("update", "/Users/u7")
    assert step.body == operations({"op": "Replace", "path": "displayName", "value": "Adele Vance"})


def test_on_demand_sends_only_what_differs_over_there(connected, endpoint):
    """Provision on demand ignores the flag, and reads before it writes."""
    entra = connected(FLAG)
    user = adele()
    assert entra.provision(user).action == "create"
    assert entra.provision(user).action == "none"

    endpoint.resources["u1"]["displayName"] = "Somebody else"
    step = entra.provision(user)

    assert step.body == operations({"op": "Replace", "path": "displayName", "value": "Adele Vance"})
    assert [method for method, _, _ in endpoint.calls[-3:]] == ["GET", "GET", "PATCH"]


def test_the_matching_attribute_is_chosen(connected, endpoint):
    entra = connected(matching="externalId", external_id="employee_id")
    entra.provision(adele(employee_id="1042"))

    assert endpoint.calls[0][1] == '/Users?filter=externalId+eq+"1042"'


def test_without_a_matching_value_nothing_is_asked(connected, endpoint):
    entra = connected(matching="externalId", external_id="employee_id")
    entra.directory.add(adele())

    assert [step.status for step in entra.cycle().failed] == [0]
    assert endpoint.calls == []


def test_a_failed_user_is_tried_again_in_the_next_cycle(entra, endpoint):
    entra.directory.add(adele())
    endpoint.refusals["POST", "/Users"] = 409

    first = entra.cycle()
    second = entra.cycle()

    assert [(step.status, step.scim_type, step.detail) for step in first.failed] == [(409, "uniqueness", "taken")]
    assert (first.quarantined, [step.action for step in second.steps]) == (False, ["create"])


@pytest.mark.parametrize("status", [401, 404])
def test_a_refused_match_quarantines(entra, endpoint, status):
    entra.directory.add(adele())
    entra.directory.add(adele(object_id="0a-2"))
    endpoint.refusals["GET", "/Users"] = status

    cycle = entra.cycle()

    assert cycle.quarantined
    assert [step.status for step in cycle.steps] == [status]
    assert len(endpoint.calls) == 1


def test_a_cached_id_that_is_gone_is_matched_again(entra, endpoint):
    user = entra.directory.add(adele())
    entra.cycle()
    endpoint.resources.clear()
    user.job_title = "Bas"

    assert [step.action for step in entra.cycle().steps] == ["create"]
    assert [method for method, _, _ in endpoint.calls[-3:]] == ["PATCH", "GET", "POST"]


def test_a_purge_deletes_and_404_is_as_good(entra, endpoint):
    entra.directory.add(adele())
    entra.directory.add(adele(object_id="0a-2", user_principal_name="b@contoso.example"))
    entra.cycle()
    del endpoint.resources["u2"]
    entra.directory.hard_delete("0a-1")
    entra.directory.hard_delete("0a-2")

    steps = entra.cycle().steps

    assert [(step.action, step.status, step.ok) for step in steps] == [
        ("delete", 204, True),
        ("delete", 404, True),
    ]
    assert entra.cycle().steps == []


def test_a_person_who_is_unassigned_before_being_deleted_is_never_mentioned(entra, endpoint):
    user = entra.directory.add(adele())
    entra.cycle()
    user.assigned = False
    entra.cycle()
    entra.directory.hard_delete(user.object_id)

    assert entra.cycle().steps == []
    assert "u1" in endpoint.resources


@pytest.mark.parametrize(
    ("dialect", "add", "removal"),
    [
        ("default", "Add", {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "u1"}]}),
        (FLAG, "add", {"op": "remove", "path": 'members[value eq "u1"]'}),
    ],
)
def test_a_group_is_created_without_members_and_then_filled(connected, endpoint, dialect, add, removal):
    entra = connected(dialect)
    entra.directory.add(adele())
    group = entra.directory.add_group(EntraGroup("9f", "Anlegg", ["0a-1", "unknown"]))

    _, created, filled = entra.cycle().steps
    group.members.clear()
    (emptied,) = entra.cycle().steps
    entra.directory.hard_delete("9f")
    (deleted,) = entra.cycle().steps

    assert (created.action, created.body["displayName"]) == ("group-create", "Anlegg")
    assert "members" not in created.body
    assert filled.body == operations({"op": add, "path": "members", "value": [{"$ref": None, "value": "u1"}]})
    assert emptied.body == operations(removal)
    assert (deleted.action, deleted.method) == ("group-delete", "DELETE")


def test_no_answer_is_a_failed_step():
    session = requests.Session()
    session.mount("https://bridge.example/", WsgiTransport(_broken))
    entra = SandboxEntra(session, "https://bridge.example/scim", None)
    entra.directory.add(adele())

    (step,) = entra.cycle().steps

    assert (step.status, step.ok) == (0, False)
    assert "ReadTimeout" in step.detail


def _broken(environ, start_response):
    raise AnswerLate


def test_people_are_plausible_and_distinct():
    crowd = people(300, random.Random(1))
    numbers = [phonenumbers.parse(person.mobile, "NO") for person in crowd]

    assert all(phonenumbers.is_valid_number(number) for number in numbers)
    assert len({number.national_number for number in numbers}) == 300
    assert len({person.user_principal_name for person in crowd}) == 300
    assert [crowd[0].employee_id, crowd[-1].employee_id] == ["1001", "1300"]
    assert all(person.user_principal_name.isascii() for person in crowd)
    assert people(300, random.Random(1)) == crowd
