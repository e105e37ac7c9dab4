"""What Ditio acknowledged, field by field (rule D5), and how the sent values read back (rule C2)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, delete, select, update

from scim_bridge.domain.employee import Field, Value
from scim_bridge.domain.person import Acknowledged, Lifecycle, PersonId, SentValue
from scim_bridge.storage.engine import Repository, upsert
from scim_bridge.storage.prepared import Prepared
from scim_bridge.storage.tables import acknowledged, from_stored, people, to_stored

UNCERTAIN = "uncertain"

_LINKED = {False: "linked", True: "linked-differing"}
"""The source of a login or an employment that `adopt` acknowledged: whether Ditio showed otherwise then."""

_NOTHING_SENT: dict[str, object] = {
    "taken_at": None,
    "before": None,
    "shown": None,
    "form": None,
    "is_confirmed": False,
    "rounds": 0,
}


def _of_people(*columns: ColumnElement[Any]) -> Select[Any]:
    is_theirs = acknowledged.c.person_id.in_(bindparam("person_ids", expanding=True))
    return select(acknowledged.c.person_id, acknowledged.c.field, *columns).where(
        acknowledged.c.tenant == bindparam("tenant"), is_theirs
    )


# Built once, because every delivery reads it twice.
_VALUES = (acknowledged.c.value, acknowledged.c.source)
_READBACK = (
    acknowledged.c.taken_at,
    acknowledged.c.before,
    acknowledged.c.shown,
    acknowledged.c.form,
    acknowledged.c.is_confirmed,
    acknowledged.c.rounds,
)
_IN_SHORT, _IN_FULL = _of_people(*_VALUES), _of_people(*_VALUES, *_READBACK)
ACKNOWLEDGED_OF_ONE = Prepared(
    select(acknowledged.c.field, *_VALUES, *_READBACK).where(
        acknowledged.c.tenant == bindparam("tenant"), acknowledged.c.person_id == bindparam("person_id")
    )
)

ACKNOWLEDGED_OF_USER = Prepared(
    select(acknowledged.c.field, *_VALUES, *_READBACK)
    .join_from(
        acknowledged,
        people,
        and_(people.c.tenant == acknowledged.c.tenant, people.c.id == acknowledged.c.person_id),
    )
    .where(people.c.tenant == bindparam("tenant"), people.c.user_id == bindparam("user"))
)

_FIELDS = {name.value: name for name in Field}


def acknowledged_in(rows: Iterable[Any]) -> Acknowledged:
    """Return what is acknowledged for one person."""
    return _in_full({row.field: row for row in rows})


class Acknowledgements(Repository):
    """The acknowledged values of one tenant's people, within one transaction."""

    def of(self, person_id: PersonId) -> Acknowledged:
        """Return what is acknowledged for a person."""
        return acknowledged_in(
            ACKNOWLEDGED_OF_ONE.all(self._connection, {"tenant": self._tenant, "person_id": person_id})
        )

    def of_many(self, person_ids: Iterable[PersonId]) -> dict[PersonId, Acknowledged]:
        """Return what is acknowledged for some people; every one of them is in the answer."""
        return {person_id: _in_full(rows) for person_id, rows in self._read(_IN_FULL, person_ids).items()}

    def in_short(self, person_ids: Iterable[PersonId]) -> dict[PersonId, Acknowledged]:
        """Return the same in half the time, without when values were sent, and how they read back."""
        return {person_id: _in_short(rows) for person_id, rows in self._read(_IN_SHORT, person_ids).items()}

    def _read(self, query: Select[Any], person_ids: Iterable[PersonId]) -> dict[PersonId, dict[str, Row[Any]]]:
        found: dict[PersonId, dict[str, Row[Any]]] = {person_id: {} for person_id in person_ids}
        for row in self._connection.execute(query, {"tenant": self._tenant, "person_ids": list(found)}).all():
            found[row.person_id][row.field] = row
        return found

    def moments_of(self, person_id: PersonId) -> dict[str, tuple[datetime, int]]:
        """Return when each field, login and employment was acknowledged, and in which revision of the person."""
        query = select(acknowledged.c.field, acknowledged.c.acknowledged_at, acknowledged.c.revision).where(
            acknowledged.c.tenant == self._tenant, acknowledged.c.person_id == person_id
        )
        return {row.field: (row.acknowledged_at, row.revision) for row in self._connection.execute(query)}

    def add(
        self,
        person_id: PersonId,
        values: Mapping[Field, Value | None],
        *,
        sources: Mapping[Field, str] | None = None,
        sent_values: Mapping[Field, SentValue | None] | None = None,
        login: bool | None = None,
        employed: bool | None = None,
        is_written: bool = False,
        linked: Mapping[Lifecycle, bool] | None = None,
        revision: int,
    ) -> None:
        """Store what Ditio accepted with a 2xx, or was read to agree with the desired employee.

        :param sources: The SCIM attribute from which each field comes.
        :param sent_values: How each value that was sent reads back.
        :param is_written: Whether login and employment were changed just now, and not only read.
        :param linked: From `adopt`: whether Ditio shows login and employment otherwise than acknowledged.
        """
        served, sent = sources or {}, sent_values or {}
        by_adopt = {lifecycle: _LINKED[differed] for lifecycle, differed in (linked or {}).items()}
        changed = {**_NOTHING_SENT, "taken_at": self._now if is_written else None}
        rows = [
            _row(name.value, value, {**_columns(sent.get(name)), "source": served.get(name)})
            for name, value in values.items()
        ]
        if login is not None:
            source = {"source": by_adopt.get(Lifecycle.login)}
            rows.append(_row(Lifecycle.login.value, "open" if login else "closed", {**changed, **source}))
        if employed is not None:
            source = {"source": by_adopt.get(Lifecycle.employment)}
            rows.append(_row(Lifecycle.employment.value, "open" if employed else "ended", {**changed, **source}))
        self._store(person_id, rows, revision=revision)

    def learn(self, person_id: PersonId, sent_values: Mapping[Field, SentValue]) -> None:
        """Store how values that Ditio accepted earlier read back; they stay acknowledged as they are."""
        for name, sent in sent_values.items():
            self._connection.execute(
                update(acknowledged)
                .where(
                    acknowledged.c.tenant == self._tenant,
                    acknowledged.c.person_id == person_id,
                    acknowledged.c.field == name.value,
                )
                .values(**_columns(sent))
            )

    def doubt(self, person_id: PersonId, lifecycle: Lifecycle, *, revision: int) -> None:
        """Mark login or employment as uncertain before it is changed, until the change is acknowledged."""
        row = _row(lifecycle.value, UNCERTAIN, {**_NOTHING_SENT, "source": None})
        self._store(person_id, [row], revision=revision)

    def forget(self, person_id: PersonId, *fields: Field) -> None:
        """Remove some acknowledged fields of a person, or all of them."""
        condition = [acknowledged.c.tenant == self._tenant, acknowledged.c.person_id == person_id]
        if fields:
            condition.append(acknowledged.c.field.in_([name.value for name in fields]))
        self._connection.execute(delete(acknowledged).where(*condition))

    def forgive(self, person_ids: Select[Any]) -> None:
        """Reset the rounds of values that Ditio kept changing, so that they are sent again (rule C2).

        :param person_ids: Selects the ids of the people.
        """
        self._connection.execute(
            update(acknowledged)
            .where(
                acknowledged.c.tenant == self._tenant,
                acknowledged.c.person_id.in_(person_ids),
                acknowledged.c.rounds > 0,
            )
            .values(rounds=0)
        )

    def _store(self, person_id: PersonId, rows: Sequence[Mapping[str, object]], *, revision: int) -> None:
        common = {"tenant": self._tenant, "person_id": person_id, "acknowledged_at": self._now, "revision": revision}
        upsert(self._s, acknowledged, [{**common, **row} for row in rows])


def _row(name: str, value: Value | None, columns: Mapping[str, object]) -> dict[str, object]:
    return {"field": name, "value": to_stored(value), **columns}


def _in_short(rows: Mapping[str, Row[Any]]) -> Acknowledged:
    lifecycle = {name: rows.get(name.value) for name in Lifecycle}
    stored = {name: row.value if row else None for name, row in lifecycle.items()}
    fields = [(_FIELDS[name], row) for name, row in rows.items() if name in _FIELDS]
    return Acknowledged(
        values={field: from_stored(row.value) for field, row in fields},
        sources={field: row.source for field, row in fields if row.source},
        login=_is_open(stored[Lifecycle.login]),
        employed=_is_open(stored[Lifecycle.employment]),
        uncertain=frozenset(name for name, value in stored.items() if value == UNCERTAIN),
    )


def _in_full(rows: Mapping[str, Row[Any]]) -> Acknowledged:
    taken = {name: row for name, row in rows.items() if row.taken_at}
    return replace(
        _in_short(rows),
        sent_values={_FIELDS[name]: _sent_value(row) for name, row in taken.items() if name in _FIELDS},
        changed_at={name: taken[name.value].taken_at for name in Lifecycle if name.value in taken},
        linked={
            name: row.source == _LINKED[True] for name in Lifecycle if (row := rows.get(name.value)) and row.source
        },
    )


def _sent_value(row: Row[Any]) -> SentValue:
    return SentValue(
        at=row.taken_at,
        before=from_stored(row.before),
        shown=from_stored(row.shown),
        form=from_stored(row.form),
        is_confirmed=row.is_confirmed,
        rounds=row.rounds,
    )


def _is_open(stored: Value | None) -> bool | None:
    return None if stored in (None, UNCERTAIN) else stored == "open"


def _columns(sent: SentValue | None) -> dict[str, object]:
    if sent is None:
        return dict(_NOTHING_SENT)
    return {
        "taken_at": sent.at,
        "before": to_stored(sent.before),
        "shown": to_stored(sent.shown),
        "form": to_stored(sent.form),
        "is_confirmed": sent.is_confirmed,
        "rounds": sent.rounds,
    }
