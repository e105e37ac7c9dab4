"""Certificates in any sequence, by whatever way, and however Ditio answers: it ends as said (K1-K5)."""

import os
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from scim_bridge.domain.certificate import Certificate, Holder, Line, Source, type_of
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.sandbox.entra import EXTENSION, EntraUser
from scim_bridge.sandbox.gateway import Fault
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import people
from tests.conftest import Clock
from tests.delivery.test_certifying import says
from tests.scenarios.test_any_life import LIKE_EACH_TIME as LIKE_ANY_LIFE
from tests.scenarios.test_any_life import NUMBERS, PHONES
from tests.thorough import either
from tests.world import World, a_user

EXAMPLES = int(os.environ.get("ANY_LIFE_EXAMPLES", either(12, 4)))

LIKE_EACH_TIME = settings(LIKE_ANY_LIFE, max_examples=EXAMPLES)
TYPES = [type_of("Byggekort"), type_of("Kranførerbevis")]
SLOTS = [{"type": TYPES[0], "packed": "byggekort"}, {"type": TYPES[1], "packed": "kran"}]
SAID = st.tuples(st.integers(0, 1), st.integers(1, 5), st.integers(0, 2))
"""Which type, on which day of January it was issued, and how long it lasts."""

EVENTS = st.one_of(
    st.tuples(st.just("slot"), SAID),
    st.tuples(st.just("slot emptied"), st.integers(0, 1)),
    st.tuples(st.just("csv"), SAID),
    st.tuples(st.just("certificates"), SAID),
    st.tuples(st.just("withdrawn"), st.integers(0, 1)),
    st.tuples(st.just("leaves"), st.none()),
    st.tuples(st.just("returns"), st.none()),
    st.tuples(st.just("deleted"), st.none()),
    st.tuples(st.just("renumbered"), st.sampled_from(["A-1", "A-2"])),
    st.tuples(st.just("worker"), st.none()),
    st.tuples(st.just("days pass"), st.integers(1, 3)),
    st.tuples(
        st.just("trouble"),
        st.tuples(st.sampled_from(["timeout-before", "timeout-after", "reset-after", "status"]), st.integers(1, 2)),
    ),
)


@given(life=st.lists(st.tuples(st.integers(0, 1), EVENTS), max_size=14), inline=st.sampled_from([0, 5]))
@LIKE_EACH_TIME
def test_ditio_ends_with_what_counts(
    sqlite_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
    life: list[tuple[int, tuple[str, Any]]],
    inline: int,
):
    """K1, K2, K5, R4: of everyone at work the winner of each type, and nothing valid of what was withdrawn."""
    shutil.copy(sqlite_template, path := tmp_path_factory.mktemp("life") / "life.db")
    database = Database(f"sqlite:///{path}", clock=(clock := Clock()))
    world = World(database, clock, settings={"delivery": {"inline_seconds": inline}, "certificates": {"slots": SLOTS}})
    staff = [_person(index) for index in range(2)]
    for user in staff:
        world.provisions(user)
    for index, (event, value) in life:
        _happens(world, staff[index], event, value)
    _calms_down(world)

    with database.read("default") as s:
        rows = s.connection.execute(select(people)).all()
        assert [(row.state, row.detail) for row in rows if row.state != "delivered"] == []
        for row in rows:
            lines = s.ledger.lines(Holder.of_person(PersonId(row.id)))
            assert not s.ledger.has_lines(Holder.of_number(EmployeeNumber(row.employee_number or "")))
            if row.active and row.employee_number:
                _is_as_said(world, row.employee_number, lines)
    for user in staff:
        if user.object_id in world.entra.directory.users:
            _slots_are_as_said(world, user)
    database.close()


def _person(index: int) -> EntraUser:
    return a_user(
        object_id=f"5d1f3c0e-0000-4000-8000-00000000000{index}",
        user_principal_name=f"person{index}@contractor.example",
        mail=f"person{index}@contractor.example",
        mobile=PHONES[index],
        employee_id=NUMBERS[index],
    )


def _certificate(said: tuple[int, int, int]) -> Certificate:
    kind, day, years = said
    return Certificate(TYPES[kind], date(2026, 1, day), date(2028 + years, 1, 1), f"{kind}-{day}-{years}")


def _happens(world: World, user: EntraUser, event: str, value: Any) -> None:
    number = EmployeeNumber(user.employee_id or "")
    match event:
        case "slot":
            said = _certificate(value)
            packed = f"{said.number};{said.issued};{said.valid_until};"
            user.extra[f"{EXTENSION}:{SLOTS[value[0]]['packed']}"] = packed
            world.cycle()
        case "slot emptied":
            user.extra[f"{EXTENSION}:{SLOTS[value]['packed']}"] = ";;;"
            world.cycle()
        case "csv" | "certificates":
            source = Source(event)
            says(world, lambda c, s: c.put(s, source, number, _certificate(value)))
        case "withdrawn":
            _withdraws(world, number, value)
        case "deleted":
            if user.object_id in world.entra.directory.users:
                world.deletes(user)
        case "leaves" | "returns" | "renumbered":
            changes = {"account_enabled": event == "returns"} if event != "renumbered" else {"employee_id": value}
            others = [each.employee_id for each in world.entra.directory.users.values() if each is not user]
            shown = {number for number in world.ditio.company.employees if number != user.employee_id}
            if event != "renumbered" or value not in {*others, *shown}:
                world.changes(user, **changes)
        case "worker":
            world.worker.run_until_idle()
        case "days pass":
            world.clock.passes(days=value)
        case "trouble":
            kind, times = value
            world.ditio.faults.plan(Fault(kind=kind, method="POST", path="/certificates", status=503, times=times))


def _withdraws(world: World, number: EmployeeNumber, kind: int) -> None:
    with world.database.read("default") as s:
        ledger = s.ledger
        lines = ledger.lines(ledger.holder_of(number))
    own = [
        entry
        for line in lines
        for entry in line.entries
        if entry.source is Source.certificates and line.type == TYPES[kind]
    ]
    for entry in own:
        says(world, lambda c, s, entry=entry: c.withdraw(s, entry.id))


def _calms_down(world: World) -> None:
    world.ditio.faults.clear()
    for _ in range(3):
        world.clock.passes(hours=2)
        world.worker.run_until_idle()
        with world.database.write("default") as s:
            s.outbox.retry()
    world.worker.run_until_idle()


def _is_as_said(world: World, number: str, lines: list[Line]) -> None:
    for kind in TYPES:
        body = world.ditio.certificates.get((number, kind))
        winner = next((line.winner for line in lines if line.type == kind), None)
        if winner is not None:
            known = winner.certificate
            assert body is not None
            assert (body["issuedDateTime"], body["validUntilDateTime"], body["certificateNumber"]) == (
                f"{known.issued}T00:00:00Z",
                f"{known.valid_until}T00:00:00Z",
                known.number,
            )
        elif body is not None:
            assert str(body["validUntilDateTime"]).endswith("T00:00:01Z")


def _slots_are_as_said(world: World, user: EntraUser) -> None:
    with world.database.read("default") as s:
        query = select(people.c.id).where(people.c.user_id == world.entra.scim_id(user.object_id))
        person_id = s.connection.execute(query).scalar_one_or_none()
        if person_id is None:
            return
        slots = {entry.certificate.type: entry for entry in s.ledger.slots_of(PersonId(person_id))}
    for kind, slot in zip(TYPES, SLOTS, strict=True):
        packed = str(user.extra.get(f"{EXTENSION}:{slot['packed']}", ";;;"))
        known = slots.get(kind)
        has = (
            f"{known.certificate.number};{known.certificate.issued};{known.certificate.valid_until};"
            if known
            else ";;;"
        )
        assert has == packed
