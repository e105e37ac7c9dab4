"""A resource type that publishes its schema, and keeps the values of it that the library would refuse or change.

The library takes an `external` reference only if it is a URI, and reads binary values from their base64 and writes them
again. Of a person in Entra neither may cost more than the value deserves: a link without `https://` is kept as it was
sent (rule A6), and the departure counted (`conform`).
"""

from typing import Any

from scim2_models import AnyExtension, Attribute, CaseExact, Resource, Schema

Kind = Attribute.Type


def as_sent(published: Schema) -> type[Resource[Any]]:
    """The model of a schema that reads and writes references to elsewhere, and binary values, as plain text."""
    read = published.model_copy(deep=True)
    _plain(read.attributes)

    class AsSent(Resource[AnyExtension]):
        """What the model is built on: the schema that it tells others is the published one."""

        @classmethod
        def to_schema(cls) -> Schema:
            return published.model_copy(deep=True)

    return AsSent.from_schema(read)


def _plain(attributes: list[Attribute] | None) -> None:
    for each in attributes or []:
        if each.type == Kind.binary or (each.type == Kind.reference and each.reference_types == ["external"]):
            # Both compare exactly (RFC 7643 §2.3.6, §2.3.7).
            each.type, each.reference_types, each.case_exact = Kind.string, None, CaseExact.true
        _plain(each.sub_attributes)
