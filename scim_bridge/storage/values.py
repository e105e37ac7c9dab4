"""Field values as JSON that keeps their type: a day stays a day."""

from datetime import date

from scim_bridge.domain.employee import Value

Stored = str | int | dict[str, str] | None


def to_stored(value: Value | None) -> Stored:
    """A value as JSON; a day as ``{"day": "2026-03-01"}``."""
    return {"day": value.isoformat()} if isinstance(value, date) else value


def from_stored(stored: Stored) -> Value | None:
    """The value again."""
    return date.fromisoformat(stored["day"]) if isinstance(stored, dict) else stored
