"""What became of certificates that were sent: acknowledged, held or parked, certificate by certificate (rule K3)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, update

from scim_bridge.domain.certificate import Holder, HolderKind, Line, Shipment
from scim_bridge.domain.outcome import Reason
from scim_bridge.domain.person import PersonId
from scim_bridge.storage.certificate_tables import certificate_entries as entries
from scim_bridge.storage.certificate_tables import certificate_ledger as ledger


class CertificateDeliveries:
    """The deliveries of one tenant's certificates, within one transaction."""

    def __init__(self, connection: Connection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def begin(self, shipments: Sequence[Shipment]) -> None:
        """Note what is about to be sent: should the answer be lost, Ditio may have it (rule R4)."""
        self._update([(each.line, {"sending": each.certificate.issued}) for each in shipments])

    def acknowledge(self, shipments: Sequence[Shipment], now: datetime) -> None:
        """Note what Ditio took with a 2xx."""
        self._update(
            [
                (
                    each.line,
                    {
                        "acknowledged_at": now,
                        "acknowledged_under": each.employee_number,
                        "acknowledged_number": each.certificate.number,
                        "acknowledged_issued": each.certificate.issued,
                        "acknowledged_valid_until": each.certificate.valid_until,
                        "acknowledged_notes": each.certificate.notes,
                        "is_withdrawn": each.is_withdrawal,
                        "is_stale": False,
                        "sending": None,
                        "reason": None,
                        "detail": None,
                    },
                )
                for each in shipments
            ]
        )

    def refuse(self, shipments: Sequence[Shipment], reason: Reason, detail: str, *, is_certain: bool) -> None:
        """Note why certificates are held or parked.

        :param is_certain: Whether Ditio has certainly not taken them; of several that were refused together it may
            have taken some.
        """
        held = {"reason": reason.value, "detail": detail}
        self._update(
            [(each.line, {**held, "sending": None if is_certain else each.certificate.issued}) for each in shipments]
        )

    def mark_stale(self, person_id: PersonId) -> None:
        """All of a person's certificates are to be sent again: he comes back (rule K2)."""
        self._connection.execute(
            update(ledger)
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.person,
                ledger.c.holder == person_id,
                ledger.c.acknowledged_at.is_not(None),
            )
            .values(is_stale=True)
        )

    def forgive_unclaimed(self) -> None:
        """Try again what was refused of employees whom nobody is: there is nobody who could be made due."""
        self._connection.execute(
            update(ledger)
            .where(
                ledger.c.tenant == self._tenant,
                ledger.c.holder_kind == HolderKind.number,
                ledger.c.reason.is_not(None),
            )
            .values(reason=None, detail=None)
        )

    def forget(self, person_id: PersonId) -> None:
        """Remove the certificates of a person who is removed."""
        for table in (entries, ledger):
            self._connection.execute(
                delete(table).where(
                    table.c.tenant == self._tenant,
                    table.c.holder_kind == HolderKind.person,
                    table.c.holder == person_id,
                )
            )

    def _update(self, changes: Sequence[tuple[Line, dict[str, object]]]) -> None:
        if not changes:
            return
        statement = update(ledger).where(
            ledger.c.tenant == self._tenant,
            ledger.c.holder_kind == bindparam("of_kind"),
            ledger.c.holder == bindparam("of_holder"),
            ledger.c.type == bindparam("of_type"),
        )
        rows = [{**_key(line.holder), "of_type": line.type, **values} for line, values in changes]
        self._connection.execute(statement.values({name: bindparam(name) for name in changes[0][1]}), rows)


def _key(holder: Holder) -> dict[str, object]:
    return {"of_kind": holder.kind.value, "of_holder": holder.value}
