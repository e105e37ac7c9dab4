"""Who people are: found by what they are or were called, and described for listings; deleted users too."""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Row, TextClause, and_, func, literal_column, or_, select, union_all

from scim_bridge.domain.employee import EmployeeNumber, Field, Value
from scim_bridge.domain.outcome import Reason, State, reason_of
from scim_bridge.domain.person import ClaimKind, PersonId
from scim_bridge.domain.values import JsonObject, indexed, nfc, user_name_key
from scim_bridge.storage.acknowledged import Acknowledgements
from scim_bridge.storage.engine import Repository
from scim_bridge.storage.json_sql import ENTERPRISE, HAS_OTHER_NAME, KEY_LETTERS, DepartmentKey, json_sql
from scim_bridge.storage.tables import claim_waiters, claims, people, resources

CHUNK = 500
"""How many people one statement describes."""

FEW = 1000
"""People in one state up to this number are sorted for each page."""

_NAMES = (Field.first_name, Field.last_name)


@dataclass(frozen=True, slots=True)
class Listed:
    """A person, as listings show them."""

    id: PersonId
    document: JsonObject | None
    """The user as Entra sent it; None once Entra has deleted it."""

    deleted_user_name: str | None
    employee_number: EmployeeNumber | None
    """The linked employee."""

    state: State
    reason: Reason | None
    detail: str | None
    is_active: bool
    external_id: str | None = None
    acknowledged: dict[Field, Value | None] = field(default_factory=dict)
    """What Ditio acknowledged, for a person without a user."""

    @property
    def user_name(self) -> str | None:
        """Return the user name, for a deleted user the last one."""
        return self.deleted_user_name if self.document is None else str(self.document.get("userName"))

    @property
    def acknowledged_name(self) -> str | None:
        """Return the name in Ditio, for a person without a user."""
        return " ".join(str(value) for name in _NAMES if (value := self.acknowledged.get(name))) or None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which people a listing has."""

    state: State | None = None
    reason: Reason | None = None
    department: str | None = None
    """As Entra sends it, in any case."""

    is_deleted: bool = False
    """People whose user Entra has deleted, instead of those who have one."""


def folded(text: str) -> str:
    """Return a text in the form in which names are searched (rule A8)."""
    return nfc(nfc(text).lower())


class Directory(Repository):
    """The people of one tenant by what they are called, within one transaction."""

    def exactly(self, text: str, phone: str | None) -> list[PersonId]:
        """Return people with this employee number, user name, phone or id, or who want this number or phone.

        :param phone: The text as a phone number in E.164; None if it is none.
        """
        known = (
            resources.c.user_name_key == user_name_key(text),
            resources.c.id == text,
            resources.c.external_id_key.in_([indexed(text), indexed(text.lower())]),
        )
        users = [select(resources.c.id).where(*self._of_users(None), each) for each in known]
        wanted = [(ClaimKind.employee_number, text), *([(ClaimKind.phone, phone)] if phone is not None else [])]
        found = [
            people.c.employee_number == text,
            *(people.c.user_id.in_(each) for each in users),
            *(people.c.id.in_(self._wanting(table, kind, value)) for table in _CLAIMS for kind, value in wanted),
            people.c.id == text,
        ]
        # One by one, as each has an index of its own.
        return _distinct(each for condition in found for each in self._ids(condition))

    def called(self, words: Sequence[str], limit: int) -> list[PersonId]:
        """Return people whose name, user name or e-mail contains each word, in any order, at most `limit`."""
        dialect = self._s.dialect
        folded_words = [folded(word) for word in words]
        # Nearly every name is part of a display name, so the names are read of the others alone.
        is_named = resources.c.user_name_key.is_not(None)  # The index of user names has these alone.
        ways: tuple[tuple[ColumnElement[bool] | TextClause, ...], ...] = (
            (is_named, *self._may_be_called(folded_words), *(self._is_in_column(each) for each in folded_words)),
            (HAS_OTHER_NAME[dialect], *(self._is_called(each) for each in folded_words)),
        )
        name = resources.c.user_name_key
        users = select(name, resources.c.id).where(*self._of_users(None)).order_by(name).limit(limit)
        found = {row.user_name_key: row.id for way in ways for row in self._connection.execute(users.where(*way))}
        return self._people_of([found[each] for each in sorted(found)[:limit]])

    def _may_be_called(self, words: Sequence[str]) -> Iterable[ColumnElement[bool]]:
        """Yield a condition on the longest word that SQLite finds in indexes: to read all rows takes far longer."""
        if self._s.dialect == "sqlite" and words:
            row: ColumnElement[int] = literal_column("rowid")
            sql, longest = json_sql("sqlite"), max(words, key=len)
            users = select(row).where(*self._of_users(None))
            yield row.in_(union_all(*(users.where(sql.contains(each, longest)) for each in _NAMED)))

    def _is_in_column(self, word: str) -> ColumnElement[bool]:
        sql = json_sql(self._s.dialect)
        return or_(*(sql.contains(each, word) for each in _NAMED))

    def _is_called(self, word: str) -> ColumnElement[bool]:
        """Return whether a name contains a word. All names are among the keys, whose JSON is parsed only if need be."""
        sql, keys = json_sql(self._s.dialect), resources.c["keys"]
        names = [sql.text(keys, ("name", part)) for part in ("givenName", "familyName")]
        is_part_of_name = and_(
            sql.may_contain(keys, ("name",), word), or_(*(sql.contains(each, word) for each in names))
        )
        return and_(sql.may_contain(keys, (), word), or_(self._is_in_column(word), is_part_of_name))

    def deleted(self, fits: Callable[[Listed], bool], limit: int) -> list[PersonId]:
        """Return people whose user Entra has deleted, and who fit, at most `limit`."""
        ids = self._ids(people.c.user_id.is_(None))
        return [each.id for each in islice(filter(fits, self.of(ids)), limit)]

    def page(self, choice: Choice, limit: int, *, after: PersonId | None = None) -> list[PersonId]:
        """Return the next people, by user name; those whose user Entra has deleted by id.

        The cost is that of a few pages, however many people there are.

        :param after: The last person of the previous page.
        """
        if choice.is_deleted:
            query = select(people.c.id).where(people.c.user_id.is_(None), people.c.id > (after or ""))
            query = query.where(*self._in_state(choice)).order_by(people.c.id)
            return [PersonId(row.id) for row in self._connection.execute(query.limit(limit))]
        which = [*self._of_users(choice.department), resources.c.user_name_key > self._name_of(after)]
        if choice.state is not None or choice.reason is not None:
            some = select(people.c.user_id).where(*self._in_state(choice), people.c.user_id.is_not(None))
            few = self._connection.execute(some.limit(FEW + 1)).scalars().all()
            # Few are sorted. Among many, the next ones are found soon on the way through all names.
            is_one = some.where(people.c.user_id == resources.c.id).exists()
            which.append(is_one if len(few) > FEW else resources.c.id.in_(few))
        named = select(resources.c.id).where(*which).order_by(resources.c.user_name_key).limit(limit)
        return self._people_of(self._connection.execute(named).scalars().all())

    def _people_of(self, users: Sequence[str]) -> list[PersonId]:
        """Return the people of some users, in their order."""
        query = select(people.c.id, people.c.user_id).where(people.c.tenant == self._tenant)
        rows = self._connection.execute(query.where(people.c.user_id.in_(users)))
        ids = {row.user_id: PersonId(row.id) for row in rows}
        return [ids[each] for each in users if each in ids]

    def _in_state(self, choice: Choice) -> list[ColumnElement[bool]]:
        which = [people.c.tenant == self._tenant]
        if choice.state is not None:
            which.append(people.c.state == choice.state)
        if choice.reason is not None:
            which.append(people.c.reason == choice.reason)
        return which

    def _name_of(self, person_id: PersonId | None) -> str:
        """Return the user name of a person, as names are sorted; before all others without a person."""
        if person_id is None:
            return ""
        query = select(resources.c.user_name_key).join(people, _IS_USER)
        found = self._connection.execute(query.where(people.c.tenant == self._tenant, people.c.id == person_id))
        return str(found.scalar_one_or_none() or "")

    def departments(self, most: int) -> list[str]:
        """Return the departments of users as Entra sent them, sorted, at most so many. Each costs one look-up."""
        key = DepartmentKey()
        of_us = self._of_users(None)
        first = select(func.min(key).label("key")).where(*of_us)
        found = first.cte("found", recursive=True)
        following = select(func.min(key)).where(*of_us, key > found.c.key).correlate(found).scalar_subquery()
        found = found.union_all(select(following).where(found.c.key.is_not(None)))
        keys = self._connection.execute(select(found.c.key).where(found.c.key.is_not(None)).limit(most)).scalars().all()
        spelled = [
            self._connection.execute(
                select(resources.c.document).where(*self._of_users(each)).order_by(resources.c.user_name_key).limit(1)
            ).scalar_one()
            for each in keys
        ]
        return [department for document in spelled if (department := department_of(json.loads(document)))]

    def _of_users(self, department: str | None) -> list[ColumnElement[bool]]:
        which = [resources.c.tenant == self._tenant, resources.c.resource_type == "User"]
        return which if department is None else [*which, DepartmentKey() == folded(department)[:KEY_LETTERS]]

    def of(self, person_ids: Collection[PersonId]) -> Iterable[Listed]:
        """Yield people in the order of their ids given; ids of forgotten people are left out."""
        ids = list(person_ids)
        for begin in range(0, len(ids), CHUNK):
            chunk = ids[begin : begin + CHUNK]
            query = (
                select(people, resources.c.document)
                .outerjoin(resources, _IS_USER)
                .where(people.c.tenant == self._tenant, people.c.id.in_(chunk))
            )
            rows = {row.id: row for row in self._connection.execute(query)}
            gone = [PersonId(row.id) for row in rows.values() if row.document is None]
            known = Acknowledgements(self._s).of_many(gone) if gone else {}
            for each in chunk:
                if each in rows:
                    yield _listed(rows[each], dict(known[each].values) if each in known else {})

    def _ids(self, condition: ColumnElement[bool]) -> list[PersonId]:
        # Sorted here: for the order by id alone, SQLite would read all people instead of the index of the condition.
        query = select(people.c.id).where(people.c.tenant == self._tenant, condition)
        return sorted(PersonId(row.id) for row in self._connection.execute(query))

    def _wanting(self, table: Any, kind: ClaimKind, value: str) -> Any:
        return select(table.c.person_id).where(
            table.c.tenant == self._tenant, table.c.kind == kind, table.c.value == value
        )


_CLAIMS = (claims, claim_waiters)

_NAMED = (resources.c.user_name_key, resources.c.display_name_key, resources.c.work_email_key)
"""What people are called, in columns; each has an index."""

_IS_USER = and_(resources.c.tenant == people.c.tenant, resources.c.id == people.c.user_id)


def department_of(document: JsonObject) -> str | None:
    """Return a user's department, as Entra sent it."""
    enterprise = document.get(ENTERPRISE)
    department = enterprise.get("department") if isinstance(enterprise, dict) else None
    return str(department) if department else None


def _distinct(ids: Iterable[PersonId]) -> list[PersonId]:
    return list(dict.fromkeys(ids))


def _listed(row: Row[Any], acknowledged: dict[Field, Value | None]) -> Listed:
    return Listed(
        id=PersonId(row.id),
        document=json.loads(row.document) if row.document is not None else None,
        deleted_user_name=row.deleted_user_name,
        employee_number=EmployeeNumber(row.employee_number) if row.employee_number else None,
        state=State(row.state),
        reason=reason_of(row.reason),
        detail=row.detail,
        is_active=row.active,
        external_id=row.external_id,
        acknowledged=acknowledged,
    )
