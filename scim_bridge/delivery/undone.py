"""What Entra is told of a write that Ditio refused and that was taken back (rule R1)."""

from dataclasses import dataclass

from scim_bridge.delivery.calls import Errand
from scim_bridge.delivery.outcome import Refusal, printable
from scim_bridge.domain.employee import Field

LONGEST_WHY = 600
"""Characters of what was refused; attribute and cure come after it, and must not be cut off."""

LONGEST_VALUE = 100


@dataclass(frozen=True, slots=True)
class Undone:
    """A write that was taken back, in words for Entra's provisioning log."""

    detail: str
    """What was refused, the attribute, and the cure."""

    is_duplicate: bool
    attribute: str
    """The SCIM attribute at fault; empty where none is known."""

    value: str


def undone_of(refusals: list[Refusal], errand: Errand, *, is_creation: bool) -> Undone:
    """What was refused, the attribute and the cure, in one text that fits."""
    fields = tuple(dict.fromkeys(name for each in refusals for name in each.fields))
    why = "; ".join(dict.fromkeys(each.text for each in refusals))
    cures = "; ".join(dict.fromkeys(each.cure for each in refusals))
    kept = "Nothing of this user was stored" if is_creation else "All of this change was undone"
    why = _cut(why, LONGEST_WHY).rstrip(".")
    detail = f"{why}. {_at_fault(errand, fields)}. {cures}. {kept}; Entra tries again by itself"
    first = fields[0] if fields else None
    return Undone(
        detail=printable(detail),
        is_duplicate=all(each.is_duplicate for each in refusals),
        attribute=_attribute(errand, first) if first else "",
        value=_value(errand, first) if first else "",
    )


def _at_fault(errand: Errand, fields: tuple[Field, ...]) -> str:
    if not fields:
        return "Ditio names no field"
    named = [f'{_attribute(errand, name)} "{_value(errand, name)}" (in Ditio: {name.value})' for name in fields]
    return f"The attribute is {named[0]}" if len(named) == 1 else f"The attribute is one of {', '.join(named)}"


def _attribute(errand: Errand, name: Field) -> str:
    """The SCIM attribute that the value came from, else the first that it could come from."""
    rule = errand.tenant.rules.by_field[name]
    return errand.wish.sources.get(name) or rule.sources[0].text


def _value(errand: Errand, name: Field) -> str:
    value = errand.wish.values.get(name)
    return _cut("" if value is None else str(value), LONGEST_VALUE)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"
