"""`scim-bridge people show`: one person from both sides."""

import json
import re

import pytest
from click.testing import Result
from sqlalchemy import select

from scim_bridge.domain.certificate import Source
from scim_bridge.sandbox.entra import EXTENSION
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import running
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people
from tests.cli.conftest import DITIO, Run
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, put
from tests.world import World, a_user


def shown(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.stderr
    document: dict[str, object] = json.loads(result.stdout)
    return document


def test_show_has_exactly_these_keys(run: Run, world: World):
    """Design, section 5: the JSON of `people show`; Ditio is null where it can't be read, and stderr says why."""
    world.provisions(a_user(user_principal_name="Kari.Nordmann@contractor.example"))

    result = run("people", "show", "1042", "--format", "json")

    document = shown(result)
    assert list(document) == ["user", "employee", "ditio", "state", "reason", "detail", "history", "refused", "entra"]
    assert (document["refused"], document["entra"]) == (None, None)
    assert document["user"]["userName"] == "Kari.Nordmann@contractor.example"
    assert document["employee"]["phone"] == "+4798765432"
    assert document["employee"]["birthDate"] == "1990-05-15"
    assert document["employee"]["endDate"] is None
    assert document["ditio"] is None
    assert "SCIM_BRIDGE_DITIO__API_URL" in result.stderr
    assert (document["state"], document["reason"], document["detail"]) == ("delivered", None, None)
    assert [entry["what"] for entry in document["history"]] == ["user-created", "create", "delivery"]
    assert set(document["history"][0]) == {
        "at",
        "what",
        "cause",
        "outcome",
        "status",
        "seconds",
        "request_id",
        "ditio_request_id",
        "attributes",
    }


def test_ditio_out_of_reach_is_no_failure(run: Run, world: World):
    """Exit 0, `"ditio": null`, the reason on standard error."""
    world.provisions(a_user())
    nowhere = {
        "SCIM_BRIDGE_DITIO__API_URL": "http://127.0.0.1:1",
        "SCIM_BRIDGE_DITIO__IDENTITY_URL": "http://127.0.0.1:1",
    }

    result = run("people", "show", "1042", "--format", "json", **{**DITIO, **nowhere})

    assert shown(result)["ditio"] is None
    assert result.stderr.startswith("Ditio was not read: ")


@pytest.mark.parametrize("name", ["1042", " 1042", "KARI.nordmann@contractor.example"])
def test_a_person_is_found_by_number_or_user_name(run: Run, world: World, name: str):
    """User names are compared like the server does: regardless of case (A8)."""
    world.provisions(a_user())

    assert shown(run("people", "show", name, "--format", "json"))["employee"]["employeeNumber"] == "1042"


def test_a_person_not_yet_linked_is_found_by_the_wanted_number(run: Run, world: World):
    world.provisions(a_user(mobile=None))

    document = shown(run("people", "show", "1042", "--format", "json"))

    assert (document["state"], document["reason"]) == ("held", "incomplete")


def test_a_person_who_the_log_names_is_found(run: Run, world: World):
    """The log has ids alone: a person who reads it at night finds the person by them."""
    user = a_user(employee_id=None)
    world.provisions(user)
    with world.database.read() as s:
        person_id = s.connection.execute(select(people.c.id)).scalar_one()

    for name in (person_id, world.entra.scim_id(user.object_id) or ""):
        assert shown(run("people", "show", name, "--format", "json"))["reason"] == "incomplete"


def test_a_name_with_norwegian_letters_is_found(run: Run, world: World):
    """A8: case is folded in Python, because SQLite does not know Å."""
    world.provisions(a_user(user_principal_name="ÅSE.ØDEGÅRD@contractor.example"))

    assert shown(run("people", "show", "åse.ødegård@contractor.example", "--format", "json"))["state"] == "delivered"


def test_a_deleted_user_leaves_his_person(run: Run, world: World):
    """P1: the tombstone has no user, and his history stays."""
    kari = a_user()
    world.provisions(kari)
    world.deletes(kari)

    document = shown(run("people", "show", "1042", "--format", "json"))

    assert document["user"] is None
    assert document["employee"] is None
    assert "user-deleted" in [entry["what"] for entry in document["history"]]
    told = " ".join(run("people", "show", "1042").stdout.split())
    assert "kari.nordmann@contractor.example, a user that Entra has deleted, is employee 1042" in told


def test_the_text_tells_state_reason_and_cure(run: Run, world: World):
    """For people: fields side by side, why it waits, what to do, what happened."""
    world.provisions(a_user(mobile=None))

    told = run("people", "show", "1042").stdout

    assert "kari.nordmann@contractor.example is not linked to an employee (wants 1042)" in told
    assert "Field           Entra wants" in told
    assert "State: held, incomplete" in told
    assert "Cure: correct the value in Entra" in told
    assert "Entra created the user (request" in told


@pytest.mark.usefixtures("ends_at_once")
def test_the_text_tells_the_story_in_order(run: Run, world: World):
    """D5: what Entra said, what was asked of Ditio, what it answered, and the ids that find each in a log."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(days=1)
    world.ditio.faults.plan(Fault("status", status=503, path="/api/v5/integration/employees/1042/disable"))
    world.changes(kari, account_enabled=False)
    world.clock.passes(hours=1)
    world.worker.run_until_idle()

    told = run("people", "show", "1042").stdout

    story = [" ".join(line.split()) for line in told.split("History, oldest first (UTC)\n")[1].splitlines()]
    beginnings = [
        line[:20] + line[20:].split(" (")[0].split(" by a")[0] for line in story if re.match(r"20\d\d-", line)
    ]
    assert beginnings == [
        "2026-03-02 08:00:00 Entra created the user",
        "2026-03-02 08:00:00 Ditio was asked to create the employee: done",
        "2026-03-02 08:00:00 Delivered",
        "2026-03-03 08:00:00 Entra changed the user: active",
        "2026-03-03 08:00:00 Ditio was asked to end the employment: done",
        "2026-03-03 08:00:00 Ditio was asked to disable the login: no usable answer",
        "2026-03-03 08:00:00 To be tried again",
        "2026-03-03 09:00:00 Ditio was asked to disable the login: done",
        "2026-03-03 09:00:00 Delivered",
    ]
    document = shown(run("people", "show", "1042", "--format", "json"))
    for entry in document["history"]:
        request_id = entry["request_id"] if entry["what"].startswith("user-") else entry["ditio_request_id"]
        assert request_id is None or request_id in "".join(story)


@pytest.mark.usefixtures("ends_at_once")
def test_an_employment_that_has_ended_is_in_ditios_column(run: Run, world: World):
    """L4: the days of the last employment, and each of several."""
    kari = a_user()
    world.provisions(kari)
    world.changes(kari, account_enabled=False)
    with running(world.ditio.app) as url:
        environment = {**DITIO, "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core", "SCIM_BRIDGE_DITIO__IDENTITY_URL": url}
        document = shown(run("people", "show", "1042", "--format", "json", **environment))
        world.clock.passes(days=3)
        world.changes(kari, account_enabled=True)
        told = run("people", "show", "1042", **environment).stdout

    assert (document["ditio"]["startDate"], document["ditio"]["endDate"]) == ("2026-03-01", "2026-03-02")
    assert document["ditio"]["employments"] == [{"start": "2026-03-01", "end": "2026-03-02"}]
    assert re.search(r"employment +2026-03-01 to\s+2026-03-02\n", told)
    assert re.search(r"employment +2026-03-05 to\s+open\n", told)


def test_the_text_fits_into_80_columns(run: Run, world: World):
    """For a mail, a ticket and a narrow terminal; nothing is cut."""
    name = "anne-marie.kristoffersen-skjoldenborg.haraldstad@contractor.example"
    world.ditio.plant("1042", "Ola", "Hansen", "+4741111111")
    world.restarts_with(delivery={"on_refused": "park"})
    world.provisions(a_user(user_principal_name=name, mail=name, surname="Kristoffersen-Skjoldenborg Haraldstad"))

    told = run("people", "show", "1042").stdout

    assert max(map(len, told.splitlines())) <= 80
    assert name in told
    assert "Meaning: " in told
    assert "+4741111111" in told


def test_an_unknown_person_fails(run: Run, world: World):
    result = run("people", "show", "9999")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "9999" in result.stderr


def test_hands_off_until_a_day_and_back(run: Run, world: World):
    """D6: at once in `outbox list`, with the day; `--clear` makes him due; either name will do."""
    world.provisions(a_user())

    result = run("people", "hands-off", "1042", "--until", "2999-12-31")
    assert result.exit_code == 0
    assert "2999-12-31" in result.stdout
    (row,) = json.loads(run("outbox", "list", "--format", "json").stdout)
    assert (row["state"], row["reason"]) == ("held", "hands-off")
    assert "2999-12-31" in row["detail"]
    assert "people hands-off NUMBER --clear" in " ".join(run("outbox", "list").stdout.split())
    assert run("outbox", "retry").stdout == "0 made due\n"

    assert run("people", "hands-off", "KARI.nordmann@contractor.example", "--clear").stdout == "due again\n"
    assert json.loads(run("outbox", "status", "--format", "json").stdout)["due"] == 1
    assert "nothing to clear" in run("people", "hands-off", "1042", "--clear").stdout
    told = run("people", "show", "1042").stdout
    assert "An operator stopped deliveries" in told
    assert "An operator resumed deliveries" in told


@pytest.mark.parametrize(
    "words", [["--until", "2020-01-01"], ["--until", "soon"], ["--clear", "--until", "2999-01-01"]]
)
def test_hands_off_said_wrongly_changes_nothing(run: Run, world: World, words: list[str]):
    """Wrong usage is exit code 2."""
    world.provisions(a_user())

    assert run("people", "hands-off", "1042", *words).exit_code == 2
    assert json.loads(run("outbox", "list", "--format", "json").stdout) == []


def test_hands_off_of_an_unknown_person_fails(run: Run, world: World):
    result = run("people", "hands-off", "9999")

    assert result.exit_code == 1
    assert "9999" in result.stderr


def test_certificates_are_told(run: Run, database: Database, clock: Clock):
    """K1, K3: what each source says, what counts, and what Ditio has."""
    slots = {"slots": [{"type": "Byggekort", "packed": "byggekort"}, {"type": "Kranførerbevis", "packed": "kran"}]}
    world = World(database, clock, settings={"certificates": slots})
    user = a_user()
    user.extra[f"{EXTENSION}:byggekort"] = "77;2026-01-15;2028-01-14;"
    user.extra[f"{EXTENSION}:kran"] = "K-1;2026-01-15;2031-01-14;"
    put(world, Source.csv, a_certificate("2026-02-01", "2030-01-31", number="C-9"))
    world.provisions(user)
    world.entra.clears(user, f"{EXTENSION}:kran")
    put(world, Source.csv, a_certificate(type="Truckførerbevis"))

    told = run("people", "show", "1042").stdout

    lines = [re.split(r"\s{2,}", line.strip()) for line in told.splitlines() if re.search("kort|bevis", line)]
    assert [line for line in lines if len(line) > 3] == [
        ["Byggekort", "C-9", "2026-02-01", "2030-01-31", "csv", "2026-03-02"],
        ["Byggekort", "77", "2026-01-15", "2028-01-14", "(slot)"],
        ["Kranførerbevis", "K-1", "2026-01-15", "withdrawn"],
        ["Truckførerbevis", "2026-01-15", "2028-01-14", "csv", "not yet"],
    ]
    assert "A certificate came from /Certificates or from a file" in told
    assert "Ditio was asked to accept certificates: done" in told


def test_the_history_ends_with_how_it_stands(run: Run, world: World):
    """D5, A5: a person who was held, and of whom Entra says again what Ditio has, is delivered without a call."""
    kari = a_user()
    world.provisions(kari)
    world.clock.passes(minutes=10)
    world.changes(kari, leave_date="03/04/2026")
    assert world.state(kari)[0] == "held"
    world.clock.passes(minutes=10)
    world.forget()
    world.entra.clears(kari, f"{EXTENSION}:employmentEndDate")
    kari.leave_date = None
    assert (world.state(kari), world.ditio.requests) == (("delivered", None), [])

    history = json.loads(run("people", "show", "1042", "--format", "json").stdout)["history"]
    assert [(each["what"], each["outcome"]) for each in history[-3:]] == [
        ("delivery", "incomplete"),
        ("user-changed", "accepted"),
        ("delivery", "delivered"),
    ]
    world.changes(kari, display_name="Kari N.")
    again = json.loads(run("people", "show", "1042", "--format", "json").stdout)["history"]
    assert [each["what"] for each in again[len(history) :]] == ["user-changed"], (
        "nothing became of it, and nothing is told"
    )
