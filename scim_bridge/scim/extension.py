"""The Ditio extension of a SCIM User: what Entra can send flat, and how far delivery has come.

Sources: RFC 7643 §7 (schemas), Entra's rule that custom attributes are flat and single-valued.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from scim2_models import Extension, Schema

from scim_bridge.scim.reading import DITIO_URN

NAME = "DitioUser"
"""The extension's class name, under which a resource holds it."""

EMPTY: Mapping[str, str] = MappingProxyType({})

DELIVERY_ATTRIBUTES = ("deliveryState", "deliveryDetail", "deliveredAt")
"""Read-only, made by the bridge: never stored with the document, and ignored when sent (rule A6)."""


def ditio_extension(slots: Mapping[str, str] = EMPTY) -> type[Extension]:
    """Build the extension from its schema, as `/Schemas` publishes it.

    :param slots: The attributes that carry certificates, and what each is; their names are not looked at here.
    """
    schema = {
        "id": DITIO_URN,
        "name": NAME,
        "description": "What Ditio needs to know of a user, and how far the delivery to Ditio has come",
        "attributes": [
            # Dates are text: they come back as they were sent, and rule T1 says how they are read.
            _sent("birthDate", "The day of birth, as yyyy-MM-dd"),
            _sent("employmentStartDate", "The first working day, as yyyy-MM-dd"),
            _sent("employmentEndDate", "The last working day, as yyyy-MM-dd"),
            _sent("payroll", "Ditio's payroll number of the employment: 0, 1 or 2"),
            *(_sent(name, description) for name, description in slots.items()),
            _made(
                "deliveryState",
                "string",
                "How far the delivery of this user to Ditio has come",
                canonicalValues=["delivered", "due", "held", "parked"],
            ),
            # Its words are Ditio's and ours: compared exactly, so that both databases agree.
            _made("deliveryDetail", "string", "Why, in words for the administrator", caseExact=True),
            _made("deliveredAt", "dateTime", "When Ditio last took this user"),
        ],
    }
    return Extension.from_schema(Schema.model_validate(schema))


def _sent(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "type": "string", "multiValued": False, "description": description}


def _made(name: str, kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "multiValued": False,
        "description": description,
        "mutability": "readOnly",
        **more,
    }
