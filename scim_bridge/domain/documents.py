"""JSON documents and the ids that name them."""

from typing import NewType

JsonObject = dict[str, object]
"""A JSON object as parsed; what is inside is checked by whoever reads it."""

UserId = NewType("UserId", str)
"""The ``id`` of a SCIM User (RFC 7643 §3.1), made by the bridge."""

CERTIFICATE = "Certificate"
"""The resource type of `/Certificates`, whose resources are entries of the ledger and no documents."""

CERTIFICATE_URN = "urn:ietf:params:scim:schemas:ditio:2.0:Certificate"
