"""Quirks: tolerated departures of a client from the RFCs, by kind and name, never with values (rule A7)."""

import re
from enum import StrEnum
from typing import NamedTuple

LONGEST_NAME = 200
"""How many characters of a name are kept: an attribute's URN and its own name fit."""

MOST_NAMES = 200
"""How many different quirks of one request are counted apart; a request with more is not a mistake but an attack."""

OTHERS = "(others)"
"""The one name under which the rest is counted."""


class QuirkKind(StrEnum):
    """Kinds of tolerated departures from RFC 7643 and RFC 7644."""

    # Left out: no part of it is stored.
    unknown_attribute = "unknown-attribute"
    """An attribute that no schema here declares."""
    unknown_path = "unknown-path"
    """A PATCH operation on such an attribute."""
    unknown_schema = "unknown-schema"
    """A schema that isn't served here: in `schemas`, or as the key of an extension."""
    unusable_filter = "unusable-filter"
    """A key with a filter in brackets that does not say which entry is meant."""
    unusable_value = "unusable-value"
    """A value that isn't of the declared type, of an attribute that no employee depends on."""
    read_only = "read-only"
    """A PATCH of an attribute that only the bridge may set; POST and PUT may carry them (RFC 7644 §3.3)."""

    # Another type than the declared one.
    text_for_boolean = "text-for-boolean"
    number_for_boolean = "number-for-boolean"
    number_for_text = "number-for-text"
    boolean_for_text = "boolean-for-text"
    text_for_reference = "text-for-reference"
    """A text that is no URI where a reference is declared."""
    text_for_binary = "text-for-binary"
    """A text that is no base64 where binary is declared."""

    # Another form than the declared one.
    bare_value = "bare-value"
    """A value alone where `{"value": …}` is declared: a manager above all."""
    list_for_single = "list-for-single"
    """A list of one around a single value."""
    object_for_single = "object-for-single"
    """`{"value": …}` around a single value."""
    single_for_list = "single-for-list"
    """A value alone where a list is declared."""
    empty_text = "empty-text"
    """`""` to clear an attribute."""
    several_primary = "several-primary"
    """More than one entry of an attribute that is primary (RFC 7643 §2.4)."""

    # Keys and paths.
    dotted_key = "dotted-key"
    """`name.givenName` as a key."""
    filtered_key = "filtered-key"
    """`emails[type eq "work"].value` as a key."""
    qualified_key = "qualified-key"
    """An attribute's name with its schema before it as a key."""
    core_schema_key = "core-schema-key"
    """The core attributes within an object under their own schema."""
    dotted_urn = "dotted-urn"
    """A dot between the schema and the attribute's name, in a key or a path; RFC 7644 §3.10 has a colon there."""
    short_name = "short-name"
    """An attribute of an extension without its schema, in a key or a path: `manager` in Microsoft's documents."""
    schema_path = "schema-path"
    """A schema alone as the path of an operation."""
    empty_path = "empty-path"
    """A path that is `""` or null, instead of none."""

    # The request as a whole.
    unlisted_schema = "unlisted-schema"
    """A schema that `schemas` should have named (RFC 7643 §3), but did not."""
    capital_operation = "capital-operation"
    """`Add`, `Replace`, `Remove`: RFC 7644 §3.5.2 writes them small."""
    no_operations = "no-operations"
    """A PATCH with an empty list of operations, which changes nothing."""
    value_with_remove = "value-with-remove"
    """A remove that carries what it removes (RFC 7644 §3.5.2.2 knows the path only)."""
    entry_created = "entry-created"
    """A filter in a path that no entry met, so that one was made (RFC 7644 §3.5.2.3: `noTarget`)."""


class Quirk(NamedTuple):
    """One departure: its kind, and the name of the attribute, path or schema."""

    kind: QuirkKind
    name: str


class Tolerated:
    """Collects the quirks of one request, each kind and name once."""

    def __init__(self) -> None:
        self._found: dict[Quirk, None] = {}

    def add(self, kind: QuirkKind, name: str) -> None:
        """Note a quirk. `name` may be a path: a part that could be a value is cut off."""
        toleration = Quirk(kind, _without_values(name))
        if len(self._found) >= MOST_NAMES and toleration not in self._found:
            toleration = Quirk(kind, OTHERS)
        self._found[toleration] = None

    @property
    def found(self) -> tuple[Quirk, ...]:
        """Return all quirks, in the order in which they came."""
        return tuple(self._found)


def _without_values(name: str) -> str:
    """Return a name that a log line and a listing can show.

    A filter in brackets, and any text after a space, a quotation mark or an @, may be a value: personal data.
    """
    # Not by a regular expression: for each of many unclosed brackets it would search the whole rest.
    bare, bracket, rest = name.strip().partition("[")
    if bracket and "]" in rest:
        bare += "[]" + rest.rpartition("]")[2]
    bare = re.sub(r"""(?:\[(?!\])|[\s"'=]|(?<!^)@).*""", "", bare, flags=re.DOTALL)
    return bare[:LONGEST_NAME] or "(no name)"
