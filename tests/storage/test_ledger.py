"""The ledger of certificates: what Ditio acknowledged of a number goes to the person who is linked to it."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import and_, update

from scim_bridge.domain.certificate import CertificateType, Holder
from scim_bridge.domain.employee import EmployeeNumber
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.database import Database
from scim_bridge.storage.tables import certificate_ledger as ledger

CRANE = CertificateType("Crane")
NUMBER, HEIR = Holder.of_number(EmployeeNumber("1042")), Holder.of_person(PersonId("kari"))


def acknowledges(database: Database, holder: Holder, number: str, day: int) -> None:
    """What Ditio accepted for a holder."""
    values = {
        "acknowledged_at": datetime(2026, 3, day, tzinfo=UTC),
        "acknowledged_under": "1042",
        "acknowledged_number": number,
        "acknowledged_issued": date(2026, 1, day),
    }
    with database.write("default") as s:
        s.ledger.open(holder, CRANE)
        own = and_(ledger.c.holder_kind == holder.kind, ledger.c.holder == holder.value)
        s.connection.execute(update(ledger).where(own).values(**values))


@pytest.mark.parametrize("has_own", [False, True])
def test_an_heir_keeps_what_was_acknowledged_for_them_and_inherits_it_otherwise(database: Database, has_own: bool):
    """K1, K2: what Ditio has is never forgotten; with another date it would be sent a second time."""
    acknowledges(database, NUMBER, "of the number", 1)
    if has_own:
        acknowledges(database, HEIR, "their own", 2)
    with database.write("default") as s:
        s.ledger.open(HEIR, CRANE)
        (line,) = s.ledger.lines(NUMBER, lock=True)
        s.ledger.inherit(line, HEIR)

    with database.read("default") as s:
        (kept,) = s.ledger.lines(HEIR)
        assert kept.acknowledged is not None
        assert kept.acknowledged.certificate.number == ("their own" if has_own else "of the number")
        assert kept.acknowledged.at.day == (2 if has_own else 1)
        assert s.ledger.lines(NUMBER) == []
