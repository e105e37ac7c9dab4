"""Certificates follow their person to Ditio, by whatever way they come in (K1, K2, K5, K6)."""

from typing import Any

import pytest
from sqlalchemy import select

from scim_bridge.domain.certificate import Source
from scim_bridge.sandbox.entra import EXTENSION, EntraUser
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import certificate_entries, certificate_ledger
from tests.conftest import Clock
from tests.delivery.test_certifying import a_certificate, kept, put, said, says
from tests.world import World, a_user

SLOTS = [
    {"type": "Byggekort", "packed": "byggekort"},
    {
        "type": "Kranførerbevis",
        "number": "kranNumber",
        "issued": "kranIssuedAt",
        "valid_until": "kranValidUntil",
        "notes": "kranNotes",
    },
]
PACKED = "77;2026-01-15;2028-01-14;HMS"
BYGGEKORT = {
    "employeeNumber": "1042",
    "certificateType": "Byggekort",
    "issuedDateTime": "2026-01-15T00:00:00Z",
    "validUntilDateTime": "2028-01-14T00:00:00Z",
    "certificateNumber": "77",
    "notes": "HMS",
}


def a_world(database: Database, clock: Clock, **settings: Any) -> World:
    return World(database, clock, settings={"certificates": {"slots": SLOTS, **settings}})


@pytest.fixture
def world(database: Database, clock: Clock) -> World:
    return a_world(database, clock)


def with_slots(user: EntraUser, **slots: object) -> EntraUser:
    user.extra.update({f"{EXTENSION}:{name}": value for name, value in slots.items()})
    return user


def a_carrier(**changes: Any) -> EntraUser:
    return with_slots(a_user(**changes), byggekort=PACKED)


def posts(world: World) -> list[list[dict[str, Any]]]:
    """What was posted since the last `forget`, request by request."""
    return [call.body for call in world.ditio.calls("POST", "/certificates")]


def in_ditio(world: World, number: str = "1042") -> dict[str, tuple[str, str]]:
    """Type → issued and valid until."""
    return {
        kind: (str(body["issuedDateTime"])[:10], str(body["validUntilDateTime"]))
        for (whose, kind), body in world.ditio.certificates.items()
        if whose == number
    }


# Slots


@pytest.mark.parametrize("dialect", ["default", "aadOptscim062020"])
def test_slots_become_certificates(database: Database, clock: Clock, dialect: str):
    """K1, K2, K6: after the employee, in one batch, each day as that day at midnight UTC, UTF-8 unharmed."""
    world = World(database, clock, dialect=dialect, settings={"certificates": {"slots": SLOTS}})
    user = a_carrier()
    world.provisions(user)
    with_slots(
        user, kranNumber="K-1", kranIssuedAt="15.01.2026", kranValidUntil="2031-01-14T23:59:59Z", kranNotes="Tårn, Ø"
    )
    world.cycle()

    assert world.state(user) == ("delivered", None)
    assert world.ditio.certificates[("1042", "Byggekort")] == BYGGEKORT
    assert world.ditio.certificates[("1042", "Kranførerbevis")] == {
        "employeeNumber": "1042",
        "certificateType": "Kranførerbevis",
        "issuedDateTime": "2026-01-15T00:00:00Z",
        "validUntilDateTime": "2031-01-14T00:00:00Z",
        "certificateNumber": "K-1",
        "notes": "Tårn, Ø",
    }
    assert [len(batch) for batch in posts(world)] == [1, 1]
    order = [call.path.rpartition("/")[2] for call in world.ditio.writes()]
    assert order == ["employees", "certificates", "certificates"]


def test_the_schema_names_the_slots(world: World):
    """K1: a non-gallery Entra app reads the extension's attributes there."""
    schema = world.scim("GET", f"/Schemas/{EXTENSION}").json()
    attributes = {each["name"]: each for each in schema["attributes"]}

    assert {"byggekort", "kranNumber", "kranIssuedAt", "kranValidUntil", "kranNotes"} <= attributes.keys()
    assert attributes["kranIssuedAt"]["type"] == "string"
    assert attributes["kranIssuedAt"]["multiValued"] is False
    assert "Kranførerbevis" in attributes["kranIssuedAt"]["description"]


def test_a_certificate_that_is_as_acknowledged_costs_no_call(world: World):
    """A5, K3."""
    user = a_carrier()
    world.provisions(user)
    world.forget()
    world.changes(user, job_title="Formann")
    world.scim("PUT", f"/Users/{world.entra.scim_id(user.object_id)}", world.user(user))

    assert posts(world) == []
    assert world.state(user) == ("delivered", None)


def test_a_renewal_overwrites(world: World):
    """K3: what Ditio has not acknowledged is sent, and nothing else."""
    user = a_carrier()
    world.provisions(user)
    world.forget()
    with_slots(user, byggekort="78;2026-02-01;2030-01-31;")
    world.cycle()

    assert in_ditio(world) == {"Byggekort": ("2026-02-01", "2030-01-31T00:00:00Z")}
    ((body,),) = posts(world)
    assert (body["certificateNumber"], body["notes"]) == ("78", None)  # It had notes: they are cleared.


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        ({"byggekort": "78;2026-02-01"}, "certificate Byggekort: validUntil in byggekort is missing"),
        ({"byggekort": "78;2026-02-01;2025-02-01;"}, "it is not after issued in byggekort, 2026-02-01"),
        ({"byggekort": "78;02/01/2026;2028-02-01;"}, "it may be read day first or month first"),
        ({"kranNumber": "K-1"}, "certificate Kranførerbevis: kranIssuedAt is missing"),
        ({"kranIssuedAt": "1970-01-01", "kranValidUntil": "2030-01-01"}, "more than 50 years off"),
    ],
)
def test_a_slot_that_cannot_be_used_is_held_and_the_rest_flows_on(world: World, slots: dict[str, object], told: str):
    """K1, D3: the detail names slot and reason; employee and other certificates are delivered; the cure ends it."""
    user = a_carrier()
    world.provisions(user)
    with_slots(user, **slots)
    world.changes(user, job_title="Formann")

    state, detail = world.state(user)
    assert state == "held"
    assert told in (detail or "")
    assert world.employee("1042").work_title == "Formann"
    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2028-01-14T00:00:00Z")}
    for name in slots:
        user.extra.pop(f"{EXTENSION}:{name}")
        world.entra.clears(user, f"{EXTENSION}:{name}")
    with_slots(user, byggekort=PACKED)
    world.cycle()
    assert world.state(user) == ("delivered", None)


def test_a_held_slot_does_not_keep_anybody_from_being_hired(world: World):
    """K1, H3: it is held, and the employee is delivered."""
    user = with_slots(a_user(), byggekort="soon")
    world.provisions(user)

    assert world.state(user)[0] == "held"
    assert world.employee("1042").work_title == "Maskinfører"


@pytest.mark.parametrize("emptied", ["null", "blank", "separators"])
def test_a_slot_that_is_emptied_withdraws(world: World, emptied: str):
    """K1, K5: posted again, valid until one second after it was issued."""
    user = a_carrier()
    world.provisions(user)
    if emptied == "null":
        world.entra.clears(user, f"{EXTENSION}:byggekort")
    else:
        with_slots(user, byggekort={"blank": " ", "separators": ";;;"}[emptied])
        world.cycle()

    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2026-01-15T00:00:01Z")}
    assert said(world) == []
    world.forget()
    world.changes(user, job_title="Formann")
    assert posts(world) == []


def test_a_value_that_entra_does_not_send_any_more_stays(world: World):
    """L3, K1: Entra sends no cleared values, and an absent attribute says nothing."""
    user = a_carrier()
    world.provisions(user)
    del user.extra[f"{EXTENSION}:byggekort"]
    world.changes(user, job_title="Formann")

    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2028-01-14T00:00:00Z")}


def test_what_is_withdrawn_is_kept_if_so_set(database: Database, clock: Clock):
    """K5: `keep` leaves it in Ditio as it is."""
    world = a_world(database, clock, withdrawal="keep")
    user = a_carrier()
    world.provisions(user)
    world.entra.clears(user, f"{EXTENSION}:byggekort")

    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2028-01-14T00:00:00Z")}
    assert world.state(user) == ("delivered", None)


def test_a_missing_end_is_a_far_day_if_so_set(database: Database, clock: Clock):
    """K5: `refuse` (by default), or a configured far date; another one is sent at the next delivery."""
    world = a_world(database, clock, missing_expiry="2099-12-31")
    user = with_slots(a_user(), byggekort="77;2026-01-15")
    world.provisions(user)
    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2099-12-31T00:00:00Z")}

    world.restarts_with(certificates={"slots": SLOTS, "missing_expiry": "2089-12-31"})
    world.changes(user, job_title="Formann")
    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2089-12-31T00:00:00Z")}

    world.restarts_with(certificates={"slots": SLOTS})
    world.changes(user, job_title="Leder")
    state, detail = world.state(user)
    assert (state, "validUntil in byggekort is missing" in (detail or "")) == ("held", True)


def test_a_slot_that_is_configured_later_is_read_at_the_next_delivery(database: Database, clock: Clock):
    """K1: the document keeps what Entra said; what is made of it may change."""
    world = a_world(database, clock)
    world.provisions(a_carrier())
    world.restarts_with(certificates={"slots": [{"type": "HMS-kort", "packed": "byggekort"}]})
    person_id = _person(world)
    with world.database.write("default") as s:
        s.outbox.mark_due(person_id)
    world.worker.run_until_idle()

    assert in_ditio(world).keys() == {"Byggekort", "HMS-kort"}


def _person(world: World) -> Any:
    with world.database.read() as s:
        return s.connection.execute(select(certificate_entries.c.holder)).scalars().first()


# All ways in


def test_three_ways_in_end_in_the_same(database: Database, clock: Clock):
    """K1: alone and mixed, Ditio has the newest of each type."""
    world = a_world(database, clock)
    user = a_carrier()
    put(world, Source.csv, a_certificate(type="Truckførerbevis"))
    world.provisions(user)
    kept(world, Source.certificates, a_certificate("2026-02-01", "2030-01-31"))
    kept(world, Source.csv, a_certificate(type="Arbeidsvarsling kurs 1"))
    world.worker.run_until_idle()

    assert in_ditio(world) == {
        "Byggekort": ("2026-02-01", "2030-01-31T00:00:00Z"),
        "Truckførerbevis": ("2026-01-15", "2028-01-14T00:00:00Z"),
        "Arbeidsvarsling kurs 1": ("2026-01-15", "2028-01-14T00:00:00Z"),
    }
    assert world.state(user)[0] == "delivered"


def test_a_slot_that_loses_is_told(world: World):
    """K1: in `deliveryDetail`, with the winner's number; once the winner withdraws, the slot takes its place."""
    user = a_carrier()
    winner = kept(world, Source.certificates, a_certificate("2026-02-01", "2030-01-31", number="K-9"))
    world.provisions(user)
    told = (
        "certificate Byggekort: certificates has number K-9, issued 2026-02-01, valid until 2030-01-31, "
        "so the slot does not count"
    )
    assert world.state(user) == ("delivered", told)
    world.changes(user, job_title="Formann")
    world.scim("PUT", f"/Users/{world.entra.scim_id(user.object_id)}", world.user(user))
    assert world.state(user) == ("delivered", told)

    says(world, lambda c, s: c.withdraw(s, winner.id))
    world.worker.run_until_idle()
    assert in_ditio(world) == {"Byggekort": ("2026-01-15", "2028-01-14T00:00:00Z")}
    assert world.state(user) == ("delivered", None)


def test_a_slot_of_a_person_who_waits_counts_too(world: World):
    """K1: a person who is to have the number, and is not in Ditio yet, says it himself."""
    world.provisions(with_slots(a_user(mobile=None), byggekort=PACKED))
    lost = put(world, Source.certificates, a_certificate("2025-02-01"))

    assert lost.winner.source is Source.slot
    assert lost.winner.certificate.number == "77"


# Who is where


def test_certificates_wait_for_an_employee(world: World):
    """K2: a person who is held has none; they are sent when he is there."""
    user = a_carrier(mobile=None)
    world.provisions(user)
    put(world, Source.csv, a_certificate(type="X"))
    assert posts(world) == []
    world.changes(user, mobile="98765432")

    assert in_ditio(world).keys() == {"Byggekort", "X"}
    assert [len(batch) for batch in posts(world)] == [2]


def test_certificates_of_an_employee_whom_no_one_is_wait(world: World):
    """K2: unclaimed."""
    world.ditio.plant("7")
    put(world, Source.csv, a_certificate(), "7")
    world.worker.run_until_idle()

    assert posts(world) == []


def test_who_is_adopted_brings_what_was_said_before(world: World):
    """K2, H1."""
    put(world, Source.csv, a_certificate())
    world.ditio.plant("1042", "Kari", "Nordmann", "+4798765432")
    world.provisions(a_user())

    assert in_ditio(world).keys() == {"Byggekort"}


def test_all_certificates_follow_to_another_number(world: World):
    """K2: under the present number, once the renumbering is done."""
    user = a_carrier()
    world.provisions(user)
    kept(world, Source.csv, a_certificate(type="X"))
    world.worker.run_until_idle()
    world.forget()
    world.changes(user, employee_id="1050")

    assert in_ditio(world, "1050").keys() == {"Byggekort", "X"}
    assert [call.path.rpartition("/")[2] for call in world.ditio.writes()] == ["change-employee-number", "certificates"]
    assert {entry[0] for entry in said(world, None)} == set()
    kept(world, Source.csv, a_certificate("2026-02-02", type="X"), "1050")
    world.worker.run_until_idle()
    assert in_ditio(world, "1050")["X"][0] == "2026-02-02"


def test_who_has_left_waits_and_gets_all_again_when_he_is_back(world: World):
    """K2: nothing is sent for a person who has left; at a return all is sent again, what was said meanwhile too."""
    user = a_carrier()
    world.provisions(user)
    world.changes(user, account_enabled=False)
    world.forget()
    kept(world, Source.csv, a_certificate(type="X"))
    with_slots(user, byggekort="78;2026-02-01;2030-01-31;")
    world.changes(user, job_title="Formann")
    world.worker.run_until_idle()
    assert world.employee("1042").work_title == "Formann"
    assert posts(world) == []
    world.clock.passes(days=3)
    world.changes(user, account_enabled=True)

    assert in_ditio(world) == {
        "Byggekort": ("2026-02-01", "2030-01-31T00:00:00Z"),
        "X": ("2026-01-15", "2028-01-14T00:00:00Z"),
    }
    world.changes(user, account_enabled=False)
    world.forget()
    world.changes(user, account_enabled=True)
    assert [len(batch) for batch in posts(world)] == [2]


def test_who_is_deleted_and_created_again_gets_all_again(world: World):
    """K2, P2: the person keeps his certificates; his new user's slots count."""
    user = a_carrier()
    world.provisions(user)
    kept(world, Source.csv, a_certificate(type="X"))
    world.worker.run_until_idle()
    world.deletes(user)
    world.forget()
    world.clock.passes(days=1)
    world.provisions(with_slots(a_user(object_id="another"), byggekort="78;2026-02-01;2030-01-31;"))

    assert [sorted(body["certificateType"] for body in batch) for batch in posts(world)] == [["Byggekort", "X"]]
    assert in_ditio(world)["Byggekort"][0] == "2026-02-01"


def test_of_a_person_whom_ditio_never_knew_nothing_is_left(world: World):
    """P1: a user who is deleted before he was hired takes his slots along."""
    user = a_carrier(mobile=None)
    world.provisions(user)
    world.deletes(user)

    with world.database.read() as s:
        assert s.connection.execute(select(certificate_entries)).all() == []
        assert s.connection.execute(select(certificate_ledger)).all() == []


@pytest.mark.usefixtures("ends_at_once")
def test_what_is_said_of_a_newcomer_is_not_the_leavers(world: World):
    """K1, P2: a number that is given to another person, who is provisioned after his certificates were said."""
    world.provisions(a_user())
    kept(world, Source.csv, a_certificate(type="X"))
    world.worker.run_until_idle()
    world.deletes(a_user())
    world.clock.passes(days=2)
    kept(world, Source.csv, a_certificate("2026-02-15"))
    world.ditio.company.change_number("1042", "1042-old")
    world.forget()
    world.provisions(
        a_user(
            object_id="another",
            user_principal_name="per@contractor.example",
            mail="per@contractor.example",
            mobile="41234567",
            given_name="Per",
        )
    )

    assert [[body["certificateType"] for body in batch] for batch in posts(world)] == [["Byggekort"]]
    assert [each[0] for each in said(world)] == ["Byggekort"]
