"""`scim-bridge people find`, and what `people show` says at 2 a.m.: who, what was refused, what changed."""

import json
from typing import Any

import pytest

from scim_bridge.sandbox.gateway import Fault
from scim_bridge.sandbox.server import running
from tests.cli.conftest import DITIO, Run
from tests.conftest import Clock
from tests.world import World, a_user

KARI, OLA, PER, SIV = (
    f"{name}@contractor.example" for name in ("kari.nordmann", "ola.hansen", "per.nordmann", "siv.dahl")
)


def another(name: str, given: str, surname: str, number: str, mobile: str | None) -> Any:
    return a_user(
        object_id=f"0bject-{number}",
        user_principal_name=name,
        mail=name,
        display_name=f"{given} {surname}",
        given_name=given,
        surname=surname,
        employee_id=number,
        mobile=mobile,
    )


@pytest.fixture
def company(world: World) -> World:
    """Kari is delivered, Ola's user is deleted, Per has no phone, and Entra's write about Siv was refused."""
    world.provisions(a_user())
    ola = another(OLA, "Ola", "Hansen Østby", "1043", "+47 911 11 111")
    world.provisions(ola)
    world.deletes(ola)
    world.provisions(another(PER, "Per", "Nordmann", "1044", None))
    world.ditio.faults.plan(Fault("status", status=409, method="POST", path="/employees", times=None))
    world.provisions(another(SIV, "Siv", "Dahl", "1045", "+47 922 22 222"))
    return world


def found(run: Run, text: str) -> list[str]:
    result = run("people", "find", text, "--format", "json")
    names = [row["user_name"] for row in json.loads(result.stdout)]
    assert result.exit_code == (0 if names else 1)
    return names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("nordmann", [KARI, PER]),
        ("Nordmann kari", [KARI]),
        ("KARI.NORD", [KARI]),
        ("1042", [KARI]),
        ("1044", [PER]),
        (" 98 76 54 32", [KARI]),
        ("+4798765432", [KARI]),
        ("5D1F3C0E-0000-4000-8000-000000001042", [KARI]),
        ("ola.HANSEN@contractor.example", [OLA]),
        ("østby ola", [OLA]),
        ("ØSTBY", [OLA]),
        ("1043", [OLA]),
        ("91111111", [OLA]),
        ("0bject-1043", [OLA]),
        ("siv dahl", [SIV]),
        ("1045", [SIV]),
        ("0bject-1045", [SIV]),
        ("contractor.example", [KARI, PER, OLA, SIV]),
        ("kristiansen", []),
        ("%", []),
        (" ", []),
    ],
)
def test_people_are_found_by_what_they_are_called(run: Run, company: World, text: str, names: list[str]):
    """Name, user name, number, phone or object id; deleted users by what they were called, and refused ones."""
    assert found(run, text) == names


def test_a_row_says_who_and_how_it_stands(run: Run, company: World):
    """Design, section 5: the JSON of `people find`."""
    rows = json.loads(run("people", "find", "contractor", "--format", "json").stdout)

    assert list(rows[0]) == ["user_name", "employee_number", "name", "state", "active"]
    assert [tuple(row.values())[1:] for row in rows] == [
        ("1042", "Kari Nordmann", "delivered", True),
        ("1044", "Per Nordmann", "held", True),
        ("1043", "Ola Hansen Østby", "delivered", False),
        ("1045", "Siv Dahl", "refused", None),
    ]


def test_no_one_fits(run: Run, company: World):
    result = run("people", "find", "kristiansen")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "kristiansen" in result.stderr


def test_show_takes_the_same_words(run: Run, company: World):
    for text in ("kari", "98765432"):
        assert run("people", "show", text).stdout.startswith(f"{KARI} is employee 1042")
    assert f"{OLA}, a user that Entra has deleted, is employee 1043" in " ".join(
        run("people", "show", "Østby").stdout.split()
    )


def test_show_lists_several_who_fit(run: Run, company: World):
    result = run("people", "show", "nordmann")

    assert result.exit_code == 1
    assert KARI in result.stdout
    assert PER in result.stdout
    assert "2 people" in result.stderr
    rows = json.loads(run("people", "show", "nordmann", "--format", "json").stdout)
    assert [row["user_name"] for row in rows] == [KARI, PER]


@pytest.mark.parametrize("text", [SIV, "1045", "dahl"])
def test_a_refused_person_is_shown(run: Run, company: World, text: str):
    """The person is not in the bridge: Entra's write was undone. What it was answered is known."""
    document = json.loads(run("people", "show", text, "--format", "json").stdout)

    assert (document["state"], document["reason"], document["user"]) == ("refused", "uniqueness", None)
    assert list(document["refused"]) == ["at", "status", "scim_type", "detail"]
    assert document["refused"]["status"] == 409
    told = " ".join(run("people", "show", text).stdout.split())
    assert f"{SIV} is not in the bridge (wants 1045)" in told
    assert document["refused"]["detail"] in told
    assert "sends the write again" in told


def test_a_refused_person_with_the_number_of_another_is_named(run: Run, world: World):
    """Two people with one number: `show NUMBER` shows who has it, and standard error names the other."""
    world.provisions(another(OLA, "Ola", "Hansen", "1042", "+47 911 11 111"))
    body = {"userName": KARI, "externalId": "kari", "displayName": "Kari", "active": ["perhaps"]}
    number = {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": "1042"}}
    assert world.scim("POST", "/Users", {**body, **number}).status_code == 400

    result = run("people", "show", "1042")

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{OLA} is employee 1042")
    assert f"people show {KARI}" in result.stderr
    assert found(run, "1042") == [OLA, KARI]


def test_an_undone_change_is_shown(run: Run, world: World, clock: Clock):
    """R1: what Entra asked, what Ditio said, and that Entra sends it again; gone once it succeeds."""
    kari = a_user()
    world.provisions(kari)
    clock.passes(hours=1)
    world.ditio.faults.plan(Fault("status", status=422, method="PATCH", path="/employees/1042", times=1))
    world.changes(kari, job_title="Formann")

    document = json.loads(run("people", "show", "1042", "--format", "json").stdout)
    assert (document["refused"]["status"], document["state"]) == (400, "delivered")
    assert document["refused"]["at"] == "2026-03-02T09:00:00Z"
    told = " ".join(run("people", "show", "1042").stdout.split())
    assert "Refused: Entra was answered 400, invalidValue" in told
    assert "Entra changed the user: title (request" in told
    assert "change the profile: refused (status 422" in told
    assert "Entra's change of title was undone" in told

    clock.passes(hours=1)
    world.cycle()
    assert json.loads(run("people", "show", "1042", "--format", "json").stdout)["refused"] is None
    assert "Refused:" not in run("people", "show", "1042").stdout


def test_the_history_names_the_attributes_that_changed(run: Run, world: World, clock: Clock):
    """D5: names without values; also of an extension."""
    kari = a_user()
    world.provisions(kari)
    clock.passes(hours=1)
    world.changes(kari, job_title="Formann", department="Tunnel")

    history = json.loads(run("people", "show", "1042", "--format", "json").stdout)["history"]
    changes = [each["attributes"] for each in history if each["what"] == "user-changed"]
    assert {name.rpartition(":")[2] for names in changes for name in names} == {"title", "department"}
    told = run("people", "show", "1042").stdout.partition("History")[2]
    assert "title" in told
    assert "Formann" not in told


def test_rows_that_differ_are_marked(run: Run, world: World):
    """A title that was edited in Ditio, a login that was closed there; nothing without Ditio's answer."""
    world.provisions(a_user())
    employee = world.employee("1042")
    employee.work_title, employee.disabled = "Formann", True
    assert "differs" not in run("people", "show", "1042").stdout

    with running(world.ditio.app) as url:
        environment = {**DITIO, "SCIM_BRIDGE_DITIO__API_URL": f"{url}/core", "SCIM_BRIDGE_DITIO__IDENTITY_URL": url}
        told = run("people", "show", "1042", **environment).stdout

    marked = [line.split()[0] for line in told.splitlines() if line.endswith("differs")]
    assert marked == ["workTitle", "login"]
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(
    "text", ["østby", "ÅSE", 'rød"nese', "c:\\temp", "100%", "under_score", "emoji😀", "ŠĐ", "østby 100%"]
)
def test_a_name_is_found_by_its_given_name_alone_whatever_its_letters(run: Run, world: World, text: str):
    """Names are looked for in JSON as it is stored, in which some letters are written in another way."""
    given = 'Åse Rød"Nese C:\\temp 100% under_score Emoji😀 šđ'
    world.provisions(a_user(given_name=given, surname="Østby", display_name="Another Name"))
    world.provisions(another(OLA, "Ola", "Hansen", "1043", "+47 911 11 111"))

    assert found(run, text) == [KARI]
    assert found(run, text.replace("ø", "o").replace("%", "x").replace("_", "z") + "q") == []
