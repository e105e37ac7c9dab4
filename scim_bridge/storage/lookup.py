"""The read that Entra sends most: a user, and the credential of the client who asks, by one statement."""

from functools import cache
from typing import Any

from sqlalchemy import Row, Select, select, true

from scim_bridge.storage.credentials import (
    ACCESS_TOKEN,
    AccessToken,
    Token,
    asked_with,
    token_in,
    valid_access_token,
    valid_token,
)
from scim_bridge.storage.engine import Repository
from scim_bridge.storage.resources import StoredResource, looked_up, lookup_with, stored_in

_WHO = "who_"
"""Begins the names of the credential's columns."""


class Lookups(Repository):
    """Users who are looked up in one tenant, within one transaction."""

    def find(
        self, secret: str, workload: str | None, attribute: str, key: str
    ) -> tuple[Token | AccessToken | None, list[StoredResource]]:
        """Return the valid credential with this secret, and the users who are found; at most two.

        :param workload: See `AccessTokens`.
        :param attribute, key: See `Resources.found_by`.
        """
        is_access_token = secret.startswith(ACCESS_TOKEN)
        asked = {**asked_with(self._s, secret), **lookup_with(self._tenant, attribute, key)}
        if is_access_token:
            asked["workload"] = workload
        statement = _statement(self._connection.dialect.name, attribute, is_access_token)
        rows = self._connection.execute(statement, asked).all()
        if not rows:
            return None, []
        self._s.learn_now(rows[0].who_now)
        return _credential(rows[0], is_access_token), [stored_in(row) for row in rows if row.id is not None]


@cache
def _statement(dialect: str, attribute: str, is_access_token: bool) -> Select[Any]:
    """Return the statement, built once."""
    who = (valid_access_token if is_access_token else valid_token)(dialect).subquery("who")
    found = looked_up(dialect, attribute).subquery("found")
    columns = [each.label(f"{_WHO}{each.name}") for each in who.c]
    return select(*found.c, *columns).select_from(who.outerjoin(found, true()))


def _credential(row: Row[Any], is_access_token: bool) -> Token | AccessToken:
    if is_access_token:
        return AccessToken(row.who_client_id, row.who_tenant, row.who_expires_at)
    return token_in(row, _WHO)
