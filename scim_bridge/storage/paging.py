"""The order of a search, and pages by cursor (RFC 9865, RFC 7644 §3.4.2.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any

from scim2_models import InvalidCursorException, SearchRequest
from scim2_models.path import AttributeBinding
from sqlalchemy import (
    ColumnElement,
    Date,
    Float,
    Row,
    Select,
    and_,
    case,
    cast,
    false,
    func,
    not_,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.types import TypeEngine

from scim_bridge.storage.comparisons import is_number
from scim_bridge.storage.filters import Model, key_path, part_path, value_at
from scim_bridge.storage.json_sql import Columns, JsonSql
from scim_bridge.storage.tables import UtcDateTime, exact_text, resources

Value = str | float | datetime | date | None

_FORWARD, _BACKWARD = "next", "previous"


@dataclass(frozen=True, slots=True)
class Place:
    """The place where a page begins or ends: next to a resource that is not on that page."""

    value: Value
    """The sort value of that resource; None if it has none, or nothing is sorted."""

    id: str
    is_backward: bool = False
    """Whether the page ends here, instead of beginning here."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order in which no two resources are equal."""

    value: ColumnElement[Any] | None
    """The first sort key, with missing values last; None to sort by the tie-breaker only."""

    tie: ColumnElement[Any]
    """The tie-breaker for equal values: the id, never NULL."""

    is_descending: bool = False

    def columns(self, *, from_behind: bool = False) -> list[ColumnElement[Any]]:
        """Return the columns to sort a statement by."""
        columns = [self.tie] if self.value is None else [self.value.is_(None), self.value, self.tie]
        return [each.desc() for each in columns] if self.is_descending != from_behind else columns

    def reaches(self, place: Place) -> ColumnElement[bool]:
        """Return a condition: whether a resource is after a place, or before it on the way back. It is never NULL."""
        return self._above(place) if self.is_descending == place.is_backward else self._below(place)

    def _above(self, place: Place) -> ColumnElement[bool]:
        tie = self.tie > place.id
        if self.value is None:
            return tie
        if place.value is None:
            return and_(self.value.is_(None), tie)
        return or_(self.value.is_(None), self.value > place.value, and_(self.value == place.value, tie))

    def _below(self, place: Place) -> ColumnElement[bool]:
        tie = self.tie < place.id
        if self.value is None:
            return tie
        if place.value is None:
            return or_(self.value.is_not(None), tie)
        below = or_(self.value < place.value, and_(self.value == place.value, tie))
        return and_(self.value.is_not(None), below)


@dataclass(frozen=True, slots=True)
class Window:
    """One page in an order: `limit` resources after a place, or before it; without a place, the first ones."""

    order: Order
    place: Place | None
    limit: int | None

    def statement(self, matching: Select[Any], others: Select[Any], total: ColumnElement[int]) -> Select[Any]:
        """Return the statement for the page, with the columns that `turned` and the caller need.

        :param matching: The resources that match, on all pages.
        :param others: The same, to look for one on the near side of the place.
        :param total: How many match; the column `total` of each row.
        """
        order, far = self.order, self._far()
        near = others.where(not_(far)).correlate(None).exists() if self.place is not None else false()
        sort_value = null() if order.value is None else order.value
        page = matching.where(far).order_by(*order.columns(from_behind=self._is_backward))
        if self.limit is not None:
            # One more row shows whether there is another page.
            page = page.limit(self.limit + 1)
        return page.add_columns(sort_value.label("sort_value"), near.label("has_near"), total.label("total"))

    def turned(
        self, rows: Sequence[Row[Any]], *, is_cut: bool = False
    ) -> tuple[list[Row[Any]], Place | None, Place | None]:
        """Return the rows of the page in order, the place where the next page begins, and where the previous one ends.

        :param is_cut: Whether more rows follow that were too large for this page.
        """
        shown = list(rows[: self.limit])
        has_far, has_near = is_cut or len(rows) > len(shown), bool(rows[0].has_near)
        if self._is_backward:
            shown.reverse()
        has_next, has_previous = (has_near, has_far) if self._is_backward else (has_far, has_near)
        return (
            shown,
            Place(shown[-1].sort_value, shown[-1].id) if has_next else None,
            Place(shown[0].sort_value, shown[0].id, is_backward=True) if has_previous else None,
        )

    @property
    def _is_backward(self) -> bool:
        return self.place is not None and self.place.is_backward

    def _far(self) -> ColumnElement[bool]:
        return true() if self.place is None else self.order.reaches(self.place)


def position_of(place: Place | None) -> list[str | float | None] | None:
    """Return a place as JSON. It is short, because it is sent in a URL."""
    if place is None:
        return None
    value = place.value.isoformat() if isinstance(place.value, date) else place.value
    return [_BACKWARD if place.is_backward else _FORWARD, value, place.id]


def place_at(position: object, order: Order) -> Place | None:
    """Return the place of a position; None is the beginning.

    :raises InvalidCursorException: when it is not a position in this order.
    """
    match position:
        case None:
            return None
        case [("next" | "previous") as direction, value, str(resource_id)] if _can_be_asked(resource_id):
            return Place(_value_of(value, order), resource_id, direction == _BACKWARD)
    raise InvalidCursorException


def _value_of(value: object, order: Order) -> Value:
    """Return the sort value of a position, in the type of the order."""
    kind: TypeEngine[Any] | None = None if order.value is None else order.value.type
    match value:
        case None:
            return None
        case float() if isinstance(kind, Float) and isfinite(value):
            return value
        case str() if isinstance(kind, UtcDateTime):
            return _instant(value)
        case str() if isinstance(kind, Date):
            return _day(value)
        case str() if kind is not None and not isinstance(kind, Float) and _can_be_asked(value):
            return value
    raise InvalidCursorException


def _instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidCursorException from exc
    raise InvalidCursorException


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as exc:
        raise InvalidCursorException from exc


def _can_be_asked(text: str) -> bool:
    """Return whether both databases accept the text: they refuse NUL and half a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


MAX_SORTED_CHARACTERS = 100
"""How many characters of a text are sorted by. With only characters beyond U+FFFF, a cursor has 1,900 characters."""


def order_of(search_request: SearchRequest[Any], models: dict[str, Model], sql: JsonSql, columns: Columns) -> Order:
    """Return the order of a search over resource types. :param models: The models of the types, by name."""
    # With a filter, the database has to find first and sort afterwards: it would read all of the index on the id
    # for a filter that finds little.
    tie: ColumnElement[Any] = resources.c.id if search_request.filter is None else resources.c.id + ""
    if search_request.sort_by is None:
        return Order(None, tie)
    values = []
    for name, model in models.items():
        binding = search_request.sort_binding(model)
        if binding is not None:
            values.append((resources.c.resource_type == name, _sort_value(binding, sql, columns)))
    is_descending = search_request.sort_order == SearchRequest.SortOrder.descending
    if not values:
        return Order(None, tie, is_descending)
    return Order(values[0][1] if len(models) == 1 else case(*values), tie, is_descending)


def _sort_value(binding: AttributeBinding, sql: JsonSql, columns: Columns) -> ColumnElement[Any]:
    """Return the sort value of a resource, as text, number or instant."""
    value = columns[binding.urn] if binding.urn in columns else _value(binding, sql)
    if isinstance(value.type, UtcDateTime):
        return value
    if is_number(binding):
        # SQLite may give whole numbers, and PostgreSQL never does.
        return cast(value, Float)
    # Cut by characters, because half a character is not valid text. Compared byte by byte, as Python sorts text.
    return cast(func.substr(value, 1, MAX_SORTED_CHARACTERS), exact_text())


def _value(binding: AttributeBinding, sql: JsonSql) -> ColumnElement[Any]:
    """Return the value in the keys; of several entries, that of the primary one, or else of the first."""
    path, part = key_path(binding), part_path(binding)
    if not binding.is_multivalued:
        return value_at(sql, resources.c["keys"], path + part, binding)
    entries = sql.entries(resources.c["keys"], path)
    order = [entries.position]
    if binding.sub_field_name is not None:
        is_primary = sql.text(entries.entry, ("primary",)) == "true"
        order = [case((is_primary, 0), else_=1), entries.position]
    value = select(value_at(sql, entries.entry, part, binding)).select_from(entries.rows)
    return value.order_by(*order).limit(1).scalar_subquery()
