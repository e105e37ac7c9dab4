"""The form in which values are compared by a database: text that orders as the values do, or a number."""

import base64
from datetime import UTC, datetime

Key = str | int | float


def comparable_key(value: object) -> Key | None:
    """A value in the form in which keys are stored and looked up; text is taken as it is.

    A boolean becomes `true` or `false`; an instant ISO text in UTC of fixed width, so that the order of the
    text is the order of time; bytes become base64.

    :raises TypeError: when the value is not a simple one.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            moment = value.astimezone(UTC) if value.tzinfo else value
            # Not strftime, which leaves out the zeros before a year of less than four digits.
            return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case str():
            return str(value)
        case int() | float() | None:
            return value
    raise TypeError(f"a {type(value).__name__} can't be compared")
