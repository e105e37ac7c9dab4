"""Searches of `/Certificates`: the entries of the ledger that count, whatever the way in (rule K1)."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal, select

from scim_bridge.domain.certificate import Entry
from scim_bridge.storage.certificate_rows import entry_in
from scim_bridge.storage.certificate_tables import certificate_entries as entries
from scim_bridge.storage.paging import Order
from scim_bridge.storage.searches import Search


def counting(tenant: str) -> ColumnElement[bool]:
    """The entries of a tenant whose word counts."""
    return and_(entries.c.tenant == tenant, entries.c.wins)


class CertificateSearch(Search[Entry]):
    """The certificates of one tenant that meet a condition, in an order."""

    def __init__(self, connection: Connection, tenant: str, condition: ColumnElement[bool], order: Order) -> None:
        super().__init__(connection, order)
        self._where = and_(counting(tenant), condition)

    def _matching(self, *, one_by_one: bool = False) -> Select[Any]:
        return select(entries).where(self._where)

    def _others(self) -> Select[Any]:
        return select(literal(1)).select_from(entries).where(self._where)

    def _count(self) -> Select[Any]:
        return select(func.count()).select_from(entries).where(self._where)

    def _read(self, rows: Sequence[Row[Any]]) -> list[Entry]:
        return [entry_in(row) for row in rows]
