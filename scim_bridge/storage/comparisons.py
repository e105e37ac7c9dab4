"""One comparison of a SCIM filter as SQL."""

from collections.abc import Callable
from datetime import MINYEAR, UTC, datetime, time
from inspect import isclass
from typing import Any

from scim2_models import BaseModel, InvalidFilterException
from scim2_models.path import STRING_OPERATORS, AttributeBinding, CompareOperator, coerce_value
from sqlalchemy import (
    ColumnElement,
    Date,
    and_,
    false,
    func,
    not_,
    or_,
    true,
)

from scim_bridge.domain.values import Key, comparable_key
from scim_bridge.storage.json_sql import JsonSql
from scim_bridge.storage.tables import UtcDateTime

_ORDERS: dict[CompareOperator, Callable[[Any, Any], ColumnElement[bool]]] = {
    CompareOperator.gt: lambda one, other: one > other,
    CompareOperator.ge: lambda one, other: one >= other,
    CompareOperator.lt: lambda one, other: one < other,
    CompareOperator.le: lambda one, other: one <= other,
}


def is_complex(binding: AttributeBinding) -> bool:
    """Return whether the attribute that is compared has sub-attributes."""
    return isclass(binding.target_type) and issubclass(binding.target_type, BaseModel)


def is_number(binding: AttributeBinding) -> bool:
    """Return whether the attribute's keys are numbers; all other keys are text."""
    return binding.target_type in (int, float)


def operand_of(binding: AttributeBinding, value: Any, op: CompareOperator) -> Any:
    """Return the value to compare an attribute with, in the attribute's type and folded like its keys.

    :raises InvalidFilterException: when the value does not have the attribute's type, or can't be stored.
    """
    operand = binding.comparable(coerce_value(binding, value, op))
    if isinstance(operand, str):
        refuse_unstorable(operand)
    return _in_utc(operand) if isinstance(operand, datetime) and operand.tzinfo is not None else operand


def _in_utc(moment: datetime) -> datetime:
    """Return an instant in UTC, or the first or last one there is, if its time zone leads outside the calendar."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return (datetime.min if moment.year == MINYEAR else datetime.max).replace(tzinfo=UTC)


def refuse_unstorable(text: str) -> None:
    """Refuse characters that no database stores as text: NUL, and half a surrogate pair.

    :raises InvalidFilterException: rule A7.
    """
    if "\x00" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise InvalidFilterException(
            detail="the filter compares with text that contains NUL or another character that can't be stored: "
            "send the text without it"
        )


def compare(
    sql: JsonSql, actual: ColumnElement[Any], op: CompareOperator, operand: Any, binding: AttributeBinding
) -> ColumnElement[bool]:
    """Return the condition that compares one value with an operand of `operand_of`."""
    if operand is None:
        return _compare_null(actual, op)
    if is_complex(binding):
        return true() if op == CompareOperator.ne else false()
    if op in STRING_OPERATORS:
        return _compare_part(sql, actual, op, operand, binding)
    if isinstance(operand, datetime) and operand.tzinfo is None:
        # An instant without a zone is neither before, nor after, nor the same as one with a zone.
        return true() if op == CompareOperator.ne else false()
    if isinstance(actual.type, Date):
        return _compare_day(actual, op, operand)
    key: Key | datetime | None = operand if isinstance(actual.type, UtcDateTime) else comparable_key(operand)
    if op == CompareOperator.eq:
        return and_(actual.is_not(None), actual == key)
    if op == CompareOperator.ne:
        return or_(actual.is_(None), actual != key)
    return and_(actual.is_not(None), _ORDERS[op](actual, key))


def null_matches(op: CompareOperator, operand: Any) -> bool:
    """Return the result of a comparison with a missing value."""
    return operand is None if op == CompareOperator.eq else op == CompareOperator.ne and operand is not None


def is_filled(actual: ColumnElement[Any], binding: AttributeBinding) -> ColumnElement[bool]:
    """Return whether a simple value satisfies `pr`: empty text does not."""
    if isclass(binding.target_type) and issubclass(binding.target_type, str | bytes):
        return and_(actual.is_not(None), actual != "")
    return actual.is_not(None)


def _compare_null(actual: ColumnElement[Any], op: CompareOperator) -> ColumnElement[bool]:
    if op == CompareOperator.eq:
        return actual.is_(None)
    return actual.is_not(None) if op == CompareOperator.ne else false()


def _compare_day(actual: ColumnElement[Any], op: CompareOperator, operand: datetime) -> ColumnElement[bool]:
    """Compare a day, which stands for midnight UTC at its beginning. :param operand: An instant in UTC."""
    day, is_midnight = operand.date(), operand.time() == time()
    match op:
        case CompareOperator.eq:
            found = actual == day if is_midnight else false()
        case CompareOperator.ne:
            return or_(actual.is_(None), actual != day) if is_midnight else true()
        case CompareOperator.lt | CompareOperator.ge:
            # The day of an instant after midnight began before that instant.
            is_before = actual < day if is_midnight else actual <= day
            found = is_before if op == CompareOperator.lt else not_(is_before)
        case _:
            found = actual <= day if op == CompareOperator.le else actual > day
    return and_(actual.is_not(None), found)


def _compare_part(
    sql: JsonSql, actual: ColumnElement[Any], op: CompareOperator, operand: Any, binding: AttributeBinding
) -> ColumnElement[bool]:
    """Compare with `co`, `sw` or `ew`, without LIKE, so that no character of the operand is a wildcard."""
    is_text = isclass(binding.target_type) and issubclass(binding.target_type, str)
    if not is_text or not isinstance(operand, str):
        return false()
    if operand == "":
        return actual.is_not(None)
    if op == CompareOperator.co:
        found = sql.contains(actual, operand)
    elif op == CompareOperator.sw:
        found = func.substr(actual, 1, len(operand)) == operand
    else:
        # Without the length check, text shorter than the operand would be compared as a whole.
        start = func.length(actual) - len(operand) + 1
        found = and_(func.length(actual) >= len(operand), func.substr(actual, start) == operand)
    return and_(actual.is_not(None), found)
