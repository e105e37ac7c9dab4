"""Writes that Entra was told 400 or 409 for: the last one of each person, a limited number for each company."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, or_, select

from scim_bridge.domain.values import JsonObject, user_name_key
from scim_bridge.storage.engine import Repository, upsert
from scim_bridge.storage.prepared import Prepared
from scim_bridge.storage.tables import refused_writes

MOST = 1000
"""How many people are remembered for a company; beyond that, the oldest refusals are removed."""

REFUSED = "refused"
"""What listings show as the state of a person whose last write was answered 400 or 409."""


@dataclass(frozen=True, slots=True)
class RefusedWrite:
    """The last write about a person that Entra was told 400 or 409 for, and the answer."""

    status: int
    scim_type: str | None
    detail: str | None
    user_id: str | None
    """The SCIM user that should have changed; None if the write would have created it."""

    external_id: str | None = None
    user_name: str | None = None
    employee_number: str | None = None
    name: str | None = None
    request_id: str | None = None
    at: datetime | None = None
    """When; None until it is stored."""

    @property
    def subject(self) -> str:
        """Return who this is about: the user's id, or what Entra calls the user that it wanted to create."""
        key = None if self.user_name is None else user_name_key(self.user_name)
        return self.user_id or json.dumps([self.external_id, key])


def _known_by(document: JsonObject | None, which: str) -> dict[str, str | None]:
    known = document or {}
    external_id, name = known.get("externalId"), known.get("userName")
    key = user_name_key(str(name)) if name else None
    return {
        f"external_id_{which}": str(external_id) if external_id else None,
        f"name_{which}": key,
        f"only_name_{which}": None if external_id else key,
    }


def _is_known(which: str) -> ColumnElement[bool]:
    """Return the condition that a refused creation has the user's externalId and name, or one of them alone."""
    external_id, key = refused_writes.c.external_id, refused_writes.c.user_name_key
    has_id, has_name = external_id == bindparam(f"external_id_{which}"), key == bindparam(f"name_{which}")
    return or_(
        and_(has_id, or_(has_name, key.is_(None))),
        and_(has_name, external_id.is_(None)),
        key == bindparam(f"only_name_{which}"),
    )


def _is_renamed() -> ColumnElement[bool]:
    """Return the condition that a refused creation has the new user's externalId, and none has their name too."""
    other = refused_writes.alias()
    has_both = (
        exists()
        .where(
            other.c.tenant == refused_writes.c.tenant,
            other.c.user_id.is_(None),
            other.c.external_id == refused_writes.c.external_id,
            other.c.user_name_key == bindparam("name_after"),
        )
        .correlate(refused_writes)
    )
    return and_(refused_writes.c.external_id == bindparam("external_id_after"), ~has_both)


def _clear(*creations: ColumnElement[bool]) -> Prepared:
    refused_creation = and_(refused_writes.c.user_id.is_(None), or_(*creations))
    is_theirs = or_(refused_writes.c.subject == bindparam("user"), refused_creation)
    return Prepared(delete(refused_writes).where(refused_writes.c.tenant == bindparam("of"), is_theirs))


# Built once, because every write of a user runs one.
_CLEAR = _clear(_is_known("after"), _is_known("before"))
_CLEAR_FOR_NEW = _clear(_is_known("after"), _is_renamed())


class RefusedWrites(Repository):
    """The refused writes of one tenant, within one transaction."""

    def add(self, refused: Sequence[RefusedWrite]) -> None:
        """Store refused writes now; each replaces the earlier one about the same person."""
        rows = {each.subject: {**asdict(each), "at": self._now} for each in refused[-MOST:]}
        keys = {
            subject: name and user_name_key(str(name)) for subject, row in rows.items() if (name := row["user_name"])
        }
        upsert(
            self._s,
            refused_writes,
            # In one order, so that two requests never wait for each other.
            [
                {"tenant": self._tenant, "subject": subject, "user_name_key": keys.get(subject), **rows[subject]}
                for subject in sorted(rows)
            ],
        )
        self._remove_excess()

    def clear(self, user_id: str, after: JsonObject | None = None, before: JsonObject | None = None) -> None:
        """Remove what was refused about a user, because a write about them has succeeded.

        A refused creation is known by `externalId` and user name, or by one of them if the other is missing: two users
        may have the same `externalId`.

        :param after, before: The user after the write, and before it.
        """
        values = {"of": self._tenant, "user": user_id, **_known_by(after, "after"), **_known_by(before, "before")}
        self._s.later(_CLEAR, values)

    def clear_for_new(self, user_id: str, document: JsonObject) -> None:
        """Remove what was refused about a user who is created now: perhaps under another name, which was taken."""
        self._s.later(_CLEAR_FOR_NEW, {"of": self._tenant, "user": user_id, **_known_by(document, "after")})

    def all(self, *, since: datetime | None = None) -> list[RefusedWrite]:
        """Return what is remembered, oldest first."""
        query = select(refused_writes).where(refused_writes.c.tenant == self._tenant)
        if since is not None:
            query = query.where(refused_writes.c.at >= since)
        rows = self._connection.execute(query.order_by(refused_writes.c.at, refused_writes.c.subject))
        return [_read(row) for row in rows]

    def count(self) -> int:
        """Return how many people there are whose last write was answered 400 or 409."""
        query = select(func.count()).where(refused_writes.c.tenant == self._tenant)
        return self._connection.execute(query).scalar_one()

    def forget_before(self, moment: datetime) -> int:
        """Remove older rows. Return how many."""
        return self._connection.execute(
            delete(refused_writes).where(refused_writes.c.tenant == self._tenant, refused_writes.c.at < moment)
        ).rowcount

    def _remove_excess(self) -> None:
        if self.count() <= MOST:
            return
        kept = (
            select(refused_writes.c.subject)
            .where(refused_writes.c.tenant == self._tenant)
            .order_by(refused_writes.c.at.desc(), refused_writes.c.subject)
            .limit(MOST)
        )
        self._connection.execute(
            delete(refused_writes).where(refused_writes.c.tenant == self._tenant, refused_writes.c.subject.not_in(kept))
        )


_NAMES = tuple(each.name for each in fields(RefusedWrite))


def _read(row: Any) -> RefusedWrite:
    return RefusedWrite(**{name: row._mapping[name] for name in _NAMES})
