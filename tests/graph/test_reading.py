"""Pages, errors and throttling of Microsoft Graph; where its token goes, and where it does not."""

from __future__ import annotations

import io
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from scim_bridge.domain.entra import ROLE_IDS, JobState, Permission
from scim_bridge.errors import EntraError
from scim_bridge.graph.client import GraphClient
from scim_bridge.sandbox.directory import EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.graph.access import ROLES
from scim_bridge.sandbox.graph.service import SERVICE_PRINCIPAL
from scim_bridge.sandbox.graph.style import GraphStyle, reported_styles
from scim_bridge.sandbox.job import Execution, Job
from tests.conftest import Clock
from tests.graph.conftest import GRAPH, GraphWorld, a_graph, answering

USERS = "/users?$select=id&$top=3"


def an_id(number: int) -> str:
    return f"aaaaaaaa-0000-4000-8000-{number:012d}"


def hires(world: GraphWorld, count: int) -> set[str]:
    for number in range(count):
        world.entra.directory.add(EntraUser(an_id(number), f"user{number}@contoso.example"))
    return {an_id(number) for number in range(count)}


def read(client: GraphClient, path: str = USERS) -> set[str]:
    return {str(row["id"]) for row in client.rows(path, "Reading users", Permission.users)}


@pytest.mark.parametrize("style", reported_styles(), ids=lambda style: style.name)
def test_all_pages_are_read_whatever_their_form(clock: Clock, style: GraphStyle):
    """Facts, section 8: a page may be empty and still have a nextLink."""
    world = a_graph(clock, style)
    ids = hires(world, 10)

    assert read(world.client()) == ids


def test_another_base_path_is_followed(world: GraphWorld, client: GraphClient):
    ids = hires(world, 7)
    session = requests.Session()

    class Under(BaseAdapter):
        """Graph below `/proxy/graph`: links keep the path."""

        def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
            url = str(request.url)
            if "/proxy/graph/" in url:
                seen.append(url)
                request.url = url.replace("/proxy/graph/", "/")
                answer = inner.get_adapter(GRAPH).send(request, *args, **options)
                body = answer.content.decode().replace(f"{GRAPH}/v1.0", f"{GRAPH}/proxy/graph/v1.0")

                answer.raw = HTTPResponse(io.BytesIO(body.encode()), preload_content=False)
                return answer
            return inner.get_adapter(GRAPH).send(request, *args, **options)

        def close(self) -> None:
            pass

    seen: list[str] = []
    inner = world.session()
    session.mount(GRAPH, Under())
    world.session = lambda: session  # type: ignore[method-assign]

    assert read(world.client(graph_url=f"{GRAPH}/proxy/graph")) == ids
    assert len(seen) == 3


@pytest.mark.parametrize("elsewhere", ["https://graph.evil.test", "http://graph.test", "https://graph.test:8443"])
def test_the_token_goes_to_no_other_server(world: GraphWorld, client: GraphClient, elsewhere: str):
    """Facts, section 3: "send the token only to the host of graph_url"."""
    hires(world, 7)
    world.restyle(links_to=elsewhere)

    with pytest.raises(EntraError, match="another server"):
        read(client)

    assert len(world.asked("/users")) == 1


def test_a_redirect_is_not_followed(world: GraphWorld, client: GraphClient):
    world.graph.faults.plan(Fault("status", status=302, path="users"))

    with pytest.raises(EntraError):
        read(client)


def test_pages_in_a_circle_end(world: GraphWorld, client: GraphClient):
    link = f"{GRAPH}/v1.0/users?$select=id&$top=3"
    world.session = answering(world, {"value": [{"id": "1"}], "@odata.nextLink": link}, "users")  # type: ignore[method-assign]

    with pytest.raises(EntraError, match="circle"):
        read(world.client())


@pytest.mark.parametrize("link", [5, "", True])
def test_a_link_that_is_none_does_not_end_a_list(world: GraphWorld, link: object):
    """What follows would count as missing."""
    world.session = answering(world, {"value": [{"id": "1"}], "@odata.nextLink": link}, "users")  # type: ignore[method-assign]

    with pytest.raises(EntraError, match="next page"):
        read(world.client())


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": an_id(2), "accountEnabled": False}])
def test_another_user_is_no_answer(world: GraphWorld, answer: object):
    """A cache in between, say: their values would be taken for those of the user who was asked for."""
    world.session = answering(world, answer, "users")  # type: ignore[method-assign]

    with pytest.raises(EntraError):
        world.client().user(an_id(1), ["jobTitle"])


@pytest.mark.parametrize("answer", [{}, {"value": None}, [], "text"])
def test_an_answer_without_a_list_is_no_empty_list(world: GraphWorld, answer: object):
    world.session = answering(world, answer, "users")  # type: ignore[method-assign]

    with pytest.raises(EntraError, match="no list"):
        read(world.client())


# -- What passes, and what does not ----------------------------------------


def test_a_429_is_obeyed(world: GraphWorld, client: GraphClient):
    ids = hires(world, 3)
    world.graph.faults.plan(Fault("status", status=429, retry_after="7", path="users"))

    assert read(client) == ids
    assert world.slept == [7.0]


def test_a_429_without_a_time_is_tried_at_growing_distances(world: GraphWorld, client: GraphClient):
    ids = hires(world, 3)
    world.graph.faults.plan(Fault("status", status=429, path="users", times=3))

    assert read(client) == ids
    assert world.slept == [1.0, 2.0, 4.0]


def test_an_endless_429_is_given_up(world: GraphWorld, client: GraphClient):
    world.graph.faults.plan(Fault("status", status=429, path="users", retry_after="100", times=99))

    with pytest.raises(EntraError) as error:
        read(client)

    assert error.value.is_passing
    assert sum(world.slept) <= 300


@pytest.mark.parametrize("kind", ["status", "refused-connection", "timeout-after", "reset-after"])
def test_trouble_that_passes_is_tried_again(world: GraphWorld, client: GraphClient, kind: str):
    ids = hires(world, 3)
    world.graph.faults.plan(Fault(kind, path="users"))

    assert read(client) == ids


def test_microsofts_limits_are_kept(world: GraphWorld, client: GraphClient):
    """Facts, section 9: five calls for reports in ten seconds."""
    for _ in range(8):
        client.log_of(an_id(1))

    assert world.slept


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_permission_is_named_and_starts_no_loop(world: GraphWorld, client: GraphClient, status: int):
    """Facts, section 4: the synchronization API answers 401 `UnknownError` with an empty message."""
    world.restyle(sync_refusal=status)
    world.graph.client.permissions.discard("Synchronization.Read.All")

    for _ in range(3):
        with pytest.raises(EntraError, match="Synchronization") as error:
            client.jobs()
        assert error.value.permission == Permission.jobs

    assert len(world.asked("token")) <= 2
    assert len(world.asked("jobs")) <= 4


def test_the_logs_own_form_of_a_missing_permission_is_understood(world: GraphWorld, client: GraphClient):
    world.graph.client.permissions -= {"ProvisioningLog.Read.All", "AuditLog.Read.All"}

    with pytest.raises(EntraError, match="ProvisioningLog"):
        client.log_of(an_id(1))


def test_a_missing_licence_is_no_missing_permission(world: GraphWorld, client: GraphClient):
    world.graph.logs.premium = False

    with pytest.raises(EntraError, match="P1") as error:
        client.log_of(an_id(1))

    assert error.value.permission is None
    assert error.value.is_passing


def test_a_revoked_token_is_renewed_once(world: GraphWorld, client: GraphClient):
    client.jobs()
    world.graph.access.revoke_tokens()

    client.jobs()

    assert len(world.asked("token")) == 2


def test_a_call_says_its_id_and_hides_its_token(world: GraphWorld, client: GraphClient):
    world.graph.client.permissions.clear()

    with pytest.raises(EntraError) as error:
        read(client)

    assert "request " in str(error.value)
    assert "sandbox-graph-" not in str(error.value)


# -- Permissions, application, job -----------------------------------------


def test_the_granted_permissions_are_those_of_graph(world: GraphWorld, client: GraphClient):
    assert client.permissions() == frozenset(Permission)


@pytest.mark.parametrize("permission", Permission)
def test_each_missing_permission_shows(world: GraphWorld, client: GraphClient, permission: Permission):
    if permission is Permission.applications:
        world.graph.client.permissions.discard(permission)
        with pytest.raises(EntraError, match=permission.value):
            client.permissions()
        return
    world.graph.client.permissions.discard(permission)

    assert client.permissions() == frozenset(Permission) - {permission}


def test_a_greater_permission_includes_the_lesser(world: GraphWorld, client: GraphClient):
    world.graph.client.permissions -= {"Synchronization.Read.All", "ProvisioningLog.Read.All"}
    world.graph.client.permissions |= {"Synchronization.ReadWrite.All", "AuditLog.Read.All"}

    assert {Permission.jobs, Permission.log} <= client.permissions()


def test_the_role_ids_are_the_sandboxs():
    """Two readings of the same document."""

    assert {name.value: ids[0] for name, ids in ROLE_IDS.items()} == {name.value: ROLES[name] for name in Permission}


def test_an_application_id_is_told_from_an_object_id(world: GraphWorld):

    client = world.client(service_principal_id=SERVICE_PRINCIPAL.app_id)

    assert client.service_principal() is None
    other = client.principal_of_application(SERVICE_PRINCIPAL.app_id)
    assert other is not None
    assert other.id == SERVICE_PRINCIPAL.object_id


NEVER = ["0001-01-01T00:00:00Z", "", None]


@pytest.mark.parametrize("never", NEVER)
def test_a_job_that_never_ran_has_not_failed(world: GraphWorld, client: GraphClient, never: str | None):
    """Facts, section 5: it reads as `Failed`, with the error `None`, in the year 1."""
    world.restyle(never=never)

    job = client.job()

    assert not job.last.has_run
    assert job.state(world.clock.now) is JobState.never_run


def test_a_job_that_runs_is_healthy_and_then_late(world: GraphWorld, client: GraphClient):
    world.entra.job.ended(Execution("r", world.clock.now), world.clock.now)

    job = client.job()

    assert job.state(world.clock.now) is JobState.healthy
    assert job.next_at is not None
    assert (job.next_at - world.clock.now).total_seconds() == 40 * 60
    world.clock.passes(minutes=121)
    assert job.state(world.clock.now) is JobState.late


@pytest.mark.parametrize("state", ["Succeeded", "EntryLevelErrors"])
def test_people_who_failed_show_in_a_run_that_succeeded(world: GraphWorld, client: GraphClient, state: str):
    world.restyle(escrow_state=state)
    world.entra.job.ended(Execution("r", world.clock.now, escrowed=2), world.clock.now)

    job = client.job()

    assert job.last.escrowed == 2
    assert job.state(world.clock.now) is JobState.escrows


def test_a_cycle_that_failed_shows(world: GraphWorld, client: GraphClient):
    world.entra.job.ended(Execution("r", world.clock.now), world.clock.now, error="Whatever")

    assert client.job().state(world.clock.now) is JobState.failing


@pytest.mark.parametrize("state", ["Paused", "Disabled"])
def test_a_stopped_job_shows(world: GraphWorld, client: GraphClient, state: str):
    world.entra.job.ended(Execution("r", world.clock.now), world.clock.now)
    world.entra.job.state = state

    assert client.job().state(world.clock.now) is JobState.paused


@pytest.mark.parametrize("reason", ["TooManyDeletes", "EncounteredQuarantineException", "AWordOfTheFuture"])
def test_a_quarantine_shows_its_reason_and_the_day_it_is_off(world: GraphWorld, client: GraphClient, reason: str):
    world.entra.job.ended(Execution("r", world.clock.now), world.clock.now)
    world.entra.job.quarantines(reason, world.clock.now)

    job = client.job()

    assert job.state(world.clock.now) is JobState.quarantine
    assert job.quarantine is not None
    assert job.quarantine.reason == reason
    assert job.quarantine.off_at is not None
    assert (job.quarantine.off_at - world.clock.now).days == 28


def test_an_unknown_state_is_not_healthy(world: GraphWorld, client: GraphClient):
    world.entra.job.ended(Execution("r", world.clock.now), world.clock.now)
    world.entra.job.state = "Hibernating"

    assert client.job().state(world.clock.now) is not JobState.healthy


@pytest.mark.parametrize("form", ["empty", "404"])
def test_no_job_is_said_in_either_form(world: GraphWorld, client: GraphClient, form: str):
    world.restyle(no_job=form)
    world.graph.jobs.clear()

    with pytest.raises(EntraError, match="no provisioning job") as error:
        client.job()

    assert error.value.code == "NoJob"


def test_of_two_jobs_the_setting_names_one(world: GraphWorld, client: GraphClient):

    world.graph.jobs.append(Job(id="scim.other"))

    with pytest.raises(EntraError, match="ENTRA__JOB_ID"):
        client.job()
    assert world.client(job_id="scim.other").job().id == "scim.other"
    with pytest.raises(EntraError, match="ENTRA__JOB_ID"):
        world.client(job_id="scim.unknown").job()


@pytest.mark.parametrize("secrets", ["shown", "refused"])
def test_the_settings_beside_the_job_are_a_bonus(world: GraphWorld, client: GraphClient, secrets: str):
    world.restyle(secrets=secrets)

    found = client.provisioning_secrets()

    assert ("BaseAddress" in found) == (secrets == "shown")
