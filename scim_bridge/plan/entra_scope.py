"""The scoping filter of Entra's mapping: which users it lets through, as far as that can be judged."""

from scim_bridge.domain.entra_people import DirectoryUser
from scim_bridge.domain.values import JsonObject

Clause = tuple[str, str, tuple[str, ...]]
"""An attribute, an operator, and values."""

Scope = tuple[tuple[Clause, ...], ...]
"""A scoping filter: one of its groups has to hold, and of a group every clause."""


UNKNOWN: Clause = ("", "", ())
"""A clause that can't be judged."""


def scope_of(schema: JsonObject) -> Scope:
    """Return the scoping filter of the mapping of users; empty where there is none."""
    for rule in _objects(schema.get("synchronizationRules")):
        for mapping in _objects(rule.get("objectMappings")):
            if str(mapping.get("sourceObjectName")).casefold() == "user" and mapping.get("enabled") is True:
                scope = mapping.get("scope")
                groups = _objects(scope.get("groups")) if isinstance(scope, dict) else []
                found = (tuple(map(_clause, _objects(group.get("clauses")))) for group in groups)
                # Which users a group without a clause lets through is not documented.
                return tuple(group or (UNKNOWN,) for group in found)
    return ()


def _clause(document: JsonObject) -> Clause:
    operand = document.get("targetOperand")
    values = operand.get("values") if isinstance(operand, dict) else None
    return (
        str(document.get("sourceOperandName") or ""),
        str(document.get("operatorName") or "").upper().replace("_", " "),
        tuple(map(str, values)) if isinstance(values, list) else (),
    )


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def passes(scope: Scope, user: DirectoryUser) -> bool | None:
    """Return whether a filter lets a user through; None where that can't be judged."""
    if not scope:
        return True
    groups = [_every([_holds(clause, user) for clause in group]) for group in scope]
    return True if True in groups else None if None in groups else False


def _every(held: list[bool | None]) -> bool | None:
    return False if False in held else None if None in held else True


def _holds(clause: Clause, user: DirectoryUser) -> bool | None:
    attribute, operator, values = clause
    if attribute not in user.values:
        return None
    value = user.values[attribute]
    if value in ("true", "false"):
        values = tuple(each.casefold() for each in values)
    match operator:
        case "EQUALS" | "IN":
            return value in values
        case "NOT EQUALS":
            return value not in values
        case "IS NULL":
            return value is None
        case "IS NOT NULL":
            return value is not None
    return None
