"""What each tolerated departure of a client from the RFCs means, and what to do about it."""

from collections.abc import Mapping

from scim_bridge.scim.quirks import QuirkKind

_NO_MAPPING = "left out, the person is delivered without it: remove the attribute mapping in Entra, or leave it"
_TYPE = "understood, nothing to do"
_FLAG = "understood; with ?aadOptscim062020 after the Tenant URL Entra follows the RFC here"

MEANINGS: Mapping[str, str] = {
    QuirkKind.unknown_attribute: f"an attribute that no schema declares; {_NO_MAPPING}",
    QuirkKind.unknown_path: f"a PATCH of an attribute that no schema declares; {_NO_MAPPING}",
    QuirkKind.unknown_schema: "a schema that the bridge doesn't have; left out: check the URN in the attribute mapping",
    QuirkKind.unusable_filter: "a filter in brackets that doesn't select one entry; left out: "
    'write the target as emails[type eq "work"].value',
    QuirkKind.unusable_value: "a value of another type than declared, not needed for the employee; "
    "left out: correct the expression in the attribute mapping",
    QuirkKind.read_only: "only the bridge sets this attribute; ignored: remove the attribute mapping in Entra",
    QuirkKind.text_for_boolean: f'"True" or "False" as a text, nothing to do: {_FLAG}',
    QuirkKind.number_for_boolean: f"1 or 0 for true or false; {_TYPE}",
    QuirkKind.number_for_text: f"a number where a text is declared; kept as the text of its digits: {_TYPE}",
    QuirkKind.boolean_for_text: f"true or false where a text is declared; kept as a text: {_TYPE}",
    QuirkKind.text_for_reference: "not a URL; kept as it was sent: correct the source in Entra if it matters",
    QuirkKind.text_for_binary: "not base64; kept as it was sent: correct the source in Entra if it matters",
    QuirkKind.bare_value: 'a value alone, as a manager\'s id, instead of {"value": …}; ' + _TYPE,
    QuirkKind.list_for_single: f"a list around a single value; {_TYPE}",
    QuirkKind.object_for_single: 'an object {"value": …} around a single value; ' + _TYPE,
    QuirkKind.single_for_list: f"one value where a list is declared; {_TYPE}",
    QuirkKind.empty_text: 'cleared with ""; the attribute is gone, nothing to do',
    QuirkKind.several_primary: "several primary entries; the first stays primary: mark one in the mapping",
    QuirkKind.dotted_key: f"a path such as name.givenName as a key; {_TYPE}",
    QuirkKind.filtered_key: f'a path such as emails[type eq "work"].value as a key; {_TYPE}',
    QuirkKind.qualified_key: f"an attribute with its schema before it as a key; {_TYPE}",
    QuirkKind.core_schema_key: f"core attributes under the key of their own schema; {_TYPE}",
    QuirkKind.dotted_urn: "a dot between schema and attribute; read as a colon: write a colon in the attribute mapping",
    QuirkKind.short_name: "an attribute of an extension without its schema; understood, nothing to do",
    QuirkKind.schema_path: f"a PATCH of a whole schema; {_TYPE}",
    QuirkKind.empty_path: f"an empty path in a PATCH; treated as none: {_TYPE}",
    QuirkKind.unlisted_schema: f"a schema that is used but not listed in schemas; {_TYPE}",
    QuirkKind.capital_operation: f"an operation with a capital letter; {_FLAG}",
    QuirkKind.no_operations: "a PATCH with an empty list of operations; nothing was changed, nothing to do",
    QuirkKind.value_with_remove: "a remove that lists what it removes; only that is removed, nothing to do",
    QuirkKind.entry_created: "no entry matched the filter in the path; one was created, nothing to do",
}
"""The meaning of each kind, for the administrator."""
