"""The body that carries a certificate to Ditio (Ditio "Certificates (v4)"; rules K5, K6)."""

from datetime import date

from scim_bridge.domain.certificate import Shipment
from scim_bridge.domain.values import JsonObject


def body_of(shipment: Shipment) -> JsonObject:
    """One certificate. A day goes out as that day, unshifted; `null` clears what was acknowledged before."""
    certificate, known = shipment.certificate, shipment.line.acknowledged
    before = known.certificate if known is not None else None
    body: JsonObject = {
        "employeeNumber": shipment.employee_number,
        "certificateType": certificate.type,
        "issuedDateTime": _moment(certificate.issued),
        "validUntilDateTime": _end(shipment),
    }
    if certificate.number is not None or (before is not None and before.number is not None):
        body["certificateNumber"] = certificate.number
    if certificate.notes is not None or (before is not None and before.notes is not None):
        body["notes"] = certificate.notes
    return body


def _end(shipment: Shipment) -> str:
    if shipment.is_withdrawal:
        # Nothing can be removed: valid for one second is as good as withdrawn (rule K5).
        return _moment(shipment.certificate.issued, second=1)
    if shipment.certificate.valid_until is None:
        raise AssertionError("a certificate is sent with an end")
    return _moment(shipment.certificate.valid_until)


def _moment(day: date, second: int = 0) -> str:
    return f"{day.isoformat()}T00:00:{second:02}Z"
